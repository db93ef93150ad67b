"""The Lightning part of a run: from a fresh network to the weights of its best epoch."""

import contextlib
import dataclasses
import logging
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from fusion.errors import RunError
from fusion.models import torchvision_guard  # noqa: F401  must be imported before lightning
from fusion.models.network import Network
from fusion.samples.batches import series_table
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.samples.split import Fold
from fusion.training.data import Batches
from fusion.training.experiment import TrainingConfig
from fusion.training.keeper import BEST_FILE, RESUME_FILE, Keeper, Progress, load_weights

# isort: split
from lightning.pytorch import Trainer

from fusion.training.task import Task, class_log_weights


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What training left besides the network's weights."""

    log_weights: np.ndarray
    history: list[dict[str, float]]
    best_epoch: int

    @property
    def seconds(self) -> float:
        """Time of all epochs, those before a resume included."""
        return sum(row["seconds"] for row in self.history)


def fit(
    network: Network,
    samples: SampleSet,
    config: TrainingConfig,
    fold: Fold,
    scalers: Scalers,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    precision: str,
    progress: Progress | None,
) -> Fitted:
    """Train `network` in place until its epochs or its patience end, then give it its best epoch's weights.

    Goes on from `folder/resume.ckpt` where that exists.

    Raises:
        RunError: the loss is not finite, or the resume file cannot be read.
    """
    table = series_table(samples, scalers)
    training = Batches(samples, fold.train, scalers, config.batch_size, seed=seed, table=table)
    validation = Batches(samples, fold.validation, scalers, 2 * config.batch_size, table=table)
    labels = samples.labels[fold.train].astype(np.int64)
    log_weights = class_log_weights(labels, len(samples.meta.classes), config.class_balanced)
    keeper = Keeper(folder, training, seed, config.patience, progress)
    task = Task(network, config, log_weights, total_steps=config.epochs * len(training), grid=samples.meta.grid)
    resume = _check_resume(folder / RESUME_FILE)
    with _quiet(), _attention_for(device):
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision=precision,  # type: ignore[arg-type]
            max_epochs=config.epochs,
            gradient_clip_val=config.clip,
            callbacks=[keeper],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        _train(trainer, task, training, validation, resume)
    load_weights(folder / BEST_FILE, network)
    return Fitted(log_weights.numpy(), keeper.history, keeper.best_epoch)


def _train(trainer: Trainer, task: Task, training: Batches, validation: Batches, resume: Path | None) -> None:
    """Run Lightning's loop, and undo what it does to an interrupt."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(task, training, validation, ckpt_path=resume, weights_only=True)
    except SystemExit as error:
        if type(error) is not SystemExit:  # Lightning's own, for SIGTERM: the process is to end
            raise
        # Lightning turns Ctrl-C into exit(1) and leaves further ones ignored; the caller is to hear of it as usual.
        with contextlib.suppress(ValueError):  # outside the main thread no handler can be set, and none was changed
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _check_resume(path: Path) -> Path | None:
    """Return the resume file where there is one that loads; RunError where it does not."""
    if not path.exists():
        return None
    try:
        torch.load(path, map_location="cpu", weights_only=True)  # plain tensors and numbers: runs no code of the file
    except Exception as error:  # noqa: BLE001  torch meets torn bytes with any error at all
        reason = " ".join(str(error).split())[:120]
        raise RunError(f"{path}: cannot be read ({reason}): train again without resuming") from None
    return path


def _attention_for(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return the fastest attention for a few dozen tokens: on a CPU the plain formula.

    torch 2.13's flash attention for CPUs took 37 % of a ViT's training step on 37 tokens in bf16; the plain matrix
    products make the step 1.45 times as fast (docs/decisions, reference training).
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notices and its quarrels with newer libraries (2.6 with torch 2.13) from the user."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
