"""Decks: what the browser is told to draw."""

import json

import numpy as np
import pandas as pd
import pytest

from fusion.charts import maps
from fusion.classes import by_id
from fusion.geo import grid

CELL = int(grid.cells_at([113.65], [34.75], 9)[0])
VIEW = maps.View(113.65, 34.75, 11.0)
STYLE = "/tiles/x/style.json"


def spec(deck) -> dict:
    return json.loads(deck.to_json())


def test_a_box_fits_its_view_exactly_in_the_tighter_direction() -> None:
    # At zoom 10 the world is 512 * 2^10 px wide: a box of 0.5 degrees takes 728 px of them, and is the wider side.
    view = maps.view_of_bounds((113.5, 34.7, 114.0, 34.8), width_px=round(0.5 / 360 * 512 * 2**10), height_px=5000)

    assert view.lon == 113.75
    assert 34.75 < view.lat < 34.7502  # Mercator's middle lies a little to the north
    assert view.zoom == pytest.approx(10 - 0.05, abs=0.002)


def test_the_activity_deck_reads_its_cells_from_the_server_and_its_base_from_our_style() -> None:
    found = spec(maps.activity_deck("/api/x/activity", STYLE, VIEW, 0.6, missing_url="/api/x/missing"))

    assert found["mapStyle"] == STYLE
    assert [layer["id"] for layer in found["layers"]] == ["cells", "missing", "outline-casing", "outline-ink"]
    assert found["layers"][0]["data"] == "/api/x/activity"
    assert found["layers"][0]["opacity"] == 0.6
    assert "http" not in json.dumps(found)


def test_only_the_cells_answer_to_clicks() -> None:
    found = spec(maps.activity_deck("/api/x/activity", STYLE, VIEW, outlined=[CELL], missing_url="/api/x/missing"))

    assert [layer["id"] for layer in found["layers"] if layer["pickable"]] == [maps.CELLS]


def test_no_accessor_of_a_layer_lets_streamlit_pale_the_map_behind_a_selection() -> None:
    found = spec(maps.activity_deck("/api/x/activity", STYLE, VIEW, outlined=[CELL], missing_url="/api/x/missing"))

    assert not [layer["id"] for layer in found["layers"] if {"getFillColor", "getColor"} & set(layer)]
    assert found["layers"][0]["_subLayerProps"]["hexagon-cell"] == {"getFillColor": "@@=fill"}


def test_an_outline_is_the_cell_s_closed_ring() -> None:
    found = spec(maps.activity_deck(None, STYLE, VIEW, outlined=[CELL]))

    (record,) = found["layers"][0]["data"]
    ring = [tuple(corner) for corner in record["ring"]]
    assert ring[0] == ring[-1]
    assert ring[:-1] == grid.boundaries([CELL])[0]


def test_a_result_is_drawn_in_its_class_s_colour_the_surer_the_denser() -> None:
    ids = grid.to_hex(grid.disk(CELL, 1)[:3])
    table = pd.DataFrame({"id": ids, "predicted": ["park", "park", "station"], "confidence": np.array([0.2, 0.9, 1.0])})

    pale, sure, full = spec(maps.result_deck(table, STYLE, VIEW, "zh"))["layers"][0]["data"]

    park = tuple(int(by_id("park").colour[i : i + 2], 16) for i in (1, 3, 5))
    assert tuple(pale["fill"][:3]) == tuple(sure["fill"][:3]) == park
    assert pale["fill"][3] < sure["fill"][3] < full["fill"][3] == 255
    assert (pale["label"], sure["percent"]) == ("公园", "90.0\u00a0%")
    assert [record["hex"] for record in (pale, sure, full)] == ids


def test_the_picking_deck_keeps_the_order_that_selections_count_in() -> None:
    cells = [int(cell) for cell in grid.disk(CELL, 1)]

    records = spec(maps.picking_deck(cells, STYLE, VIEW, [cells[4]]))["layers"][0]["data"]

    assert [record["hex"] for record in records] == grid.to_hex(cells)
    odd = [record["hex"] for record in records if record["fill"] != records[0]["fill"]]
    assert odd == grid.to_hex([cells[4]])


def test_what_fusion_mends_and_breaks_is_told_apart() -> None:
    table = pd.DataFrame({"id": grid.to_hex(grid.disk(CELL, 1)[:2]), "change": ["mended", "broken"]})

    mended, broken = spec(maps.change_deck(table, STYLE, VIEW, {"mended": "m", "broken": "b"}))["layers"][0]["data"]

    assert (mended["label"], broken["label"]) == ("m", "b")
    assert mended["fill"] != broken["fill"]
