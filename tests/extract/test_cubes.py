"""Series by layout, worked by hand: people = 100 x cell + hour, so every entry says where it came from."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fusion import store
from fusion.city import City
from fusion.errors import CityError, ConfigError
from fusion.extract.build import _key
from fusion.extract.cubes import fill_series, plan_time


def _fill(city: City, layout: str) -> tuple[np.ndarray, np.ndarray]:
    places, plan = store.cells(city), plan_time(city, layout)
    shape = (len(places), plan.steps, len(plan.channel_names))
    series, state = np.full(shape, 7, dtype=np.float32), np.full(shape, 7, dtype=np.uint8)
    fill_series(city, places, plan, series, state)
    return series, state


def test_hours_layout_is_the_table(make_city: Callable[..., City]) -> None:
    series, state = _fill(make_city(), "hours")
    expected = 100 * np.arange(61)[:, None] + np.arange(48)
    np.testing.assert_array_equal(series[:, :, 0], expected)
    np.testing.assert_array_equal(series[:, :, 1], np.broadcast_to(np.arange(48), (61, 48)))
    assert (state == 0).all()


def test_days_layout_puts_local_hours_on_steps(make_city: Callable[..., City]) -> None:
    series, state = _fill(make_city(), "days")
    # Hour 0 is local midnight: step = hour % 24, day = hour // 24, inflow after people.
    np.testing.assert_array_equal(series[3, :, 0], 300 + np.arange(24))
    np.testing.assert_array_equal(series[3, :, 1], 324 + np.arange(24))
    np.testing.assert_array_equal(series[3, :, 3], 24 + np.arange(24))
    assert (state == 0).all()


def test_partial_days_are_missing_at_both_ends(make_city: Callable[..., City]) -> None:
    series, state = _fill(make_city(first="2021-07-23T18:00:00Z", hours=24), "days")  # local 02:00 to 01:00
    np.testing.assert_array_equal(state[5, :, 0], [2, 2] + [0] * 22)
    np.testing.assert_array_equal(state[5, :, 1], [0, 0] + [2] * 22)
    np.testing.assert_array_equal(series[5, 2:, 0], 500 + np.arange(22))
    np.testing.assert_array_equal(series[5, :2, 1], [522, 523])


def test_clock_set_forward_leaves_a_missing_hour(make_city: Callable[..., City]) -> None:
    # Milan, 28 March 2021: 02:00 local does not exist; 23 hours from 23:00 UTC on.
    series, state = _fill(make_city(first="2021-03-27T23:00:00Z", hours=23, timezone="Europe/Rome"), "days")
    np.testing.assert_array_equal(state[0, :, 0], [0, 0, 2] + [0] * 21)
    np.testing.assert_array_equal(series[0, 3:, 0], np.arange(2, 23))


def test_clock_set_back_averages_the_hour_that_comes_twice(make_city: Callable[..., City]) -> None:
    # Milan, 31 October 2021: 02:00 local comes twice, hours 2 and 3 of 25 from 22:00 UTC on.
    def hide(table: pd.DataFrame) -> pd.DataFrame:
        cell = np.sort(table["cell"].unique())
        hour = (table["hour"] - table["hour"].min()) // pd.Timedelta("1h")
        first, second = (table["cell"] == cell[1]) & (hour == 2), (table["cell"] == cell[2]) & (hour == 3)
        table.loc[first | second, "people"] = np.nan
        table.loc[second, "people_suppressed"] = True
        both = (table["cell"] == cell[4]) & hour.isin([2, 3])
        table.loc[both, "people"] = np.nan
        table.loc[both & (hour == 3), "people_suppressed"] = True
        return table

    series, state = _fill(make_city(hide, first="2021-10-30T22:00:00Z", hours=25, timezone="Europe/Rome"), "days")
    np.testing.assert_array_equal(series[0, :4, 0], [0, 1, 2.5, 4])
    assert (series[1, 2, 0], state[1, 2, 0]) == (103, 0)  # the other one is missing
    assert (series[2, 2, 0], state[2, 2, 0]) == (202, 0)  # the other one is suppressed
    assert (series[4, 2, 0], state[4, 2, 0]) == (0, 1)  # missing and suppressed
    assert series.shape == (61, 24, 2)


@pytest.mark.parametrize("layout", ["days", "hours"])
def test_states_stay_apart(make_city: Callable[..., City], layout: str) -> None:
    def hide(table: pd.DataFrame) -> pd.DataFrame:
        cell = np.sort(table["cell"].unique())
        first = table["hour"] == table["hour"].min()
        table.loc[first & (table["cell"] == cell[0]), "people"] = 0.0  # a reported zero
        table.loc[first & (table["cell"] == cell[1]), ["people", "people_suppressed"]] = [np.nan, True]
        table.loc[first & (table["cell"] == cell[2]), "people"] = np.nan
        return table[~(first & (table["cell"] == cell[3]))]  # no row at all

    series, state = _fill(make_city(hide), layout)
    assert state[:5, 0, 0].tolist() == [0, 1, 2, 2, 0]
    assert series[:5, 0, 0].tolist() == [0, 0, 0, 0, 400]
    inflow = 2 if layout == "days" else 1
    assert state[:5, 0, inflow].tolist() == [0, 0, 0, 2, 0]


def test_small_chunks_give_the_same(make_city: Callable[..., City], monkeypatch: pytest.MonkeyPatch) -> None:
    city = make_city(hours=40)
    whole = _fill(city, "days")
    monkeypatch.setattr("fusion.extract.cubes._ROWS_AT_ONCE", 61 * 7)
    parts = _fill(city, "days")
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


def test_negative_counts_raise(make_city: Callable[..., City]) -> None:
    with pytest.raises(CityError, match="negative or undefined people"):
        _fill(make_city(lambda table: table.assign(people=-table["people"])), "days")


@pytest.mark.parametrize("shift", ["-1h", "1h", "30min"])
def test_hours_outside_the_span_raise(make_city: Callable[..., City], shift: str) -> None:
    with pytest.raises(CityError, match="hours outside its 48"):
        _fill(make_city(lambda table: table.assign(hour=table["hour"] + pd.Timedelta(shift))), "days")


def test_unknown_layout_raises(make_city: Callable[..., City]) -> None:
    with pytest.raises(ConfigError, match="use days or hours"):
        plan_time(make_city(), "weeks")


def test_counts_that_the_city_hides_since_are_suppressed_here_too(make_city: Callable[..., City]) -> None:
    city = make_city()
    before = _key(city, "days", 16, 100.0, 1)
    raised = dataclasses.replace(city.info.measures[0], min_count=205)
    city = dataclasses.replace(city, info=dataclasses.replace(city.info, measures=(raised, *city.info.measures[1:])))

    series, state = _fill(city, "hours")

    # People = 100 x cell + hour: all of cells 0 and 1, and the first six hours of cell 2, are hidden now.
    assert (state[1, :, 0] == 1).all()
    assert state[2, :, 0].tolist() == [1] * 6 + [0] * 42
    assert (series[:2, 1:, 0] == 0).all()
    assert (state[3:, :, 0] == 0).all()
    assert _key(city, "days", 16, 100.0, 1) != before
