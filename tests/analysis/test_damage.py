"""Each damage does exactly what its strength says, to each cell alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.analysis.conditions import CLOUD, CONDITIONS, HOURS_MISSING, NOISE, SHIFT, UNITS, Condition
from fusion.analysis.damage import Damage, cloud_cover, hide_steps, shift_chips
from fusion.errors import ConfigError
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.training.data import to_tensors
from tests.analysis.conftest import SCALERS

ROWS = np.arange(1, 7)


@pytest.fixture
def damage(planted: SampleSet) -> Damage:
    return Damage.of(planted, Scalers.from_dict(SCALERS), seed=0)


def _batch(samples: SampleSet, rows: np.ndarray = ROWS) -> dict[str, Tensor]:
    return to_tensors(make_batch(samples, rows, Scalers.from_dict(SCALERS)))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_cloud_covers_exactly_its_share_and_a_larger_one_covers_the_smaller(share: float) -> None:
    heights = torch.randn(4, 1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    cover = cloud_cover(heights, 20, share)

    assert ((cover > 0).flatten(1).sum(1) == share * 400).all()
    assert (cover <= cloud_cover(heights, 20, min(1.0, share + 0.25))).all()
    # the rim is a tenth of the chip, 40 pixels, of which 39 are not opaque: 1/40, 2/40, ..., 39/40
    rims = sorted(cover[0].flatten()[(cover[0].flatten() > 0) & (cover[0].flatten() < 1)].tolist())
    assert rims == pytest.approx([step / 40 for step in range(1, 40)] if share else [])


def test_a_cloud_is_white_where_it_is_opaque_and_leaves_the_rest(planted: SampleSet, damage: Damage) -> None:
    clean = _batch(planted)
    cloudy = damage(clean, planted.ids[ROWS], Condition(CLOUD, 0.5, "vision"))["image"]

    same = (cloudy == clean["image"]).all(1).flatten(1).sum(1)
    assert (same == 512).all()  # half of 32 x 32
    assert cloudy.max() == pytest.approx((1 - 0.35) / 0.2, abs=1e-5)  # what a white pixel is after scaling
    assert (cloudy >= clean["image"] - 1e-6).all()


def test_a_shift_moves_every_pixel_and_repeats_the_rim() -> None:
    chip = torch.arange(16.0).reshape(1, 1, 4, 4).expand(4, 3, 4, 4)

    down, right, up, left = shift_chips(chip, 1, torch.arange(4))[:, 0]

    assert down.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert right.tolist() == [[0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10], [12, 12, 13, 14]]
    assert up.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [12, 13, 14, 15]]
    assert left.tolist() == [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11], [13, 14, 15, 15]]


def test_a_shift_is_in_metres_on_the_ground(planted: SampleSet, damage: Damage) -> None:
    clean = _batch(planted)["image"]  # 384 m on 32 pixels: 12 m a pixel
    moved = damage(_batch(planted), planted.ids[ROWS], Condition(SHIFT, 24.0, "vision"))["image"]

    ways = torch.stack([shift_chips(clean, 2, torch.full((6,), way)) for way in range(4)])
    assert (ways == moved).flatten(2).all(2).sum(0).tolist() == [1] * 6


def test_missing_hours_are_exactly_their_share_wholly_missing_and_nested(planted: SampleSet, damage: Damage) -> None:
    clean, lost = _batch(planted), []
    for share in (0.25, 0.5, 0.75):
        batch = damage(clean, planted.ids[ROWS], Condition(HOURS_MISSING, share, "signal"))
        gone = (batch["cube"][:, :, 4:] == 1).flatten(2).all(2) & ~batch["present"].flatten(2).any(2)
        assert (gone.sum(1) == 24 * share).all()
        assert (batch["cube"][:, :, :4][gone] == 0).all()
        assert torch.equal(batch["cube"][~gone], clean["cube"][~gone])
        assert torch.equal(batch["image"], clean["image"])
        lost.append(gone)
    assert (lost[0] <= lost[1]).all()
    assert (lost[1] <= lost[2]).all()
    assert len({tuple(row.tolist()) for row in lost[0]}) > 1  # not the same hours in every cell


def test_noise_has_its_deviation_on_valid_values_and_grows_in_proportion(planted: SampleSet, damage: Damage) -> None:
    rows = np.arange(1, 150)
    clean = _batch(planted, rows)["cube"]
    weak, strong = (
        damage(_batch(planted, rows), planted.ids[rows], Condition(NOISE, strength, "signal"))["cube"] - clean
        for strength in (0.1, 0.4)
    )

    valid = torch.cat([clean[:, :, 2:4] + clean[:, :, 4:] == 0, torch.zeros_like(clean[:, :, 2:]) > 0], dim=2)
    assert (weak[~valid] == 0).all()
    assert weak[valid].std() == pytest.approx(0.1, rel=0.05)
    torch.testing.assert_close(strong, 4 * weak, atol=2e-6, rtol=1e-4)


def test_a_cell_is_damaged_alike_in_any_batch_and_another_seed_otherwise(planted: SampleSet, damage: Damage) -> None:
    other = Damage.of(planted, Scalers.from_dict(SCALERS), seed=1)
    for condition in CONDITIONS[1:]:
        together = damage(_batch(planted), planted.ids[ROWS], condition)
        alone = damage(_batch(planted, ROWS[2:3]), planted.ids[ROWS[2:3]], condition)
        changed = other(_batch(planted), planted.ids[ROWS], condition)
        assert all(torch.equal(alone[name][0], together[name][2]) for name in together), condition
        if condition.strength < 1:
            assert any(not torch.equal(changed[name], together[name]) for name in together), condition


def test_hidden_steps_reach_the_neighbours_too() -> None:
    batch = {"cube": torch.ones(1, 2, 3, 3, 3), "present": torch.ones(1, 2, 3, 3, dtype=torch.bool)}

    hidden = hide_steps(batch, torch.tensor([[False, True]]))

    assert hidden["present"][0].flatten(1).any(1).tolist() == [True, False]
    assert hidden["cube"][0, 1].flatten(1).T.unique(dim=0).tolist() == [[0, 0, 1]]
    assert (hidden["cube"][0, 0] == 1).all()


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition("fog", 0.5, "vision"), "no damage is called 'fog'"),
        (Condition(CLOUD, 1.5, "vision"), "cloud has strength 1.5: give a share from 0 to 1"),
        (Condition(HOURS_MISSING, -0.1, "signal"), "hours-missing has strength -0.1"),
    ],
)
def test_what_does_not_exist_is_refused(planted: SampleSet, damage: Damage, condition: Condition, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        damage(_batch(planted), planted.ids[ROWS], condition)


def test_every_kind_has_a_unit() -> None:
    assert {condition.name for condition in CONDITIONS} == set(UNITS)
