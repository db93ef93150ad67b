"""The named rows: what each trains, the command, and the score to expect on the demo city.

Names (design: "names that other code relies on"): streams joined by `+`, fusion and options by `-`. Suites, axes and
declared contrasts of these rows: `fusion.training.suites`. No torch here.
"""

import difflib
from dataclasses import replace
from typing import Any

from fusion.errors import ConfigError
from fusion.models.config import (
    CITY_WEIGHTS,
    LEVELLED,
    BiLSTMConfig,
    ConvLSTMConfig,
    CouplingConfig,
    NetworkConfig,
    SignalConfig,
    TransformerConfig,
    VisionConfig,
)
from fusion.training.experiment import Experiment, TrainingConfig

_VIT = VisionConfig.parse("vit 4x192, patch 24")
_PRETRAINED = replace(_VIT, weights=CITY_WEIGHTS)
_IMAGES = {
    "vit": _VIT,
    "vit-pretrained": _PRETRAINED,
    "vit-fine-pretrained": replace(VisionConfig.parse("vit 4x192, patch 12"), weights=CITY_WEIGHTS),
}
_LONG = TrainingConfig(epochs=20)
_LEVELS = 3  # transformer blocks of a signal stream that meets the upper three of the ViT's four, level by level
_SIGNALS: dict[str, SignalConfig] = {
    "bilstm": BiLSTMConfig(),
    "convlstm": ConvLSTMConfig(),
    "bilstm-transformer": BiLSTMConfig(blocks=_LEVELS),
    "convlstm-transformer": ConvLSTMConfig(blocks=_LEVELS),
    "transformer": TransformerConfig(blocks=_LEVELS),
    "trans-blstm-1": TransformerConfig(blocks=_LEVELS, block="trans-blstm-1"),
    "trans-blstm-2": TransformerConfig(blocks=_LEVELS, block="trans-blstm-2"),
}


def _alone(stream: str, what: str, suffix: str = "", training: TrainingConfig | None = None) -> Experiment:
    network = NetworkConfig(vision=_IMAGES[stream]) if stream in _IMAGES else NetworkConfig(signal=_SIGNALS[stream])
    return Experiment(f"{stream}{suffix}", what, network, training or TrainingConfig())


def _fused(
    image: str,
    signal: str,
    suffix: str,
    what: str,
    training: TrainingConfig | None = None,
    **options: Any,
) -> Experiment:
    """Return the row `<image>+<signal>-<suffix>`; fusions by level have transformer blocks on the signal's tokens."""
    fusion = options.pop("fusion")
    by_level = fusion in LEVELLED
    stream = f"{signal}-transformer" if by_level and f"{signal}-transformer" in _SIGNALS else signal
    network = NetworkConfig(_IMAGES[image], _SIGNALS[stream], fusion, **options)
    return Experiment(
        f"{image}+{signal}-{suffix}", what, network, training or TrainingConfig(), partners=(image, stream)
    )


def _bottleneck(suffix: str, what: str, **options: Any) -> Experiment:
    """Return a variant of the row that the sweeps start from."""
    name = f"bottleneck-{suffix}" if suffix else "bottleneck"
    defaults: dict[str, Any] = {"fusion": "bottleneck", "fusion_layer": 0, "bottlenecks": 4}
    return _fused("vit-pretrained", "convlstm", name, what, **{**defaults, **options})


