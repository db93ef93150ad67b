"""Dividing groups of cells into compact, balanced regions.

A region's border is what the buffer between training and test costs, so regions must be compact; and each should hold
its part of every class. Candidates (sectors, strips and bisections, turned by many angles) are refined by moving one
border group at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.samples.footprints import nearby_pairs, spacing_m
from fusion.samples.sampleset import SampleSet

_ANGLES = 12
_REFINED = 10
_MOVES = 400
# Weights of what a partition pays for: unequal size, unequal classes, classes absent from a region, border. With these
# the demo city keeps 44 % or more in 3 folds and 57 % in 5. Swapping groups in pairs, tried as well, gained nothing.
_SIZE, _CLASSES, _ABSENT, _BORDER = 4.0, 8.0, 0.5, 1.0


@dataclass(frozen=True, eq=False)
class GroupMap:
    """The groups of a SampleSet as a map.

    `of_row` (N,) the group of each sample; `counts` (G,classes) labelled cells; `centre` (G,2) metres; `border` (G,G)
    number of pairs of adjacent cells of which one lies in either group, 0 on the diagonal.
    """

    of_row: NDArray[np.int64]
    counts: NDArray[np.int64]
    centre: NDArray[np.float64]
    border: NDArray[np.float64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Labelled cells of each group, (G,)."""
        return np.asarray(self.counts.sum(axis=1))


def map_groups(samples: SampleSet) -> GroupMap:
    """Lay out the groups of a SampleSet that has positions."""
    groups, of_row = np.unique(samples.groups, return_inverse=True)
    number = len(groups)
    labelled = samples.labelled
    classes = len(samples.meta.classes)
    counts = np.bincount(of_row[labelled] * classes + samples.labels[labelled], minlength=number * classes)
    sums = np.stack([np.bincount(of_row, samples.position[:, axis], number) for axis in (0, 1)], axis=1)
    centre = sums / np.bincount(of_row, minlength=number)[:, None].astype(np.float64)
    border = np.zeros((number, number))
    if len(samples) > 1:
        reach = 1.5 * spacing_m(samples.position)
        first, second = nearby_pairs(samples.position, reach)
        near = np.hypot(*(samples.position[first] - samples.position[second]).T) <= reach
        np.add.at(border, (of_row[first[near]], of_row[second[near]]), 1)
        border += border.T
        np.fill_diagonal(border, 0)
    return GroupMap(of_row, counts.reshape(number, classes), centre, border)


