"""Overview 概览: what the city is, what is known of it, how well its functions are recognised, where to go next."""

import streamlit as st

from fusion.charts.city_figures import class_figure, states_figure
from fusion.charts.hourly import totals_figure
from fusion.city import City
from fusion.geo import grid
from pages.ui import caches, components, language, models, regions
from pages.ui.language import pick, t
from pages.views.formats import interval, percent, points, time_span

MEASURE = "overview_measure"


def render() -> None:
    """Draw the page."""
    city = components.require_city()
    if city is None:
        return
    st.title(components.title_of(city))
    _introduce(city)
    components.synthetic_banner(city)
    if city.has_map:
        _show_coverage(city)
        left, right = st.columns(2, gap="large")
        with left:
            _show_totals(city)
        with right:
            _show_classes(city)
    else:
        regions.show(city)
    _show_headline(city)
    left, right = st.columns(2, gap="large")
    with left:
        _show_background(city)
    with right:
        _show_next(city)


def _introduce(city: City) -> None:
    info = city.info
    span = time_span(info.first_hour, info.hours, info.timezone)
    parts = [
        t("synthetic data") if info.provenance == "synthetic" else t("real data"),
        f"{span} ({info.timezone})" if span else t("no signaling yet"),
        t("H3 resolution {n}", n=info.resolution) if city.has_map else t("regions without a map"),
    ]
    st.caption("  ·  ".join(parts))


def _show_coverage(city: City) -> None:
    found = caches.coverage(city)
    columns = st.columns(4)
    columns[0].metric(t("Cells"), f"{found['cells']:,}", border=True)
    columns[1].metric(
        t("Hours with data"),
        f"{found.get('hours_with_data', 0):,} / {found['hours']:,}" if found["hours"] else "–",
        border=True,
    )
    columns[2].metric(t("Labelled cells"), f"{found['labelled']:,}" if city.has_functions else "–", border=True)
    area_km2 = float(grid.area_m2(caches.cells(city)).sum()) / 1e6
    columns[3].metric(t("Area of the cells"), f"{area_km2:,.{0 if area_km2 >= 10 else 1}f} km²", border=True)
    if "share_valid" in found:
        st.plotly_chart(
            states_figure(found, language.current()),
            key="overview_states",
            config={"displayModeBar": False},
            alt=t("Shares of cell-hours that are valid, suppressed and missing"),
        )
    if not city.has_imagery:
        st.caption(
            f":material/info: {t('No imagery: no chips, no image models.')} "
            f"`python -m fusion ingest imagery FILES --city {city.name}`"
        )


def _show_totals(city: City) -> None:
    st.subheader(t("The whole city by hour"))
    if not city.has_activity:
        command = f"`python -m fusion ingest signaling FILES --city {city.name}`"
        components.empty(t("No signaling yet."), command, wants_data=True)
        return
    names = {measure.id: pick(measure.en, measure.zh) for measure in city.info.measures}
    measure = next(iter(names))
    if len(names) > 1:
        measure = st.selectbox(t("Measure"), list(names), format_func=names.__getitem__, key=MEASURE)
    totals = caches.totals(city, measure)
    unit = t(city.info.measure(measure).unit)
    st.plotly_chart(
        totals_figure(
            totals,
            t("{what} ({unit})", what=names[measure], unit=unit),
            city.info.timezone,
            city.info.flagged,
            language.current(),
        ),
        key="overview_totals",
        config={"displayModeBar": False},
        alt=t("Sum over all valid cells by hour"),
    )
    st.caption(t("Sum over the cells that report a value; suppressed and missing cells add nothing. Local time."))
    components.table_under(city, totals, f"totals-{measure}")


def _show_classes(city: City) -> None:
    st.subheader(t("Known functions"))
    if not city.has_functions:
        components.empty(
            t("No known functions: nothing to train on or to check against."),
            f"`python -m fusion ingest functions FILE --city {city.name} --field FIELD`",
            wants_data=True,
        )
        return
    counts = caches.functions(city)["function"].value_counts()
    st.plotly_chart(
        class_figure(counts.to_dict(), language.current()),
        key="overview_classes",
        config={"displayModeBar": False},
        alt=t("Labelled cells by function"),
    )
    largest, smallest = int(counts.max()), int(counts.min())
    st.caption(t("Largest class against smallest: {ratio:.0f} to 1.", ratio=largest / max(smallest, 1)))
    components.table_under(city, counts.rename_axis("function").reset_index(name="cells"), "functions")


