"""Random changes of a training batch that leave its class as it is.

From above no direction is special, so chips are turned and mirrored; haze, light and season are nuisances, so their
brightness and contrast move; how many people a place draws is not its rhythm, so a whole series shifts in log space.
"""

import torch
from torch import Tensor

from fusion.training.data import Batch


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


def disturb_series(cube: Tensor, noise: float, shift: float) -> Tensor:
    """Return a cube (B,T,3C,K,K) with noise on each valid value and one common shift a sample, in scaled log units."""
    channels = cube.shape[2] // 3
    values, flags = cube[:, :, :channels], cube[:, :, channels:]
    valid = (flags[:, :, :channels] + flags[:, :, channels:]) == 0
    common = shift * torch.randn((len(cube), 1, 1, 1, 1), device=cube.device)
    return torch.cat([(values + valid * (common + noise * torch.randn_like(values))), flags], dim=2)


def drop_modality(batch: Batch, probability: float) -> Batch:
    """Return the batch with, at that probability a sample, its chip blank or its cube wholly missing (never both).

    A blank chip is the training fold's mean colour; a missing cube says so in its flags and in `present`.
    """
    image, cube, present = batch["image"], batch["cube"], batch["present"]
    draw = torch.rand(len(image), device=image.device)
    no_image = (draw < probability / 2)[:, None, None, None]
    no_signal = ((draw >= probability / 2) & (draw < probability))[:, None, None, None]
    channels = cube.shape[2] // 3
    missing = torch.zeros_like(cube)
    missing[:, :, 2 * channels :] = 1
    return {
        **batch,
        "image": torch.where(no_image, torch.zeros_like(image), image),
        "cube": torch.where(no_signal[..., None], missing, cube),
        "present": present & ~no_signal,
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
    return mixed, weight * target + (1 - weight) * target[order]
