"""Parts of the report that the checks of the activity measured: coverage, days, suspicious cells."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from fusion.charts import quality_figures as figures
from fusion.city import City
from pages.ui import components, language
from pages.ui.language import t
from pages.views import data as view
from pages.views.formats import percent

_CHART = {"displayModeBar": False}


def show_coverage(city: City, report: Mapping[str, Any], found: Mapping[str, Any] | None) -> None:
    """Show which cells report at which hours."""
    st.subheader(t("Coverage"))
    if found is None:
        st.caption(t("Not measured at this ingest."))
        return
    lang = language.current()
    st.markdown(view.state_words(found, t))
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(f"**{t('By hour')}**")
        if found["by_hour"] is None:
            st.caption(t("Too many hours to be listed in the report."))
        else:
            st.plotly_chart(
                figures.hours_figure(found["by_hour"], city.info.timezone, city.info.flagged, lang),
                key="data_hours",
                config=_CHART,
                alt=t("Cells that are valid, suppressed and missing at each hour"),
            )
        _missing_hours(city, report)
    with right:
        st.markdown(f"**{t('By cell')}**")
        st.plotly_chart(
            figures.cells_figure(found["by_cell"]["histogram"], lang),
            key="data_cells",
            config=_CHART,
            alt=t("Number of cells by the share of hours that they report"),
        )
        st.caption(view.cell_words(found["by_cell"], t))


def _missing_hours(city: City, report: Mapping[str, Any]) -> None:
    number = int(report.get("missing_hours") or 0)
    if not number:
        st.caption(t("No hour is missing as a whole."))
        return
    listed = view.local_hours(report.get("missing_hours_listed") or (), city.info.timezone)
    shown = t(", ").join(listed[:6])
    more = t(" and {n} more", n=number - 6) if number > 6 else ""
    st.caption(t("{n} hours without any row: {listed}", n=number, listed=shown) + more)
    if len(listed) > 6:
        with st.expander(t("All missing hours")):
            st.dataframe({t("Local time"): listed}, hide_index=True, height=240)


def show_days(city: City, found: Mapping[str, Any] | None) -> None:
    """Show the days that differ from the rest, beside those that the city's description flags."""
    st.subheader(t("Unusual days and flagged dates"))
    if found is None:
        st.caption(t("Not measured at this ingest."))
        return
    days, lang = found["days"], language.current()
    if not any(day["score"] is not None for day in days):
        st.caption(t("Too few days to compare them with each other."))
    else:
        st.markdown(view.days_words(days, city.info, t))
        st.plotly_chart(
            figures.days_figure(days, found["limit"], city.info.flagged, lang),
            key="data_days",
            config=_CHART,
            alt=t("Distance of each day from the usual one, with flagged dates marked"),
        )
    number = st.column_config.NumberColumn
    components.table_under(
        city,
        view.day_rows(days, city.info, lang, t),
        "days",
        {
            "date": t("Date"),
            "kind": t("Kind"),
            "ratio": number(t("Of the usual day"), format="percent", step=0.01),
            "score": number(t("Score"), format="%.1f"),
            "unusual": t("Unusual"),
            "flag": t("Flagged because"),
        },
    )


def show_suspects(city: City, report: Mapping[str, Any], checks: Mapping[str, Any], measure: str) -> None:
    """Show repeated rows, places outside, frozen cells and outliers."""
    st.subheader(t("What looks wrong"))
    for key, words in (("duplicates", view.repeated_words), ("outside", view.outside_words)):
        if report.get(key) is not None:
            st.markdown(f"- {words(report[key], t)}")
    frozen, outliers = checks["frozen_cells"].get(measure), checks["outliers"].get(measure)
    left, right = st.columns(2, gap="large")
    with left:
        _show_frozen(city, frozen)
    with right:
        _show_outliers(city, outliers)


def _show_frozen(city: City, found: Mapping[str, Any] | None) -> None:
    def words(found: Mapping[str, Any]) -> str:
        return t(
            "Cells that repeat one value, not zero, for {hours} hours or longer: {n:,}.",
            n=found["cells"],
            hours=found["hours"],
        )

    columns = {
        "cell": t("Cell"),
        "value": st.column_config.NumberColumn(t("Value"), format="localized"),
        "first_hour": t("From (local)"),
        "hours": t("Hours"),
    }
    _show_listed(city, t("Frozen cells"), found, words, columns)


def _show_outliers(city: City, found: Mapping[str, Any] | None) -> None:
    def words(found: Mapping[str, Any]) -> str:
        return t(
            "{n:,} of {all:,} cell-hours lie {limit} or more robust deviations from what that cell has at that hour of "
            "such a day.",
            n=found["found"],
            all=found["judged"],
            limit=found["limit"],
        )

    number = st.column_config.NumberColumn
    columns = {
        "cell": t("Cell"),
        "hour": t("Hour (local)"),
        "value": number(t("Value"), format="localized"),
        "usual": number(t("Usual"), format="localized"),
        "score": number(t("Score"), format="%.1f"),
    }
    _show_listed(city, t("Outliers"), found, words, columns)


def _show_listed(
    city: City,
    title: str,
    found: Mapping[str, Any] | None,
    words: Callable[[Mapping[str, Any]], str],
    columns: Mapping[str, Any],
) -> None:
    """Show one check of single cells: how many it found, in words, and the worst of them in a table."""
    st.markdown(f"**{title}**")
    if found is None:
        st.caption(t("Not measured at this ingest."))
        return
    st.caption(words(found) + _judged(found))
    if found["listed"]:
        st.dataframe(
            view.listed_rows(found["listed"], city.info.timezone),
            hide_index=True,
            width="stretch",
            height=min(38 + 35 * len(found["listed"]), 260),
            column_config=columns,
        )


def _judged(found: Mapping[str, Any]) -> str:
    share = found.get("share_judged")
    return "" if share is None else t(" ") + t("Judged on {share} of the cells.", share=percent(share, 0))
