"""Folds on a round synthetic city: exact buffers by brute force, partition, share kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion.classes import IDS
from fusion.errors import ConfigError, SampleError
from fusion.samples.footprints import footprints, nearby_pairs
from fusion.samples.partition import components, map_groups
from fusion.samples.sampleset import SampleSet, write_sampleset
from fusion.samples.split import Fold, make_folds, random_folds, spatial_folds
from tests.samples.conftest import small_arrays, small_meta


@pytest.fixture(scope="module")
def five(round_city: SampleSet) -> list[Fold]:
    return spatial_folds(round_city, 5)


@pytest.fixture(scope="module")
def three(round_city: SampleSet) -> list[Fold]:
    return spatial_folds(round_city, 3)


def _series_rows(samples: SampleSet, row: int) -> set[int]:
    return set(samples.neighbours[row].ravel().tolist()) - {-1}


def _meets(samples: SampleSet, a: int, others: np.ndarray, read: set[int]) -> bool:
    """Say whether sample `a` shares ground or a series row with any of `others`, which together read `read`."""
    apart = np.abs(samples.position[others] - samples.position[a]).max(axis=1)
    return bool((apart < samples.meta.chip_m).any()) or bool(_series_rows(samples, a) & read)


def _check_exact(samples: SampleSet, fold: Fold) -> None:
    """Derive the drops again from the definition, sample by sample, and expect the very same sets."""
    labelled = set(samples.labelled.tolist())
    groups_of = {name: set(samples.groups[getattr(fold, name)].tolist()) for name in ("validation", "test")}
    read_test = set().union(*(_series_rows(samples, row) for row in fold.test))
    read_held = read_test.union(*(_series_rows(samples, row) for row in fold.validation))
    held = np.concatenate([fold.validation, fold.test])
    train, validation = set(fold.train.tolist()), set(fold.validation.tolist())
    for row in labelled - set(fold.test.tolist()):
        near_test = _meets(samples, row, fold.test, read_test)
        if row in validation:
            assert not near_test
        elif row in train:
            assert not _meets(samples, row, held, read_held)
        else:  # nothing is dropped without need; cells of validation's groups are not training's
            assert _meets(samples, row, held, read_held) or int(samples.groups[row]) in groups_of["validation"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_no_pixel_and_no_series_row_on_two_sides(round_city: SampleSet, three: list[Fold], index: int) -> None:
    _check_exact(round_city, three[index])


def test_five_folds_share_nothing_either(round_city: SampleSet, five: list[Fold]) -> None:
    _check_exact(round_city, five[3])


@pytest.mark.parametrize(("k", "chip_m"), [(0, 384.0), (0, 1500.0), (1, 200.0)])
def test_chip_or_cube_may_be_the_wider(geometry: Callable[..., SampleSet], k: int, chip_m: float) -> None:
    samples = geometry(7.0, 7.0, k=k, chip_m=chip_m)
    _check_exact(samples, spatial_folds(samples, 3)[1])


def test_test_sets_partition_the_labelled_cells(round_city: SampleSet, five: list[Fold]) -> None:
    together = np.sort(np.concatenate([fold.test for fold in five]))
    np.testing.assert_array_equal(together, round_city.labelled)


def test_sets_of_a_fold_are_disjoint_labelled_and_sorted(round_city: SampleSet, five: list[Fold]) -> None:
    for fold in five:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        assert len(np.unique(rows)) == len(rows)
        assert (round_city.labels[rows] >= 0).all()
        assert all((np.diff(part) > 0).all() for part in (fold.train, fold.validation, fold.test))


def test_no_parent_is_cut(round_city: SampleSet, five: list[Fold]) -> None:
    for fold in five:
        parts = [set(round_city.groups[part]) for part in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]


def test_regions_are_in_one_piece(round_city: SampleSet, five: list[Fold]) -> None:
    groups = map_groups(round_city)
    for fold in five:
        for part in (fold.test, np.concatenate([fold.test, fold.validation])):
            members = np.zeros(len(groups.sizes), dtype=bool)
            members[groups.of_row[part]] = True
            assert components(groups.border, members) == 1


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("folds", "least"), [(3, 0.43), (5, 0.55)])
def test_enough_is_kept_for_training(round_city: SampleSet, folds: int, least: float, seed: int) -> None:
    built = spatial_folds(round_city, folds, seed)
    labelled = len(round_city.labelled)
    assert len(round_city) == pytest.approx(6000, rel=0.05)
    assert labelled == pytest.approx(5000, rel=0.05)
    for fold in built:
        assert fold.share_kept == len(fold.train) / labelled
        assert fold.share_kept >= least
        assert 0.09 <= len(fold.validation) / labelled <= 0.16
        assert len(fold.test) / labelled == pytest.approx(1 / folds, rel=0.1)
        assert fold.not_evaluable == ()


def test_two_folds_are_still_possible(round_city: SampleSet) -> None:
    assert min(fold.share_kept for fold in spatial_folds(round_city, 2)) >= 0.30


def test_classes_are_balanced_as_far_as_regions_allow(round_city: SampleSet, five: list[Fold]) -> None:
    there = np.bincount(round_city.labels[round_city.labelled], minlength=9)
    counts = np.stack([np.bincount(round_city.labels[fold.test], minlength=9) for fold in five])
    assert (np.abs(counts * 5 / there - 1).mean()) < 0.3
    assert (counts > 0).all()


def test_folds_are_the_same_every_time(round_city: SampleSet, five: list[Fold]) -> None:
    for first, again in zip(five, spatial_folds(SampleSet.load(round_city.folder), 5), strict=True):
        for name in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_unlabelled_cells_are_in_no_set(geometry: Callable[..., SampleSet]) -> None:
    samples = geometry(7.0, 7.0)
    fold = spatial_folds(samples, 3)[0]
    unlabelled = np.flatnonzero(samples.labels < 0)
    assert len(unlabelled)
    assert not np.isin(unlabelled, np.concatenate([fold.train, fold.validation, fold.test])).any()


def test_class_in_one_place_is_not_evaluable(geometry: Callable[..., SampleSet], tmp_path: Path) -> None:
    samples = geometry(7.0, 7.0)
    labels = samples.labels.copy()
    airport = IDS.index("airport")
    labels[labels == airport] = 0
    labels[samples.groups == samples.groups[samples.labelled[0]]] = airport  # all in one parent: one fold tests it
    arrays = {name: getattr(samples, name) for name in ("images", "series", "state", "neighbours", "ids", "groups")}
    changed = write_sampleset(tmp_path / "b", samples.meta, labels=labels, position=samples.position, **arrays)
    for fold in spatial_folds(changed, 3):
        assert "airport" in fold.not_evaluable  # where it is tested it is not trained, and elsewhere not tested


def test_small_city_with_a_wide_buffer_raises(geometry: Callable[..., SampleSet]) -> None:
    with pytest.raises(
        SampleError, match=r"fold \d of 3 keeps [\d.]+% .* 30% is the least|no region for validation"
    ) as caught:
        spatial_folds(geometry(4.0, 4.0), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folds", [1, 0, -2])
def test_fewer_than_two_folds_raise(round_city: SampleSet, folds: int) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        spatial_folds(round_city, folds)


def test_more_folds_than_groups_raise(round_city: SampleSet) -> None:
    with pytest.raises(SampleError, match="1000 folds, but"):
        spatial_folds(round_city, 1000)


@pytest.fixture
def regions(tmp_path: Path) -> SampleSet:
    """200 URFC-like regions; every third id comes three times."""
    rng = np.random.default_rng(3)
    groups = np.concatenate([np.arange(160), np.repeat(np.arange(0, 60, 3), 2)])
    labels = rng.choice(3, 160, p=[0.6, 0.3, 0.1])[groups]
    labels[:4] = -1
    series = np.zeros((200, 2, 4, 7, 24))
    return write_sampleset(
        tmp_path / "urfc", small_meta(grid="square"), images=np.zeros((200, 3, 2, 2)), series=series, state=series,
        labels=labels, ids=np.arange(200).astype(str), groups=groups, position=np.zeros((200, 2)),
    )  # fmt: skip


def test_random_folds_keep_repeated_regions_together(regions: SampleSet) -> None:
    built = random_folds(regions, 5)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in built])), regions.labelled)
    counts = np.bincount(regions.labels[regions.labelled])
    for fold in built:
        assert fold.kind == "random"
        parts = [set(regions.groups[part]) for part in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(regions.labelled)
        assert np.abs(np.bincount(regions.labels[fold.test], minlength=3) - counts / 5).max() <= 3
        assert 0.05 < len(fold.validation) / len(regions.labelled) < 0.15


def test_random_folds_follow_the_seed(regions: SampleSet) -> None:
    first, again, other = random_folds(regions, 3), random_folds(regions, 3), random_folds(regions, 3, seed=1)
    np.testing.assert_array_equal(first[0].test, again[0].test)
    assert first[0].test.tolist() != other[0].test.tolist()


def test_regions_without_a_map_are_divided_at_random(regions: SampleSet) -> None:
    with pytest.raises(SampleError, match="use random folds"):
        spatial_folds(regions, 3)
    assert {fold.kind for fold in make_folds(regions, 3)} == {"random"}


def test_random_folds_of_a_map_deal_every_cell_on_its_own(round_city: SampleSet) -> None:
    built = make_folds(round_city, 3, kind="random")

    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in built])), round_city.labelled)
    there = np.bincount(round_city.labels[round_city.labelled], minlength=9)
    for fold in built:
        assert fold.kind == "random"
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(round_city.labelled)  # no buffer
        counts = np.bincount(round_city.labels[fold.test], minlength=9)
        assert np.abs(counts - there / 3).max() <= 1  # class by class
        # what flatters: nearly every test cell has its own parent's cells in training
        assert np.isin(round_city.groups[fold.test], round_city.groups[fold.train]).mean() > 0.99


def test_the_kind_is_the_maps_own_where_none_is_asked_for(geometry: Callable[..., SampleSet]) -> None:
    samples = geometry(7.0, 7.0)

    assert {fold.kind for fold in make_folds(samples, 3)} == {"spatial"}
    for fold, same in zip(make_folds(samples, 3, kind="spatial"), spatial_folds(samples, 3), strict=True):
        np.testing.assert_array_equal(fold.test, same.test)
    with pytest.raises(ConfigError, match="'blocks' is unknown: use spatial or random"):
        make_folds(samples, 3, kind="blocks")


def test_more_random_folds_than_cells_raise(tmp_path: Path) -> None:
    samples = write_sampleset(tmp_path / "set", small_meta(), **small_arrays())
    with pytest.raises(SampleError, match=r"lie in \d cells"):
        random_folds(samples, 50)


def test_too_few_regions_for_a_validation_raise(tmp_path: Path) -> None:
    arrays = {**small_arrays(), "labels": np.array([-1, 2, -1, -1, -1, 2])}
    samples = write_sampleset(tmp_path / "set", small_meta(), **arrays)
    with pytest.raises(SampleError, match="fold 0 of 2 has"):
        random_folds(samples, 2)


def test_footprints_by_hand() -> None:
    # Pixels of 4 m from (100, 200): a chip of 8 m around (107, 193) lies over x 103..111 = pixels 0.75 to 2.75.
    box = footprints([[107.0, 193.0]], 8.0, (4.0, 4.0), (100.0, 200.0))
    assert box.tolist() == [[0, 3, 0, 3]]
    assert footprints([[108.0, 192.0]], 8.0, (4.0, 4.0), (100.0, 200.0)).tolist() == [[1, 3, 1, 3]]
    assert footprints([[107.0, 193.0]], 8.0).tolist() == [[103, 111, -197, -189]]


def test_nearby_pairs_are_those_of_the_double_loop() -> None:
    points = np.random.default_rng(0).uniform(0, 10, (150, 2))
    first, second = nearby_pairs(points, 0.9)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    expected = {
        frozenset((a, b)) for a in range(150) for b in range(a) if np.abs(points[a] - points[b]).max() <= 0.9
    }  # fmt: skip
    assert found == expected
    assert len(found) == len(first)
