"""One hour of every cell as records: fixed order, states kept apart, colours as the scale says."""

import json

import pandas as pd
import pytest

from fusion.city import City
from fusion.errors import InputError
from fusion.geo import grid
from fusion.serving import activity
from fusion.serving.scale import rgb, scale_of
from tests.miniature import FIRST_HOUR, MIN_COUNT, MISSING_CELL, MISSING_HOUR, SUPPRESSED_CELL, cells


def hour(step: int) -> pd.Timestamp:
    return pd.Timestamp(FIRST_HOUR) + pd.Timedelta(hours=step)


def test_every_hour_has_every_cell_in_the_same_order(miniature: City) -> None:
    expected = grid.to_hex(cells())

    for step in (0, MISSING_HOUR, 50):
        assert [record["hex"] for record in activity.records(miniature, hour(step), "people")] == expected


def test_a_count_is_the_reported_one_in_the_colour_of_its_step(miniature: City) -> None:
    record = activity.records(miniature, hour(2), "people")[9]

    scale = scale_of(miniature, "people")
    assert record["value"] == 102.0  # 10 * (9 + 1) + 2
    assert record["label"] == "102"
    assert tuple(record["fill"][:3]) == rgb(scale.colours[int(scale.steps([102.0])[0])])


def test_suppressed_missing_and_reported_are_three_things(miniature: City) -> None:
    records = activity.records(miniature, hour(3), "people")

    hidden, gone, there = records[SUPPRESSED_CELL], records[MISSING_CELL], records[7]
    assert [record["state"] for record in (hidden, gone, there)] == [1, 2, 0]
    assert [record["value"] for record in (hidden, gone, there)] == [None, None, 83.0]
    assert hidden["label"] == f"≤ {MIN_COUNT}"
    assert len({tuple(record["fill"]) for record in (hidden, gone, there)}) == 3


def test_missing_cells_are_listed_and_no_others(miniature: City) -> None:
    listed = json.loads(activity.missing_json(miniature, hour(3), "people"))
    all_of_them = json.loads(activity.missing_json(miniature, hour(MISSING_HOUR), "people"))

    assert listed == [{"hex": grid.to_hex([cells()[MISSING_CELL]])[0]}]
    assert len(all_of_them) == len(cells())


def test_a_parent_is_the_sum_of_its_children(miniature: City) -> None:
    records = activity.records(miniature, hour(26), "people", 8)

    parents = grid.parents_at(cells(), 8)
    of_first = [i for i, parent in enumerate(parents) if parent == parents[10] and i != SUPPRESSED_CELL]
    expected = sum(10.0 * (i + 1) + 2 for i in of_first)
    (found,) = [record for record in records if record["hex"] == grid.to_hex([parents[10]])[0]]
    assert found["value"] == expected


def test_against_the_usual_hour_is_a_ratio(miniature: City) -> None:
    # Friday is compared with Wednesday and Thursday, whose counts are the same; Saturday has no other weekend day.
    friday = activity.records(miniature, hour(49), "people", view="usual")[9]
    saturday = activity.records(miniature, hour(73), "people", view="usual")[9]

    assert friday["value"] == 1.0
    assert friday["label"] == "101 (×1.00)"
    assert saturday["value"] is None
    assert saturday["state"] == 0
    assert saturday["label"] == "202"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measure": "horses"}, "no measure 'horses'"),
        ({"hour": pd.Timestamp("2020-01-01T00Z")}, "no hour 2020-01-01T00:00Z"),
        ({"resolution": 10}, "resolution 10"),
        ({"view": "sideways"}, "view 'sideways'"),
    ],
)
def test_what_the_city_has_not_is_said(miniature: City, changes: dict, message: str) -> None:
    asked = {"hour": hour(0), "measure": "people", "resolution": None, "view": "value"} | changes

    with pytest.raises(InputError, match=message):
        activity.activity_json(miniature, **asked)
