"""Suites, axes and contrasts: what is run together and compared, declared before anything of it is run.

A contrast that is chosen after seeing the scores proves nothing, so the list is part of the program: at most twelve,
corrected together (Holm). Sources of the questions: facts §4 and the user's report. No torch here.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from fusion.errors import ConfigError
from fusion.training.experiments import EXPERIMENTS


@dataclass(frozen=True)
class Contrast:
    """A declared question: is experiment `a` better than `b`? The effect is a minus b; `en`, `zh` ask it in words."""

    a: str
    b: str
    en: str
    zh: str


CORE = (
    "vit-pretrained",
    "convlstm-transformer",
    "trans-blstm-2",
    "vit+bilstm-late",
    "vit-pretrained+bilstm-late",
    "vit-pretrained+convlstm-late",
    "vit-pretrained+convlstm-joint",
    "vit-pretrained+convlstm-bottleneck",
    "vit-pretrained+convlstm-bottleneck-mid",
    "vit-pretrained+convlstm-bottleneck-orthogonal",
    "vit-pretrained+convlstm-bottleneck-merged",
    "vit-pretrained+convlstm-bottleneck-dropout",
)

# What `core` found missing, mended: an image stream on finer patches, and twice the time. Its single streams have the
# same, so that what fusion gains is not what training longer gains.
FINE = (
    "vit-fine-pretrained-long",
    "convlstm-transformer-long",
    "trans-blstm-2-long",
    "vit-fine-pretrained+convlstm-joint-long",
)

SUITES: dict[str, tuple[str, ...]] = {"core": CORE, "fine": FINE, "all": tuple(EXPERIMENTS)}

# Rows that differ in one thing, in the order of that thing; the first is what the others are measured against.
AXES: dict[str, tuple[str, ...]] = {
    "fusion-layer": (
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-mid",
        "vit-pretrained+convlstm-bottleneck-late",
    ),
    "bottlenecks": (
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-b1",
        "vit-pretrained+convlstm-bottleneck-b16",
    ),
    "fusion": (
        "vit-pretrained+convlstm-late",
        "vit-pretrained+convlstm-late-mean",
        "vit-pretrained+convlstm-late-gated",
        "vit-pretrained+convlstm-joint",
        "vit-pretrained+convlstm-cross",
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-shared",
    ),
    "coupling": (
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-share",
        "vit-pretrained+convlstm-bottleneck-distance",
        "vit-pretrained+convlstm-bottleneck-contrastive",
        "vit-pretrained+convlstm-bottleneck-orthogonal",
        "vit-pretrained+trans-blstm-2-bottleneck",
        "vit-pretrained+trans-blstm-2-bottleneck-distance",
        "vit-pretrained+trans-blstm-2-bottleneck-apart",
    ),
    "streams": (
        "vit",
        "vit-pretrained",
        "bilstm",
        "convlstm",
        "bilstm-transformer",
        "convlstm-transformer",
        "transformer",
        "trans-blstm-1",
        "trans-blstm-2",
    ),
    "pretraining": (
        "vit",
        "vit-pretrained",
        "vit+bilstm-late",
        "vit-pretrained+bilstm-late",
        "vit+convlstm-late",
        "vit-pretrained+convlstm-late",
        "vit+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck",
    ),
    "merging": (
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-merged",
        "vit-pretrained+convlstm-bottleneck-merged-75",
    ),
    "modality-dropout": (
        "vit-pretrained+convlstm-bottleneck",
        "vit-pretrained+convlstm-bottleneck-dropout",
    ),
}

_LATE = "vit-pretrained+convlstm-late"
_DEEP = "vit-pretrained+convlstm-bottleneck"
CONTRASTS: tuple[Contrast, ...] = (
    Contrast(_DEEP, "vit-pretrained", "Does fusion beat the image alone?", "融合是否优于仅影像？"),
    Contrast(_DEEP, "convlstm-transformer", "Does fusion beat the signal alone?", "融合是否优于仅信令？"),
    Contrast(
        _LATE, "convlstm-transformer", "Is late fusion enough to beat the signal alone?", "后期融合是否已优于仅信令？"
    ),
    Contrast(_DEEP, _LATE, "Does meeting level by level beat concatenation?", "逐层交互是否优于末端拼接？"),
    Contrast(_DEEP, "vit-pretrained+convlstm-joint", "Bottlenecks or joint attention?", "瓶颈还是联合注意力？"),
    Contrast(f"{_DEEP}-mid", _DEEP, "Mid or early fusion?", "中期还是早期融合？"),
    Contrast(
        "vit-pretrained+bilstm-late", "vit+bilstm-late", "Does pretraining the ViT help?", "预训练 ViT 是否有益？"
    ),
    Contrast(_LATE, "vit-pretrained+bilstm-late", "Does ConvLSTM beat BiLSTM?", "ConvLSTM 是否优于 BiLSTM？"),
    Contrast("trans-blstm-2", "convlstm-transformer", "TRANS-BLSTM or ConvLSTM?", "TRANS-BLSTM 还是 ConvLSTM？"),
    Contrast(f"{_DEEP}-orthogonal", _DEEP, "Does coupling the levels help?", "层级约束是否有益？"),
    Contrast(f"{_DEEP}-merged", _DEEP, "What does token merging cost?", "合并词元代价多大？"),
    Contrast(f"{_DEEP}-dropout", _DEEP, "What does modality dropout cost?", "模态丢弃代价多大？"),
)


def suite_rows(names: Sequence[str]) -> tuple[str, ...]:
    """Return the experiments that names of suites and experiments stand for, each once, in the order given.

    Raises:
        ConfigError: a name that is neither.
    """
    found: dict[str, None] = {}
    for name in names:
        if name not in SUITES and name not in EXPERIMENTS:
            close = difflib.get_close_matches(name, [*SUITES, *EXPERIMENTS], n=1)
            guess = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigError(
                f"unknown experiment or suite {name!r}{guess}: there are the suites {', '.join(SUITES)} and the "
                f"experiments {', '.join(EXPERIMENTS)}"
            )
        found |= dict.fromkeys(SUITES.get(name, (name,)))
    return tuple(found)
