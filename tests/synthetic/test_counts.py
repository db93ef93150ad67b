"""Counts: what was put in comes out."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.synthetic.counts import OUTAGE_HOURS, draw_counts
from fusion.synthetic.latents import draw_latents
from fusion.synthetic.parameters import TINY
from fusion.synthetic.plan import build_plan
from fusion.synthetic.rhythms import RESTRICTED_DAYS, WEEKEND_DAYS, profiles
from fusion.synthetic.tables import RHYTHMS, build_tables


@pytest.fixture(scope="module")
def plan():
    return build_plan(TINY, 0)


@pytest.fixture(scope="module")
def latents(plan):
    return draw_latents(plan, build_tables(TINY), 0)


@pytest.fixture(scope="module")
def counts(plan, latents):
    return draw_counts(plan, latents, TINY, 0)


def test_weekend_days_are_those_of_the_calendar():
    import datetime

    days = [datetime.date(2021, 7, 24) + datetime.timedelta(day) for day in range(8)]
    assert tuple(i for i, day in enumerate(days) if day.weekday() >= 5) == WEEKEND_DAYS
    assert [days[i].isoformat() for i in RESTRICTED_DAYS] == ["2021-07-30", "2021-07-31"]


def test_one_to_fifteen_is_suppressed_and_zero_is_not(counts):
    seen = counts.state != 2
    small = (counts.people >= 1) & (counts.people <= 15)
    assert ((counts.state == 1) == (small & seen)).all()
    assert (counts.state[(counts.people == 0) & seen] == 0).all()
    assert 0.03 < (counts.state == 1).mean() < 0.25


def test_some_hours_are_missing_everywhere_and_some_here_and_there(counts):
    assert np.flatnonzero((counts.state == 2).all(axis=0)).tolist() == list(OUTAGE_HOURS)
    assert 0.015 < (counts.state == 2).mean() < 0.06


def test_without_nuisance_counts_follow_the_course_of_their_rhythm(plan, latents):
    still = draw_counts(plan, latents, replace(TINY, signal_nuisance=0.0, people=100_000), 0)
    course = 0.9 * profiles() + 0.1 * profiles().mean(axis=0)
    inside = plan.site >= 0
    expected = 100_000 * course[latents.rhythm[plan.site[inside]]]
    assert still.people[inside] == pytest.approx(expected, rel=0.06)


def test_rhythm_can_be_told_under_the_nuisances(plan, latents, counts):
    # The nearest course by correlation of logarithms, no learning: the types are distinct.
    inside = plan.site >= 0
    people = np.log1p(counts.people[inside].astype(float))
    usable = counts.state[inside] == 0
    course = np.log1p(150 * profiles())
    scores = np.stack(
        [[np.corrcoef(row[ok], shape[ok])[0, 1] for row, ok in zip(people, usable, strict=True)] for shape in course]
    )
    right = scores.argmax(axis=0) == latents.rhythm[plan.site[inside]]
    assert right.mean() > 0.9


def test_people_stay_at_home_under_restrictions():
    week = profiles().reshape(8, 8, 24).sum(axis=2)
    home = [rhythm.id for rhythm in RHYTHMS].index("home")
    assert week[home, 6] > week[home, 5]
    assert (np.delete(week[:, 6] / week[:, 5], home) < 1).all()
