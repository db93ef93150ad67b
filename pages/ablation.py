"""Ablation 消融: what each choice changes, one at a time, with intervals; runs are started from here."""

from functools import partial

import streamlit as st

from fusion.charts.ablation_figures import axis_figure, difference_figure, savings_figure
from fusion.city import City
from fusion.serving.ablation import Ablation, AxisResult
from pages.ui import ablating, ablating_inside, comparing, components, job_panel, language, models
from pages.ui.language import t
from pages.views import ablation as view

SETTING, AXIS = "ablation_setting", "ablation_axis"


def render() -> None:
    """Draw the page."""
    st.title(t("Ablation"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)
    ablation = comparing.choose_setting(partial(ablating.ablation, city), SETTING)
    for name, reason in ablation.problems.items():
        st.warning(f"{name}: {reason}", icon=":material/broken_image:")
    if ablation.setting is None:
        models.no_runs(city)
    else:
        components.stale_notice(ablation.stale, t("These results"))
        _show_overview(city, ablation)
        _show_axis(city, ablation)
        ablating_inside.show_similarity(city, ablation)
        ablating_inside.show_robustness(city, ablation)
    job_panel.show(city)


def _show_overview(city: City, ablation: Ablation) -> None:
    comparing.heading(city, t("What changes accuracy"))
    table = view.overview(ablation, ablating.axis_titles())
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        column_order=["axis", "better", "worse", "compared", "run", "declared"],
        column_config=ablating.overview_columns(),
    )
    compared, expected = view.by_chance(ablation)
    st.caption(
        t(
            "Counted are rows whose 95 % interval of the difference to their reference row lies above or below 0. {n} "
            "rows were compared without correction, so about {expected:.1f} of them would do so by chance alone. Here "
            "single models are compared, averaged over seeds; Compare tests the few declared questions on ensembles of "
            "the seeds, corrected together, and the two can disagree.",
            n=compared,
            expected=expected,
        )
    )


def _show_axis(city: City, ablation: Ablation) -> None:
    titles = ablating.axis_titles()
    there = next((name for name, result in ablation.axes.items() if len(result.rows)), next(iter(titles)))
    comparing.heading(city, t("One choice at a time"))
    axis = components.choose_one(t("Choice"), titles, AXIS, there)
    result = ablation.axes[axis]
    st.markdown(ablating.axis_question(axis))
    if result.rows.empty:
        components.empty(t("No row of this axis was trained on this city yet."), f"`{ablation.command(axis)}`")
        return
    _show_charts(ablation, result)
    lang = language.current()
    st.markdown("\n".join(f"- {sentence}" for sentence in view.findings(result, lang, t)))
    st.caption(_notes(ablation, result))
    components.table_under(city, view.axis_rows(result, lang), axis, ablating.axis_columns())
    if result.missing:
        st.caption(t("Declared and not run yet: {names}.", names=t(", ").join(result.missing)))
        st.code(ablation.command(axis), language="bash", wrap_lines=True)


def _show_charts(ablation: Ablation, result: AxisResult) -> None:
    lang = language.current()
    # On the axis of single streams the reference lines would only repeat two of its rows.
    lines = ablation.unimodal.iloc[:0] if result.name == "streams" else ablation.unimodal
    left, right = st.columns(2, gap="large")
    with left:
        st.plotly_chart(
            axis_figure(result.rows, lines, ablation.ceilings, lang),
            key="ablation_accuracy",
            config=comparing.CHART,
            alt=t("Accuracy of the rows of the axis with intervals, single modalities and ceilings"),
        )
    with right:
        st.plotly_chart(
            difference_figure(result.rows, lang),
            key="ablation_difference",
            config=comparing.CHART,
            alt=t("Difference of each row to its reference row with paired intervals"),
        )
    if result.name == "merging":
        _show_savings(result)


def _show_savings(result: AxisResult) -> None:
    known = result.rows.dropna(subset=["saved"])
    if len(known) < 2:
        components.empty(
            t("What merging saves is not measured: these runs do not say how much they compute."),
            t("Train them again to record it."),
        )
        return
    st.plotly_chart(
        savings_figure(known, language.current()),
        key="ablation_savings",
        config=comparing.CHART,
        alt=t("Accuracy against the share of multiply-adds saved"),
    )


def _notes(ablation: Ablation, result: AxisResult) -> str:
    """Say how the figures of an axis came about."""
    setting = ablation.setting
    assert setting is not None
    notes = [
        t(
            "Accuracy of a single model: mean over seeds and {run} of {folds} {kind} test folds, block bootstrap over "
            "spatial groups. Difference: the same seeds, folds and cells for both rows, so its interval is the one to "
            "trust.",
            run=int(result.rows["folds_run"].max()),
            folds=setting.folds,
            kind=t("spatial") if setting.fold_kind == "spatial" else t("random"),
        )
    ]
    if len(ablation.unimodal) and result.name != "streams":
        notes.append(t("Dotted lines: the best row of each modality alone."))
    if len(ablation.ceilings):
        notes.append(t("Dashed: ceilings, known because the city is synthetic."))
    if result.rows["fewer"].any():
        notes.append(t("* fewer seeds or folds than the fullest row here."))
    declared = list(result.rows.loc[result.rows["declared"], "experiment"])
    if declared:
        said = t("Declared before they were run (suite core): {names}.", names=t(", ").join(declared))
        notes.append(said if len(declared) < len(result.rows) else t("All were declared before they were run."))
    return " ".join(notes)


if __name__ == "__main__":
    render()
