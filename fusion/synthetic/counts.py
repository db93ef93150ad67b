"""From rhythms to hourly counts with everything that real exports suffer from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.synthetic.exact import Floats, exponential, normals, poisson
from fusion.synthetic.latents import Latents
from fusion.synthetic.parameters import Parameters
from fusion.synthetic.plan import Plan
from fusion.synthetic.rhythms import HOURS, background, profiles

OUTAGE_HOURS = (37, 98)  # the whole city: 25 July 13:00 and 28 July 02:00, local
_FILLER_LEVEL = (0.10, 0.45, 0.12, 0.08)  # farmland, village, vacant, bank


@dataclass(frozen=True)
class Counts:
    """`people` (N,192) counts; `state` (N,192): 0 valid, 1 suppressed (1 up to min_count), 2 missing."""

    people: NDArray[np.int64]
    state: NDArray[np.uint8]


def draw_counts(plan: Plan, latents: Latents, parameters: Parameters, seed: int) -> Counts:
    """Draw people by cell and hour.

    A cell's expectation is its place's size (a factor of the site, one of the cell, both independent of everything
    else) times the site's rhythm, which runs a little early or late and is partly washed out, with some of the city's
    common course mixed in; then noise by the hour, and Poisson.
    """
    rng = np.random.default_rng([seed, 404])
    nuisance = parameters.signal_nuisance
    inside = plan.site >= 0
    course, common = profiles(), background()
    lag = normals(rng, (plan.sites,)) * 0.40 * nuisance
    wash = 0.10 + 0.12 * rng.random(plan.sites) * nuisance
    size = exponential(normals(rng, (plan.sites,)) * 0.45 * nuisance)
    site_course = np.stack([_lagged(course[r], late) for r, late in zip(latents.rhythm, lag, strict=True)])
    site_course = (1 - wash[:, None]) * site_course + wash[:, None] * common
    cell_size = exponential(normals(rng, (len(plan.cells),)) * 0.25 * nuisance)
    mean = np.zeros((len(plan.cells), HOURS))
    mean[inside] = (size[:, None] * site_course)[plan.site[inside]]
    level = np.array(_FILLER_LEVEL)[plan.filler.clip(min=0)]
    mean[~inside] = (level[:, None] * common)[~inside]
    mean *= parameters.people * cell_size[:, None]
    mean *= exponential(normals(rng, mean.shape) * 0.07 * nuisance)
    people = poisson(rng, mean)
    state = np.zeros(people.shape, dtype=np.uint8)
    state[(people > 0) & (people <= parameters.min_count)] = 1
    _drop_hours(plan, state, nuisance, rng)
    return Counts(people, state)


def _lagged(course: Floats, late: float) -> Floats:
    """Shift a course by a fraction of an hour, at most two."""
    late = min(max(late, -2.0), 2.0)
    whole = int(np.floor(late))
    part = late - whole
    return (1 - part) * np.roll(course, whole) + part * np.roll(course, whole + 1)


def _drop_hours(plan: Plan, state: NDArray[np.uint8], nuisance: float, rng: np.random.Generator) -> None:
    """Take rows away: two hours of the whole city, single cells' gaps, and sites without power after the flood."""
    count, hours = state.shape
    state[:, list(OUTAGE_HOURS)] = 2
    lost = rng.random(state.shape) < 0.006 * nuisance
    for cell in np.flatnonzero(rng.random(count) < 0.10 * nuisance):
        start = int(rng.integers(0, hours))
        lost[cell, start : start + int(rng.integers(2, 9))] = True
    for cell in np.flatnonzero(rng.random(count) < 0.012 * nuisance):
        around = plan.near[cell]
        until = int(rng.integers(10, 44))
        lost[[cell, *around[around >= 0]], :until] = True
    state[lost] = 2
