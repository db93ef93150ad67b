"""The LightningModule: one network, its loss, its optimiser.

The loss weighs classes by their inverse frequency, so that 18 times as many homes as airports do not drown the
airports. A network trained so answers for a city in which every class is as frequent as its weight makes it; before
anything is measured the weights are taken out of the logits again (`log_weights`), which restores the training
fold's own prior (Menon et al., ICLR 2021, arXiv 2007.07314, section 4, the other way round).
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fusion.errors import RunError
from fusion.metrics.scores import evaluate
from fusion.models import torchvision_guard  # noqa: F401  must be imported before lightning
from fusion.models.network import Network
from fusion.training import augment
from fusion.training.data import Batch
from fusion.training.experiment import TrainingConfig
from fusion.training.schedule import warm_up_and_cosine

# isort: split
from lightning.pytorch import LightningModule


class Task(LightningModule):
    """Train `network` on batches of `fusion.training.data.Batches`.

    Args:
        network: `outputs(batch)` gives logits (B,classes), `penalty` the coupling's term of the loss or None.
        training: the experiment's options.
        log_weights: (classes,) from `class_log_weights`.
        total_steps: optimiser steps in all epochs, for the cosine.
        grid: of the neighbourhoods, "hex" or "square".
    """

    log_weights: Tensor

    def __init__(
        self, network: Network, training: TrainingConfig, log_weights: Tensor, total_steps: int, grid: str = "hex"
    ) -> None:
        super().__init__()
        self.grid = grid
        self.network = network
        self.training_config = training
        self.total_steps = total_steps
        self.register_buffer("log_weights", log_weights.float(), persistent=False)
        self.epoch_figures: dict[str, float] = {}
        self._losses: list[tuple[float, int]] = []
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the batch's loss, weighted by class, on augmented samples.

        Raises:
            RunError: the loss is not finite.
        """
        batch, target = self._augmented(batch)
        output = self.network.outputs(batch)
        logits = output.logits.float()
        smoothed = target + self.training_config.label_smoothing * (1 / logits.shape[1] - target)
        # The sample's own class weighs it, not the classes that smoothing leaks into: else smoothing would pull
        # every sample towards the rarest class.
        weight = target @ self.log_weights.exp()
        loss = -(weight * (smoothed * logits.log_softmax(1)).sum(1)).mean()
        coupling = self.network.penalty(output, batch)
        if coupling is not None:
            loss = loss + coupling
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RunError(
                f"the training loss became {value} in epoch {self.current_epoch + 1}, batch {index + 1}: "
                "lower the learning rate, or look for outliers in the counts with `python -m fusion quality`"
            )
        self._losses.append((value, len(logits)))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep the batch's logits, prior corrected."""
        self._logits.append((self.network(batch).float() - self.log_weights).cpu())
        self._labels.append(batch["label"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Compute the epoch's figures from the whole validation fold at once."""
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        probabilities = logits.double().softmax(1).numpy()
        macro_f1 = evaluate(labels.numpy(), probabilities)["macro_f1"]
        count = sum(number for _, number in self._losses)
        self.epoch_figures = {
            "train_loss": sum(value * number for value, number in self._losses) / max(count, 1),
            "val_loss": float(functional.cross_entropy(logits, labels)),
            "val_macro_f1": float(macro_f1),
        }
        self._losses.clear()
        self._logits.clear()
        self._labels.clear()

    def configure_optimizers(self) -> Any:
        """AdamW; biases and norms without decay; linear warm-up, then a cosine to zero, a step at a time.

        Biases and norms are what has one axis. Class tokens, positions, bottlenecks and absent tokens have more and
        decay as matrices do, which many recipes do not let them. Pretraining spares them: `fusion.training.pretrain`.
        """
        config = self.training_config
        decayed = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))
        scheduler = warm_up_and_cosine(optimiser, config.warmup, self.total_steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _augmented(self, batch: Batch) -> tuple[Batch, Tensor]:
        config = self.training_config
        batch = dict(batch)
        if config.turn:
            batch["image"] = augment.turn_chips(batch["image"])
            batch = augment.turn_neighbourhoods(batch, self.grid)
        if config.light_jitter:
            batch["image"] = augment.jitter_light(batch["image"], config.light_jitter)
        if config.series_noise or config.series_shift:
            batch["cube"] = augment.disturb_series(batch["cube"], config.series_noise, config.series_shift)
        if config.modality_dropout:
            batch = augment.drop_modality(batch, config.modality_dropout)
        target = functional.one_hot(batch["label"], len(self.log_weights)).float()
        if config.mixup:
            batch, target = augment.mix(batch, target, config.mixup)
        return batch, target


def class_log_weights(labels: np.ndarray, classes: int, power: float) -> Tensor:
    """Return (classes,) log of the loss weights: frequency to the power of -`power`, 1 on average over the samples.

    Args:
        labels: (n,) the training fold's labels, all >= 0.
        power: 0 weighs all samples alike, 1 all classes.

    A class without training samples counts as half a sample: its weight never enters the loss, and the correction
    then keeps it from being predicted by chance.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = np.maximum(counts, 0.5) ** -power
    weights *= counts.sum() / (weights * counts).sum()
    return torch.from_numpy(np.log(weights))
