"""Predict's answer: what it is an answer to, map, counts, downloads, cards, table, what was not covered."""

from functools import partial

import pandas as pd
import streamlit as st

from fusion.charts import maps
from fusion.charts.city_figures import class_figure
from fusion.charts.palette import modality_name
from fusion.city import City
from fusion.geo import grid
from fusion.serving import addresses
from fusion.serving.releases import KINDS, encode_release
from pages.ui import components, language, legend, region_cards, state
from pages.ui.language import t
from pages.views import predict as view
from pages.views.formats import percent
from pages.views.predict import Answer, Question

ANSWER, FOCUS, ORDER, PAGE = "predict_answer", "predict_focus", "predict_order", "predict_page"
_CARDS = 3
_MAP_HEIGHT_PX = 440


def keep(answer: Answer) -> None:
    """Keep an answer for the session: it outlives reruns, languages and pages."""
    st.session_state[ANSWER] = answer
    st.session_state.pop(FOCUS, None)
    st.session_state.pop(PAGE, None)


def show(city: City, question: Question) -> None:
    """Show this city's last answer, and say so where it answers another question than the one chosen now."""
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
    if (parts["known"] >= view.FEWEST).any():
        st.caption(t("In brackets: 95 % interval (Wilson). It takes cells for independent; neighbours are not."))
    if "train" in set(parts["part"]):
        text = (
            t("The run was trained on all of these cells: being right here proves nothing. Judge it on test cells.")
            if set(parts["part"]) == {"train"}
            else t(
                "The run was trained on some of these cells: being right there proves nothing. Judge it on test cells."
            )
        )
        st.warning(text, icon=":material/school:")
    if "unknown" in set(parts["part"]):
        st.caption(t("The data or the folds are not those of the run: nobody can tell which cells it was trained on."))


def _part_lines(parts: pd.DataFrame) -> str:
    lines = [f"| {t('Part')} | {t('Cells')} | {t('Right, where the function is known')} |", "|:--|--:|--:|"]
    for row in parts.to_dict("records"):
        share = view.right_words(row["right"], row["known"], t)
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
    st.caption(t("Bars: probability in per cent. Bold with ✓: the region's known function."))
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
            "confidence": st.column_config.ProgressColumn(
                t("Confidence"), format="percent", step=0.001, min_value=0, max_value=1
            ),
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
