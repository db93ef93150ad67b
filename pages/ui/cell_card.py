"""What is known of one cell at one hour: its count, its function, how it looks from above."""

import math

import pandas as pd
import streamlit as st

from fusion import store
from fusion.city import City
from fusion.classes import by_id
from fusion.geo import grid
from pages.ui import caches, components
from pages.ui.language import pick, t
from pages.views.formats import percent

_CHIP_M = 384.0  # the square of ground that the models see around a resolution-9 cell
_SEVEN = math.sqrt(7)  # how much wider a cell of the next coarser resolution is


def show(city: City, cell: int | None, hour: pd.Timestamp, measure: str) -> None:
    """Show the card of a cell, or how to get one."""
    with st.container(border=True, key="cell_card"):
        if cell is None:
            st.markdown(f"**{t('No cell chosen')}**")
            st.caption(t("Click a cell on the map to see its hours, its picture and its function."))
            return
        (name,) = grid.to_hex([cell])
        st.markdown(f"**{t('Cell')}** `{name}`")
        with components.guard():
            _count(city, cell, hour, measure)
            _function(city, cell)
            _picture(city, cell)


def _count(city: City, cell: int, hour: pd.Timestamp, measure: str) -> None:
    about = city.info.measure(measure)
    resolution = grid.resolution_of(cell)
    own = None if resolution == city.info.resolution else resolution
    table = caches.usual(city, hour, measure, own)
    row = table[table["cell"] == cell].iloc[0]
    delta = None
    if row["state"] == store.VALID:
        text = f"{row['value']:,.6g}"
        if math.isfinite(row["ratio"]):
            # a plain hyphen: by it the metric knows that its arrow points down
            delta = f"{(row['ratio'] - 1) * 100:+.0f}\u00a0% " + t("against the usual hour")
    else:
        text = t("suppressed") if row["state"] == store.SUPPRESSED else t("missing")
    st.metric(
        t("{what} ({unit})", what=pick(about.en, about.zh), unit=t(about.unit)),
        text,
        delta,
        delta_color="off",
        border=False,
    )


def _function(city: City, cell: int) -> None:
    if grid.resolution_of(cell) != city.info.resolution:
        st.caption(t("Functions are known for single cells only: choose the finest cell size."))
        return
    if not city.has_functions:
        st.caption(t("This city has no known functions: bring some in with `python -m fusion ingest functions`."))
        return
    table = caches.functions(city)
    known = table[table["cell"] == cell]
    if known.empty:
        st.caption(t("Function: not known for this cell"))
        return
    function = by_id(known["function"].iloc[0])
    share = t("{share} of the cell's area", share=percent(known["share"].iloc[0], 0))
    st.html(
        f'<div style="display:flex;flex-wrap:wrap;align-items:center;gap:0 .5rem;font-size:.95rem">'
        f'<span style="width:.9rem;height:.9rem;border-radius:3px;background:{function.colour};flex:none"></span>'
        f'<b style="white-space:nowrap">{pick(function.en, function.zh)}</b>'
        f'<span style="color:#5d6873">{share}</span></div>'
    )


def _picture(city: City, cell: int) -> None:
    if not city.has_imagery:
        st.caption(t("This city has no imagery: bring some in with `python -m fusion ingest imagery`."))
        return
    edge_m = _CHIP_M * _SEVEN ** (9 - grid.resolution_of(cell))
    picture = caches.chip(city, cell, edge_m)
    if picture is None:
        st.caption(t("The imagery does not reach this cell."))
        return
    size = f"{edge_m:.0f} m" if edge_m < 1000 else f"{edge_m / 1000:.1f} km"
    components.picture(picture, t("From above, {size} across", size=size))
