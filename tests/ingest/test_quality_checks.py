"""The checks of the written activity against matrices whose flaws were put there by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.city import CityInfo, FlaggedDate, Measure
from fusion.errors import CityError
from fusion.geo import grid
from fusion.ingest.agreement import agreement
from fusion.ingest.inspection import inspect_activity
from fusion.ingest.quality import accounts
from fusion.ingest.suspicion import Course, median

FIRST_HOUR = "2021-07-23T16:00:00Z"  # midnight of Saturday 24 July in Zhengzhou
DAYS = 16
HOURS = 24 * DAYS
CELLS = grid.disk(int(grid.cells_at([113.65], [34.76], 9)[0]), 4)[:50]
INFO = CityInfo(
    name="town", title_en="town", title_zh="town", bounds=(113.5, 34.6, 113.8, 34.9), resolution=9,
    timezone="Asia/Shanghai", provenance="synthetic", first_hour=FIRST_HOUR, hours=HOURS,
    measures=(Measure("people", "people", "People", "人数", 15),),
)  # fmt: skip


def course() -> np.ndarray:
    """(50,384) Poisson counts with a daily course: nothing in it is wrong."""
    level = np.linspace(100, 600, len(CELLS))[:, None]
    daily = 1 + 0.5 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)
    return np.random.default_rng(4).poisson(level * daily).astype(np.float64)


def write(path: Path, values: np.ndarray, suppressed: np.ndarray | None = None) -> Path:
    """Write (N,T) values as activity.parquet: NaN has no row, suppressed ones are null and flagged."""
    hidden = np.zeros(values.shape, dtype=bool) if suppressed is None else suppressed
    hour, cell = np.nonzero((~np.isnan(values) | hidden).T)
    span = pd.date_range(FIRST_HOUR, periods=values.shape[1], freq="h", unit="us")
    table = pd.DataFrame({"cell": CELLS[cell], "hour": span[hour]})
    people = pd.Series(values[cell, hour].astype(np.float32), dtype="Float32")
    table["people"] = people.mask(pd.Series(hidden[cell, hour]) | people.isna())
    table["people_suppressed"] = hidden[cell, hour]
    table.to_parquet(path, index=False)
    return path


def test_coverage_counts_each_state_by_hour_and_by_cell(tmp_path: Path) -> None:
    values = np.full((4, 10), 100.0)
    values[0] = 0  # reports zero, always
    values[1, 5:] = np.nan  # half its hours
    values[:, 7] = np.nan  # an hour that nobody reports
    hidden = np.zeros(values.shape, dtype=bool)
    hidden[2, :3] = True
    info = replace(INFO, hours=10)

    found = inspect_activity(write(tmp_path / "a.parquet", values, hidden), info)["coverage"]["people"]

    # 40 cell-hours: 8 missing (hour 7 of all four, and cell 1's hours 5, 6, 8 and 9), 3 suppressed.
    assert (found["cell_hours"], found["valid"], found["suppressed"], found["missing"]) == (40, 29, 3, 8)
    assert (found["zero"], found["min_count"]) == (9, 15)
    assert found["share_suppressed"] == pytest.approx(3 / 32)
    assert found["by_hour"]["hour"][0] == FIRST_HOUR
    assert found["by_hour"]["valid"] == [3, 3, 3, 4, 4, 3, 3, 0, 3, 3]
    assert found["by_hour"]["suppressed"] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found["by_hour"]["missing"] == [0, 0, 0, 0, 0, 1, 1, 4, 1, 1]
    by_cell = found["by_cell"]
    assert (by_cell["quantiles"]["0"], by_cell["quantiles"]["1"]) == (0.5, 0.9)
    assert by_cell["cells_below"] == {"0.5": 0, "0.9": 1}
    assert by_cell["histogram"] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert (by_cell["never_valid"], by_cell["always_zero"]) == (0, 1)


def test_a_sound_city_raises_nothing(tmp_path: Path) -> None:
    found = inspect_activity(write(tmp_path / "a.parquet", course()), INFO)

    assert found["frozen_cells"]["people"] == {"hours": 24, "cells": 0, "listed": []}
    assert found["outliers"]["people"]["judged"] == len(CELLS) * HOURS
    assert found["outliers"]["people"]["found"] == 0
    assert found["unusual_days"]["people"]["unusual"] == 0
    assert {"share_judged"} & set(found["outliers"]["people"]) == set()


@pytest.mark.parametrize(("hours", "expected"), [(24, 1), (23, 0)])
def test_a_cell_that_stands_still_for_a_day_is_frozen(tmp_path: Path, hours: int, expected: int) -> None:
    values = course()
    values[7, 100 : 100 + hours] = 77
    values[8, 50:200] = 0  # nobody there is no frozen feed

    frozen = inspect_activity(write(tmp_path / "a.parquet", values), INFO)["frozen_cells"]["people"]

    assert frozen["cells"] == expected
    if expected:
        (name,) = grid.to_hex(CELLS[7:8])
        assert frozen["listed"] == [{"cell": name, "value": 77.0, "first_hour": "2021-07-27T20:00:00Z", "hours": hours}]


def test_a_missing_hour_ends_a_run(tmp_path: Path) -> None:
    values = course()
    values[7, 100:130] = 77
    values[7, 115] = np.nan

    assert inspect_activity(write(tmp_path / "a.parquet", values), INFO)["frozen_cells"]["people"]["cells"] == 0


def test_an_hour_far_from_the_cells_usual_is_an_outlier(tmp_path: Path) -> None:
    values = course()
    values[3, 60] *= 5
    values[9, 200] = 0

    found = inspect_activity(write(tmp_path / "a.parquet", values), INFO)["outliers"]["people"]

    assert found["found"] == 2
    cells = grid.to_hex(CELLS)
    listed = {row["cell"]: row for row in found["listed"]}
    assert set(listed) == {cells[3], cells[9]}
    assert listed[cells[3]]["hour"] == "2021-07-26T04:00:00Z"
    assert listed[cells[3]]["value"] == values[3, 60]
    assert listed[cells[3]]["score"] > 8 > -8 > listed[cells[9]]["score"]


def test_an_hour_when_the_whole_city_is_away_makes_no_cell_an_outlier(tmp_path: Path) -> None:
    values = course()
    values[:, 60] = np.round(values[:, 60] / 3)

    assert inspect_activity(write(tmp_path / "a.parquet", values), INFO)["outliers"]["people"]["found"] == 0


def test_a_day_unlike_its_kind_is_unusual_and_the_others_are_not(tmp_path: Path) -> None:
    values = course()
    values[:, 24 * 6 : 24 * 7] = np.round(values[:, 24 * 6 : 24 * 7] * 0.7)  # Friday 30 July
    info = replace(INFO, flagged=(FlaggedDate("2021-07-30", "x", "x"),))

    found = inspect_activity(write(tmp_path / "a.parquet", values), info)["unusual_days"]["people"]

    assert [day["date"] for day in found["days"] if day["unusual"]] == ["2021-07-30"]
    friday = found["days"][6]
    assert (friday["kind"], friday["hours"]) == ("weekday", 24)
    assert friday["ratio"] == pytest.approx(0.7, abs=0.02)
    assert len(found["days"]) == DAYS


def test_two_days_of_a_kind_are_too_few_to_judge(tmp_path: Path) -> None:
    info = replace(INFO, hours=48)  # one weekend

    found = inspect_activity(write(tmp_path / "a.parquet", course()[:, :48]), info)

    assert [day["score"] for day in found["unusual_days"]["people"]["days"]] == [None, None]
    assert found["outliers"]["people"]["judged"] == 0


def test_a_large_city_is_judged_on_every_nth_cell_and_counted_whole(tmp_path: Path) -> None:
    values = course()
    values[4, 100:160] = 77  # kept: rows 0, 2, 4, ... are judged
    values[5, 100:160] = 77
    path = write(tmp_path / "a.parquet", values)

    found = inspect_activity(path, INFO, most_judged=HOURS * len(CELLS) // 2)

    assert found["coverage"] == inspect_activity(path, INFO)["coverage"]
    assert found["frozen_cells"]["people"]["cells"] == 1
    assert found["frozen_cells"]["people"]["share_judged"] == 0.5
    assert found["outliers"]["people"]["judged"] == HOURS * len(CELLS) // 2


def test_hours_beyond_the_description_are_a_clear_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", course())

    with pytest.raises(CityError, match="hours beyond its 100"):
        inspect_activity(path, replace(INFO, hours=100))
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(CityError, match=r"activity\.parquet cannot be read"):
        inspect_activity(path, INFO)


def test_the_usual_is_the_median_of_the_other_days() -> None:
    """Five days of one hour: 1, 2, 3, 4, 100. The others' median of 1 is 3.5, of 3 it is 3, of 100 it is 2.5."""
    span = pd.date_range("2021-07-26T00:00Z", periods=5 * 24, freq="h")  # Monday to Friday, UTC
    values = np.full((1, len(span)), np.nan, dtype=np.float32)
    values[0, ::24] = [4, 100, 1, 3, 2]

    usual = Course.of(span, "UTC").usual(values)

    assert usual[0, ::24].tolist() == [2.5, 2.5, 3.5, 3.0, 3.5]
    assert np.isnan(usual[0, 1::24]).all()


