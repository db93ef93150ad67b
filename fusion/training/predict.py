"""A checkpoint that predicts: probabilities exactly as the run's own metrics saw them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fusion.classes import IDS
from fusion.errors import RunError
from fusion.metrics.calibration import apply_temperature
from fusion.models import torchvision_guard  # noqa: F401  must be imported before timm
from fusion.models.checkpoint import ModelCard, load_checkpoint
from fusion.models.network import Network
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.training.device import pick_device
from fusion.training.infer import correct_logits, predict_logits, prediction_table
from fusion.training.runs import WEIGHT_FILES

Progress = Callable[[float, str], None]


class Predictor:
    """A trained network with its scalers, prior correction and temperature; made by `load_predictor`.

    Attributes:
        network: on `device`, in evaluation mode.
        card: what model.json says.
        device: where it predicts.
    """

    def __init__(self, network: Network, card: ModelCard, device: torch.device) -> None:
        self.network = network
        self.card = card
        self.device = device
        self.scalers = Scalers.from_dict(card.scalers)

    def probabilities(
        self, samples: SampleSet, rows: np.ndarray, batch_size: int = 128, progress: Progress | None = None
    ) -> np.ndarray:
        """Return (R,classes) calibrated probabilities of some rows.

        Raises:
            RunError: the samples are not of the form that this checkpoint was trained on.
        """
        self.check(samples)
        logits = predict_logits(self.network, samples, rows, self.scalers, self.device, batch_size, progress)
        return apply_temperature(correct_logits(logits, np.asarray(self.card.log_weights)), self.card.temperature)

    def predict(
        self, samples: SampleSet, rows: np.ndarray, batch_size: int = 128, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Return id, group, true (None if unlabelled), predicted, p_<class id> of some rows, in their order.

        Raises:
            RunError: the samples are not of the form that this checkpoint was trained on.
        """
        rows = np.asarray(rows, dtype=np.int64)
        return prediction_table(samples, rows, self.probabilities(samples, rows, batch_size, progress))

    def check(self, samples: SampleSet) -> None:
        """Raise RunError unless the samples have the chips, steps, channels and neighbourhood that this one reads."""
        spec, meta = self.card.spec, samples.meta
        pairs = {
            "chip_px": (spec.chip_px, meta.chip_px),
            "steps": (spec.steps, meta.steps),
            "channels": (spec.channels, 3 * meta.channels),
            "places": (spec.places, (2 * meta.k + 1,) * 2 if meta.grid == "hex" else samples.series.shape[3:5]),
            "grid": (spec.grid, meta.grid),
            "measures": (self.scalers.measures, meta.measures),
        }
        other = [f"{name} {mine} against {theirs}" for name, (mine, theirs) in pairs.items() if mine != theirs]
        if other:
            raise RunError(
                f"the checkpoint of {self.card.experiment} does not fit the samples of {meta.city} "
                f"({', '.join(other)}): choose a run trained on such samples"
            )


def load_predictor(run_folder: Path, device: str = "auto") -> Predictor:
    """Load a run's checkpoint, once; keep the result for as long as it is wanted.

    Raises:
        ConfigError: no such device.
        RunError: the run has no weights here, they are torn, or of other classes.
    """
    folder = Path(run_folder)
    if missing := [name for name in WEIGHT_FILES if not (folder / name).is_file()]:
        raise RunError(
            f"{folder.name}: only its results are here, no {', '.join(missing)}: train it with `python -m fusion train`"
        )
    target = pick_device(device)
    network, card = load_checkpoint(folder, str(target))
    if tuple(card.classes) != IDS:
        raise RunError(f"{folder.name}: a checkpoint of other classes ({', '.join(card.classes)}): choose another run")
    return Predictor(network.to(target).eval(), card, target)
