"""Compare 单模态与融合: how well each model does, with intervals, and whether fusion truly gains."""

import streamlit as st

from fusion.charts.class_figures import per_class_figure
from fusion.charts.figures import accuracy_figure, paired_figure
from fusion.city import City
from fusion.serving.comparison import Comparison, Setting
from pages.ui import closer_look, comparing, components, language, models
from pages.ui.language import t
from pages.views import compare as view
from pages.views.formats import percent

SETTING, PAIRS = "compare_setting", "compare_pairs"


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
    closer_look.show(city, comparison)


def _choose(city: City) -> Comparison:
    """Let the reader choose among settings, where runs of several are there."""
    first = models.comparison(city)
    if len(first.settings) < 2:
        return first
    settings = {setting.key: _setting_name(setting) for setting in first.settings}
    key = st.selectbox(
        t("Runs of one kind of folds and state of the data; different ones are never pooled"),
        list(settings),
        format_func=settings.__getitem__,
        key=SETTING,
        persist_state="session",
    )
    return models.comparison(city, key)


def _setting_name(setting: Setting) -> str:
    kind = t("spatial") if setting.fold_kind == "spatial" else t("random")
    return t(
        "{folds} {kind} folds, data {data}, model version {version}",
        folds=setting.folds,
        kind=kind,
        data=setting.city_fingerprint[:8],
        version=setting.model_version,
    )


def _show_accuracy(city: City, comparison: Comparison) -> None:
    lang = language.current()
    comparing.heading(city, t("Accuracy"))
    st.plotly_chart(
        accuracy_figure(comparison.accuracy, comparison.ceilings, view.reported_rows(lang), lang),
        key="compare_accuracy",
        config=comparing.CHART,
        alt=t("Accuracy of every model with its interval, the ceilings and the user's reported figures"),
    )
    setting = comparison.setting
    assert setting is not None
    tested = comparison.accuracy["n"].max()
    lines = [
        t(
            "{n:,} test cells in {groups} spatial groups, pooled over the test folds of {folds} {kind} folds, seeds "
            "{seeds}; intervals by bootstrap over the groups, because neighbouring cells are alike.",
            n=tested,
            groups=comparison.accuracy["groups"].max(),
            folds=setting.folds,
            kind=t("spatial") if setting.fold_kind == "spatial" else t("random"),
            seeds=t(", ").join(map(str, comparison.seeds)),
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
    components.table_under(view.accuracy_table(comparison, lang), f"{city.name}-accuracy", comparing.accuracy_columns())


def _show_pairs(city: City, comparison: Comparison) -> None:
    comparing.heading(city, t("Does fusion gain? The same cells, model against model"))
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
        config=comparing.CHART,
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
    components.table_under(view.paired_table(paired), f"{city.name}-paired", comparing.paired_columns())


def _show_classes(city: City, comparison: Comparison) -> None:
    lang = language.current()
    comparing.heading(city, t("Class by class"))
    st.plotly_chart(
        per_class_figure(comparison.per_class, lang),
        key="compare_classes",
        config=comparing.CHART,
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


if __name__ == "__main__":
    render()
