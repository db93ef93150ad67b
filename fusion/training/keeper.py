"""The callback that makes a run safe to kill: best weights, history, resume file, early stopping, progress."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from fusion.errors import RunError
from fusion.models import torchvision_guard  # noqa: F401  must be imported before lightning
from fusion.training.data import Batches
from fusion.training.task import Task

# isort: split
from lightning.pytorch import Callback, LightningModule, Trainer

Progress = Callable[[float, str], None]

RESUME_FILE = "resume.ckpt"
BEST_FILE = "best.safetensors"


class Keeper(Callback):
    """Keep the weights of the best validation macro-F1 and, after each epoch, all that a resumed run needs.

    Args:
        folder: the run's temporary folder.
        batches: the training loader, told the epoch so that its order depends on nothing else.
        seed: of the run; each epoch's augmentation and dropout draw from (seed, epoch).
        patience: stop after so many epochs without a better score.
        progress: called with the share of epochs done and a line of text.
    """

    def __init__(self, folder: Path, batches: Batches, seed: int, patience: int, progress: Progress | None) -> None:
        self.folder = folder
        self.batches = batches
        self.seed = seed
        self.patience = patience
        self.progress = progress
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self._began = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = list(state_dict["history"])
        self.best_epoch = int(state_dict["best_epoch"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run killed between its last epoch and its evaluation must not train one epoch more.
        trainer.should_stop = self._out_of_patience()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()
        self.batches.epoch = trainer.current_epoch
        torch.manual_seed(self.seed * 100_003 + trainer.current_epoch + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Task)
        epoch = trainer.current_epoch + 1
        row = {
            "epoch": epoch,
            **pl_module.epoch_figures,
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "seconds": time.perf_counter() - self._began,
        }
        self.history.append(row)
        if not self.best_epoch or row["val_macro_f1"] > self.history[self.best_epoch - 1]["val_macro_f1"]:
            self.best_epoch = epoch
            save_weights(self.folder / BEST_FILE, pl_module.network)
        trainer.should_stop = trainer.should_stop or self._out_of_patience()
        written = self.folder / f"{RESUME_FILE}.new"
        trainer.save_checkpoint(written)
        written.replace(self.folder / RESUME_FILE)
        if self.progress is not None:
            last = epoch == trainer.max_epochs or trainer.should_stop
            share = 1.0 if last else epoch / (trainer.max_epochs or epoch)
            best = self.history[self.best_epoch - 1]["val_macro_f1"]
            self.progress(
                share,
                f"epoch {epoch} of {trainer.max_epochs}: loss {row['train_loss']:.3f}, "
                f"validation macro-F1 {row['val_macro_f1']:.3f} (best {best:.3f})",
            )

    def _out_of_patience(self) -> bool:
        return bool(self.history) and len(self.history) - self.best_epoch >= self.patience


def save_weights(path: Path, network: nn.Module) -> None:
    """Write all parameters and buffers, whole or not at all.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    written = path.with_suffix(".new")
    try:
        save_model(network, str(written))
    except SafetensorError as error:
        raise OSError(str(error)) from None
    written.replace(path)


def load_weights(path: Path, network: nn.Module) -> None:
    """Read what `save_weights` wrote into a network of the same shape.

    Raises:
        RunError: the file is absent or torn.
    """
    try:
        load_model(network, path)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(
            f"{path}: cannot be read ({' '.join(str(error).split())}): train again without resuming"
        ) from None
