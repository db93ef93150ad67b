"""What each site is, how it looks and how it moves: drawn from the tables, from nothing else."""

from dataclasses import dataclass

import numpy as np

from fusion.classes import IDS
from fusion.synthetic.plan import Plan, Rows
from fusion.synthetic.tables import APPEARANCES, RHYTHMS, Tables

_SWEEPS = 60


@dataclass(frozen=True)
class Latents:
    """(S,) each: function, appearance and rhythm of every site, as indices."""

    function: Rows
    appearance: Rows
    rhythm: Rows


def draw_latents(plan: Plan, tables: Tables, seed: int) -> Latents:
    """Draw every site's function, then its appearance and rhythm given the function.

    The functions of all sites together hold the prior's shares as nearly as whole sites can; where they lie is a Markov
    random field with the pairwise affinity (Metropolis swaps). The pairs (appearance, rhythm) of a function's sites
    are a systematic sample of its table. Both keep a small city close to its tables. The sites of the two real stations
    are stations and look like rail yards: the only two whose place says something.
    """
    rng = np.random.default_rng([seed, 202])
    fixed = sorted(set(plan.station_sites))
    function = _systematic(tables.prior, plan.sites, rng)
    station = IDS.index("station")
    for site in fixed:
        if function[site] != station:
            other = next(s for s in range(plan.sites) if function[s] == station and s not in fixed)
            function[site], function[other] = station, function[site]
    _settle(function, plan, tables, fixed, rng)
    pair = np.zeros(plan.sites, dtype=np.int64)
    for index in range(len(IDS)):
        mine = np.flatnonzero(function == index)
        pair[mine] = _systematic(tables.given[index].ravel(), len(mine), rng)
    appearance, rhythm = pair // len(RHYTHMS), pair % len(RHYTHMS)
    rails = [latent.id for latent in APPEARANCES].index("rails")
    for site in fixed:
        appearance[site] = rails
        rhythm[site] = _systematic(tables.given[station, rails], 1, rng)[0]
    return Latents(function.astype(np.int32), appearance.astype(np.int32), rhythm.astype(np.int32))


def _systematic(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` indices whose shares follow the weights to within one, in random order."""
    steps = np.cumsum(weights)
    places = (np.arange(count) + rng.random()) * (steps[-1] / max(count, 1))
    return rng.permutation(np.searchsorted(steps, places, side="right").clip(max=len(weights) - 1))


def _settle(function: np.ndarray, plan: Plan, tables: Tables, fixed: list[int], rng: np.random.Generator) -> None:
    """Swap the functions of random sites, in place, until they lie as the affinity has it."""
    beside: list[list[int]] = [[] for _ in range(plan.sites)]
    for one, other in plan.pairs.tolist():
        beside[one].append(other)
        beside[other].append(one)
    affinity, held = tables.affinity.tolist(), set(fixed)
    now = function.tolist()
    proposals = rng.integers(0, plan.sites, (_SWEEPS * plan.sites, 2)).tolist()
    draws = rng.random(len(proposals)).tolist()
    for (one, other), draw in zip(proposals, draws, strict=True):
        f, g = now[one], now[other]
        if f == g or one in held or other in held:
            continue
        before = after = 1.0
        for site in beside[one]:
            if site != other:
                before, after = before * affinity[f][now[site]], after * affinity[g][now[site]]
        for site in beside[other]:
            if site != one:
                before, after = before * affinity[g][now[site]], after * affinity[f][now[site]]
        if after > draw * before:
            now[one], now[other] = g, f
    function[:] = now
