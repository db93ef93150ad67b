"""Compare 单模态与融合: how well each model does, with intervals, and whether fusion truly gains."""

import streamlit as st

from fusion.charts.class_figures import confusion_figure, per_class_figure, reliability_figure
from fusion.charts.figures import accuracy_figure, cost_figure, paired_figure
from fusion.charts.maps import CHANGES, change_deck, view_of_bounds
from fusion.charts.palette import modality_name
from fusion.city import City
from fusion.serving import addresses
from fusion.serving.comparison import Comparison, Setting
from fusion.serving.comparison_tables import modality_of
from pages.ui import components, language, legend, models, state
from pages.ui.language import t
from pages.views import compare as view
from pages.views.formats import percent

SETTING, EXPERIMENT, PAIRS, FUSION, UNIMODAL = (
    "compare_setting",
    "compare_experiment",
    "compare_pairs",
    "compare_fusion",
    "compare_unimodal",
)
_CHART = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


def render() -> None:
    """Draw the page."""
    st.title(t("Unimodal against fusion"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)
    comparison = _choose(city)
    for name, reason in comparison.problems.items():
        st.warning(f"{name}: {reason}", icon=":material/broken_image:")
    if comparison.setting is None:
        models.no_runs(city)
        return
    components.stale_notice(comparison.stale, t("These results"))
    _show_accuracy(city, comparison)
    _show_pairs(city, comparison)
    _show_classes(city, comparison)
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


def _choose(city: City) -> Comparison:
    """Let the reader choose among settings, where runs of several are there."""
    first = models.comparison(city)
    if len(first.settings) < 2:
        return first
    settings = {setting.key: _setting_name(setting) for setting in first.settings}
    key = st.selectbox(
        t("Runs of one kind of folds, seed and state of the data; different ones are never pooled"),
        list(settings),
        format_func=settings.__getitem__,
        key=SETTING,
        persist_state="session",
    )
    return models.comparison(city, key)


def _setting_name(setting: Setting) -> str:
    kind = t("spatial") if setting.fold_kind == "spatial" else t("random")
    return t(
        "{folds} {kind} folds, seed {seed}, data {data}, model version {version}",
        folds=setting.folds,
        kind=kind,
        seed=setting.seed,
        data=setting.city_fingerprint[:8],
        version=setting.model_version,
    )


def _show_accuracy(city: City, comparison: Comparison) -> None:
    lang = language.current()
    _heading(city, t("Accuracy"))
    st.plotly_chart(
        accuracy_figure(comparison.accuracy, comparison.ceilings, view.reported_rows(lang), lang),
        key="compare_accuracy",
        config=_CHART,
        alt=t("Accuracy of every model with its interval, the ceilings and the user's reported figures"),
    )
    setting = comparison.setting
    assert setting is not None
    tested = comparison.accuracy["n"].max()
    lines = [
        t(
            "{n:,} test cells in {groups} spatial groups, pooled over the test folds of {folds} {kind} folds, seed "
            "{seed}; intervals by bootstrap over the groups, because neighbouring cells are alike.",
            n=tested,
            groups=comparison.accuracy["groups"].max(),
            folds=setting.folds,
            kind=t("spatial") if setting.fold_kind == "spatial" else t("random"),
            seed=setting.seed,
        )
    ]
    if not comparison.same_cells:
        lines.append(t("Not every model was run on the same folds: compare them only in the paired test below."))
    lines.append(
        t(
            "Hollow: reported by the user (weekly report of 14 to 27 December 2022), own data set, not measured here "
            "and not comparable with the rest."
        )
    )
    st.caption(" ".join(lines))
    if len(comparison.ceilings):
        with st.expander(t("What the ceilings assume")):
            st.markdown(
                "\n".join(
                    f"- **{models.ceiling_name(row['rule'])}** {percent(row['accuracy'])}: "
                    f"{models.ceiling_meaning(row['rule'])}"
                    for row in comparison.ceilings.to_dict("records")
                )
            )
            st.caption(
                t(
                    "Known because the city is synthetic: computed from the tables that drew it, on the same test "
                    "cells. They know a place's true look and rhythm, which a network has to see through noise. Only "
                    "those with neighbours (dotted, and the oracle) bound a model that looks around itself."
                )
            )
    components.table_under(view.accuracy_table(comparison, lang), f"{city.name}-accuracy", _accuracy_columns())


def _show_pairs(city: City, comparison: Comparison) -> None:
    _heading(city, t("Does fusion gain? The same cells, model against model"))
    paired = comparison.paired
    if paired.empty:
        components.empty(
            t("No fusion and unimodal model were tested on common cells."),
            t(
                "Train both on the same folds, for instance "
                "`python -m fusion ablate vit convlstm vit+convlstm-bottleneck --seeds 1 --folds 3 --city {city}`.",
                city=city.name,
            ),
        )
        return
    own = paired[paired["own_stream"]]
    if 0 < len(own) < len(paired):
        choice = st.segmented_control(
            t("Pairs"),
            ["own", "all"],
            format_func={"own": t("Each fusion against its own streams"), "all": t("Every pair")}.__getitem__,
            default="own",
            required=True,
            key=PAIRS,
            label_visibility="collapsed",
            persist_state="session",
        )
        paired = own if choice == "own" else paired
    st.plotly_chart(
        paired_figure(paired, language.current()),
        key="compare_paired",
        config=_CHART,
        alt=t("Accuracy of each fusion minus that of each unimodal model on the same cells, with intervals"),
    )
    headline = comparison.headline()
    if headline and headline["paired"]:
        st.markdown(view.paired_sentence(headline["paired"], t))
    st.caption(
        t(
            "Intervals draw spatial groups with replacement. McNemar's test stands beside them for comparability: it "
            "takes cells for independent, which neighbours are not, so its p-values are too small. No correction for "
            "the number of pairs."
        )
    )
    components.table_under(view.paired_table(paired), f"{city.name}-paired", _paired_columns())


def _show_classes(city: City, comparison: Comparison) -> None:
    lang = language.current()
    _heading(city, t("Class by class"))
    st.plotly_chart(
        per_class_figure(comparison.per_class, lang),
        key="compare_classes",
        config=_CHART,
        alt=t("F1 of every model and function"),
    )
    unknown = view.not_evaluable(comparison, lang)
    text = t(
        "F1 in per cent. A dash: not evaluable, no fold has the class in both training and test; macro-F1 leaves it "
        "out."
    )
    if unknown:
        text += " " + t("Not evaluable here: {names}.", names=t(", ").join(unknown))
    st.caption(text)
    components.table_under(view.class_table(comparison), f"{city.name}-f1")


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
    _heading(city, t("Confusion"))
    counts = comparison.confusion(experiment)
    st.plotly_chart(
        confusion_figure(counts, language.current()),
        key="compare_confusion",
        config=_CHART,
        alt=t("Confusion matrix of {name}", name=experiment),
    )
    st.caption(t("Numbers are test cells; colour is the share of the true class (a row adds up to 100 %)."))
    components.table_under(view.confusion_table(counts), f"{city.name}-confusion-{experiment}")


def _show_calibration(city: City, comparison: Comparison, experiment: str) -> None:
    _heading(city, t("Calibration"))
    bins = comparison.reliability[comparison.reliability["experiment"] == experiment]
    row = comparison.accuracy.set_index("experiment").loc[experiment]
    st.plotly_chart(
        reliability_figure(bins, language.current()),
        key="compare_reliability",
        config=_CHART,
        alt=t("Confidence against the share correct of {name}", name=experiment),
    )
    left, right = st.columns(2)
    left.metric(t("ECE before scaling"), percent(row["ece_before"]))
    right.metric(t("ECE after scaling"), percent(row["ece_after"]))
    st.caption(
        t(
            "Expected calibration error on the test cells, 15 bins, larger marks with more cells; one temperature a "
            "run, fitted on its validation fold."
        )
    )
    components.table_under(bins.drop(columns="experiment"), f"{city.name}-reliability-{experiment}")


def _show_cost(city: City, comparison: Comparison) -> None:
    _heading(city, t("Accuracy against cost"))
    known = comparison.accuracy.dropna(subset=["train_s", "parameters"])
    if known.empty:
        components.empty(t("These runs do not say what they cost."), t("Train them again to record time and size."))
        return
    st.plotly_chart(
        cost_figure(known, language.current()),
        key="compare_cost",
        config=_CHART,
        alt=t("Accuracy against training time"),
    )
    st.caption(
        t(
            "Mean over the folds; a larger mark has more parameters. Times hold for the machine that trained, not for "
            "yours."
        )
    )
    cost = known[["experiment", "accuracy", "parameters", "train_s"]]
    components.table_under(cost, f"{city.name}-cost", _accuracy_columns())


def _show_changes(city: City, comparison: Comparison) -> None:
    _heading(city, t("Cells that fusion mends and breaks"))
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
    counts = changes["change"].value_counts()
    legend.swatch_legend([(CHANGES[key][0], f"{words[key]} {int(counts.get(key, 0)):,}") for key in words])
    components.table_under(changes, f"{city.name}-changes-{fusion}-{unimodal}")


def _heading(city: City, text: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(text)
        components.synthetic_badge(city)


def _labels(comparison: Comparison) -> dict[str, str]:
    lang = language.current()
    return {name: f"{name} · {modality_name(modality_of(name), lang)}" for name in comparison.predictions}


def _accuracy_columns() -> dict:
    number, share = st.column_config.NumberColumn, "percent"
    return {
        "kind": t("Kind"),
        "experiment": t("Model"),
        "modality": t("Modality"),
        "accuracy": number(t("Accuracy"), format=share),
        "low": number(t("95 % low"), format=share),
        "high": number(t("95 % high"), format=share),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "macro_f1": number(t("Macro-F1"), format=share),
        "evaluable": t("Classes judged"),
        "ece_before": number(t("ECE before"), format=share),
        "ece_after": number(t("ECE after"), format=share),
        "folds_run": t("Test folds"),
        "parameters": number(t("Parameters"), format="localized"),
        "train_s": number(t("Training, s"), format="%.0f"),
    }


def _paired_columns() -> dict:
    number = st.column_config.NumberColumn
    return {
        "fusion": t("Fusion"),
        "unimodal": t("Against"),
        "modality": t("Modality"),
        "difference": number(t("Difference"), format="percent"),
        "low": number(t("95 % low"), format="percent"),
        "high": number(t("95 % high"), format="percent"),
        "only_fusion": t("Only fusion right"),
        "only_unimodal": t("Only the other right"),
        "p_value": number(t("McNemar p"), format="%.2g"),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "mcnemar": t("McNemar's form"),
        "verdict": t("Interval says"),
    }


if __name__ == "__main__":
    render()
