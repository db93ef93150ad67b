from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.errors import ConfigError, FusionError, InputError
from fusion.models import weights
from fusion.models.config import InputSpec, NetworkConfig, VisionConfig
from fusion.models.network import build_network
from fusion.models.vision import VisionStream
from fusion.models.weights import read_about

# isort: split
from timm.models.vision_transformer import VisionTransformer

SIZE = {"embed_dim": 16, "depth": 3, "num_heads": 2, "mlp_ratio": 2.0}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole ViT with a head, 16 px chips and 4 px patches: 16 positions."""
    path = tmp_path / "vit.safetensors"
    save_file(VisionTransformer(img_size=16, patch_size=4, num_classes=5, **SIZE).state_dict(), path)
    return path


def config(path: Path, **changes: int) -> VisionConfig:
    sizes = {"depth": 3, "width": 16, "heads": 2, "mlp_ratio": 2.0, "patch": 4, **changes}
    return VisionConfig(**sizes, weights=str(path))


def test_a_file_of_the_same_size_is_taken_as_it_is(path: Path) -> None:
    stream = VisionStream(config(path), InputSpec(chip_px=16))
    saved = load_file(path)
    torch.testing.assert_close(stream.stem.pos_embed, saved["pos_embed"], atol=0, rtol=0)
    torch.testing.assert_close(stream.blocks[2].block.mlp.fc2.weight, saved["blocks.2.mlp.fc2.weight"], atol=0, rtol=0)
    torch.testing.assert_close(stream.norm.weight, saved["norm.weight"], atol=0, rtol=0)
    assert stream.weights is not None
    assert stream.weights.unexpected == ("head.bias", "head.weight")
    assert stream.weights.missing == ()


def test_other_positions_and_patches_are_resampled(tmp_path: Path) -> None:
    """A constant position embedding stays so on any grid, without the class token's; patches keep their tokens."""
    vit = VisionTransformer(img_size=16, patch_size=4, num_classes=0, **SIZE)
    with torch.no_grad():
        vit.pos_embed[:, 0] = 7.0
        vit.pos_embed[:, 1:] = torch.arange(16.0)
    path = tmp_path / "vit.safetensors"
    save_file(vit.state_dict(), path)

    finer = VisionStream(config(path, patch=2), InputSpec(chip_px=16))
    coarser = VisionStream(config(path, patch=8), InputSpec(chip_px=32))

    positions = finer.stem.pos_embed[0]
    assert positions.shape == (65, 16)
    torch.testing.assert_close(positions[0], torch.full((16,), 7.0))
    torch.testing.assert_close(positions[1:], torch.arange(16.0).expand(64, -1), atol=1e-4, rtol=0)
    # larger patches: the token of a flat image stays, pixel by pixel weaker (FlexiViT, arXiv 2212.08013)
    flat, flat_before = (m.patch_embed.proj.weight.sum(dim=(1, 2, 3)) for m in (coarser.stem, vit))
    torch.testing.assert_close(flat, flat_before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"), [({"depth": 4}, "lacks blocks.3"), ({"depth": 2}, "no blocks.2"), ({"width": 32}, "is ")]
)
def test_another_architecture_is_refused(path: Path, changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=f"another architecture.*{message}") as caught:
        VisionStream(config(path, **changes), InputSpec(chip_px=16))
    assert "\n" not in str(caught.value)


def test_a_convolutional_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(10)}, path)
    with pytest.raises(InputError, match="another architecture"):
        VisionStream(config(path), InputSpec(chip_px=16))


def test_a_torn_or_absent_file_is_named(path: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(path.read_bytes()[:-100])
    pickled = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(2)}, pickled)
    absent = tmp_path / "none.safetensors"
    for broken, message in ((torn, "torn"), (pickled, "safetensors"), (absent, "exist"), (tmp_path, "exist")):
        with pytest.raises(InputError, match=message) as caught:
            VisionStream(config(broken), InputSpec(chip_px=16))
        assert str(broken) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_pretrained_without_network_tells_the_manual_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FusionError, match=r"download model.safetensors of .*timm/vit_tiny_patch16_224") as caught:
        VisionStream(VisionConfig("vit_tiny_patch16_224", weights="timm"), InputSpec())
    assert "\n" not in str(caught.value)


def test_a_connection_that_breaks_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadError(Exception):
        """As the hub's HTTP library raises: no OSError."""

    def breaks(*names: str) -> str:
        raise ReadError("peer closed connection\nwithout a word")

    monkeypatch.setattr(weights, "hf_hub_download", breaks)
    with pytest.raises(InputError, match=r"could not be fetched \(ReadError\).*download model.safetensors") as caught:
        VisionStream(VisionConfig("vit_tiny_patch16_224", weights="timm"), InputSpec())
    assert "\n" not in str(caught.value)


def test_a_model_that_was_never_pretrained_is_refused() -> None:
    with pytest.raises(ConfigError, match="no pretrained weights"):
        VisionStream(VisionConfig("vit_small_patch16_36x1_224", weights="timm"), InputSpec())


def test_pretrained_weights_are_loaded_where_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    path = tmp_path / "model.safetensors"
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    save_file(vit.state_dict(), path)
    asked = []
    monkeypatch.setattr(weights, "hf_hub_download", lambda *names: asked.append(names) or str(path))

    network = build_network(
        NetworkConfig(VisionConfig("vit_tiny_patch16_224", patch=32, weights="timm")), InputSpec(chip_px=96)
    )

    assert asked == [("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "model.safetensors")]
    stream = network.streams["vision"]
    torch.testing.assert_close(stream.blocks[11].block.attn.qkv.weight, vit.blocks[11].attn.qkv.weight)
    assert stream.stem.pos_embed.shape == (1, 10, 192)
    # a checkpoint brings its own weights: nothing is fetched again
    build_network(network.config, network.spec, initial_weights=False)
    assert len(asked) == 1


def test_a_files_own_record_survives_or_is_refused(tmp_path: Path) -> None:
    plain, torn = tmp_path / "plain.safetensors", tmp_path / "torn.safetensors"
    save_file({"a": torch.zeros(1)}, plain)
    save_file({"a": torch.zeros(1)}, torn, metadata={"fusion": "{half"})
    assert read_about(plain) is None
    for path in (torn, tmp_path / "absent.safetensors"):
        with pytest.raises(FusionError, match=path.name) as caught:
            read_about(path)
        assert "\n" not in str(caught.value)
