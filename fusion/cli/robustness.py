"""The command `robustness`: how a trained run bears damage at test time."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusion.cli.console import AsJson, CityName, Device, progress_line, show_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from fusion.samples.sampleset import SampleSet
    from fusion.training.runs import RunRecord

FILE = "robustness.csv"


def robustness(
    city: CityName,
    run: Annotated[str, typer.Option(help="The id of a run with weights: see `runs`.")],
    limit: Annotated[int | None, typer.Option(help="Measure on so many test cells only.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is damaged.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a run's accuracy with a modality absent, hours missing, imagery clouded or shifted, signaling noisier.

    On the run's own test cells; the table is also written into an own run's folder, as robustness.csv.

    Example: python -m fusion robustness --city zhengzhou-demo --run RUN_ID --limit 500
    """
    from fusion.city import open_city
    from fusion.cli.runs import run_folder
    from fusion.errors import RunError
    from fusion.serving.predictor import samples_for
    from fusion.training.runs import load_run

    opened = open_city(city)
    record = load_run(run_folder(opened, run))
    samples = samples_for(opened, record.folder, progress_line("samples"))
    if record.run.get("samples_fingerprint") != samples.meta.fingerprint:
        raise RunError(f"{run}: {city}'s data changed since, so its test cells are not what they were: train it again")
    table = measure_run(record, samples, device, limit=limit, seed=seed, progress=progress_line("robustness"))
    if not record.shipped:
        write_table(table, record.folder / FILE)
    show_table(json.loads(table.to_json(orient="records", double_precision=6)), as_json, empty="nothing was measured")


def damage_run(folder: "Path", samples: "SampleSet") -> None:
    """Measure a run's robustness on all its test cells and write it into the run's folder."""
    from fusion.training.runs import load_run

    write_table(measure_run(load_run(folder), samples), folder / FILE)


def measure_run(record: "RunRecord", samples: "SampleSet", device: str = "cpu", **options: Any) -> "pd.DataFrame":
    """Return `measure_robustness` of a run on its own test cells; `options` are that function's."""
    from fusion.analysis.robustness import measure_robustness
    from fusion.serving.predictor import load_predictor

    predictor = load_predictor(record.folder, device)
    rows = samples.rows_of(record.predictions()["id"].to_numpy(dtype=str))
    return measure_robustness(predictor, samples, rows, not_evaluable=record.run.get("not_evaluable") or (), **options)


def write_table(table: "pd.DataFrame", path: "Path") -> None:
    """Write a CSV file that is whole or, as before, absent."""
    partial = path.with_name(f".{path.name}.new")
    try:
        table.to_csv(partial, index=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
