"""Predict 区域预测: choose regions, run a trained model on them, see what image, signal and fusion each say.

The only page that needs torch, and it imports it only inside the functions that choose a device or predict.
"""

import time
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from fusion.charts import maps
from fusion.charts.city_figures import class_figure
from fusion.charts.palette import modality_name
from fusion.city import City
from fusion.geo import grid
from fusion.serving import addresses, predictor
from fusion.serving.comparison_tables import modality_of
from fusion.serving.parts import fold_parts
from fusion.serving.releases import KINDS, encode_release
from fusion.training.runs import RunRecord, load_runs, partners, stale_reasons
from pages.ui import caches, components, language, legend, models, region_cards, region_picker, state
from pages.ui.language import t
from pages.views import predict as view
from pages.views.formats import percent
from pages.views.predict import Answer, Question

RUN, DEVICE, SIDES, GO = "predict_run", "predict_device", "predict_sides", "predict_go"
ORDER, PAGE, ANSWER, FOCUS = "predict_order", "predict_page", "predict_answer", "predict_focus"
_CARDS = 3
_MAP_HEIGHT_PX = 440
_SLOW = 2000  # cells; more take noticeable time on a CPU


def render() -> None:
    """Draw the page."""
    st.title(t("Predict"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)
    records = _usable(city)
    if not records:
        return
    left, right = st.columns([7, 4], gap="large")
    with left:
        region_picker.show_map(city)
    with right:
        region_picker.show_controls(city)
        question = _choose_model(city, records)
        asked = st.button(
            t("Predict {n:,} cells", n=len(question.cells)),
            key=GO,
            type="primary",
            icon=":material/play_arrow:",
            disabled=not question.cells,
            width="stretch",
        )
        if not question.cells:
            st.caption(t("Choose at least one cell first."))
        elif len(question.cells) > _SLOW:
            st.caption(t("Many cells: this takes a while without a GPU."))
        if asked:
            with components.guard():
                st.session_state[ANSWER] = _predict(city, records, question)
                st.session_state.pop(FOCUS, None)
                st.session_state.pop(PAGE, None)
    _show_answer(city, question)


def _usable(city: City) -> list[RunRecord]:
    """Return the city's runs with weights; where there is none, say what is missing."""
    if not (city.has_activity and city.has_imagery):
        missing = t("imagery") if city.has_activity else t("signaling")
        components.empty(
            t("Nothing can be predicted here: this city has no {what}.", what=missing),
            t("The models read a picture and the hours of each cell: see `python -m fusion ingest --help`."),
        )
        return []
    records, _ = load_runs(city.run_folders())
    if not records:
        models.no_runs(city)
        return []
    usable = [record for record in records if record.has_weights]
    if not usable:
        components.empty(
            t("Only results are here: no run of this city has its weights."),
            t("Train one with `python -m fusion train vit+convlstm-bottleneck --city {city}`.", city=city.name),
        )
    rank = {"fusion": 0, "image": 1, "signal": 2}
    return sorted(
        usable,
        key=lambda record: (bool(stale_reasons(record, city.fingerprint())), rank[modality_of(record.experiment)]),
    )


def _choose_model(city: City, records: list[RunRecord]) -> Question:
    by_id = {record.id: record for record in records}
    names = {record.id: _run_name(record, city) for record in records}
    run = st.selectbox(
        t("Model"),
        list(by_id),
        format_func=names.__getitem__,
        key=RUN,
        persist_state="session",
    )
    st.caption(_describe(by_id[run]))
    reasons = stale_reasons(by_id[run], city.fingerprint())
    components.stale_notice(reasons, t("This run"))
    sides = st.toggle(
        t("Also ask image only and signal only"),
        value=True,
        key=SIDES,
        help=t("Their own runs of the same seed and fold, where their weights are here."),
        persist_state="session",
    )
    device = _choose_device()
    return Question(city.name, city.fingerprint(), run, state.region(), device, sides)


def _run_name(record: RunRecord, city: City) -> str:
    parts = [record.experiment, t("fold {fold} of {folds}", fold=record.fold, folds=record.folds)]
    parts += [t("seed {seed}", seed=record.seed)] if record.seed else []
    parts += [t("out of date")] if stale_reasons(record, city.fingerprint()) else []
    return " · ".join(parts)


def _describe(record: RunRecord) -> str:
    parts = [
        modality_name(modality_of(record.experiment), language.current()),
        t("shipped with the program") if record.shipped else t("own run"),
        t("seed {seed}", seed=record.seed),
        t("{share} right on its test fold", share=percent(float(record.metrics["overall_accuracy"]))),
    ]
    return " · ".join(parts)


def _choose_device() -> str:
    names = {
        name: t("auto: {device} here", device=device) if name == "auto" else name for name, device in _devices().items()
    }
    device = st.selectbox(
        t("Device"),
        list(names),
        format_func=names.__getitem__,
        key=DEVICE,
        persist_state="session",
    )
    return str(device)


@st.cache_resource(show_spinner=False)
def _devices() -> dict[str, str]:
    """Return the devices that this machine has -> what each stands for, `auto` first."""
    from fusion.errors import ConfigError
    from fusion.training.device import DEVICES, pick_device

    found = {}
    for name in DEVICES:
        try:
            found[name] = str(pick_device(name))
        except ConfigError:
            continue
    return found


@st.cache_resource(show_spinner=False, max_entries=6)
def _loaded(folder: str, stamps: tuple, device: str) -> object:
    return predictor.load_predictor(Path(folder), device)


@st.cache_data(show_spinner=False, max_entries=16)
def _parts(run: str, stamps: tuple, samples_print: str, _samples: object, _record: RunRecord) -> pd.Series:
    return fold_parts(_samples, _record)


def _predict(city: City, records: list[RunRecord], question: Question) -> Answer:
    """Run the chosen model and its partners, telling how far it is."""
    chosen = next(record for record in records if record.id == question.run)
    runs: dict[str, RunRecord | None] = {modality_of(chosen.experiment): chosen}
    if question.side_by_side:
        own = partners(chosen, records) if modality_of(chosen.experiment) == "fusion" else {}
        runs |= {side: record for side, record in own.items() if record is not None}
    bar = st.progress(0.0, t("Cutting chips and series"))
    started = time.perf_counter()
    try:
        samples = predictor.samples_for(
            city, chosen.folder, lambda share, _: bar.progress(0.3 * share, t("Cutting chips and series"))
        )
        tables: dict[str, pd.DataFrame] = {}
        for number, (side, record) in enumerate(runs.items()):
            assert record is not None
            text = t("Predicting with {model}", model=record.experiment)
            bar.progress(0.3 + 0.7 * number / len(runs), text)
            model = _loaded(str(record.folder), _stamps(record), question.device)
            tables[side] = predictor.predict_cells(
                model,
                samples,
                list(grid.to_hex(question.cells)),
                progress=lambda share, _, number=number, text=text: bar.progress(
                    0.3 + 0.7 * (number + share) / len(runs), text
                ),
            )
        bar.progress(1.0, t("Finding out what the run was trained on"))
        part = _parts(chosen.id, _stamps(chosen), samples.meta.fingerprint, samples, chosen)
    finally:
        bar.empty()
    main = tables[modality_of(chosen.experiment)]
    others = {side: table for side, table in tables.items() if side != modality_of(chosen.experiment)}
    return Answer(
        question=question,
        table=view.assemble(main, others, part),
        device=str(model.device),
        seconds=time.perf_counter() - started,
        sides={side: record.id if record is not None else None for side, record in runs.items()},
        probabilities={side: table[view.PROBABILITIES].to_numpy(dtype=float) for side, table in tables.items()},
    )


def _stamps(record: RunRecord) -> tuple:
    return tuple(caches.stamp(record.folder / name) for name in ("run.json", "model.json", "model.safetensors"))


def _show_answer(city: City, question: Question) -> None:
    answer: Answer | None = st.session_state.get(ANSWER)
    if answer is None or answer.question.city != city.name:
        return
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(t("Result"))
        components.synthetic_badge(city)
    _say_what_it_is(answer, question)
    if not answer.table["covered"].any():
        components.empty(
            t("None of these cells can be predicted."),
            t("They have no whole picture or no signaling; choose cells further inside the city."),
        )
        _show_uncovered(answer)
        return
    left, right = st.columns([7, 4], gap="large")
    with left:
        _show_map(city, answer)
    with right:
        _show_summary(answer)
        _show_downloads(city, answer)
    _show_cards(city, answer)
    _show_table(answer)
    _show_uncovered(answer)


def _say_what_it_is(answer: Answer, question: Question) -> None:
    differs = view.changed(answer, question)
    if differs:
        words = {
            "city": t("another city"),
            "data": t("older data of this city"),
            "run": t("another model"),
            "cells": t("another choice of cells"),
        }
        st.warning(
            t(
                "This result is of {what}. Predict again to bring it up to date.",
                what=t(", ").join(words[one] for one in differs),
            ),
            icon=":material/history:",
        )
    st.caption(
        t(
            "{run} on {device}: {n:,} of {all:,} cells in {seconds:.1f} s, mean confidence {confidence}",
            confidence=percent(float(answer.table["confidence"].mean())),
            run=answer.question.run,
            device=answer.device,
            n=int(answer.table["covered"].sum()),
            all=len(answer.table),
            seconds=answer.seconds,
        )
    )


def _show_map(city: City, answer: Answer) -> None:
    shown = answer.table[answer.table["covered"]]
    focus = st.session_state.get(FOCUS)
    key = f"predict_result_{city.name}_{state.visit()}_{abs(hash(answer.question))}"
    lon, lat = shown["lon"], shown["lat"]
    bounds = (lon.min() - 0.004, lat.min() - 0.004, lon.max() + 0.004, lat.max() + 0.004)
    deck = maps.result_deck(
        shown,
        addresses.style_address(st.get_option("server.baseUrlPath"), city),
        maps.view_of_bounds(bounds),
        language.current(),
        outlined=[int(focus, 16)] if focus else [],
    )
    st.pydeck_chart(
        deck, height=_MAP_HEIGHT_PX, key=key, on_select=lambda: _focus(key), alt=t("Map of the predicted functions")
    )
    legend.class_legend(t("Paler: less confident. Click a cell for its card."))


def _focus(key: str) -> None:
    cell = maps.clicked_cell(st.session_state[key].selection.objects)
    if cell is not None:
        st.session_state[FOCUS] = grid.to_hex([cell])[0]


def _show_summary(answer: Answer) -> None:
    counts = view.class_counts(answer.table)
    st.plotly_chart(
        class_figure(dict(zip(counts["function"], counts["cells"], strict=True)), language.current(), True, 270),
        key="predict_classes",
        config={"displayModeBar": False},
        alt=t("Predicted cells by function"),
    )
    parts = view.by_part(answer.table)
    st.markdown(f"**{t('What these cells were to the run')}**")
    st.markdown(_part_lines(parts))
    if "train" in set(parts["part"]):
        st.warning(
            t("The run was trained on some of these cells: being right there proves nothing. Judge it on test cells."),
            icon=":material/school:",
        )
    if "unknown" in set(parts["part"]):
        st.caption(t("The data or the folds are not those of the run: nobody can tell which cells it was trained on."))


def _part_lines(parts: pd.DataFrame) -> str:
    lines = [f"| {t('Part')} | {t('Cells')} | {t('Right, where the function is known')} |", "|:--|--:|--:|"]
    for row in parts.to_dict("records"):
        share = (
            t(
                "{right:,} of {known:,} ({share})",
                right=row["right"],
                known=row["known"],
                share=percent(row["right"] / row["known"]),
            )
            if row["known"]
            else "–"
        )
        lines.append(f"| {region_cards.part_name(row['part'])} | {row['cells']:,} | {share} |")
    return "\n".join(lines)


def _show_downloads(city: City, answer: Answer) -> None:
    table = view.release(answer, city.info.provenance)
    with st.container(horizontal=True):
        for kind, label in ((".csv", "CSV"), (".geojson", "GeoJSON"), (".parquet", "Parquet")):
            st.download_button(
                label,
                # Spelled out only when asked for: a whole city takes a while.
                partial(encode_release, table, kind),
                file_name=f"{city.name}-{answer.question.run}{kind}",
                mime=KINDS[kind],
                key=f"predict_download_{label}",
                icon=":material/download:",
                on_click="ignore",
            )


def _show_cards(city: City, answer: Answer) -> None:
    st.subheader(t("Region by region"))
    orders = {
        "given": t("as chosen"),
        "unsure": t("least confident first"),
        "wrong": t("wrong ones first"),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        order = st.selectbox(
            t("Order"), list(orders), format_func=orders.__getitem__, key=ORDER, persist_state="session", width=240
        )
        rows = list(view.ordered(answer.table, order).index)
        pages = -(-len(rows) // _CARDS)
        page = st.pagination(pages, key=PAGE) if pages > 1 else 1
    focus = answer.table.index[answer.table["id"] == st.session_state.get(FOCUS)]
    shown = list(focus) + [row for row in view.page_of(rows, page, _CARDS) if row not in focus]
    missing = [
        modality_name(side, language.current()) for side in ("image", "signal", "fusion") if side not in answer.sides
    ]
    if missing:
        st.caption(t("Not asked, or no weights of the same seed and fold here: {names}.", names=t(", ").join(missing)))
    for row in shown:
        region_cards.show(city, answer, row)


def _show_table(answer: Answer) -> None:
    st.subheader(t("All regions"))
    shown = view.ordered(answer.table, "given")
    columns = {
        "id": shown["id"],
        "predicted": [region_cards.class_name(one) for one in shown["predicted"]],
        "confidence": shown["confidence"],
        "true": [region_cards.class_name(one) for one in shown["true"]],
        "right": [{True: "✓", False: "✗"}.get(one, "–") for one in shown["right"]],
        "part": [region_cards.part_name(one) for one in shown["part"]],
    }
    sides = [side for side in ("image", "signal") if f"predicted_{side}" in shown]
    for side in sides:
        columns[side] = [region_cards.class_name(one) for one in shown[f"predicted_{side}"]]
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        key="predict_table",
        height=min(38 + 35 * len(shown), 420),
        column_config={
            "id": t("Cell"),
            "predicted": t("Predicted"),
            "confidence": st.column_config.ProgressColumn(t("Confidence"), format="percent", min_value=0, max_value=1),
            "true": t("True"),
            "right": t("Right"),
            "part": t("Part of the run"),
            **{side: modality_name(side, language.current()) for side in sides},
        },
    )


def _show_uncovered(answer: Answer) -> None:
    lost = answer.table[~answer.table["covered"]]
    if lost.empty:
        return
    with st.expander(t("{n:,} cells are not covered", n=len(lost))):
        st.caption(t("No whole picture inside the imagery, or no signaling at any hour: no model can read them."))
        st.dataframe(lost[["id", "lon", "lat"]], hide_index=True, key="predict_uncovered")


if __name__ == "__main__":
    render()
