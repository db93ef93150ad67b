"""Compare 单模态与融合: how well each model does, with intervals, and whether fusion truly gains."""

from functools import partial

import streamlit as st

from fusion.charts.class_figures import per_class_figure
from fusion.charts.figures import accuracy_figure
from fusion.city import City
from fusion.serving.comparison import Comparison
from pages.ui import closer_look, comparing, components, elsewhere, language, models, paired_tests
from pages.ui.language import t
from pages.views import compare as view
from pages.views.formats import percent

SETTING = "compare_setting"


def render() -> None:
    """Draw the page."""
    st.title(t("Unimodal against fusion"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)
    comparison = comparing.choose_setting(partial(models.comparison, city), SETTING)
    for name, reason in comparison.problems.items():
        st.warning(f"{name}: {reason}", icon=":material/broken_image:")
    if comparison.setting is None:
        models.no_runs(city)
        elsewhere.show()
        return
    components.stale_notice(comparison.stale, t("These results"))
    if comparison.setting.fold_kind == "random" and len(comparison.settings) > 1:
        st.warning(
            t("Random folds: every test cell has neighbours in training, which flatters all that follows."),
            icon=":material/shuffle:",
        )
    _show_accuracy(city, comparison)
    _show_goals(city, comparison)
    paired_tests.show(city, comparison)
    _show_classes(city, comparison)
    closer_look.show(city, comparison)
    paired_tests.show_flattery(city, comparison)
    elsewhere.show()


def _show_accuracy(city: City, comparison: Comparison) -> None:
    lang = language.current()
    comparing.heading(city, t("Accuracy"))
    st.plotly_chart(
        accuracy_figure(comparison.accuracy, comparison.ceilings, lang),
        key="compare_accuracy",
        config=comparing.CHART,
        alt=t("Accuracy of every model with its interval, beside the ceilings"),
    )
    st.caption(" ".join(_accuracy_notes(comparison)))
    if len(comparison.ceilings):
        with st.expander(t("What the ceilings assume")):
            st.markdown(
                "\n".join(
                    components.pair(
                        f"- **{models.ceiling_name(row['rule'])}** {percent(row['accuracy'])}",
                        models.ceiling_meaning(row["rule"]),
                    )
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
    components.table_under(city, view.accuracy_table(comparison), "accuracy", comparing.accuracy_columns())


def _accuracy_notes(comparison: Comparison) -> list[str]:
    setting, accuracy = comparison.setting, comparison.accuracy
    assert setting is not None
    notes = [
        t(
            "{n:,} test cells in {groups} spatial groups, pooled over {run} of {folds} {kind} test folds, seeds "
            "{seeds}; intervals by bootstrap over the groups, because neighbouring cells are alike.",
            n=accuracy["n"].max(),
            groups=accuracy["groups"].max(),
            run=len(accuracy.loc[accuracy["n"].idxmax(), "folds_run"].split(", ")),
            folds=setting.folds,
            kind=t("spatial") if setting.fold_kind == "spatial" else t("random"),
            seeds=t(", ").join(map(str, comparison.seeds)),
        )
    ]
    if len(comparison.seeds) > 1:
        notes.append(
            t(
                "A mark is what one model reaches, on average over its seeds; an ensemble of them, in the table, is "
                "usually better and another thing."
            )
        )
    if not comparison.same_cells:
        notes.append(t("Not every model was run on the same folds: compare them only in the paired test below."))
    elif not comparison.same_seeds:
        notes.append(t("Not every model was run with the same seeds: the paired tests below use the common ones."))
    if accuracy["transductive"].any():
        names = t(", ").join(accuracy.loc[accuracy["transductive"], "experiment"])
        notes.append(t("Pretrained on imagery that includes the test area: {names}.", names=names))
    return notes


def _show_goals(city: City, comparison: Comparison) -> None:
    goals = comparison.goals()
    if not goals:
        return
    comparing.heading(city, t("The goals"))
    for column, goal in zip(st.columns(len(goals)), goals, strict=True):
        with column.container(border=True, height="stretch"):
            title, value, said = view.goal_words(goal, t)
            st.metric(title, value)
            st.caption(said)
    st.caption(
        t(
            "Set before the runs. Intervals over spatial groups, the ceilings taken as given; the best of several "
            "models on the same test cells is slightly flattered."
        )
    )


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
    components.table_under(city, view.class_table(comparison), "f1", comparing.f1_columns())


if __name__ == "__main__":
    render()
