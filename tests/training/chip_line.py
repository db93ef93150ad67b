"""A SampleSet whose overlaps can be counted by hand: chips on a line."""

from pathlib import Path

import numpy as np
import torch

from fusion.classes import IDS
from fusion.models.config import VisionConfig
from fusion.samples.sampleset import SampleMeta, SampleSet, write_sampleset
from fusion.samples.split import Fold
from fusion.training.pretrain import PretrainConfig

VIT = VisionConfig(depth=1, width=16, heads=2, mlp_ratio=2.0, patch=8)
QUICK = PretrainConfig(epochs=2, batch_size=64, decoder_width=32, decoder_blocks=1)
CPU = torch.device("cpu")


def write_line(folder: Path, count: int = 60, layout: str = "days", images: np.ndarray | None = None) -> SampleSet:
    """Write chips of 384 m whose centres lie 100 m apart on a line, on imagery of 4 m; every third is unlabelled."""
    rng = np.random.default_rng(0)
    steps = 24 if layout == "days" else 48
    meta = SampleMeta(
        city="lineville", provenance="synthetic", layout=layout, steps=steps, channels=1, channel_measure=(0,),
        measures=("people",), timezone="Asia/Shanghai", first_hour=None, chip_px=16, chip_m=384.0, k=0, grid="hex",
        resolution=9, classes=IDS, city_fingerprint="line", channel_names=("people",), pixel_m=(4.0, 4.0),
    )  # fmt: skip
    ones = np.ones((count, steps, 1))
    return write_sampleset(
        folder,
        meta,
        images=rng.integers(0, 256, (count, 3, 16, 16)) if images is None else images,
        series=ones,
        state=np.zeros_like(ones),
        neighbours=np.arange(count)[:, None, None],
        labels=np.where(np.arange(count) % 3 == 2, -1, np.arange(count) % 9),
        ids=[f"{number:015x}" for number in range(count)],
        groups=np.arange(count) // 4,
        position=np.stack([2000 + 100.0 * np.arange(count), np.zeros(count)], axis=1),
    )


def fold_of(test: list[int], kind: str = "spatial", index: int = 0) -> Fold:
    rows = np.arange(0)
    return Fold(index, 3, rows, rows, np.array(test), 0.5, (), kind)
