from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from fusion.errors import ConfigError
from fusion.models.config import InputSpec, VisionConfig
from fusion.models.vision import VisionStream
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]


def test_stream_is_the_equations(spec: InputSpec, vision: VisionConfig, make_batch: MakeBatch) -> None:
    stream = VisionStream(vision, spec).double().eval()
    for parameter in stream.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batch = make_batch(spec)

    found = stream.readout(batch).detach().numpy()

    w = equations.weights(stream)
    image = batch["image"].numpy()
    kernel = w["stem.patch_embed.proj.weight"].reshape(16, -1)
    patches = [image[:, :, i : i + 4, j : j + 4].reshape(len(image), -1) for i in (0, 4) for j in (0, 4)]
    tokens = np.stack(patches, axis=1) @ kernel.T + w["stem.patch_embed.proj.bias"]
    x = np.concatenate([np.repeat(w["stem.cls_token"], len(image), axis=0), tokens], axis=1) + w["stem.pos_embed"]
    for block in stream.blocks:
        x = equations.transformer_block(block, x, heads=2)
    expected = equations.layer_norm(x, w["norm.weight"], w["norm.bias"])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_named_model_is_timms_own(make_batch: MakeBatch) -> None:
    spec = InputSpec(chip_px=32, steps=1, channels=3, kernel=1)
    batch = make_batch(spec, dtype=torch.float32)
    torch.manual_seed(5)
    stream = VisionStream(VisionConfig("vit_tiny_patch16_224", patch=8), spec).eval()
    torch.manual_seed(5)
    whole = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=0).eval()

    assert stream.embed(batch)[0].shape == (4, 17, 192)
    torch.testing.assert_close(stream.readout(batch), whole(batch["image"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_tinny_patch16_224", "vit_tiny_patch16_224"),
        ("resnet18", "another architecture"),
        ("swin_tiny_patch4_window7_224", "another architecture"),
        ("vit_medium_patch16_gap_240", "class token"),
        ("deit_tiny_distilled_patch16_224", "prefix tokens"),
        ("hf-hub:timm/vit_tiny_patch16_224", "no model"),
    ],
)
def test_other_models_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        VisionStream(VisionConfig(name), InputSpec())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [VisionConfig(patch=14), VisionConfig("vit_tiny_patch16_224", patch=14)])
def test_patches_fill_the_chip(config: VisionConfig) -> None:
    with pytest.raises(ConfigError, match="96 px"):
        VisionStream(config, InputSpec(chip_px=96))
