"""Random changes of a training batch that leave its class as it is.

From above no direction is special, so chips and hexagonal neighbourhoods are turned and mirrored; haze, light and
season are nuisances, so brightness and contrast move; how many people a place draws is not its rhythm, so a whole
series shifts in log space.
"""

from functools import cache

import torch
from torch import Tensor

from fusion.training.data import Batch

_BOTH = 0.1  # share of the samples that lose something which lose both: enough to learn nine numbers


def turn_chips(image: Tensor) -> Tensor:
    """Return chips (B,3,P,P), each under one of the square's eight symmetries."""
    choice = torch.randint(8, (len(image),), device=image.device)
    turned = torch.empty_like(image)
    for symmetry in range(8):
        chosen = choice == symmetry
        chips = torch.rot90(image[chosen], symmetry % 4, (2, 3))
        turned[chosen] = chips.flip(3) if symmetry >= 4 else chips
    return turned


def jitter_light(image: Tensor, strength: float) -> Tensor:
    """Return normalised chips (B,3,P,P) with a random gain about 1 a chip and a random offset a chip and colour."""
    size = (len(image), 1, 1, 1)
    gain = 1 + strength * torch.randn(size, device=image.device)
    offset = strength * torch.randn((len(image), image.shape[1], 1, 1), device=image.device)
    return image * gain + offset


def turn_neighbourhoods(batch: Batch, grid: str) -> Batch:
    """Return the batch with each cube (B,T,3C,K,K) and `present` under one of the hexagon's 12 symmetries.

    A square grid (URFC: weekday x hour) stays as it is: turned, Monday's noon would be another day's night.
    """
    if grid == "square":
        return batch
    cube, present = batch["cube"], batch["present"]
    table = _symmetries(cube.shape[-1]).to(cube.device)
    index = table[torch.randint(len(table), (len(cube),), device=cube.device)]
    return {
        **batch,
        "cube": _permuted(cube, index[:, None, None]),
        "present": _permuted(present, index[:, None]),
    }


def disturb_series(cube: Tensor, noise: float, shift: float) -> Tensor:
    """Return a cube (B,T,3C,K,K) with noise on each valid value and one common shift a sample, in scaled log units."""
    values = cube[:, :, : cube.shape[2] // 3]
    common = shift * torch.randn((len(cube), 1, 1, 1, 1), device=cube.device)
    return add_to_valid(cube, common + noise * torch.randn_like(values))


def add_to_valid(cube: Tensor, amount: Tensor) -> Tensor:
    """Return a cube (B,T,3C,K,K) with an amount (B,T,C,K,K) added to each value that is neither suppressed nor missing.

    Args:
        cube: values, suppressed flags, missing flags.
        amount: in scaled log units: deviations of log(1 + count) over the training fold.
    """
    channels = cube.shape[2] // 3
    values, flags = cube[:, :, :channels], cube[:, :, channels:]
    valid = (flags[:, :, :channels] + flags[:, :, channels:]) == 0
    return torch.cat([values + valid * amount, flags], dim=2)


def drop_modality(batch: Batch, probability: float) -> Batch:
    """Return the batch with, at that probability a sample, its image hidden, its signal, or (a tenth of these) both.

    Modality dropout (arXiv 2204.05454 shows why a fused transformer needs it). Samples without either teach the answer
    to nothing at all, the training fold's prior, from which the modalities' Shapley values start
    (`fusion.analysis.explain`).
    """
    draw = torch.rand(len(batch["image"]), device=batch["image"].device)
    half = probability * (1 + _BOTH) / 2  # either modality is lost as often as the other
    both = draw < probability * _BOTH
    return hide_modalities(batch, draw < half, both | ((draw >= half) & (draw < probability)))


def hide_modalities(batch: Batch, no_image: Tensor, no_signal: Tensor) -> Batch:
    """Return the batch as it is where samples have no image, or no signal.

    A network with absent tokens reads the keys `absent_vision` and `absent_signal`, (B,) bool. Any other sees blanks: a
    chip of the training fold's mean colour, a cube that says in its flags and in `present` that all of it is missing.

    Args:
        batch: as from the loader.
        no_image, no_signal: (B,) bool.
    """
    image, cube, present = batch["image"], batch["cube"], batch["present"]
    gone = no_signal[:, None, None, None]
    return {
        **batch,
        "image": torch.where(no_image[:, None, None, None], torch.zeros_like(image), image),
        "cube": torch.where(gone[..., None], missing_values(cube), cube),
        "present": present & ~gone,
        "absent_vision": no_image,
        "absent_signal": no_signal,
    }


def mix(batch: Batch, target: Tensor, alpha: float) -> tuple[Batch, Tensor]:
    """Return mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) of the batch with itself in another order.

    Args:
        batch: as from the loader.
        target: (B,classes) probabilities.
        alpha: both parameters of the Beta distribution of the one weight that the batch draws.
    """
    # Sampled on the CPU: Beta needs an operator that MPS lacks.
    weight = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(target), device=target.device)
    mixed = {
        **batch,
        "image": weight * batch["image"] + (1 - weight) * batch["image"][order],
        "cube": weight * batch["cube"] + (1 - weight) * batch["cube"][order],
        "present": batch["present"] | batch["present"][order],
    }
    for name in ("absent_vision", "absent_signal"):  # absent only where both of the pair lack the modality
        if name in batch:
            mixed[name] = batch[name] & batch[name][order]
    return mixed, weight * target + (1 - weight) * target[order]


def missing_values(cube: Tensor) -> Tensor:
    """Return (1,1,3C,1,1), what a missing place reads: no values, no suppressed flag, every missing flag."""
    flags = torch.zeros(cube.shape[2], dtype=cube.dtype, device=cube.device)
    flags[2 * (len(flags) // 3) :] = 1
    return flags[None, None, :, None, None]


def _permuted(x: Tensor, index: Tensor) -> Tensor:
    flat = x.flatten(-2)
    return flat.gather(-1, index.expand(flat.shape)).view(x.shape)


@cache
def _symmetries(size: int) -> Tensor:
    """Return (S,K*K): for each symmetry, the flat place that each flat place then reads.

    On H3's axes the neighbours of (0,0) are, going round, (1,0), (1,1), (0,1), (-1,0), (-1,-1), (0,-1); so a turn by
    60 degrees takes (i,j) to (i-j,i), and a mirror to (j,i). Places outside the hexagonal disk hold nothing and stay.
    """
    radius = size // 2
    tables = []
    for turns in range(6):
        for mirrored in (False, True):
            table = []
            for place in range(size * size):
                i, j = place // size - radius, place % size - radius
                if abs(i - j) > radius:
                    table.append(place)
                    continue
                for _ in range(turns):
                    i, j = i - j, i
                i, j = (j, i) if mirrored else (i, j)
                table.append((i + radius) * size + j + radius)
            tables.append(table)
    return torch.tensor(tables)
