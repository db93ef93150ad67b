"""Predict's questions: which model, which device; and the run itself, with its progress."""

import time
from pathlib import Path

import pandas as pd
import streamlit as st

from fusion.charts.palette import modality_name
from fusion.city import City
from fusion.errors import RunError
from fusion.geo import grid
from fusion.serving import predictor
from fusion.serving.explanation import Explanation, explain_cell
from fusion.serving.parts import fold_parts
from fusion.serving.pooling import modality_of
from fusion.training.runs import RunRecord, load_run, partners, stale_reasons
from pages.ui import caches, components, language, state
from pages.ui.language import t
from pages.views import predict as view
from pages.views.formats import percent
from pages.views.predict import Answer, Question

RUN, DEVICE, SIDES, TESTED = "predict_run", "predict_device", "predict_sides", "predict_tested"


def choose_model(city: City, records: list[RunRecord]) -> Question:
    """Show the models and devices to choose from; return what would be asked now."""
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
    if not reasons:
        st.button(
            t("Choose its {n:,} test cells", n=by_id[run].metrics["n_test"]),
            key=TESTED,
            icon=":material/fact_check:",
            type="tertiary",
            help=t("Cells that the run has never learned from, of known function: only they tell how good it is."),
            on_click=_take_test_cells,
            args=(by_id[run],),
        )
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


def _take_test_cells(record: RunRecord) -> None:
    state.set_region(grid.from_hex(record.predictions()["id"].tolist()))


def _run_name(record: RunRecord, city: City) -> str:
    parts = [record.experiment, t("fold {fold} of {folds}", fold=record.fold, folds=record.folds)]
    parts += [t("random folds")] if record.run["fold_kind"] == "random" else []
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


def predict(city: City, records: list[RunRecord], question: Question) -> Answer:
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


def explain(city: City, question: Question, id_: str) -> Explanation:
    """Explain the chosen model's answer for one region; kept by run and cell.

    Raises:
        RunError: the run is no longer there.
    """
    folder = next((folder for folder in city.run_folders() if folder.name == question.run), None)
    if folder is None:
        raise RunError(f"{question.run}: no longer there: predict again with another run")
    record = load_run(folder)
    return _explained(question.run, _stamps(record), question.city_fingerprint, id_, question.device, city, record)


@st.cache_data(show_spinner=False, max_entries=128)
def _explained(
    run: str, stamps: tuple, city_print: str, id_: str, device: str, _city: City, _record: RunRecord
) -> Explanation:
    model = _loaded(str(_record.folder), stamps, device)
    return explain_cell(model, predictor.samples_for(_city, _record.folder), id_)


def _stamps(record: RunRecord) -> tuple:
    return tuple(caches.stamp(record.folder / name) for name in ("run.json", "model.json", "model.safetensors"))