_ROWS = (
    _alone("vit", "A ViT of 4 blocks of 192 on the chip alone, from scratch."),
    _alone(
        "vit-pretrained", "The same ViT, pretrained by masked autoencoding on the city's own imagery (He et al. 2022)."
    ),
    _alone("bilstm", "Two bidirectional LSTM layers on the cell's own series alone."),
    _alone("convlstm", "Two ConvLSTM layers on the series of the cell and its neighbours alone."),
    _alone("bilstm-transformer", "Transformer blocks on the BiLSTM's hourly outputs, alone."),
    _alone(
        "convlstm-transformer",
        "Transformer blocks on the ConvLSTM's hourly states, alone: the partner of fusion by level.",
    ),
    _alone("transformer", "Transformer blocks on the cell's hourly counts alone."),
    _alone(
        "trans-blstm-1",
        "TRANS-BLSTM 1 (Huang et al. 2020): a BLSTM instead of each feed-forward layer, hourly counts alone.",
    ),
    _alone(
        "trans-blstm-2",
        "TRANS-BLSTM 2 (Huang et al. 2020): a BLSTM beside each feed-forward layer, hourly counts alone.",
    ),
    _fused(
        "vit",
        "bilstm",
        "late",
        "The user's own: ViT from scratch and BiLSTM, concatenated (reported by the user, own data set: 53.3 %).",
        fusion="late",
    ),
    _fused(
        "vit-pretrained",
        "bilstm",
        "late",
        "The user's own: pretrained ViT and BiLSTM, concatenated (reported by the user, own data set: 63.6 %).",
        fusion="late",
    ),
    _fused(
        "vit",
        "convlstm",
        "late",
        "The user's plan without pretraining: ViT and ConvLSTM, concatenated before the head.",
        fusion="late",
    ),
    _fused(
        "vit-pretrained",
        "convlstm",
        "late",
        "The user's plan: pretrained ViT and ConvLSTM, concatenated before the head.",
        fusion="late",
    ),
    _fused(
        "vit-pretrained",
        "convlstm",
        "late-mean",
        "Pretrained ViT and ConvLSTM, mean of the logits of a head each.",
        fusion="late-mean",
    ),
    _fused(
        "vit-pretrained",
        "convlstm",
        "late-gated",
        "Pretrained ViT and ConvLSTM, a gate a feature (Arevalo et al. 2017).",
        fusion="late-gated",
    ),
    _fused(
        "vit",
        "convlstm",
        "bottleneck",
        "ViT from scratch and transformer blocks on ConvLSTM's hourly tokens, meeting from level 0 on through four "
        "bottleneck tokens (MBT, Nagrani et al. 2021).",
        fusion="bottleneck",
        fusion_layer=0,
        bottlenecks=4,
    ),
    _fused(
        "vit-pretrained",
        "convlstm",
        "joint",
        "One stack of attention over the tokens of both streams, from level 0 on.",
        fusion="joint",
        fusion_layer=0,
    ),
    _fused(
        "vit-pretrained",
        "convlstm",
        "cross",
        "Cross-attention with own weights, from level 0 on.",
        fusion="cross",
        fusion_layer=0,
    ),
    _bottleneck(
        "",
        "Pretrained ViT and ConvLSTM, meeting from level 0 on through four bottleneck tokens (MBT, Nagrani 2021).",
    ),
    _bottleneck("mid", "Bottleneck fusion from level 1 of 3 on.", fusion_layer=1),
    _bottleneck(
        "late", "Lf = L: no level fused, the mean of the logits with shared norm and head.", fusion_layer=_LEVELS
    ),
    _bottleneck("b1", "One bottleneck token.", bottlenecks=1),
    _bottleneck("b16", "Sixteen bottleneck tokens.", bottlenecks=16),
    _bottleneck("shared", "One set of blocks for both modalities.", shared_blocks=True),
    _bottleneck(
        "share", "Coupled levels: one set of attention tensors for both streams.", coupling=CouplingConfig("share")
    ),
    _bottleneck("distance", "Coupled levels: attention tensors drawn together.", coupling=CouplingConfig("distance")),
    _bottleneck(
        "contrastive",
        "Coupled levels: InfoNCE between the pooled representations.",
        coupling=CouplingConfig("contrastive"),
    ),
    _bottleneck(
        "orthogonal",
        "Coupled levels: pooled representations pushed to differ, so that they complement each other.",
        coupling=CouplingConfig("orthogonal"),
    ),
    _bottleneck(
        "merged", "Half of each stream's tokens merged away before fusion (ToMe, Bolya et al. 2023).", merge=0.5
    ),
    _bottleneck("merged-75", "Three quarters of each stream's tokens merged away before fusion.", merge=0.75),
    _bottleneck(
        "dropout",
        "Modality dropout: in training a third of the samples lack a modality, and a learned token stands for it.",
        absent_tokens=True,
        training=TrainingConfig(modality_dropout=1 / 3),
    ),
    _fused(
        "vit-pretrained",
        "trans-blstm-2",
        "bottleneck",
        "Pretrained ViT and TRANS-BLSTM 2 through four bottlenecks.",
        fusion="bottleneck",
        fusion_layer=0,
    ),
    _fused(
        "vit-pretrained",
        "trans-blstm-2",
        "bottleneck-distance",
        "Coupled levels of transformer and LSTM: leading input subspaces drawn together (the user's idea).",
        fusion="bottleneck",
        fusion_layer=0,
        coupling=CouplingConfig("distance"),
    ),
    _fused(
        "vit-pretrained",
        "trans-blstm-2",
        "bottleneck-apart",
        "Coupled levels of transformer and LSTM: leading input subspaces pushed apart (the user's idea).",
        fusion="bottleneck",
        fusion_layer=0,
        coupling=CouplingConfig("distance", apart=True),
    ),
    _alone("vit-fine-pretrained", "The pretrained ViT on patches of 12 px instead of 24, 20 epochs.", "-long", _LONG),
    _alone(
        "convlstm-transformer", "Transformer blocks on the ConvLSTM's hourly states, alone, 20 epochs.", "-long", _LONG
    ),
    _alone("trans-blstm-2", "TRANS-BLSTM 2, hourly counts alone, 20 epochs.", "-long", _LONG),
    replace(
        _fused(
            "vit-fine-pretrained",
            "convlstm",
            "joint-long",
            "Joint attention with patches of 12 px instead of 24, and 20 epochs instead of 10.",
            training=_LONG,
            fusion="joint",
            fusion_layer=0,
        ),
        partners=("vit-fine-pretrained-long", "convlstm-transformer-long"),
    ),
)

