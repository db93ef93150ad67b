"""Compare, closer: one model's confusion and calibration, all models' cost, what one fusion changes on the map."""

import streamlit as st

from fusion.charts.class_figures import confusion_figure, reliability_figure
from fusion.charts.figures import cost_figure
from fusion.charts.maps import CHANGES, change_deck, view_of_bounds
from fusion.charts.palette import modality_name
from fusion.city import City
from fusion.serving import addresses
from fusion.serving.comparison import Comparison
from fusion.serving.pooling import modality_of
from pages.ui import comparing, components, language, legend, state
from pages.ui.language import t
from pages.views import compare as view
from pages.views.formats import percent

EXPERIMENT, FUSION, UNIMODAL = "compare_experiment", "compare_fusion", "compare_unimodal"
COST = "compare_cost_kind"


def show(city: City, comparison: Comparison) -> None:
    """Show all of it."""
    chosen = _choose_experiment(comparison)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _show_confusion(city, comparison, chosen)
    with right:
        _show_calibration(city, comparison, chosen)
    left, right = st.columns(2, gap="large")
    with left:
        _show_cost(city, comparison)
    with right:
        _show_changes(city, comparison)


def _choose_experiment(comparison: Comparison) -> str:
    return str(
        st.selectbox(
            t("Look at one model"),
            list(comparison.accuracy["experiment"]),
            format_func=_labels(comparison).__getitem__,
            key=EXPERIMENT,
            persist_state="session",
        )
    )


def _show_confusion(city: City, comparison: Comparison, experiment: str) -> None:
    comparing.heading(city, t("Confusion"))
    counts = comparison.confusion(experiment)
    st.plotly_chart(
        confusion_figure(counts, language.current()),
        key="compare_confusion",
        config=comparing.CHART,
        alt=t("Confusion matrix of {name}", name=experiment),
    )
    text = t("Numbers are test cells; colour is the share of the true class (a row adds up to 100 %).")
    if comparison.accuracy.set_index("experiment").loc[experiment, "seeds"] > 1:
        text += " " + t("Means over its seeds, rounded.")
    st.caption(text)
    components.table_under(city, view.confusion_table(counts), f"confusion-{experiment}", comparing.confusion_columns())


def _show_calibration(city: City, comparison: Comparison, experiment: str) -> None:
    comparing.heading(city, t("Calibration"))
    bins = comparison.reliability[comparison.reliability["experiment"] == experiment]
    row = comparison.accuracy.set_index("experiment").loc[experiment]
    st.plotly_chart(
        reliability_figure(bins, language.current()),
        key="compare_reliability",
        config=comparing.CHART,
        alt=t("Confidence against the share correct of {name}", name=experiment),
    )
    left, right = st.columns(2)
    left.metric(t("ECE before scaling"), percent(row["ece_before"]))
    right.metric(t("ECE after scaling"), percent(row["ece_after"]))
    st.caption(
        t(
            "Expected calibration error on the test cells, 15 bins, larger marks with more cells; one temperature a "
            "run, fitted on its validation fold. Every prediction of every seed counts."
        )
    )
    components.table_under(city, bins.drop(columns="experiment"), f"reliability-{experiment}")


def _show_cost(city: City, comparison: Comparison) -> None:
    comparing.heading(city, t("Accuracy against cost"))
    ranked = comparison.accuracy.assign(rank=range(1, len(comparison.accuracy) + 1))
    names = {"multiply_adds": t("Multiply-adds"), "parameters": t("Parameters")}
    there = [cost for cost in names if ranked[cost].notna().any()]
    if not there:
        components.empty(t("These runs do not say what they cost."), t("Train them again to record time and size."))
        return
    cost = components.choose_one(t("Cost"), {one: names[one] for one in there}, COST)
    st.plotly_chart(
        cost_figure(ranked, cost, language.current()),
        key="compare_cost",
        config=comparing.CHART,
        alt=t("Accuracy against multiply-adds or the number of parameters"),
    )
    known = ranked.dropna(subset=[cost])
    st.caption(t("; ").join(f"{row['rank']}\u00a0{row['experiment']}" for row in known.to_dict("records")))
    notes = [
        t(
            "Multiply-adds of one cell, attention counted. Seconds of training and latency, in the table, hold for the "
            "machine that trained, not for yours."
        )
    ]
    if len(known) < len(ranked):
        missing = t(", ").join(ranked.loc[ranked[cost].isna(), "experiment"])
        notes.append(t("Not measured: {names}.", names=missing))
    st.caption(" ".join(notes))
    columns = ["rank", "experiment", "accuracy", "low", "high", "multiply_adds", "parameters"]
    columns += ["latency_1_ms", "latency_32_ms", "train_s"]
    components.table_under(city, ranked[columns], "cost", comparing.accuracy_columns())


def _show_changes(city: City, comparison: Comparison) -> None:
    comparing.heading(city, t("Cells that fusion mends and breaks"))
    pairs = comparison.paired
    if pairs.empty:
        components.empty(
            t("No fusion and unimodal model were tested on common cells."), t("Train both on the same folds.")
        )
        return
    left, right = st.columns(2)
    fusion = left.selectbox(t("Fusion"), list(dict.fromkeys(pairs["fusion"])), key=FUSION, persist_state="session")
    against = list(pairs.loc[pairs["fusion"] == fusion, "unimodal"])
    unimodal = right.selectbox(
        t("Against"), against, format_func=_labels(comparison).__getitem__, key=UNIMODAL, persist_state="session"
    )
    changes = comparison.mended(fusion, unimodal)
    words = {
        "mended": t("mended by fusion"),
        "broken": t("broken by fusion"),
        "right": t("both right"),
        "wrong": t("both wrong"),
    }
    if city.has_map:
        st.pydeck_chart(
            change_deck(
                changes,
                addresses.style_address(st.get_option("server.baseUrlPath"), city),
                view_of_bounds(city.info.bounds, 460, 400),
                words,
            ),
            height=420,
            key=f"compare_changes_{city.name}_{state.visit()}",
            alt=t("Map of the cells that fusion mends and breaks"),
        )
    st.caption(t("Of ensembles of the seeds, so that the net gain differs from that of single models on Overview."))
    counts = changes["change"].value_counts()
    legend.swatch_legend([(CHANGES[key][0], f"{words[key]} {int(counts.get(key, 0)):,}") for key in words])
    components.table_under(city, changes, f"changes-{fusion}-{unimodal}")


def _labels(comparison: Comparison) -> dict[str, str]:
    lang = language.current()
    return {name: f"{name} · {modality_name(modality_of(name), lang)}" for name in comparison.predictions}
