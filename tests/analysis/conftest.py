"""Hand-made networks behind a real Predictor, whose every answer is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fusion.classes import IDS
from fusion.models.checkpoint import ModelCard
from fusion.models.config import BiLSTMConfig, InputSpec, NetworkConfig, VisionConfig
from fusion.samples.sampleset import SampleSet
from fusion.training.predict import Predictor
from tests.training.conftest import CHIP_PX, write_planted

SCALERS = {
    "measures": ["people"], "series_mean": [3.0], "series_std": [1.0],
    "image_mean": [0.35, 0.35, 0.35], "image_std": [0.2, 0.2, 0.2],
}  # fmt: skip
SPEC = InputSpec(chip_px=CHIP_PX, steps=24, channels=6, kernel=5)
BOTH = NetworkConfig(VisionConfig(patch=8), BiLSTMConfig(), "late")


class ByHand(nn.Module):
    """A network whose logits are a function of the batch; `streams` says which modalities it claims to read."""

    def __init__(self, streams: tuple[str, ...], logits: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({name: nn.Identity() for name in streams})
        self.logits = logits

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.logits(batch)


def brightest(batch: dict[str, Tensor]) -> Tensor:
    """Logits (B,9): the first function of the look whose colour is brightest in the chip; 0 for a blank chip."""
    looks = 4 * batch["image"].mean((2, 3))
    return torch.stack([looks, 0 * looks, 0 * looks], dim=2).flatten(1)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """Three looks x three rhythms = nine functions; read-only."""
    return write_planted(tmp_path_factory.mktemp("samples") / "planted")


@pytest.fixture
def predictor() -> Callable[..., Predictor]:
    """Return a function that puts a network behind a Predictor, with class weights and a temperature if asked."""

    def build(
        network: nn.Module,
        config: NetworkConfig = BOTH,
        log_weights: tuple[float, ...] = (),
        temperature: float = 1.0,
    ) -> Predictor:
        card = ModelCard(config, SPEC, SCALERS, temperature, "by hand", log_weights, IDS)
        return Predictor(network.eval(), card, torch.device("cpu"))  # type: ignore[arg-type]

    return build