# What `python -m fusion compare` prints of the reference runs; a test holds it to those that ship.
_EXPECTED = {
    "vit-pretrained+convlstm-joint": "74.6 % (72.5 to 76.7)",
    "vit-pretrained+convlstm-bottleneck-orthogonal": "72.9 % (70.8 to 75.3)",
    "vit-pretrained+convlstm-bottleneck-merged": "72.7 % (70.5 to 74.9)",
    "vit-pretrained+convlstm-bottleneck": "72.2 % (70.1 to 74.3)",
    "vit-pretrained+convlstm-bottleneck-mid": "71.7 % (69.6 to 74.0)",
    "vit-pretrained+convlstm-bottleneck-dropout": "69.7 % (67.7 to 71.8)",
    "vit-pretrained+convlstm-late": "67.5 % (65.2 to 69.7)",
    "vit+bilstm-late": "65.2 % (62.8 to 67.5)",
    "vit-pretrained+bilstm-late": "65.2 % (63.1 to 67.3)",
    "trans-blstm-2": "57.8 % (55.4 to 60.2)",
    "convlstm-transformer": "56.4 % (53.9 to 59.0)",
    "vit-pretrained": "47.5 % (45.1 to 50.1)",
}
EXPERIMENTS: dict[str, Experiment] = {
    row.name: replace(row, expected=_EXPECTED[row.name]) if row.name in _EXPECTED else row for row in _ROWS
}


def experiment_named(name: str) -> Experiment:
    """Return the row of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    close = difflib.get_close_matches(name, EXPERIMENTS, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    raise ConfigError(f"unknown experiment {name!r}{guess}: there are {', '.join(EXPERIMENTS)}")
