"""Folds: which samples train, validate and test.

Random folds flatter a map model, because neighbours look alike and share pixels and towers (facts §4). Spatial folds
are compact regions of H3 parents, and between them lies a buffer: nothing that training sees, pixel or series, is
seen by validation or test.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.errors import ConfigError, SampleError
from fusion.samples.footprints import Reach, spacing_m
from fusion.samples.partition import GroupMap, components, map_groups, partition_groups
from fusion.samples.sampleset import SampleSet

KINDS = ("spatial", "random")
SMALLEST_SHARE = 0.30
# A validation region is sized before the buffer to the test region takes its part of it.
_VALIDATION_SHARES = (0.10, 0.12, 0.14, 0.16)
_VALIDATION_KEPT = 0.10
_VALIDATION_RANDOM = 0.12
_DIRECTIONS = 16
_TRIED_DIVISIONS = 4
_TRIED_VALIDATIONS = 10


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold: ascending, disjoint rows of labelled samples.

    `share_kept` = training rows over all labelled rows; `not_evaluable` the ids of the classes that have no training
    or no test rows here; `kind` is "spatial" (with a buffer) or "random" (without).
    """

    index: int
    folds: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    share_kept: float
    not_evaluable: tuple[str, ...]
    kind: str = "spatial"


def spatial_folds(samples: SampleSet, folds: int, seed: int = 0) -> list[Fold]:
    """Divide the labelled samples into compact test regions, each with a validation region beside it and a buffer.

    Groups (H3 parents) are never cut. The test regions partition the labelled samples; they are balanced by size and
    class as far as compactness allows. A validation sample that shares a pixel of its chip or a series row of its
    cube with a test sample is dropped, and so is a training sample that shares one with either. The same set, number
    and seed give the same folds; the seed of a training has no part in it.

    Args:
        folds: number of folds, 2 or more.
        seed: turns the candidate divisions.

    Raises:
        ConfigError: fewer than 2 folds.
        SampleError: more folds than groups, no map to divide, no room for validation, or a fold that keeps less than
            30 % of the labelled samples for training.
    """
    _check(samples, folds, len(np.unique(samples.groups[samples.labelled])), "groups")
    if samples.meta.grid != "hex":
        raise SampleError(f"the samples of {samples.meta.city} have no map to divide: use random folds")
    groups, reach = map_groups(samples), Reach(samples)
    divisions = partition_groups(groups, folds, np.random.default_rng(seed))
    best: list[Fold] | None = None
    best_score = -np.inf
    for tried, division in enumerate(divisions):
        if tried >= _TRIED_DIVISIONS and best and min(fold.share_kept for fold in best) >= SMALLEST_SHARE:
            break  # the others only serve where the most balanced ones keep too little
        built = [_spatial_fold(samples, groups, reach, division == index, index, folds) for index in range(folds)]
        complete = [fold for fold in built if fold is not None]
        if len(complete) < folds:
            continue
        score = _score_division(samples, complete)
        if score > best_score:
            best, best_score = complete, score
    if best is None:
        raise SampleError(
            f"{folds} folds of the samples of {samples.meta.city} leave no region for validation beside a test region: "
            "use another number of folds, a smaller neighbourhood k, or label more cells"
        )
    worst = min(best, key=lambda fold: fold.share_kept)
    if worst.share_kept < SMALLEST_SHARE:
        raise SampleError(
            f"fold {worst.index} of {folds} keeps {worst.share_kept:.1%} of the {len(samples.labelled)} labelled "
            f"samples of {samples.meta.city} for training, {SMALLEST_SHARE:.0%} is the least: use a smaller "
            "neighbourhood k or chip, more folds, or label more cells"
        )
    return best


