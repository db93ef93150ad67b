"""Predict 区域预测: choose regions, run a trained model on them, see what image, signal and fusion each say.

The only page that needs torch, and it imports it only where a device is chosen or a model runs (`ui/prediction.py`).
"""

import streamlit as st

from fusion.city import City
from fusion.serving.pooling import modality_of
from fusion.training.runs import RunRecord, load_runs, stale_reasons
from pages.ui import answers, components, models, prediction, region_picker
from pages.ui.language import t

GO = "predict_go"
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
        question = prediction.choose_model(city, records)
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
                answers.keep(prediction.predict(city, records, question))
    answers.show(city, question)


def _usable(city: City) -> list[RunRecord]:
    """Return the city's runs with weights; where there is none, say what is missing."""
    if not city.has_map:
        components.no_map(city)
        return []
    if not (city.has_activity and city.has_imagery):
        missing = t("imagery") if city.has_activity else t("signaling")
        components.empty(
            t("Nothing can be predicted here: this city has no {what}.", what=missing),
            t("The models read a picture and the hours of each cell: see `python -m fusion ingest --help`."),
            wants_data=True,
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
    fingerprint = city.fingerprint()

    def order(record: RunRecord) -> tuple:
        stale = bool(stale_reasons(record, fingerprint))
        return stale, rank[modality_of(record.experiment)], -float(record.metrics["overall_accuracy"])

    return sorted(usable, key=order)


if __name__ == "__main__":
    render()
