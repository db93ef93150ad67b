"""Graded damage of a batch, as imagery and signaling suffer it in service. Labels are never touched.

What is drawn for a cell depends on the seed, the kind of damage and the cell's id alone, not on its batch, on the other
cells or on the strength. So every model and every strength meets the same hours, clouds and directions, and a stronger
damage takes away what the weaker one took, and more: differences are paired.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fusion.analysis import conditions
from fusion.analysis.conditions import Condition
from fusion.errors import ConfigError
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.training.augment import add_to_valid, hide_modalities, missing_values
from fusion.training.data import Batch

Draws = Sequence[np.random.Generator]  # one a cell

_CLOUD_GRID = 5  # random heights a side that a cloud is interpolated from: lumps of about a quarter of the chip
_CLOUD_RIM = 0.1  # share of the chip over which a cloud's rim thickens from nothing to opaque


@dataclass(frozen=True)
class Damage:
    """Damages batches of one SampleSet; called with a batch, its cells' ids and a condition.

    Attributes:
        pixel_m: edge of a chip's pixel on the ground, metres.
        white: (3,) what a white pixel is after scaling.
        seed: of all that is drawn.
    """

    pixel_m: float
    white: tuple[float, ...]
    seed: int = 0

    @classmethod
    def of(cls, samples: SampleSet, scalers: Scalers, seed: int = 0) -> "Damage":
        """Return the damage for samples that a model with these scalers reads."""
        white = tuple((1 - mean) / std for mean, std in zip(scalers.image_mean, scalers.image_std, strict=True))
        return cls(samples.meta.chip_m / samples.meta.chip_px, white, seed)

    def __call__(self, batch: Batch, ids: np.ndarray, condition: Condition) -> Batch:
        """Return a damaged copy of a batch.

        Args:
            batch: image (B,3,P,P), cube (B,T,3C,K,K), present (B,T,K,K), in memory of the CPU.
            ids: (B,) of its cells.
            condition: what to do to it.

        Raises:
            ConfigError: a condition that does not exist, or a strength out of its range.
        """
        if condition.name not in _KINDS:
            raise ConfigError(f"no damage is called {condition.name!r}: there are {', '.join(_KINDS)}")
        key = [self.seed, zlib.crc32(condition.name.encode())]
        draws = [np.random.default_rng([*key, zlib.crc32(str(id_).encode())]) for id_ in ids]
        return _KINDS[condition.name](self, batch, draws, condition.strength)

    def _nothing(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        return dict(batch)

    def _image_absent(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        gone = torch.ones(len(draws), dtype=torch.bool)
        return hide_modalities(batch, gone, ~gone)

    def _signal_absent(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        gone = torch.ones(len(draws), dtype=torch.bool)
        return hide_modalities(batch, ~gone, gone)

    def _cloud(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        image = batch["image"]
        heights = np.stack([draw.standard_normal((1, _CLOUD_GRID, _CLOUD_GRID)) for draw in draws])
        cover = cloud_cover(torch.from_numpy(heights), image.shape[-1], _share(conditions.CLOUD, strength)).to(image)
        white = image.new_tensor(self.white)[:, None, None]
        return {**batch, "image": image + cover[:, None] * (white - image)}

    def _shift(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        directions = torch.tensor([draw.integers(4) for draw in draws])
        return {**batch, "image": shift_chips(batch["image"], round(strength / self.pixel_m), directions)}

    def _hours_missing(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        steps = batch["cube"].shape[1]
        order = np.stack([draw.permutation(steps) for draw in draws])  # (B,T) the rank at which each step goes
        gone = order < round(_share(conditions.HOURS_MISSING, strength) * steps)
        return hide_steps(batch, torch.from_numpy(gone))

    def _noise(self, batch: Batch, draws: Draws, strength: float) -> Batch:
        cube = batch["cube"]
        shape = (cube.shape[1], cube.shape[2] // 3, *cube.shape[3:])
        noise = np.stack([draw.standard_normal(shape, dtype=np.float32) for draw in draws])
        return {**batch, "cube": add_to_valid(cube, strength * torch.from_numpy(noise).to(cube))}


_KINDS: dict[str, Callable[[Damage, Batch, Draws, float], Batch]] = {
    conditions.NONE: Damage._nothing,
    conditions.IMAGE_ABSENT: Damage._image_absent,
    conditions.SIGNAL_ABSENT: Damage._signal_absent,
    conditions.CLOUD: Damage._cloud,
    conditions.SHIFT: Damage._shift,
    conditions.HOURS_MISSING: Damage._hours_missing,
    conditions.NOISE: Damage._noise,
}


def hide_steps(batch: Batch, gone: Tensor) -> Batch:
    """Return the batch with time steps made wholly missing: all channels, of the cell and of its neighbours.

    Args:
        batch: cube (B,T,3C,K,K) and present (B,T,K,K) are changed.
        gone: (B,T) bool.
    """
    where = gone[:, :, None, None]
    return {
        **batch,
        "cube": torch.where(where[..., None], missing_values(batch["cube"]), batch["cube"]),
        "present": batch["present"] & ~where,
    }


def cloud_cover(heights: Tensor, size: int, share: float) -> Tensor:
    """Return the opacity (B,P,P), 0 to 1, of a soft cloud over exactly that share of each chip's pixels.

    The thickest pixels of a smooth random surface are covered: opaque inside, thinning out over a rim of a tenth of
    the chip's area, all but nothing at its edge.

    Args:
        heights: (B,1,G,G) random heights that the surface is interpolated from, bicubically.
        size: P.
        share: of the pixels, rounded to a whole number of them.
    """
    surface = functional.interpolate(heights, (size, size), mode="bicubic", align_corners=True).flatten(1)
    pixels = size * size
    rank = surface.argsort(dim=1).argsort(dim=1)  # 0 the thinnest
    inside = rank + 1 - (pixels - round(share * pixels))
    return (inside / (_CLOUD_RIM * pixels)).clamp(0, 1).view(-1, size, size)


def shift_chips(image: Tensor, pixels: int, directions: Tensor) -> Tensor:
    """Return chips (B,3,P,P) moved by whole pixels, as by an error of registration.

    The rim that comes into view is the old rim, repeated: the ground beyond a chip is not in its SampleSet.

    Args:
        image: the chips.
        pixels: how far.
        directions: (B,) 0 down, 1 right, 2 up, 3 left.
    """
    size = image.shape[-1]
    at = torch.arange(size, device=image.device)
    moves = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]], device=image.device)[directions] * pixels
    rows = (at - moves[:, :1]).clamp(0, size - 1)[:, None, :, None]
    columns = (at - moves[:, 1:]).clamp(0, size - 1)[:, None, None, :]
    return image.take_along_dim(rows, dim=2).take_along_dim(columns, dim=3)


def _share(name: str, strength: float) -> float:
    if not 0 <= strength <= 1:
        raise ConfigError(f"{name} has strength {strength:g}: give a share from 0 to 1")
    return strength
