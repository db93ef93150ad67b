"""Table -> pydeck.Deck: the maps of the dashboard. Pure functions.

A map's base is always our own style; `map_style=None` would ask an outside host for one. Every layer has an id of its
own, or a rerun would forget the view.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pydeck as pdk

from fusion.classes import by_id
from fusion.geo import grid

CELLS = "cells"  # the id of the layer that answers to clicks begins so; its objects carry `hex`

MISSING_RING = [29, 39, 48, 210]
_CASING, _INK = [255, 255, 255, 235], [20, 30, 40, 255]
_TOOLTIP_STYLE = {
    "backgroundColor": "rgba(29,39,48,0.92)",
    "color": "#ffffff",
    "fontSize": "13px",
    "padding": "6px 9px",
    "borderRadius": "5px",
}
_TILE_PX = 512.0  # of deck.gl's and MapLibre's zoom levels


@dataclass(frozen=True)
class View:
    """Where a map opens: degrees, WGS-84, and the zoom of deck.gl (the world is 512 px wide at 0)."""

    lon: float
    lat: float
    zoom: float


def view_of_bounds(bounds: grid.Bounds, width_px: int = 640, height_px: int = 520) -> View:
    """Return the view that shows a whole box on a map of that size.

    Args:
        bounds: (west, south, east, north), degrees.
        width_px, height_px: of the map.
    """
    west, south, east, north = bounds
    heights = np.arcsinh(np.tan(np.radians([south, north])))
    width, height = max((east - west) / 360, 1e-6), max(float(np.ptp(heights)) / (2 * np.pi), 1e-6)
    zoom = np.log2(min(width_px / width, height_px / height) / _TILE_PX)
    # The middle in Mercator's sense, so that as much is left above the box as below it.
    lat = float(np.degrees(np.arctan(np.sinh(heights.mean()))))
    return View((west + east) / 2, lat, float(np.clip(zoom - 0.05, 0, 18)))


def activity_deck(
    data_url: str | None,
    style_url: str,
    view: View,
    opacity: float = 0.75,
    outlined: Sequence[int] = (),
    tooltip_html: str | None = None,
    missing_url: str | None = None,
) -> pdk.Deck:
    """Draw one hour of every cell above the imagery.

    Args:
        data_url: address of the records that `fusion.serving.activity` writes; None for the imagery alone.
        style_url: address of our MapLibre style.
        view: where the map opens.
        opacity: of the cells, 0 to 1.
        outlined: cells to draw an outline around.
        tooltip_html: shown over a cell, with {label} and {hex} in it.
        missing_url: address of the cells that the hour misses; each gets a ring inside its edge, which no neighbour
            paints over.
    """
    layers = []
    if data_url is not None:
        layers.append(_cell_layer(data_url, opacity))
    if missing_url is not None:
        layers.append(_ring_layer(missing_url))
    return _deck([*layers, *_outlines(outlined)], style_url, view, tooltip_html)


def result_deck(
    table: pd.DataFrame,
    style_url: str,
    view: View,
    lang: str = "en",
    opacity: float = 0.8,
    outlined: Sequence[int] = (),
) -> pdk.Deck:
    """Draw predicted functions: colour for the class, opacity for the confidence.

    Args:
        table: columns `id` (H3, hexadecimal), `predicted` (class id), `confidence` (0 to 1).
        style_url: address of our MapLibre style.
        view: where the map opens.
        lang: `en` or `zh`.
        opacity: of a cell of full confidence.
        outlined: cells to draw an outline around.
    """
    records = []
    for id_, predicted, confidence in zip(table["id"], table["predicted"], table["confidence"], strict=True):
        function = by_id(predicted)
        records.append(
            {
                "hex": id_,
                "label": function.zh if lang == "zh" else function.en,
                "percent": f"{confidence * 100:.1f}\u00a0%",
                "fill": [*_rgb(function.colour), round(40 + 215 * float(np.clip(confidence, 0, 1)))],
            }
        )
    layer = _cell_layer(records, opacity)
    return _deck([layer, *_outlines(outlined)], style_url, view, "<b>{label}</b> {percent}<br/>{hex}")


def clicked_cell(objects: Mapping[str, Any]) -> int | None:
    """Return the cell that a selection of `st.pydeck_chart` names.

    Args:
        objects: its `selection.objects`, by layer. Empty after a click on a selected cell again, beside the cells and
            on the map's own zoom buttons alike: None, which should change nothing.
    """
    found = [of_layer[0] for layer, of_layer in objects.items() if layer.startswith(CELLS) and of_layer]
    return int(found[0]["hex"], 16) if found else None


def picking_deck(
    cells: Sequence[int],
    style_url: str,
    view: View,
    outlined: Sequence[int] = (),
    tint: str = "#1f5a7a",
    turn: int = 0,
) -> pdk.Deck:
    """Draw cells to choose from as a faint veil, the chosen ones tinted.

    Args:
        cells: all that can be chosen, in the order that a selection's row numbers count.
        style_url: address of our MapLibre style.
        view: where the map opens.
        outlined: those that are chosen.
        tint: "#rrggbb" of the chosen ones.
        turn: how many clicks were taken. It changes the layer's id, and so the browser forgets the selection: a second
            click on a cell is one on that cell and not an empty one.
    """
    chosen = {int(cell) for cell in outlined}
    records = [
        {
            "hex": hex_,
            "fill": [*_rgb(tint), 170] if int(cell) in chosen else [255, 255, 255, 60],
        }
        for cell, hex_ in zip(cells, grid.to_hex(np.asarray(cells, dtype=np.uint64)), strict=True)
    ]
    return _deck([_cell_layer(records, 1.0, f"{CELLS}-{turn % 2}")], style_url, view, "{hex}")


def change_deck(table: pd.DataFrame, style_url: str, view: View, texts: dict[str, str]) -> pdk.Deck:
    """Draw the cells that one model mends and breaks against another.

    Args:
        table: columns `id` (H3, hexadecimal) and `change`: "mended", "broken", "right" or "wrong" (with both models).
        style_url: address of our MapLibre style.
        view: where the map opens.
        texts: the four words in the reader's language.
    """
    records = [
        {
            "hex": id_,
            "label": texts[change],
            "fill": [*_rgb(CHANGES[change][0]), CHANGES[change][1]],
        }
        for id_, change in zip(table["id"], table["change"], strict=True)
    ]
    return _deck([_cell_layer(records, 1.0)], style_url, view, "<b>{label}</b><br/>{hex}")


# Colour and opacity of what fusion changes; blue and orange are apart for colour-blind readers.
CHANGES = {
    "mended": ("#0077bb", 235),
    "broken": ("#ee7733", 235),
    "right": ("#ffffff", 110),
    "wrong": ("#3a444d", 130),
}


def _cell_layer(data: str | list[dict[str, Any]], opacity: float, id_: str = CELLS) -> pdk.Layer:
    colours = {"getFillColor": "@@=fill"}
    return pdk.Layer(
        "H3HexagonLayer",
        data,
        id=id_,
        pickable=True,
        get_hexagon="hex",
        extruded=False,
        # Seams by leaving a little of each cell out: outlines would double what a click has to be drawn for, and where
        # a map is drawn without a graphics card a click that takes over 250 ms is none.
        stroked=False,
        coverage=0.95,
        opacity=opacity,
        # Streamlit pales every cell but the selected one through a layer's own colour accessors; colours given to the
        # layers below stay as the legend has them, and the selection is an outline of our own.
        _subLayerProps={"hexagon-cell": dict(colours), "hexagon-cell-hifi": dict(colours)},
    )


def _ring_layer(data: str) -> pdk.Layer:
    return pdk.Layer(
        "H3HexagonLayer",
        data,
        id="missing",
        pickable=False,
        get_hexagon="hex",
        coverage=0.72,
        extruded=False,
        filled=False,
        stroked=True,
        get_line_color=MISSING_RING,
        get_line_width=14,
        line_width_min_pixels=0.8,
    )


def _outlines(cells: Sequence[int]) -> list[pdk.Layer]:
    """A dark line in a white casing, readable on any imagery; empty layers too, so that their list stays the same."""
    rings = [[*ring, ring[0]] for ring in grid.boundaries(np.asarray(cells, dtype=np.uint64))] if len(cells) else []
    records = [{"ring": [list(corner) for corner in ring]} for ring in rings]
    return [
        pdk.Layer(
            "PolygonLayer",  # of whose colours Streamlit pales only the fill, and there is none
            records,
            id=f"outline-{name}",
            get_polygon="ring",
            filled=False,
            stroked=True,
            get_line_color=colour,
            get_line_width=width,
            line_width_units=pdk.types.String("pixels"),
            line_joint_rounded=True,
            pickable=False,
        )
        for name, colour, width in (("casing", _CASING, 6), ("ink", _INK, 2.5))
    ]


def _deck(layers: list[pdk.Layer], style_url: str, view: View, tooltip_html: str | None) -> pdk.Deck:
    return pdk.Deck(
        layers=layers,
        map_style=style_url,
        map_provider=pdk.bindings.base_map_provider.BaseMapProvider.MAPLIBRE.value,
        initial_view_state=pdk.ViewState(
            longitude=view.lon, latitude=view.lat, zoom=view.zoom, max_zoom=18, min_zoom=8
        ),
        tooltip={"html": tooltip_html, "style": _TOOLTIP_STYLE} if tooltip_html else False,
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