def test_medians_pass_over_missing_values() -> None:
    rows = np.random.default_rng(1).normal(size=(200, 9)).astype(np.float32)
    rows[np.random.default_rng(2).random(rows.shape) < 0.3] = np.nan
    rows[0] = np.nan

    assert np.isnan(median(rows)[0])
    np.testing.assert_allclose(median(rows)[1:], np.nanmedian(rows[1:], axis=1), rtol=1e-6)


def test_the_account_names_what_does_not_add_up() -> None:
    report = {
        "rows_read": 10, "rows_taken": 7, "rows_rejected": 3, "rejected_by_reason": {"outside": 3},
        "functions": {
            "polygons_read": 5, "polygons_taken": 5, "polygons_rejected": 0, "rejected_by_reason": {}, "cells": 3
        },
    }  # fmt: skip
    assert accounts(report) == []
    assert accounts(report | {"rows_taken": 6}) == ["signaling: 10 rows read, but 6 taken and 3 rejected"]
    assert accounts(report | {"rejected_by_reason": {}}) == ["signaling: 3 rows rejected, but 0 with a reason"]
    lost = {"functions": report["functions"] | {"polygons_taken": 4}}
    assert accounts(report | lost) == ["functions: 5 polygons read, but 4 taken and 0 rejected"]
    states = {"valid": 5, "suppressed": 1, "missing": 1}
    by_hour = {"valid": [5], "suppressed": [1], "missing": [1]}
    coverage = {"people": states | {"cell_hours": 8, "by_hour": by_hour}}
    assert accounts(report | {"coverage": coverage}) == ["people: 8 cell-hours, but 7 in one of the states"]


def test_agreement_of_two_parts_counts_shared_cells(tmp_path: Path) -> None:
    cells = CELLS[:40]
    pd.DataFrame({"cell": cells}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"cell": CELLS[30:50]}).to_parquet(tmp_path / "f.parquet")

    found = agreement({"signaling": tmp_path / "a.parquet", "functions": tmp_path / "f.parquet"}, {})

    assert found["functions_with_signaling"] == 0.5
    assert found["signaling_with_function"] == 0.25
    assert (found["shift_m"], found["shift_like"], found["warnings"]) == (None, None, [])
    assert agreement({"signaling": tmp_path / "a.parquet"}, {}) == {}
