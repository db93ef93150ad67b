"""A preview of signaling as lines that a person reads, or as JSON."""

import unicodedata
from collections.abc import Sequence

import typer

from fusion.cli.console import show_json
from fusion.ingest.datumguess import DatumEvidence
from fusion.ingest.preview import FilePreview, Preview

_SHOWN_FILES = 8
_SHOWN_ROWS = 5
_WIDEST = 24


def print_preview(preview: Preview, as_json: bool) -> None:
    """Print a preview on stdout."""
    if as_json:
        show_json(preview.to_dict())
        return
    for line in preview_lines(preview):
        typer.echo(line)


def preview_lines(preview: Preview) -> list[str]:
    """Return a preview as lines of text."""
    lines = [_pair("preset", preview.preset), _pair("files", str(preview.files_total))]
    lines += [f"  {_file(file)}" for file in preview.files[:_SHOWN_FILES]]
    if preview.files_total > _SHOWN_FILES:
        lines.append(f"  ... and {preview.files_total - min(_SHOWN_FILES, len(preview.files))} more")
    roles = preview.roles
    if roles is not None:
        kind = f" ({roles.place_kind})" if roles.place_kind else ""
        lines.append(_pair("place", (" + ".join(roles.place) or "not known") + kind))
        lines.append(_pair("time", " + ".join(roles.time) or "not known"))
        counts = ", ".join(f"{column} -> {measure}" for column, measure in roles.values.items())
        if roles.user:
            lines.append(_pair("device", f"{roles.user} (never stored)"))
        lines.append(_pair("counts", counts or ("distinct devices" if roles.user else "not known")))
    if preview.unused_columns:
        lines.append(_pair("unused", ", ".join(preview.unused_columns)))
    if preview.times is not None:
        times = preview.times
        lines.append(_pair("times", f"{times.first} to {times.last}, a step of {times.step or 'unknown'}"))
        lines.append(_pair("", f"{times.example!r} read as {times.read_as}"))
    lines.append(_pair("timezone", preview.timezone))
    lines.append(_pair("resolution", str(preview.resolution)))
    lines.append(_pair("min count", str(preview.min_count)))
    if preview.datum is not None:
        guess = preview.datum.guess or "no guess"
        lines.append(_pair("datum", f"{guess}; {preview.datum.asked} is asked for. {preview.datum.reason}"))
        lines += [f"  {_evidence(one)}" for one in preview.datum.evidence]
    if preview.rows_sampled:
        rejected = ", ".join(f"{count:,} {reason}" for reason, count in preview.would_reject.items()) or "none"
        lines.append(
            _pair("sample", f"{preview.rows_sampled:,} rows: {preview.would_take:,} taken, rejected: {rejected}")
        )
    lines += _table(preview.sample[:_SHOWN_ROWS])
    lines += [_pair("note", warning) for warning in preview.warnings]
    if preview.problem:
        lines.append(_pair("problem", preview.problem))
    return lines


def _pair(name: str, text: str) -> str:
    return f"{name:<11}{text}"


def _file(file: FilePreview) -> str:
    spelled = [file.kind, file.encoding, None if file.delimiter is None else f"delimiter {file.delimiter!r}"]
    header = "" if file.header else ", no header"
    return f"{file.name}: {file.size_bytes:,} bytes, {', '.join(part for part in spelled if part)}{header}"


def _evidence(one: DatumEvidence) -> str:
    parts = [f"{one.datum:<6}"]
    if one.share_inside is not None:
        parts.append(f"{one.share_inside:.1%} inside the city, box off by {one.mismatch_m:,.0f} m")
    if one.share_labelled is not None:
        parts.append(f"{one.share_labelled:.1%} in cells with a function")
    parts.append(f"{one.regularity:.0%} in rows and columns")
    return parts[0] + " " + ", ".join(parts[1:])


def _table(rows: Sequence[dict[str, str | None]]) -> list[str]:
    """Rows under their columns, cut to what a terminal shows."""
    if not rows:
        return []
    cells = [[_cut(name) for name in rows[0]], *([_cut(row[name] or "") for name in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return ["  " + "  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
