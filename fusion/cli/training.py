"""Commands that train: one run, or an ablation of many."""

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from fusion.cli.console import DEMO, CityName, Device, progress_line
from fusion.cli.news import News
from fusion.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fusion.city import City
    from fusion.training.experiment import Experiment

Split = Annotated[
    str | None,
    typer.Option(help="spatial (default on a map: test areas apart from training) or random (by cell; it flatters)."),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="KEY=VALUE changes an option, as training.epochs=5; repeatable. Makes runs of their own."
    ),
]


def train(
    experiment: Annotated[str, typer.Argument(help="A name of fusion.training.experiments.")],
    city: CityName = DEMO,
    seed: int = 0,
    fold: Annotated[int, typer.Option(help="0 to folds - 1.")] = 0,
    folds: int = 5,
    split: Split = None,
    settings: Options = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was killed.")] = False,
) -> None:
    """Train one experiment on one fold.

    Example: python -m fusion train vit+convlstm-bottleneck --city zhengzhou-demo --fold 0 --folds 3
    """
    from fusion.samples.sampleset import SampleSet
    from fusion.serving.ceilings import known_ceilings
    from fusion.training.experiments import experiment_named

    options = options_of(settings)
    row = experiment_named(experiment).with_options(options)
    opened, folders = _sample_folders(city, [row], progress_line("samples"))
    row = _fitted(opened, row, folders, options)
    from fusion.training.run import train_run

    with _terminable():
        folder = train_run(
            SampleSet.load(folders[row.layout, row.k]), row, seed, fold, folds, opened.runs, device=device,
            resume=resume, progress=progress_line(experiment), ceilings=known_ceilings(opened), split=split,
        )  # fmt: skip
    typer.echo(str(folder))


def ablate(
    experiments: Annotated[list[str], typer.Argument(help="Suites (core, fine, all) and experiments, in any mixture.")],
    city: CityName = DEMO,
    seeds: Annotated[int, typer.Option(help="Seeds 0 to n - 1.")] = 5,
    folds: int = 5,
    run_folds: Annotated[int | None, typer.Option(help="Run only the first n folds.")] = None,
    split: Split = None,
    settings: Options = None,
    jobs: Annotated[int | None, typer.Option(help="Runs at once; by default all cores, or one on a GPU.")] = None,
    backend: Annotated[
        str, typer.Option(help="local, or ray: a cluster (RAY_ADDRESS) that shares this file system.")
    ] = "local",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an event on stdout, a summary last.")] = False,
) -> None:
    """Train suites or experiments x seeds x folds; finished runs are kept, killed ones go on, a failed one is reported.

    Exit 0 when every run is there, 1 when some failed (the others are there), 2 when nothing could be begun.

    Example: python -m fusion ablate core --city zhengzhou-demo --seeds 1 --folds 3
    """
    from fusion.serving.ceilings import known_ceilings
    from fusion.training.ablate import ablate as run_trials
    from fusion.training.ablate import plan

    options = options_of(settings)
    trials = plan(experiments, range(seeds), folds, run_folds, split, options)
    news = News(trials, as_json)
    opened, folders = _sample_folders(city, [trial.experiment for trial in trials], news.samples)
    trials = [replace(trial, experiment=_fitted(opened, trial.experiment, folders, options)) for trial in trials]
    news.begin(opened.runs)
    with _terminable():
        outcomes = run_trials(
            folders, trials, opened.runs, device=device, jobs=jobs, backend=backend, listener=news.tell,
            ceilings=known_ceilings(opened),
        )  # fmt: skip
    if news.end(outcomes, opened.runs):
        raise typer.Exit(1)


def options_of(settings: Iterable[str] | None) -> dict[str, str]:
    """Return what `--set KEY=VALUE` asks for as key -> value.

    Raises:
        ConfigError: no key, no value, or a key twice.
    """
    found: dict[str, str] = {}
    for text in settings or ():
        key, given, value = text.partition("=")
        if not (given and key.strip() and value.strip()):
            raise ConfigError(f"--set {text!r}: write KEY=VALUE, for instance training.epochs=5")
        if key.strip() in found:
            raise ConfigError(f"--set {key.strip()} is given twice: keep one")
        found[key.strip()] = value.strip()
    return found


def _sample_folders(
    city: str, rows: "Iterable[Experiment]", progress: Callable[[float, str], None]
) -> "tuple[City, dict[tuple[str, int], Path]]":
    """Open a city and extract every SampleSet that experiments want; return their folders by layout and k."""
    from fusion.city import open_city
    from fusion.extract.build import build_samples

    opened = open_city(city)
    wanted = dict.fromkeys((row.layout, row.k) for row in rows)
    return opened, {
        (layout, k): build_samples(opened, layout=layout, k=k, progress=progress).folder for layout, k in wanted
    }


def _fitted(
    city: "City", row: "Experiment", folders: "dict[tuple[str, int], Path]", options: dict[str, str]
) -> "Experiment":
    """Let the patches of a row fill chips that came with the city, unless the user chose their edge."""
    from fusion.samples.sampleset import SampleSet
    from fusion.training.experiment import PATCH_OPTION

    if city.has_map or PATCH_OPTION in options:
        return row
    return row.fitted_to(SampleSet.load(folders[row.layout, row.k]).meta.chip_px)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that workers end and locks are let go whichever way a training is stopped."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever runs this one there minds the signals
        yield
        return
    try:
        yield
    except SystemExit as error:  # Lightning's way of passing on SIGTERM
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGTERM, before)
