"""Which device trains and predicts, and in which precision."""

import torch

from fusion.errors import ConfigError

DEVICES = ("auto", "cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name: "auto" (CUDA, else Apple's MPS, else the CPU), "cuda", "cuda:1", "mps", "cpu".

    Raises:
        ConfigError: no such device, or this machine lacks it.
    """
    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and (kind != "cuda" or not index.isdecimal())):
        raise ConfigError(f"unknown device {name!r}: use {', '.join(DEVICES)} or cuda:N")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise ConfigError(f"device {name!r}: this machine has {count} CUDA devices: use auto or cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps': this machine has no Apple GPU: use auto or cpu")
    return torch.device(name)


def pick_precision(device: torch.device) -> str:
    """Return Lightning's name of the training precision: bf16 autocast where the hardware multiplies in bf16.

    Only training uses it. Evaluation and prediction run in float32 everywhere, so that a checkpoint gives the same
    probabilities on every machine.
    """
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if device.type == "cpu" and (_cpu_has("_is_avx512_bf16_supported") or _cpu_has("_is_amx_tile_supported")):
        return "bf16-mixed"
    return "32-true"


def _cpu_has(feature: str) -> bool:
    # Underscored in torch 2.13, and the only place that says so portably; absent on other builds means "no".
    probe = getattr(torch.cpu, feature, None)
    return bool(probe()) if probe is not None else False
