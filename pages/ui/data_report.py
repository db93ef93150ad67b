"""The report of the chosen city: what was read, taken and rejected, what is there, and what looks wrong."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fusion.charts import quality_figures as figures
from fusion.city import City
from fusion.ingest import quality
from fusion.ingest.inspection import inspect_city
from pages.ui import caches, components, data_checks, data_rejects, language
from pages.ui.language import pick, t
from pages.views import data as view
from pages.views.reading import reading_rows

MEASURE, MEASURE_NOW = "data_measure", "data_measure_now"
CHART = {"displayModeBar": False}


def show(city: City) -> None:
    """Draw the whole report."""
    report = caches.remember(quality.load_quality, (city.quality, city.path / "city.toml"), city)
    if not view.parts_of(report) and not city.has_activity:
        components.empty(
            t("Nothing was ingested into this city yet."),
            t("Bring in signaling, imagery or functions under “Bring in data” above."),
        )
        return
    if view.account_rows(report, t):
        st.subheader(t("Read, taken, rejected"))
    show_accounts(report, city.name)
    show_reading(report)
    checks = _checks(city, report)
    if checks:
        measure = _choose_measure(city)
        data_checks.show_coverage(city, report, checks["coverage"].get(measure))
        data_checks.show_days(city, checks["unusual_days"].get(measure))
        data_checks.show_suspects(city, report, checks, measure)
    _show_agreement(report)
    data_rejects.show(city)


def show_accounts(report: Mapping[str, Any], name: str, only: str | None = None) -> None:
    """Show what was read, taken and rejected of every part, or of one, the reasons, and the lines worth reading.

    Args:
        report: of the city.
        name: part of the keys of the charts.
        only: the part to show, such as `signaling`; None: all.
    """
    rows = [row for row in view.account_rows(report, t) if only in (None, row["id"])]
    for row in rows:
        columns = st.columns([2, 2, 2, 3], vertical_alignment="center")
        columns[0].metric(
            components.pair(row["part"], t("{unit} read", unit=row["unit"])),
            f"{row['read']:,}",
            border=True,
        )
        columns[1].metric(t("taken"), f"{row['taken']:,}", border=True)
        columns[2].metric(t("rejected"), f"{row['rejected']:,}", border=True)
        sum_ = f"{row['taken']:,} + {row['rejected']:,} = {row['taken'] + row['rejected']:,}"
        if row["adds_up"]:
            columns[3].markdown(":material/check_circle: " + components.pair(sum_, t("every one is accounted for.")))
        else:
            columns[3].error(f"{sum_} ≠ {row['read']:,}", icon=":material/error:")
    for line in quality.accounts(dict(report)):
        st.error(line, icon=":material/error:")
    lang = language.current()
    names = view.part_names(t)
    for part, found in view.parts_of(report).items():
        if only not in (None, part):
            continue
        counts = view.reasons(found, lang)
        if counts:
            st.markdown(components.pair(f"**{names.get(part, part)}**", t("rejected, by reason")))
            st.plotly_chart(
                figures.reasons_figure(counts, lang, t("Rejected")),
                key=f"data_reasons_{part}_{name}",
                config=CHART,
                alt=t("Number rejected by reason"),
            )
        if part == "urfc":
            st.markdown("\n".join(f"- {line}" for line in view.urfc_lines(found, t)))
        warnings = report.get("warnings", ()) if part == "urfc" else found.get("warnings", ())
        for line in warnings:
            st.warning(t(str(line)), icon=":material/warning:")


def show_reading(report: Mapping[str, Any], only: str | None = None) -> None:
    """Show how every part was read, or one; open where nothing was counted and this is all there is to tell."""
    names = view.part_names(t)
    counted = view.account_rows(report, t)
    for part, found in view.parts_of(report).items():
        rows = reading_rows(part, found, language.current(), t) if only in (None, part) else []
        if rows:
            with st.expander(components.pair(names[part], t("how it was read")), expanded=not counted):
                st.markdown("\n".join("- " + components.pair(what, f"**{how}**") for what, how in rows))


def _checks(city: City, report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the checks of the activity; for an older report, measured now if the reader asks for it."""
    if not city.has_activity:
        return None
    if all(name in report for name in quality.CHECKS):
        return report
    st.subheader(t("Coverage and checks"))
    with st.container(border=True):
        st.markdown(f"**{t('Not measured at this ingest.')}**")
        st.caption(
            t(
                "The checks of coverage, frozen cells, outliers and unusual days are younger than this report, or the "
                "city's threshold was raised since."
            )
        )
        asked = st.toggle(t("Measure them now"), key=f"{MEASURE_NOW}_{city.name}")
    if not asked:
        return None
    with st.spinner(t("Inspecting the activity")):
        return caches.remember(inspect_city, (city.path / "city.toml", city.activity), city)


def _choose_measure(city: City) -> str:
    names = {measure.id: pick(measure.en, measure.zh) for measure in city.info.measures}
    if len(names) < 2:
        return next(iter(names))
    return st.selectbox(t("Measure"), list(names), format_func=names.__getitem__, key=f"{MEASURE}_{city.name}")


def _show_agreement(report: Mapping[str, Any]) -> None:
    extents = {name: box for name, box in report.get("extents", {}).items() if box}
    if len(extents) < 2:
        return
    st.subheader(t("Do the parts lie in the same place?"))
    left, right = st.columns(2, gap="large")
    with left:
        st.plotly_chart(
            figures.extents_figure(extents, language.current()),
            key="data_extents",
            config=CHART,
            alt=t("Boxes of signaling, imagery and functions over each other"),
        )
    with right:
        agreement = report.get("agreement")
        if agreement is None:
            st.caption(t("Not measured at this ingest."))
            return
        for name, share in view.agreement_rows(agreement, t):
            st.markdown(components.pair(name, f"**{share}**"))
        if said := view.shift_words(agreement, t):
            st.markdown(said)
        for line in agreement.get("warnings", ()):
            st.warning(t(str(line)), icon=":material/warning:")