def random_folds(samples: SampleSet, folds: int, seed: int = 0) -> list[Fold]:
    """Divide the labelled samples at random, class by class; there is no buffer.

    Of regions without a map (URFC) each group stays on one side only: a group keeps repeated ids and identical files
    together. On a map every cell is dealt on its own, as a random hold-out does: a test cell then has its neighbours,
    whose chips and cubes overlap its own, in training. Such folds show what that flatters; `kind` says "random".

    Raises:
        ConfigError: fewer than 2 folds.
        SampleError: more folds than groups, or a fold that keeps less than 30 % of the samples for training.
    """
    labelled = samples.labelled
    groups = np.arange(len(samples)) if samples.meta.grid == "hex" else samples.groups
    names, of_row = np.unique(groups[labelled], return_inverse=True)
    _check(samples, folds, len(names), "cells" if samples.meta.grid == "hex" else "groups")
    classes = len(samples.meta.classes)
    counts = np.bincount(of_row * classes + samples.labels[labelled], minlength=len(names) * classes)
    counts = counts.reshape(len(names), classes)
    rng = np.random.default_rng(seed)
    division = _deal(counts, np.full(folds, 1 / folds), rng)
    built = []
    for index in range(folds):
        rest = np.flatnonzero(division != index)
        held = rest[_deal(counts[rest], np.array([1 - _VALIDATION_RANDOM, _VALIDATION_RANDOM]), rng) == 1]
        test, validation = division[of_row] == index, np.isin(of_row, held)
        rows = (labelled[~test & ~validation], labelled[validation], labelled[test])
        built.append(_fold(samples, index, folds, *rows, kind="random"))
    for fold in built:
        if fold.share_kept < SMALLEST_SHARE or not len(fold.validation) or not len(fold.test):
            raise SampleError(
                f"fold {fold.index} of {folds} has {len(fold.train)} training, {len(fold.validation)} validation and "
                f"{len(fold.test)} test samples of {len(labelled)}: use fewer folds or more regions"
            )
    return built


def default_split(samples: SampleSet) -> str:
    """Return the honest kind of folds: "spatial" for a set with a map (grid "hex"), "random" for one without."""
    return "spatial" if samples.meta.grid == "hex" else "random"


def make_folds(samples: SampleSet, folds: int, seed: int = 0, kind: str | None = None) -> list[Fold]:
    """Return the folds of a kind; the same set, number, seed and kind give the same ones.

    Args:
        samples: what to divide.
        folds: number of folds, 2 or more.
        seed: of the division, not of a training.
        kind: one of `KINDS`; None: `default_split`'s.

    Raises:
        ConfigError: an unknown kind, or fewer than 2 folds.
        SampleError: no such division of these samples: see `spatial_folds` and `random_folds`.
    """
    kind = kind or default_split(samples)
    if kind not in KINDS:
        raise ConfigError(f"split {kind!r} is unknown: use {' or '.join(KINDS)}")
    return (spatial_folds if kind == "spatial" else random_folds)(samples, folds, seed)


def _check(samples: SampleSet, folds: int, number: int, what: str) -> None:
    if folds < 2:
        raise ConfigError(f"{folds} folds: at least 2 are needed, 3 or 5 are usual")
    if folds > number:
        raise SampleError(
            f"{folds} folds, but the {len(samples.labelled)} labelled samples of {samples.meta.city} lie in {number} "
            f"{what}: use fewer folds or label more cells"
        )


def _fold(
    samples: SampleSet,
    index: int,
    folds: int,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    test: NDArray[np.int64],
    kind: str,
) -> Fold:
    classes = samples.meta.classes
    trained, tested = (np.bincount(samples.labels[rows], minlength=len(classes)) > 0 for rows in (train, test))
    missing = tuple(name for name, both in zip(classes, trained & tested, strict=True) if not both)
    share = len(train) / len(samples.labelled)
    return Fold(index, folds, train, validation, test, share, missing, kind)


def _spatial_fold(
    samples: SampleSet, groups: GroupMap, reach: Reach, tested: NDArray[np.bool_], index: int, folds: int
) -> Fold | None:
    """Return the fold with the best validation region, or None where there is none."""
    best: Fold | None = None
    best_score = -np.inf
    labelled = samples.labels >= 0
    test = np.flatnonzero(tested[groups.of_row] & labelled)
    near_test = reach.conflicts(test)
    for region in _validation_regions(samples, groups, tested):
        in_region = region[groups.of_row] & labelled
        validation = np.flatnonzero(in_region & ~near_test)
        if not len(validation):
            continue
        held = tested[groups.of_row] | in_region | near_test | reach.conflicts(validation)
        fold = _fold(samples, index, folds, np.flatnonzero(labelled & ~held), validation, test, "spatial")
        score = _score_fold(samples, fold) - 0.05 * (components(groups.border, region) - 1)
        if len(fold.train) and score > best_score:
            best, best_score = fold, score
    return best


def _score_fold(samples: SampleSet, fold: Fold) -> float:
    """Prefer much left for training, a validation of a tenth or more, and every class everywhere."""
    number = len(samples.meta.classes)
    there, trained, held = (
        np.bincount(samples.labels[rows], minlength=number) for rows in (samples.labelled, fold.train, fold.validation)
    )
    unlike = np.abs(held / held.sum() - there / there.sum()).sum() / 2
    short = 3 * max(0.0, _VALIDATION_KEPT - len(fold.validation) / len(samples.labelled))
    short += 10 * max(0.0, SMALLEST_SHARE - fold.share_kept)  # better a small validation than a fold that is refused
    absent_trained = ((there > 0) & (trained == 0)).sum()
    absent_held = ((there > 0) & (held == 0)).sum()
    return float(fold.share_kept - short - 0.1 * absent_trained - 0.02 * absent_held - 0.1 * unlike)


