"""Pretraining of the vision stream on a city's own chips, labelled or not, by masked autoencoding.

Whoever pretrains on the pixels that he is tested on has seen his test: so the chips of a fold's test area, and every
chip that shares a pixel with one, stay out, unless the pretraining is asked to be, and called, *transductive*.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fusion.errors import ConfigError, RunError, SampleError
from fusion.models import MODEL_VERSION
from fusion.models.checks import check_kinds
from fusion.models.config import VisionConfig
from fusion.models.mae import MaskedAutoencoder
from fusion.models.vision import build_vit
from fusion.models.weights import ABOUT
from fusion.samples.footprints import Reach
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import Fold
from fusion.training import augment
from fusion.training.device import pick_precision
from fusion.training.schedule import warm_up_and_cosine

Progress = Callable[[float, str], None]

FEWEST_CHIPS = 32
_CLIP = 1.0  # largest norm of the gradient: bf16 and a high rate together now and then make a step that undoes ten
_STATISTICS_CHIPS = 1024


@dataclass(frozen=True)
class PretrainConfig:
    """How the masked autoencoder is trained. The defaults were tried on one fold (docs/methods.md, "Pretraining").

    Attributes:
        epochs: passes over the chips; the cosine ends there.
        batch_size: chips a step.
        lr, weight_decay: of AdamW; biases, norms and tokens do not decay.
        warmup: share of all steps with a linearly growing rate.
        mask: share of the patches that is hidden.
        decoder_width, decoder_blocks: the decoder, which is thrown away.
        turn: turn and mirror chips.
        light_jitter: deviation of a chip's random gain and offset, in deviations of the image.
    """

    epochs: int = 30
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    mask: float = 0.75
    decoder_width: int = 96
    decoder_blocks: int = 2
    turn: bool = True
    light_jitter: float = 0.1

    def __post_init__(self) -> None:
        check_kinds(self, "pretraining option ")
        for name in ("epochs", "batch_size", "decoder_width", "decoder_blocks"):
            if getattr(self, name) < 1:
                raise ConfigError(f"pretraining option {name} is {getattr(self, name)!r}: give a whole number above 0")
        if not self.lr > 0:
            raise ConfigError(f"pretraining option lr is {self.lr!r}: give a number above 0")
        for name in ("weight_decay", "light_jitter"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"pretraining option {name} is {getattr(self, name)!r}: give 0 or more")
        for name in ("warmup", "mask"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"pretraining option {name} is {getattr(self, name)!r}: give a share from 0 to 1")


@dataclass(frozen=True)
class PretrainReport:
    """What a pretraining left.

    Attributes:
        path: the weights, a safetensors file with timm's names.
        chips: number of chips that it learned from.
        losses: mean loss of each epoch; about 1 is what painting flat patches costs.
        seconds: wall time.
        transductive: whether chips of a test area were, or may have been, among them.
    """

    path: Path
    chips: int
    losses: tuple[float, ...]
    seconds: float
    transductive: bool


def pretraining_rows(samples: SampleSet, fold: Fold | None) -> np.ndarray:
    """Return the rows, labelled or not, that a fold's pretraining may see, ascending; all rows without a fold.

    On spatial folds those are all chips that share no pixel with a test chip. Random folds let training chips overlap
    test chips, and so does their pretraining: only the test samples themselves stay out, and on a set without a map
    whatever else is of their groups, which hold a region's copies.

    Raises:
        SampleError: fewer than `FEWEST_CHIPS` are left.
    """
    if fold is None:
        seen = np.ones(len(samples), dtype=bool)
    elif fold.kind == "spatial":
        seen = ~Reach(samples).overlaps(fold.test)
    else:
        copies = samples.groups if samples.meta.grid == "square" else np.arange(len(samples))
        seen = ~np.isin(copies, copies[fold.test])
    _check_chips(samples, int(seen.sum()))
    return np.flatnonzero(seen)


def pretrain_vision(
    samples: SampleSet,
    rows: np.ndarray,
    config: VisionConfig,
    pretraining: PretrainConfig,
    seed: int,
    device: torch.device,
    out: Path,
    progress: Progress | None = None,
    fold: Fold | None = None,
) -> PretrainReport:
    """Train a masked autoencoder on chips and write its encoder's weights, whole or not at all.

    Args:
        samples: the SampleSet; nothing but its chips is read.
        rows: (R,) rows to learn from, usually of `pretraining_rows`.
        config: the architecture; `weights`, `dropout` and `drop_path` are not looked at.
        pretraining: how to train.
        seed: of weights, order, masks and augmentation; the caller's generator is left as it was.
        device: what computes.
        out: the safetensors file; replaced if it is there.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the pretraining.
        fold: whose test area `rows` leave out, for the file's own record; None marks the weights transductive.

    Raises:
        SampleError: too few rows.
        ConfigError: an architecture or a mask that cannot be.
        RunError: the loss is not finite, or the file cannot be written.
    """
    rows = np.asarray(rows, dtype=np.int64)
    _check_chips(samples, len(rows))
    began = time.perf_counter()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = MaskedAutoencoder(
            build_vit(dataclasses.replace(config, weights=None, dropout=0.0, drop_path=0.0), samples.meta.chip_px),
            pretraining.mask,
            pretraining.decoder_width,
            pretraining.decoder_blocks,
        )
        losses = _train(model.to(device), samples, rows, pretraining, seed, device, progress)
    seconds = time.perf_counter() - began
    about = {
        "method": "masked autoencoding",
        "city": samples.meta.city,
        "samples_fingerprint": samples.meta.fingerprint,
        "fold": None if fold is None else fold.index,
        "folds": None if fold is None else fold.folds,
        "fold_kind": None if fold is None else fold.kind,
        "test": None if fold is None else digest_test(samples, fold),
        "transductive": fold is None,
        "chips": len(rows),
        "chip_px": samples.meta.chip_px,
        "seed": seed,
        "loss": round(losses[-1], 6),
        "seconds": round(seconds, 1),
        "network": network_sizes(config),
        "options": dataclasses.asdict(pretraining),
        "model_version": MODEL_VERSION,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.vit.state_dict().items()}
    _write(Path(out), state, about)
    return PretrainReport(Path(out), len(rows), tuple(losses), seconds, fold is None)


def digest_test(samples: SampleSet, fold: Fold) -> str:
    """Return 16 hexadecimal digits that name the test samples of a fold, whatever the layout of the set."""
    ids = "\n".join(sorted(str(name) for name in samples.ids[fold.test]))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def _train(
    model: MaskedAutoencoder,
    samples: SampleSet,
    rows: np.ndarray,
    options: PretrainConfig,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> list[float]:
    """Train in place and return the mean loss of each epoch."""
    mean, std = (figure.to(device) for figure in _colours(samples, rows))
    parts = -(-len(rows) // options.batch_size)
    optimiser, schedule = _optimiser(model, options, steps=options.epochs * parts)
    half = pick_precision(device) == "bf16-mixed"
    # the plain formula is the fastest attention of a CPU for a few dozen tokens: see fusion.training.fit
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()
    losses: list[float] = []
    model.train()
    with plain:
        for epoch in range(options.epochs):
            order = np.random.default_rng((seed, epoch)).permutation(rows)
            total = 0.0
            for part in np.array_split(order, parts):  # batches of almost one size: no small one at the end
                images = torch.from_numpy(samples.images[part]).to(device)
                images = augment.turn_chips(images) if options.turn else images
                images = (images.float() / 255 - mean) / std
                images = augment.jitter_light(images, options.light_jitter) if options.light_jitter else images
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    loss = model(images)
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise RunError(f"the pretraining loss became {value} in epoch {epoch + 1}: lower the learning rate")
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
                optimiser.step()
                schedule.step()
                total += value * len(part)
            losses.append(total / len(rows))
            if progress is not None:
                progress((epoch + 1) / options.epochs, f"epoch {epoch + 1} of {options.epochs}, loss {losses[-1]:.3f}")
    return losses


def _optimiser(
    model: MaskedAutoencoder, options: PretrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW with the paper's betas, and a linear warm-up followed by a cosine to zero."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # tokens are (1,1,D) and matrices (out,in), kernels (out,in,p,p)
    heavy = [p for p in learned if p.ndim in (2, 4)]
    light = [p for p in learned if p.ndim not in (2, 4)]
    groups = [{"params": heavy, "weight_decay": options.weight_decay}, {"params": light, "weight_decay": 0.0}]
    fused = next(model.parameters()).device.type in ("cpu", "cuda")  # a tenth of a step on a CPU
    optimiser = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.95), fused=fused)
    return optimiser, warm_up_and_cosine(optimiser, options.warmup, steps)


def _colours(samples: SampleSet, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (3,1,1) of the colours, on the scale 0 to 1, of 1,024 chips spread over `rows`."""
    spread = rows[np.unique(np.linspace(0, len(rows) - 1, min(_STATISTICS_CHIPS, len(rows))).astype(np.int64))]
    chips = torch.from_numpy(samples.images[spread]).float() / 255
    mean, std = chips.mean(dim=(0, 2, 3)), chips.std(dim=(0, 2, 3)).clamp(min=1e-3)
    return mean[:, None, None], std[:, None, None]


def network_sizes(config: VisionConfig) -> dict[str, Any]:
    """Return what of a configuration decides the shapes of the weights."""
    return {key: getattr(config, key) for key in ("name", "depth", "width", "heads", "mlp_ratio", "patch")}


def _check_chips(samples: SampleSet, number: int) -> None:
    if number < FEWEST_CHIPS:
        raise SampleError(
            f"{number} chips of {samples.meta.city} to pretrain on, at least {FEWEST_CHIPS} are needed: use more "
            "folds, or pretrain transductively"
        )


def _write(path: Path, state: dict[str, Tensor], about: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={"format": "pt", ABOUT: json.dumps(about, ensure_ascii=False)})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise RunError(f"{path}: cannot be written ({reason}): free the disk or choose another place") from error
    finally:
        partial.unlink(missing_ok=True)
