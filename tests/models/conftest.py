"""Small networks and batches; float64 where equations are compared."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from fusion.models.config import (
    BiLSTMConfig,
    ConvLSTMConfig,
    InputSpec,
    NetworkConfig,
    TransformerConfig,
    VisionConfig,
)

Batch = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def spec() -> InputSpec:
    return InputSpec(chip_px=8, steps=6, channels=6, kernel=5, grid="hex", classes=9)


@pytest.fixture
def vision() -> VisionConfig:
    return VisionConfig(depth=3, width=16, heads=2, mlp_ratio=2.0, patch=4)


@pytest.fixture
def configs(vision: VisionConfig) -> dict[str, NetworkConfig]:
    """A small network of every kind."""
    blocks = {"width": 16, "heads": 2, "mlp_ratio": 2.0}
    small = {**blocks, "hidden": 5}
    bilstm, convlstm = BiLSTMConfig(**small), ConvLSTMConfig(**small)
    tokens = ConvLSTMConfig(**small, blocks=2, peepholes=True)
    one = TransformerConfig(**blocks, blocks=2, block="trans-blstm-1", blstm_width="full", norm="pre")
    two = TransformerConfig(**blocks, blocks=2, block="trans-blstm-2", blstm_input="x")
    return {
        "vit": NetworkConfig(vision),
        "bilstm": NetworkConfig(signal=bilstm),
        "bilstm-transformer": NetworkConfig(signal=BiLSTMConfig(**small, blocks=2)),
        "convlstm": NetworkConfig(signal=convlstm),
        "convlstm-transformer": NetworkConfig(signal=tokens),
        "convlstm-trans-blstm-2": NetworkConfig(signal=ConvLSTMConfig(**small, blocks=2, block="trans-blstm-2")),
        "transformer": NetworkConfig(signal=TransformerConfig(**blocks, blocks=2)),
        "trans-blstm-1": NetworkConfig(signal=one),
        "trans-blstm-2": NetworkConfig(signal=two),
        "vit+bilstm-late": NetworkConfig(vision, bilstm, "late"),
        "vit+bilstm-late-gated": NetworkConfig(vision, bilstm, "late-gated"),
        "vit+bilstm-late-mean": NetworkConfig(vision, bilstm, "late-mean"),
        "vit+convlstm-bottleneck": NetworkConfig(vision, tokens, "bottleneck", fusion_layer=1, bottlenecks=3),
        "vit+convlstm-bottleneck-merged": NetworkConfig(vision, tokens, "bottleneck", fusion_layer=0, merge=0.5),
        "vit+convlstm-bottleneck-shared": NetworkConfig(
            vision, tokens, "bottleneck", fusion_layer=1, bottlenecks=3, shared_blocks=True
        ),
        "vit+convlstm-cross": NetworkConfig(vision, tokens, "cross", fusion_layer=1),
        "vit+convlstm-joint": NetworkConfig(vision, tokens, "joint", fusion_layer=1),
    }


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Return a function of a spec that draws a batch; a share of cells and steps is missing."""

    def draw(spec: InputSpec, size: int = 4, missing: float = 0.2, dtype: torch.dtype = torch.float64) -> Batch:
        generator = torch.Generator().manual_seed(1)
        k = spec.kernel
        present = torch.rand(size, spec.steps, k, k, generator=generator) >= missing
        cube = torch.randn(size, spec.steps, spec.channels, k, k, generator=generator, dtype=dtype)
        image = torch.randn(size, 3, spec.chip_px, spec.chip_px, generator=generator, dtype=dtype)
        return {"image": image, "cube": cube * present[:, :, None], "present": present}

    return draw
