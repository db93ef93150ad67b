"""Time left: worked by hand."""

import json
from pathlib import Path

import pytest

from fusion.training.forecast import Forecast, known_seconds


def test_nothing_known_is_said_so() -> None:
    assert Forecast(["a", "b"], 1, {}).left_s({}) is None
    assert Forecast(["a", "b"], 1, {}).left_s({0: (5.0, 0.0)}) is None


def test_two_jobs_take_trials_as_they_get_free() -> None:
    # Begun at once: a (10 s) and b (30 s); then a second a on the first slot from 10 to 20, and c (25 s) from 20 to 45.
    forecast = Forecast(["a", "b", "a", "c"], 2, {"a": 10.0, "b": 30.0, "c": 25.0})

    assert forecast.left_s({}) == pytest.approx(45.0)


def test_what_was_measured_here_sets_the_pace_of_what_is_known_from_elsewhere() -> None:
    forecast = Forecast(["a", "b", "new"], 1, {"a": 10.0, "b": 40.0})
    forecast.end(0, 20.0)  # twice as slow as where it was known from

    assert forecast.expected_s("a") == 20.0
    assert forecast.expected_s("b") == 80.0
    assert forecast.expected_s("new") == pytest.approx((20.0 + 80.0) / 2)
    assert forecast.left_s({}) == pytest.approx(80.0 + 50.0)


def test_a_running_trial_is_judged_by_its_own_pace_more_and_more() -> None:
    forecast = Forecast(["a"], 1, {"a": 100.0})

    assert forecast.left_s({0: (20.0, 0.0)}) == pytest.approx(80.0)
    # 15 % in 30 s: 200 s by its own pace, trusted by half; 150 s in all, 120 left.
    assert forecast.left_s({0: (30.0, 0.15)}) == pytest.approx(120.0)
    assert forecast.left_s({0: (60.0, 0.6)}) == pytest.approx(40.0)


def test_the_only_running_trial_tells_for_those_that_nothing_is_known_of() -> None:
    assert Forecast(["a", "b"], 1, {}).left_s({0: (10.0, 0.5)}) == pytest.approx(10.0 + 20.0)


def test_kept_trials_cost_nothing_and_teach_nothing() -> None:
    forecast = Forecast(["a", "a"], 1, {"a": 7.0})
    forecast.end(0, None)

    assert forecast.left_s({}) == pytest.approx(7.0)
    forecast.end(1, 9.0)
    assert forecast.left_s({}) == 0.0


def test_known_seconds_are_means_and_torn_runs_are_passed_over(tmp_path: Path) -> None:
    for number, seconds in enumerate(({"train": 10, "predict": 2}, {"train": 20})):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "run.json").write_text(json.dumps({"experiment": "vit", "seconds": seconds}))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"experiment": "vit", "sec')
    (tmp_path / "empty").mkdir()

    assert known_seconds(tmp_path.iterdir()) == {"vit": pytest.approx(16.0)}
