"""The vision stream: a timm VisionTransformer with one class token, taken apart into embedding, blocks and norm."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.errors import ConfigError
from fusion.models.blocks import AttentionBlock, Batch, Norm, Stream
from fusion.models.config import CITY_WEIGHTS, InputSpec, VisionConfig
from fusion.models.weights import WeightsReport, download_weights, load_weights, similar_models

# isort: split
import timm
from timm.models.vision_transformer import VisionTransformer

_MODULES = ("timm.models.vision_transformer", "timm.models.deit")  # where timm keeps plain VisionTransformers


class VisionStream(Stream):
    """Tokens: the class token and one a patch, with their position embeddings; blocks: timm's, own weights.

    Attributes:
        stem: the VisionTransformer without blocks, norm and head: patch embedding, class token, positions.
        weights: what was taken of a weights file, or None from scratch.
    """

    modality = "vision"

    def __init__(self, config: VisionConfig, spec: InputSpec, initial_weights: bool = True) -> None:
        """Build the stream.

        Args:
            config: the architecture, and where its weights come from.
            spec: gives the chip's edge.
            initial_weights: False leaves `config.weights` alone, for a checkpoint that brings all weights itself.

        Raises:
            ConfigError: an unknown name, an architecture other than a ViT with one class token, patches that do not
                fill the chip, or weights "city", which are a fold's and not found here.
            InputError: weights that cannot be read, fetched or used.
        """
        super().__init__()
        vit = build_vit(config, spec.chip_px)
        self.weights: WeightsReport | None = None
        if initial_weights and config.weights is not None:
            self.weights = load_weights(vit, _weights_file(config))
        self.width = vit.embed_dim
        self.blocks = nn.ModuleList(AttentionBlock(block) for block in vit.blocks)
        self.norm = vit.norm
        vit.blocks, vit.norm = nn.Sequential(), nn.Identity()
        self.stem = vit

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        # what is left of timm's forward_features is exactly the embedding
        return self.stem.forward_features(batch["image"]), None


def build_vit(config: VisionConfig, chip_px: int) -> VisionTransformer:
    """Return the whole VisionTransformer of a configuration, without head, with weights drawn from torch's generator.

    Args:
        config: the architecture; where its weights come from is not looked at.
        chip_px: edge of the chips, pixels.

    Raises:
        ConfigError: an unknown name, an architecture other than a ViT with one class token, or patches that do not
            fill the chip.
    """
    options: dict[str, Any] = {
        "img_size": chip_px,
        "num_classes": 0,
        "global_pool": "token",
        "proj_drop_rate": config.dropout,
        "pos_drop_rate": config.dropout,
        "drop_path_rate": config.drop_path,
    }
    if config.patch is not None:
        options["patch_size"] = config.patch
    if config.name is None:
        _check_patches(options["patch_size"], chip_px)
        sizes: dict[str, Any] = {"embed_dim": config.width, "depth": config.depth, "num_heads": config.heads}
        sizes["mlp_ratio"] = config.mlp_ratio
        return VisionTransformer(**sizes, norm_layer=Norm, **options)
    name = config.name
    if not timm.is_model(name):
        raise ConfigError(f"timm has no model {name!r}: did you mean {similar_models(name)}?")
    needed = "the vision stream needs a VisionTransformer with one class token, for instance vit_tiny_patch16_224"
    if timm.model_entrypoint(name.split(".")[0]).__module__ not in _MODULES:
        raise ConfigError(f"timm's {name!r} is another architecture: {needed}")
    try:
        vit = timm.create_model(name, pretrained=False, **options)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        # timm asserts that token pooling has its class token
        raise ConfigError(f"timm's {name!r} cannot be built on {chip_px} px chips ({error}): {needed}") from error
    if not (isinstance(vit, VisionTransformer) and vit.has_class_token and vit.num_prefix_tokens == 1):
        raise ConfigError(f"timm's {name!r} has other prefix tokens: {needed}")
    _check_patches(vit.patch_embed.patch_size[0], chip_px)
    return vit


def _weights_file(config: VisionConfig) -> Path:
    if config.weights == "timm":
        return download_weights(str(config.name))
    if config.weights == CITY_WEIGHTS:
        raise ConfigError(
            "vision weights 'city' belong to a city and a fold, which a network does not know: train it by "
            "`python -m fusion train`, or give the file that `python -m fusion pretrain` writes"
        )
    return Path(str(config.weights))


def _check_patches(patch: int, chip_px: int) -> None:
    if chip_px % patch:
        raise ConfigError(
            f"patches of {patch} px do not fill chips of {chip_px} px: choose a patch that divides {chip_px}"
        )
