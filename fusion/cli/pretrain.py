"""The command that pretrains the vision stream on a city's own imagery."""

from pathlib import Path
from typing import Annotated

import typer

from fusion.cli.console import DEMO, CityName, Device, progress_line
from fusion.cli.training import Split
from fusion.errors import ConfigError


def pretrain(
    out: Annotated[Path, typer.Option(help="Where to write the weights: a .safetensors file.")],
    city: CityName = DEMO,
    fold: Annotated[int, typer.Option(help="0 to folds - 1; its test area stays unseen.")] = 0,
    folds: int = 5,
    transductive: Annotated[bool, typer.Option(help="Learn from all chips, those of test areas too.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the chips; 30 by default.")] = None,
    seed: int = 0,
    layout: Annotated[str, typer.Option(help="Layout of the samples whose folds these are: days or hours.")] = "days",
    k: Annotated[int, typer.Option(help="Their neighbourhood's radius, cells: the folds' buffer follows it.")] = 2,
    size: Annotated[str, typer.Option(help="Of the ViT, or a timm name.")] = "vit 4x192, patch 16",
    split: Split = None,
    device: Device = "auto",
) -> None:
    """Pretrain a ViT on a city's chips, labelled or not, by masked autoencoding (He et al. 2022).

    Example: python -m fusion pretrain --city zhengzhou-demo --fold 0 --folds 3 --out weights.safetensors
    """
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out}: weights are written as .safetensors: give a name with that ending")
    if not 0 <= fold < folds and not transductive:
        raise ConfigError(f"fold {fold} of {folds}: folds count from 0 to {folds - 1}")

    from fusion.city import open_city
    from fusion.extract.build import build_samples
    from fusion.models.config import VisionConfig
    from fusion.samples.split import make_folds
    from fusion.training.device import pick_device
    from fusion.training.pretrain import PretrainConfig, pretrain_vision, pretraining_rows

    config = VisionConfig.parse(size)
    options = PretrainConfig() if epochs is None else PretrainConfig(epochs=epochs)
    target = pick_device(device)
    opened = open_city(city)
    samples = build_samples(opened, layout=layout, k=k, progress=progress_line("samples"))
    if not opened.has_map:
        config = config.fitted_to(samples.meta.chip_px)
    chosen = None if transductive else make_folds(samples, folds, kind=split)[fold]
    report = pretrain_vision(
        samples, pretraining_rows(samples, chosen), config, options, seed, target, out,
        progress=progress_line("pretrain"), fold=chosen,
    )  # fmt: skip
    area = "all: transductive" if report.transductive else f"without the test area of fold {fold} of {folds}"
    typer.echo(f"{out}: {report.chips:,} chips ({area}), loss {report.losses[-1]:.3f}, {report.seconds:.0f} s")
