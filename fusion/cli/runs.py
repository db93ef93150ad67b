"""Commands about experiments and runs: reference, experiments, runs, compare, predict."""

import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusion.cli.console import DEMO, AsJson, CityName, Device, progress_line, read_lines, show_json, show_table
from fusion.errors import ConfigError, InputError, RunError

if TYPE_CHECKING:
    from fusion.city import City
    from fusion.samples.sampleset import SampleSet
    from fusion.training.experiment import Experiment


def reference(
    city: CityName = DEMO,
    device: Device = "cpu",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to n - 1.")] = 2,
) -> None:
    """Train what ships: the suite core on three folds; results go to data/reference/.

    Example: python -m fusion reference
    """
    from fusion.cli.robustness import damage_run
    from fusion.serving.ceilings import known_ceilings
    from fusion.training.experiments import experiment_named
    from fusion.training.reference import REFERENCE, train_reference

    opened, samples = _samples(city, [experiment_named(name) for name in REFERENCE])
    train_reference(
        samples, opened.runs, opened.reference, device=device,
        progress=progress_line("reference"), ceilings=known_ceilings(opened), damage=damage_run, seeds=seeds,
    )  # fmt: skip
    typer.echo(str(opened.reference))


def runs(
    city: CityName = DEMO,
    delete: Annotated[str | None, typer.Option(help="Remove this run.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a city's trained runs, or delete one.

    Example: python -m fusion runs --city zhengzhou-demo
    """
    from fusion.city import open_city
    from fusion.training.runs import delete_run, list_runs

    opened = open_city(city)
    if delete is not None:
        delete_run(run_folder(opened, delete))
        typer.echo(f"{delete}: deleted")
        return
    table = list_runs(opened)
    show_table(
        json.loads(table.to_json(orient="records")), as_json, empty="no run yet: make one with `python -m fusion train`"
    )


def experiments(as_json: AsJson = False) -> None:
    """List the experiments that can be trained: what each is, its command, the accuracy to expect on the demo city.

    Example: python -m fusion experiments
    """
    from fusion.training.experiments import EXPERIMENTS
    from fusion.training.suites import SUITES

    rows = [
        {
            "name": row.name,
            "suites": [suite for suite, names in SUITES.items() if row.name in names],
            "what": row.what,
            "command": row.command,
            "expected": row.expected,
        }
        for row in EXPERIMENTS.values()
    ]
    if as_json:
        show_json(rows)
        return
    width = shutil.get_terminal_size().columns
    for told, row in zip(rows, EXPERIMENTS.values(), strict=True):
        typer.echo(f"{row.name}  ({', '.join(told['suites'])})")
        lines = textwrap.wrap(row.description, width - 4, break_on_hyphens=False)
        typer.echo(textwrap.indent("\n".join(lines), "    "))


def compare(city: CityName = DEMO, as_json: AsJson = False) -> None:
    """Show the accuracy of every experiment with its interval, beside the ceilings.

    Example: python -m fusion compare --city zhengzhou-demo --json
    """
    from fusion.city import open_city
    from fusion.serving.comparison import compare_runs

    comparison = compare_runs(open_city(city))
    if as_json:
        show_json(comparison.to_dict())
    else:
        typer.echo(comparison.to_text())


def predict(
    city: CityName,
    run: Annotated[str, typer.Option(help="The id of a run with weights: see `runs`.")],
    cells: Annotated[str, typer.Option(help="`all`, or a file with one H3 cell (or region id, URFC) a line.")],
    out: Annotated[Path, typer.Option(help="Where to write: .csv, .parquet or .geojson.")],
    device: Device = "auto",
) -> None:
    """Predict the function of cells with a trained run.

    Example: python -m fusion predict --city zhengzhou-demo --run RUN_ID --cells all --out functions.geojson
    """
    from fusion.city import open_city
    from fusion.geo.grid import from_hex
    from fusion.serving.predictor import predict as predict_cells
    from fusion.serving.predictor import predict_regions
    from fusion.serving.releases import write_release
    from fusion.store import cells as cells_of

    opened = open_city(city)
    folder = run_folder(opened, run)
    if not opened.has_map:
        if out.suffix.lower() == ".geojson":
            raise InputError(f"{out}: regions of city {city} have no place on a map: write .csv or .parquet")
        ids = None if cells == "all" else read_lines(Path(cells))
        table = predict_regions(opened, folder, ids, device=device, progress=progress_line("predict"))
        write_release(table, out)
        typer.echo(f"{len(table):,} regions: {out}")
        return
    wanted = cells_of(opened) if cells == "all" else from_hex(read_lines(Path(cells)))
    table = predict_cells(opened, folder, wanted, device=device, progress=progress_line("predict"))
    write_release(table, out)
    typer.echo(f"{len(table):,} cells: {out}")


def _samples(city: str, rows: "Sequence[Experiment]") -> "tuple[City, SampleSet]":
    """Open a city and its SampleSet of the layout and neighbourhood that experiments want."""
    from fusion.city import open_city
    from fusion.extract.build import build_samples

    wanted = {(row.layout, row.k) for row in rows}
    if len(wanted) != 1:
        raise ConfigError("these experiments need different SampleSets: train those of one layout at a time")
    layout, k = wanted.pop()
    opened = open_city(city)
    return opened, build_samples(opened, layout=layout, k=k, progress=progress_line("samples"))


def run_folder(city: "City", run_id: str) -> Path:
    """Return the folder of a run of a city, its own or shipped; RunError where there is none of that id."""
    for folder in city.run_folders():
        if folder.name == run_id:
            return folder
    raise RunError(f"city {city.name} has no run {run_id!r}: `python -m fusion runs --city {city.name}` lists them")
