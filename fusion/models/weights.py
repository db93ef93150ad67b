"""Initial weights of a vision stream: a local safetensors file, or timm's pretrained ones, fetched as one."""

import difflib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.errors import ConfigError, InputError

# isort: split
import timm
from huggingface_hub import hf_hub_download
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

log = logging.getLogger(__name__)

ABOUT = "fusion"  # the metadata key under which pretraining says, in JSON, how the weights came about


@dataclass(frozen=True)
class WeightsReport:
    """What of a weights file was taken.

    Attributes:
        source: the file.
        loaded: tensors taken, some of them resampled to another patch size or number of positions.
        missing: names of the model that the file lacks; they keep their initial values.
        unexpected: names of the file that the model lacks, for instance a classification head.
    """

    source: str
    loaded: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def load_weights(model: VisionTransformer, path: Path) -> WeightsReport:
    """Load a safetensors file with timm's names into a whole VisionTransformer, in place.

    Patch and position embeddings are resampled bicubically where the file has others (timm's `checkpoint_filter_fn`).

    Raises:
        InputError: no such file, no safetensors file, or the weights of another architecture.
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist: give the path of a safetensors file")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"weights file {path} is torn or no safetensors file ({_line(error)}): save it again"
        ) from error
    try:
        state = checkpoint_filter_fn(state, model)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(_foreign(path, f"its embeddings cannot be resampled: {_line(error)}")) from error
    own = model.state_dict()
    missing = tuple(sorted(set(own) - set(state)))
    unexpected = tuple(sorted(set(state) - set(own)))
    lacking = [name for name in missing if not name.startswith(("norm.", "fc_norm.", "head."))]
    if lacking:
        raise InputError(_foreign(path, f"it lacks {_few(lacking)}"))
    beyond = [name for name in unexpected if name.startswith("blocks.")]
    if beyond:
        raise InputError(_foreign(path, f"the model has no {_few(beyond)}"))
    for name in set(own) & set(state):
        if own[name].shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model"
            raise InputError(_foreign(path, f"{name} is {shapes}"))
    model.load_state_dict(state, strict=False)
    report = WeightsReport(str(path), len(own) - len(missing), missing, unexpected)
    log.info("%s: %d tensors loaded, missing %s, not used %s", path, report.loaded, list(missing), list(unexpected))
    return report


def read_about(path: Path) -> dict[str, Any] | None:
    """Return what pretraining wrote into a weights file about itself; None of files from elsewhere.

    Raises:
        InputError: the file is absent, torn or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(ABOUT)
        about = None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"weights file {path} is torn or no safetensors file ({_line(error)}): save it again"
        ) from error
    return about if isinstance(about, dict) else None


def download_weights(name: str) -> Path:
    """Return timm's pretrained weights of a model as a local file, from the Hugging Face cache or hub.

    Raises:
        ConfigError: timm has no pretrained weights for the model.
        InputError: they could not be fetched; the message gives the manual way.
    """
    pretrained = timm.get_pretrained_cfg(name)
    repository = pretrained.hf_hub_id if pretrained else None
    if pretrained is None or not repository:
        raise ConfigError(f"timm has no pretrained weights for {name!r}: leave weights out, or give a safetensors file")
    named = pretrained.hf_hub_filename or ""
    filename = named if named.endswith(".safetensors") else "model.safetensors"
    try:
        return Path(hf_hub_download(repository, filename))
    except Exception as error:  # the hub's HTTP library, and with it its errors, change with its version
        raise InputError(
            f"the pretrained weights of {name!r} could not be fetched ({type(error).__name__}): with network, download "
            f"{filename} of the Hugging Face repository {repository}, and give its path as the vision stream's weights"
        ) from error


def similar_models(name: str) -> str:
    """Return the ViT names most like a misspelt one, for an error message."""
    close = difflib.get_close_matches(name, timm.list_models("*vit*"), n=3, cutoff=0.5)
    return ", ".join(close or ["vit_tiny_patch16_224", "vit_small_patch16_224"])


def _foreign(path: Path, reason: str) -> str:
    return (
        f"weights file {path} is of another architecture ({reason}): give weights of a ViT of the same depth and width"
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