def partition_groups(groups: GroupMap, parts: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return divisions of the groups into `parts` regions, each (G,) of 0..parts-1, the best first."""
    candidates = list(_candidates(groups, parts, rng))
    energies = [_energy(groups, division, parts) for division in candidates]
    best = np.argsort(energies, kind="stable")[:_REFINED]
    refined = [_refine(groups, candidates[index], parts) for index in best]
    order = np.argsort([_energy(groups, division, parts) for division in refined], kind="stable")
    return [refined[index] for index in order]


def components(border: NDArray[np.float64], members: NDArray[np.bool_]) -> int:
    """Return into how many connected pieces the chosen groups fall."""
    left = members.copy()
    adjacent = border > 0
    pieces = 0
    while left.any():
        pieces += 1
        reached = np.zeros_like(left)
        reached[np.argmax(left)] = True
        while True:
            grown = (reached | adjacent[reached].any(axis=0)) & members
            if (grown == reached).all():
                break
            reached = grown
        left &= ~reached
    return pieces


def _candidates(groups: GroupMap, parts: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    sizes, centre = groups.sizes, groups.centre
    middle = (centre * sizes[:, None]).sum(axis=0) / max(sizes.sum(), 1)
    bearing = np.arctan2(*(centre - middle).T[::-1])
    offset = rng.random()
    for turn in (np.arange(_ANGLES) + offset) / _ANGLES:
        yield _cut((bearing - 2 * np.pi * turn / parts) % (2 * np.pi), sizes, parts)
        yield _cut(_along(centre, np.pi * turn), sizes, parts)
        for crossed in (True, False):
            yield _bisect(groups, np.arange(len(sizes)), parts, np.pi * turn, crossed)


def _along(centre: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    return np.asarray(centre @ np.array([np.cos(angle), np.sin(angle)]))


def _cut(key: NDArray[np.float64], sizes: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """Cut groups, ordered by `key`, into `parts` runs of about equal size."""
    order = np.argsort(key, kind="stable")
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    division = np.empty(len(key), dtype=np.int64)
    division[order] = (middle * parts / max(sizes.sum(), 1)).astype(np.int64).clip(0, parts - 1)
    return division


def _bisect(groups: GroupMap, members: NDArray[np.int64], parts: int, angle: float, crossed: bool) -> NDArray[np.int64]:
    """Halve a region again and again, each time across the last cut (or along one direction first)."""
    if parts == 1 or not len(members):
        return np.zeros(len(members), dtype=np.int64)
    low = parts // 2
    order = np.argsort(_along(groups.centre[members], angle), kind="stable")
    middle = np.cumsum(groups.sizes[members][order]) - groups.sizes[members][order] / 2
    first = np.zeros(len(members), dtype=bool)
    first[order] = middle < groups.sizes[members].sum() * low / parts
    turned = angle + (np.pi / 2 if crossed else np.pi / 3)
    division = np.empty(len(members), dtype=np.int64)
    division[first] = _bisect(groups, members[first], low, turned, crossed)
    division[~first] = low + _bisect(groups, members[~first], parts - low, turned, crossed)
    return division


def _costs(counts: NDArray[np.float64], share: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Return what regions with these class counts (...,classes) pay; `share` (classes,) is an equal part."""
    known = share > 0
    off = (counts[..., known] - share[known]) / share[known]
    absent = (counts[..., known] == 0).sum(axis=-1)
    size = counts.sum(axis=-1) / max(share.sum(), 1e-9) - 1
    cost = _SIZE * size**2 + _CLASSES * (off**2).mean(axis=-1) + _ABSENT * absent
    return np.asarray(cost / parts)


def _energy(groups: GroupMap, division: NDArray[np.int64], parts: int) -> float:
    share = groups.counts.sum(axis=0) / parts
    counts = np.stack([groups.counts[division == part].sum(axis=0) for part in range(parts)]).astype(np.float64)
    apart = division[:, None] != division[None]
    return float(_costs(counts, share, parts).sum() + _BORDER * (groups.border * apart).sum() / _scale(groups))


def _scale(groups: GroupMap) -> float:
    """A border to measure borders by: about four times the side of the whole map, in pairs of cells."""
    return 8 * float(np.sqrt(max(len(groups.of_row), 1)))


def _refine(groups: GroupMap, division: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """Move one border group at a time to a neighbouring region, the best move first, while that pays."""
    division = division.copy()
    share = groups.counts.sum(axis=0) / parts
    rows = np.arange(len(division))
    for _ in range(_MOVES):
        member = np.eye(parts)[division]  # (G,parts)
        counts = member.T @ groups.counts
        touching = groups.border @ member  # (G,parts): border of each group with each region
        costs = _costs(counts, share, parts)
        leave = _costs(counts[division] - groups.counts, share, parts) - costs[division]
        join = _costs(counts[None] + groups.counts[:, None], share, parts) - costs
        # Every pair counts twice in the energy, as (a,b) and (b,a).
        cut = 2 * (touching[rows, division][:, None] - touching) / _scale(groups)
        change = leave[:, None] + join + _BORDER * cut
        change[(touching == 0) | (member > 0)] = np.inf
        for flat in np.argsort(change, axis=None, kind="stable")[:40]:
            group, part = np.unravel_index(flat, change.shape)
            if change[group, part] > -1e-9:
                return division
            if _stays_whole(groups, division, int(group)):
                division[group] = part
                break
        else:
            return division
    return division


def _stays_whole(groups: GroupMap, division: NDArray[np.int64], group: int) -> bool:
    members = division == division[group]
    if members.sum() < 2:
        return False
    without = members.copy()
    without[group] = False
    return components(groups.border, without) <= components(groups.border, members)
