"""What a city without a map holds: regions, their classes, and what ingest saw of them."""

import streamlit as st

from fusion.charts.city_figures import class_figure
from fusion.city import City
from fusion.ingest.quality import load_quality
from pages.ui import caches, components, language
from pages.ui.language import t


def show(city: City) -> None:
    """Show counts of regions and the chart of their classes."""
    part = caches.remember(load_quality, (city.quality,), city).get("urfc")
    if part is None:
        components.empty(
            t("The report of this city's ingest is missing."),
            f"`python -m fusion ingest urfc FOLDER --city {city.name}`",
            wants_data=True,
        )
        return
    columns = st.columns(4)
    columns[0].metric(t("Regions"), f"{part['regions']:,}", border=True)
    columns[1].metric(t("Labelled regions"), f"{part['regions'] - part['unlabelled']:,}", border=True)
    columns[2].metric(t("Dates with missing hours"), f"{len(part['missing_dates']):,}", border=True)
    columns[3].metric(t("Blank images"), f"{part['blank_images']:,}", border=True)
    st.subheader(t("Known functions"))
    if not part["regions_by_class"]:
        components.empty(t("No region has a class: nothing to train on."), t("Ingest the folder with train_image too."))
        return
    st.plotly_chart(
        class_figure(part["regions_by_class"], language.current()),
        key="overview_regions",
        config={"displayModeBar": False},
        alt=t("Labelled regions by function"),
    )