def _show_headline(city: City) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(t("How well the functions are recognised"))
        components.synthetic_badge(city)
    comparison = models.comparison(city)
    if comparison.setting is None:
        models.no_runs(city)
        return
    components.stale_notice(comparison.stale, t("These results"))
    best = comparison.headline()
    if best is None:
        components.empty(
            t("Fusion and unimodal models have not both been run yet."),
            t(
                "Train the missing ones, for instance "
                "`python -m fusion ablate vit convlstm-transformer vit+convlstm-bottleneck --seeds 1 --folds 3 "
                "--city {city}`.",
                city=city.name,
            ),
        )
        return
    fusion, unimodal, gap = best["fusion"], best["unimodal"], best["paired"]
    columns = st.columns(3)
    for column, title, row in (
        (columns[0], t("Best fusion: {name}", name=fusion["experiment"]), fusion),
        (columns[1], t("Best single modality: {name}", name=unimodal["experiment"]), unimodal),
    ):
        with column.container(border=True, height="stretch"):
            st.metric(title, percent(row["accuracy"]))
            st.caption(
                t("95 % interval {interval}, {n:,} test cells", interval=interval(row["low"], row["high"]), n=row["n"])
            )
    with columns[2].container(border=True, height="stretch"):
        st.metric(t("Difference, points"), points(gap["difference"]) if gap else "–")
        if gap:
            said = interval(gap["low"], gap["high"], signed=True)
            if gap["low"] > 0 or gap["high"] < 0:
                st.caption(t("95 % interval {interval}, same cells. It excludes zero.", interval=said))
            else:
                st.caption(t("95 % interval {interval}, same cells. It includes zero: no proven gain.", interval=said))
    spatial = comparison.setting.fold_kind == "spatial"
    notes = [
        t(
            "Spatial test folds that share no pixel and no series with training ({folds} folds, seeds {seeds}); each "
            "is the best of several models on the same test cells, so slightly flattered.",
            folds=comparison.setting.folds,
            seeds=t(", ").join(map(str, comparison.seeds)),
        )
        if spatial
        else t("Random test folds: neighbours of the test cells are in training, which flatters every model.")
    ]
    if len(comparison.ceilings):
        listed = t(", ").join(
            f"{models.ceiling_name(row['rule'])} {percent(row['accuracy'])}"
            for row in comparison.ceilings.to_dict("records")
        )
        notes.append(t("Ceilings on the same cells, known because the city is synthetic: {listed}.", listed=listed))
    st.caption(" ".join(notes))
    st.page_link("compare.py", label=t("All models, classes and tests"), icon=":material/compare_arrows:")


def _show_background(city: City) -> None:
    st.subheader(t("Mind these dates"))
    if city.info.flagged:
        for flag in city.info.flagged:
            st.markdown(f":material/flag: **{flag.date}** {pick(flag.en, flag.zh)}")
    else:
        st.caption(t("No date is flagged."))
    st.subheader(t("Sources"))
    if city.info.sources:
        st.caption("\n".join(f"- {t(source)}" for source in city.info.sources))
    else:
        st.caption(t("The city's description names none."))


def _show_next(city: City) -> None:
    st.subheader(t("What to look at next"))
    with st.container(border=True):
        st.page_link("activity_map.py", label=t("Activity map"), icon=":material/map:")
        st.caption(t("Play the hours over the imagery; click a cell for its profile, its chip and its function."))
    with st.container(border=True):
        st.page_link("predict.py", label=t("Predict"), icon=":material/travel_explore:")
        st.caption(t("Choose regions, run a trained model, and see what image, signal and fusion each say."))
    with st.container(border=True):
        st.page_link("compare.py", label=t("Compare"), icon=":material/compare_arrows:")
        st.caption(t("Accuracy with intervals beside the ceilings, class by class, and whether fusion truly gains."))
    with st.container(border=True):
        st.page_link("data.py", label=t("Data quality"), icon=":material/fact_check:")
        st.caption(t("What was read, taken and rejected, coverage by hour and cell, days that differ."))
    with st.container(border=True):
        components.bring_in_link(t("Bring in your own data"))
        st.caption(t("Upload an export, see what was recognised in it, then ingest it with a clear report."))


if __name__ == "__main__":
    render()
