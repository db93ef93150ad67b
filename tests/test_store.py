"""Questions to a small city whose answers were worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion import store
from fusion.city import City, FlaggedDate, open_city, write_city
from fusion.errors import CityError, InputError
from fusion.geo import grid
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

CENTRE = int(grid.cells_at([113.65], [34.76], 9)[0])
SIBLINGS = [int(cell) for cell in np.sort(np.array(grid.disk(CENTRE, 2)))]
PARENT = int(grid.parents([CENTRE], 1)[0])
INSIDE = [cell for cell in SIBLINGS if int(grid.parents([cell], 1)[0]) == PARENT][:3]
OUTSIDE = next(cell for cell in SIBLINGS if int(grid.parents([cell], 1)[0]) != PARENT)
ONE, TWO, THREE = sorted(INSIDE)
SATURDAY, MONDAY = "2021-07-24", "2021-07-26"


def local(date: str, hour: int) -> datetime:
    """An hour of Zhengzhou as UTC."""
    return (pd.Timestamp(f"{date} {hour:02d}:00", tz="Asia/Shanghai")).tz_convert("UTC").to_pydatetime()


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> City:
    """Saturday to Friday, 08:00 and 09:00; three cells of one parent and one of another.

    ONE counts 100 and more at 08:00, TWO is suppressed on Monday, THREE has no row on Monday, OUTSIDE reports 0.
    """
    folder = tmp_path_factory.mktemp("store")
    rows = ["time,h3,people,inflow"]
    for day, date in enumerate(pd.date_range(SATURDAY, periods=7).strftime("%Y-%m-%d")):
        rows.append(f"{date} 08:00,{ONE:x},{100 + day},50")
        rows.append(f"{date} 08:00,{TWO:x},{7 if date == MONDAY else 40},")
        if date != MONDAY:
            rows.append(f"{date} 08:00,{THREE:x},30,20")
        rows.append(f"{date} 08:00,{OUTSIDE:x},0,30")
        rows.append(f"{date} 09:00,{ONE:x},,")
    export = folder / "a.csv"
    export.write_text("\n".join(rows) + "\n")
    ingest_signaling([export], folder / "town", SignalingOptions(values=("people", "inflow")))
    return open_city(folder / "town")


def row_of(table: pd.DataFrame, cell: int) -> pd.Series:
    return table.set_index("cell").loc[np.uint64(cell)]


def test_hours_are_all_that_the_city_spans(town):
    hours = store.hours(town)
    assert len(hours) == 6 * 24 + 2
    assert (hours[0], hours[-1]) == (pd.Timestamp(local(SATURDAY, 8)), pd.Timestamp(local("2021-07-30", 9)))


def test_cells_come_in_one_order(town):
    assert store.cells(town).tolist() == sorted([ONE, TWO, THREE, OUTSIDE])
    assert store.cells(town, 8).tolist() == sorted({PARENT, int(grid.parents([OUTSIDE], 1)[0])})


def test_a_snapshot_tells_zero_suppressed_and_missing_apart(town):
    table = store.snapshot(town, local(MONDAY, 8), "people")
    assert table["cell"].tolist() == store.cells(town).tolist()
    assert (row_of(table, ONE)["value"], row_of(table, ONE)["state"]) == (102, store.VALID)
    assert (row_of(table, OUTSIDE)["value"], row_of(table, OUTSIDE)["state"]) == (0, store.VALID)
    assert row_of(table, TWO)["state"] == store.SUPPRESSED
    assert row_of(table, THREE)["state"] == store.MISSING
    assert table["value"].isna().tolist() == (table["state"] != store.VALID).tolist()


def test_every_hour_has_every_cell_in_that_order(town):
    for hour in store.hours(town)[[0, 1, 30, -1]]:
        assert store.snapshot(town, hour, "inflow")["cell"].tolist() == store.cells(town).tolist()


def test_null_and_false_is_missing(town):
    table = store.snapshot(town, local(MONDAY, 9), "people")
    assert (table["state"] == store.MISSING).all()
    assert row_of(store.snapshot(town, local(SATURDAY, 8), "inflow"), TWO)["state"] == store.MISSING


def test_rolled_up_a_parent_sums_its_valid_children(town):
    monday, sunday = (store.snapshot(town, local(date, 8), "people", 8) for date in (MONDAY, "2021-07-25"))
    assert (row_of(monday, PARENT)["value"], row_of(monday, PARENT)["state"]) == (102, store.VALID)
    assert row_of(sunday, PARENT)["value"] == 101 + 40 + 30


def test_the_usual_hour_is_the_mean_of_its_kind_of_day(town):
    """Working days 26 to 30 July: ONE counts 102 to 106; without Monday itself (103+104+105+106)/4."""
    table = store.usual(town, local(MONDAY, 8), "people")
    one = row_of(table, ONE)
    assert one["usual"] == pytest.approx(104.5)
    assert one["ratio"] == pytest.approx(102 / 104.5)
    assert row_of(table, TWO)["usual"] == pytest.approx(40)
    assert np.isnan(row_of(table, TWO)["ratio"])
    assert np.isnan(row_of(table, OUTSIDE)["ratio"])
    weekend = row_of(store.usual(town, local(SATURDAY, 8), "people"), ONE)
    assert weekend["usual"] == pytest.approx(101)


def test_flagged_dates_do_not_count_as_usual(town):
    flagged = replace(town, info=replace(town.info, flagged=(FlaggedDate("2021-07-30", "x", "x"),)))
    assert row_of(store.usual(flagged, local(MONDAY, 8), "people"), ONE)["usual"] == pytest.approx(104)


def test_a_profile_has_every_hour(town):
    table = store.profile(town, TWO, "people")
    assert (table["hour"] == store.hours(town)).all()
    valued = table[table["state"] == store.VALID]
    assert valued["value"].tolist() == [40.0] * 6
    assert table.set_index("hour").loc[pd.Timestamp(local(MONDAY, 8)), "state"] == store.SUPPRESSED
    assert (table["state"] == store.MISSING).sum() == len(table) - 7


def test_a_parents_profile_is_what_its_snapshots_say(town):
    table = store.profile(town, PARENT, "people", 8).set_index("hour")
    for date in (SATURDAY, MONDAY):
        snapshot = row_of(store.snapshot(town, local(date, 8), "people", 8), PARENT)
        assert table.loc[pd.Timestamp(local(date, 8)), "value"] == snapshot["value"]
        assert table.loc[pd.Timestamp(local(date, 8)), "state"] == snapshot["state"]


def test_totals_by_hour(town):
    table = store.totals(town, "people").set_index("hour")
    monday = table.loc[pd.Timestamp(local(MONDAY, 8))]
    assert (monday["total"], monday["cells_valid"], monday["cells_suppressed"]) == (102, 2, 1)
    assert np.isnan(table.loc[pd.Timestamp(local(MONDAY, 10)), "total"])


def test_coverage_counts_states_over_cells_and_hours(town):
    found = store.coverage(town)
    possible = 4 * (6 * 24 + 2)
    assert (found["cells"], found["hours"], found["hours_with_data"], found["labelled"]) == (4, 146, 14, 0)
    assert found["share_valid"] == pytest.approx((7 + 6 + 6 + 7) / possible)
    assert found["share_suppressed"] == pytest.approx(1 / possible)
    assert found["share_valid"] + found["share_suppressed"] + found["share_missing"] == pytest.approx(1)


def test_functions_of_a_city_without_any(town):
    table = store.functions(town)
    assert table.columns.tolist() == ["cell", "function", "share", "source"]
    assert not len(table)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda city: store.snapshot(city, datetime(2021, 7, 1, tzinfo=UTC), "people"),
            r"no hour 2021-07-01T00:00Z: its",
        ),
        (lambda city: store.snapshot(city, local(MONDAY, 8), "uv"), r"no measure 'uv': it has people, inflow"),
        (lambda city: store.snapshot(city, local(MONDAY, 8), "people", 10), r"resolution 10 is not one of city town"),
        (lambda city: store.profile(city, 1, "people"), r"city town has no cell 1"),
        (lambda city: store.totals(city, "people; DROP TABLE x"), r"no measure 'people; DROP TABLE x'"),
    ],
)
def test_what_the_city_does_not_have(town, ask, message):
    with pytest.raises(InputError, match=message):
        ask(town)


def test_an_empty_city_has_nothing_and_says_so(tmp_path, town):
    with write_city(tmp_path / "empty") as writer:
        writer.commit(replace(town.info, first_hour=None, hours=0, measures=(), fingerprints=None))
    city = open_city(tmp_path / "empty")
    assert not len(store.hours(city))
    assert not len(store.cells(city))
    assert store.coverage(city) == {"cells": 0, "hours": 0, "hours_with_data": 0, "labelled": 0}
    with pytest.raises(InputError, match="its hours are none yet"):
        store.snapshot(city, datetime(2021, 7, 24, tzinfo=UTC), "people")


def test_a_torn_table_is_one_line(tmp_path, town):
    path = Path(tmp_path / "torn")
    with write_city(path) as writer:
        writer.commit(replace(town.info, fingerprints=None))
    (path / "activity.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(CityError, match="a table of this city cannot be read") as caught:
        store.cells(open_city(path))
    assert "\n" not in str(caught.value)
