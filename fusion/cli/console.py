"""What the commands share: options, progress on stderr, results on stdout."""

import json
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from fusion.errors import InputError

CityName = Annotated[str, typer.Option("--city", help="The city's name under data/ (or FUSION_DATA).")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
DEMO = "zhengzhou-demo"
_EVENT_S = 0.5  # between two events about one step
_progress: ContextVar[str] = ContextVar("progress", default="line")


def read_lines(path: Path) -> list[str]:
    """Read a text file of one item a line; InputError where there is none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}): give a text file with one H3 cell a line, or `all`"
        ) from None
    found = [line for line in lines if line]
    if not found:
        raise InputError(f"{path}: no cell in it: give one H3 cell a line, or `all`")
    return found


def choose_progress(kind: str) -> None:
    """Let the commands that follow tell their progress as `line` or as `json` (see `progress_line`)."""
    _progress.set(kind)


def progress_line(label: str) -> Callable[[float, str], None]:
    """Return a progress callback that keeps one line on stderr where that is a terminal.

    After `choose_progress("json")` it writes JSON lines to stdout instead: event "progress", label, share (0 to 1),
    text, time_s (seconds since 1970).
    """
    if _progress.get() == "json":
        return _progress_events(label)
    if not sys.stderr.isatty():
        return lambda fraction, text: None
    from tqdm import tqdm

    bar = tqdm(total=100, desc=label, bar_format="{desc} {percentage:3.0f}% {bar} {elapsed} {postfix}", file=sys.stderr)

    def show(fraction: float, text: str) -> None:
        bar.n = round(100 * fraction)
        bar.set_postfix_str(text, refresh=True)
        if fraction >= 1.0:
            bar.close()

    return show


def _progress_events(label: str) -> Callable[[float, str], None]:
    last = (-1.0, "")
    said_s = -_EVENT_S

    def show(share: float, text: str) -> None:
        nonlocal last, said_s
        now = time.monotonic()
        if (share, text) == last or (share < 1.0 and now - said_s < _EVENT_S and text == last[1]):
            return
        last, said_s = (share, text), now
        event = {"event": "progress", "label": label, "share": round(share, 4), "text": text}
        sys.stdout.write(json.dumps({**event, "time_s": round(time.time(), 2)}, ensure_ascii=False) + "\n")
        sys.stdout.flush()  # whoever reads a file or a pipe wants it now

    return show


def show_json(value: Any) -> None:
    """Print JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_table(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    """Print rows as a table or as JSON, or say that there are none."""
    import pandas as pd

    if as_json:
        show_json(rows)
    else:
        typer.echo(pd.DataFrame(rows).to_string(index=False) if rows else empty)
