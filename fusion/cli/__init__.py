"""The command line, `python -m fusion`: the place where the map side and the tensor side meet.

Exit 0 on success; 2 with one line on a bad argument or bad input; 1 where part of what was asked failed and the rest is
there (`ablate`). Progress goes to stderr, results to stdout.
Libraries are imported inside the commands, so that `--help` and the light commands answer at once.
"""

import errno
import sys
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from fusion.cli import cities, robustness, runs, training
from fusion.cli.console import choose_progress
from fusion.cli.ingest import ingest
from fusion.cli.pretrain import pretrain
from fusion.errors import FusionError

app = typer.Typer(
    name="python -m fusion",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def choose(
    progress: Annotated[
        Literal["line", "json"], typer.Option(help="How to tell progress: a line on a terminal, JSON lines on stdout.")
    ] = "line",
) -> None:
    """Urban region function recognition from overhead imagery and mobile-phone signaling."""
    choose_progress(progress)


for command in (
    cities.demo, cities.quality, runs.experiments, pretrain, training.train, training.ablate, runs.reference,
    runs.compare, runs.predict, robustness.robustness,
    cities.cities, runs.runs,
):  # fmt: skip
    app.command()(command)
app.add_typer(ingest, name="ingest")

_STOPPED = 130
_DISK = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(arguments or ["--help"], standalone_mode=False)
    except (FusionError, TyperException) as error:
        text = error.format_message() if isinstance(error, TyperException) else str(error)
        return _fail(" ".join(text.split()))
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = error.filename or "the data folder"
        return _fail(f"{error.strerror}: {where}: free space or choose another FUSION_DATA")
    except KeyboardInterrupt:
        code = _STOPPED
    if code == _STOPPED:  # typer turns an interrupt inside a command into this code
        sys.stderr.write("stopped: finished files stay, nothing is half-written\n")
    return code if isinstance(code, int) else 0


def _fail(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return 2
