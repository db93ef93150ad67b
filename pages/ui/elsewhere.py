"""Figures that others reported on other data, apart from all that is measured here."""

import streamlit as st

from fusion.charts.figures import reported_figure
from pages.ui import comparing, components, language
from pages.ui.language import t
from pages.views import compare as view


def show() -> None:
    """Show them with their sources, ranges as ranges."""
    lang = language.current()
    table = view.reported_table(lang)
    st.subheader(t("Reported elsewhere, on other data"))
    st.plotly_chart(
        reported_figure(table, lang),
        key="compare_reported",
        config=comparing.CHART,
        alt=t("Accuracies that this project's weekly report and public sources give for other data, ranges as bars"),
    )
    st.caption(
        t(
            "Not measured here, and not comparable with anything above: other data sets, other cities, other splits. "
            "Three figures are from this project's weekly report of 14 to 27 December 2022, which does not name its "
            "data; the rest are of the public contest data URFC, where voting by user id alone reaches 77 %, so that "
            "scores above about 80 % rest on that leak."
        )
    )
    components.table_under(None, table, "reported-elsewhere", comparing.reported_columns())