def _score_division(samples: SampleSet, built: list[Fold]) -> float:
    labels, number = samples.labels, len(samples.meta.classes)
    there = np.bincount(labels[samples.labelled], minlength=number)
    counts = np.stack([np.bincount(labels[fold.test], minlength=number) for fold in built])[:, there > 0]
    uneven = np.abs(counts * len(built) / there[there > 0] - 1).mean()
    missing = sum(len(fold.not_evaluable) for fold in built) / len(built)
    scores = [_score_fold(samples, fold) for fold in built]
    worst = min(fold.share_kept for fold in built)
    short = max(0.0, SMALLEST_SHARE - worst)  # a division that is refused must lose to any that is not
    return float(np.mean(scores) + worst - uneven - 0.2 * missing - 10 * short)


def _validation_regions(samples: SampleSet, groups: GroupMap, tested: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Yield the most promising regions, (G,) bool, judged by size and border before the exact buffer is known."""
    sizes, rest = groups.sizes, np.flatnonzero(~tested)
    total = sizes.sum()
    touching = groups.border[:, tested].sum(axis=1)
    depth = max(2 * samples.meta.k, samples.meta.chip_m / spacing_m(samples.position))
    regions: dict[bytes, tuple[float, NDArray[np.bool_]]] = {}
    for key in _orders(groups, tested, rest):
        order = rest[np.argsort(key[rest], kind="stable")]
        filled = np.cumsum(sizes[order])
        for share in _VALIDATION_SHARES:
            region = np.zeros(len(sizes), dtype=bool)
            region[order[: int(np.searchsorted(filled, share * total)) + 1]] = True
            training = ~tested & ~region
            if not sizes[training].sum() or region.tobytes() in regions or not touching[region].any():
                continue
            # Some two pairs of neighbours per cell of border, `depth` cells deep.
            lost = depth / 2 * groups.border[tested | region][:, training].sum() / len(groups.of_row)
            held = sizes[region].sum() / total - depth / 2 * touching[region].sum() / len(groups.of_row)
            absent = ((groups.counts[region].sum(axis=0) == 0) & (groups.counts.sum(axis=0) > 0)).sum()
            estimate = sizes[training].sum() / total - lost - 3 * max(0.0, _VALIDATION_KEPT - held) - 0.02 * absent
            estimate -= 0.05 * (components(groups.border, region) - 1)
            regions[region.tobytes()] = (float(estimate), region)
    best = sorted(regions.values(), key=lambda pair: -pair[0])[:_TRIED_VALIDATIONS]
    yield from (region for _, region in best)


def _orders(groups: GroupMap, tested: NDArray[np.bool_], rest: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Yield ways of growing a region: from a side, turning away from the test region, or around a group beside it."""
    centre = groups.centre
    for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
        yield centre @ np.array([np.cos(angle), np.sin(angle)])
    arms = centre - centre.mean(axis=0)
    bearing = np.arctan2(arms[:, 1], arms[:, 0])
    middle = np.arctan2(*(centre[tested].mean(axis=0) - centre.mean(axis=0))[::-1])
    turned = (bearing - middle) % (2 * np.pi)
    yield turned
    yield -turned
    beside = rest[groups.border[rest][:, tested].any(axis=1)]
    for group in beside:
        yield np.hypot(*(centre - centre[group]).T)


def _deal(counts: NDArray[np.int64], shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal groups (G,classes) to hands of given shares: the rarest class first, each to the hand that lacks it most."""
    order = rng.permutation(len(counts))
    major = counts[order].argmax(axis=1)
    order = order[np.lexsort((-counts[order].sum(axis=1), counts.sum(axis=0)[major]))]
    wanted = shares[:, None] * counts.sum(axis=0)
    dealt = np.zeros_like(wanted)
    hands = np.empty(len(counts), dtype=np.int64)
    for group in order:
        label = counts[group].argmax()
        lack = (wanted - dealt)[:, label] / shares
        hands[group] = np.lexsort((-(wanted - dealt).sum(axis=1) / shares, -lack))[0]
        dealt[hands[group]] += counts[group]
    return hands
