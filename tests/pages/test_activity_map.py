"""The activity map's words and widgets; what it draws is tested in tests/charts and in a browser."""

import json
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.miniature import MISSING_CELL, SUPPRESSED_CELL, build_miniature, cells
from tests.pages.test_main import said

CITY = {"city": "miniature"}


def cell(number: int) -> str:
    return f"{int(cells()[number]):x}"


def deck(app: AppTest) -> dict:
    """The map's specification as it went to the browser."""
    (chart,) = app.get("deck_gl_json_chart")
    return json.loads(chart.proto.json)


def test_a_whole_city_has_its_map_its_total_and_a_hint(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY)

    spec = deck(app)
    assert spec["mapStyle"].startswith("/tiles/miniature/style.json")
    # The first midday in Zhengzhou is 4 o'clock in UTC.
    assert "hour=2021-07-28T04Z" in spec["layers"][0]["data"]
    assert "No cell chosen" in said(app)
    assert [header.value for header in app.subheader] == ["Whole city"]


def test_a_link_opens_its_cell_at_its_hour(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, cell=cell(3), hour="2021-07-28T09Z")

    # Cell 3 at 17:00 local on the first day: 10 * 4 + 17.
    assert app.metric[0].value == "57"
    assert cell(3) in said(app)
    assert "Wed 28 Jul 2021, 17:00" in app.select_slider(key="hour_slider").options[17]
    assert app.select_slider(key="hour_slider").value == 17
    assert deck(app)["layers"][-1]["data"], "the chosen cell has no outline"


def test_the_hour_moves_and_nothing_else(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, cell=cell(3))
    before = deck(app)

    app.button(key="hour_on").click().run()
    after = deck(app)

    assert app.metric[0].value == "53"  # 13:00
    assert after["initialViewState"] == before["initialViewState"]
    assert after["layers"][-1] == before["layers"][-1]
    assert "hour=2021-07-28T05Z" in after["layers"][0]["data"]
    assert app.query_params["hour"] in ("2021-07-28T05Z", ["2021-07-28T05Z"])


def test_a_flagged_date_says_why(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, hour="2021-07-31T01Z", lang="zh")

    assert "⚑ 开始检测" in said(app)


def test_suppressed_and_missing_are_words_not_numbers(open_page, miniature_city) -> None:
    hidden = open_page("activity_map", **CITY, cell=cell(SUPPRESSED_CELL))
    gone = open_page("activity_map", **CITY, cell=cell(MISSING_CELL))

    assert hidden.metric[0].value == "suppressed"
    assert gone.metric[0].value == "missing"


def test_against_the_usual_hour_changes_map_and_legend(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY)

    app.segmented_control(key="view").set_value("usual").run()

    assert "view=usual" in deck(app)["layers"][0]["data"]
    assert any("against the usual hour" in element.proto.body for element in app.get("html"))


def test_coarser_cells_are_asked_for_and_can_be_looked_at(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, cell="8840954927fffff"[:11])
    (control,) = [one for one in app.segmented_control if one.key == "roll_miniature"]

    control.set_value(8).run()

    assert "resolution=8" in deck(app)["layers"][0]["data"]


def test_playing_goes_on_with_the_clock(open_page, miniature_city, monkeypatch) -> None:
    from pages.ui import hours

    now = [100.0]
    monkeypatch.setattr(hours.time, "monotonic", lambda: now[0])
    app = open_page("activity_map", **CITY)
    app.button(key="play").click().run()
    assert app.select_slider(key="hour_slider").value == 12

    now[0] += 1.0
    app.run()
    now[0] += 0.1  # too early for a step
    app.run()

    assert app.select_slider(key="hour_slider").value == 13
    app.button(key="play").click().run()
    now[0] += 5
    app.run()
    assert app.select_slider(key="hour_slider").value == 13


def test_a_cell_of_another_city_is_one_clear_line(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, cell="891f1d48177ffff")

    (error,) = app.error
    assert "has no cell 891f1d48177ffff" in error.value
    assert [header.value for header in app.subheader] == ["Whole city"]


def test_without_signaling_the_imagery_is_still_there(open_page, data_root: Path) -> None:
    build_miniature(data_root, activity=False)

    app = open_page("activity_map", **CITY)

    assert "no signaling yet" in said(app)
    assert [layer["id"] for layer in deck(app)["layers"]] == ["outline-casing", "outline-ink"]


def test_without_imagery_or_functions_the_map_says_so(open_page, data_root: Path) -> None:
    build_miniature(data_root, imagery=False, functions=False)

    app = open_page("activity_map", **CITY, cell=cell(3))

    assert "no imagery" in said(app)
    assert "no known functions" in said(app)
    assert app.metric[0].value == "52"


def test_a_labelled_cell_shows_its_function_and_share(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY, cell=cell(5), lang="zh")

    card = "".join(element.proto.body for element in app.get("html"))
    assert "公园" in card
    assert "75\u00a0%" in card


def test_the_counts_go_as_files(open_page, miniature_city) -> None:
    app = open_page("activity_map", **CITY)

    labels = [button.proto.label for button in app.get("download_button")]

    # The shown hour in three kinds, all hours in two, and the table under the city's total.
    assert labels == ["CSV", "GeoJSON", "Parquet", "CSV", "Parquet", "Download CSV"]
