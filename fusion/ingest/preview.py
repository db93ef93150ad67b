"""What an ingest of signaling would do, from a sample of the files and before anything is written.

A preview never raises for a file that opens: where a column is not known its `problem` says so, with the columns still
shown, so that a user can choose.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusion.geo.grid import Bounds
from fusion.ingest.options import SignalingOptions


@dataclass(frozen=True)
class FilePreview:
    """One table of the export.

    Attributes:
        name: as the user knows it: `a.csv`, `export.zip/a.csv`, `a.xlsx/Sheet1`.
        size_bytes: of the file on disk; of the member where it lies in an archive.
        kind: `text`, `parquet` or `workbook`.
        encoding, delimiter: of text; None otherwise.
        header: whether the first line names the columns.
        columns: their names, in order.
    """

    name: str
    size_bytes: int
    kind: str
    encoding: str | None
    delimiter: str | None
    header: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class RolesPreview:
    """Which column is what; a role that no column is known to hold is empty.

    Attributes:
        place_kind: `point`, `h3`, `grid` or `wkt`; None if unknown.
        place: its columns: (lon, lat), or one.
        time: one column, or date and hour; `(file name)` where the name of the file says it.
        values: column to id of the measure.
        user, tower: of device-level records; None elsewhere.
    """

    place_kind: str | None
    place: tuple[str, ...]
    time: tuple[str, ...]
    values: dict[str, str]
    user: str | None = None
    tower: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimesPreview:
    """How times were read; of the sample only.

    Attributes:
        example: the first text.
        read_as: in words: `local time`, `time with offset`, `epoch seconds` and the like.
        first, last: local, ISO 8601 with offset.
        step_minutes: the smallest step between two of them: 10, 60, 1440; None for a single time.
        step: that in words: `10 min`, `hour`, `day`.
    """

    example: str
    read_as: str
    first: str | None
    last: str | None
    step_minutes: float | None
    step: str | None


@dataclass(frozen=True)
class DatumEvidence:
    """How well the sampled places fit if their coordinates are of one datum.

    Attributes:
        datum: `wgs84`, `gcj02` or `bd09`.
        share_inside: of the sampled places inside the city's bounds, 0 to 1; None without bounds of its own.
        mismatch_m: mean distance of the four sides of the export's box from the city's, in metres; None likewise.
        share_labelled: of the places in cells that have a function; None without functions.
        regularity: 1 where the places stand in rows and columns of degrees, 0 where they do not.
    """

    datum: str
    share_inside: float | None
    mismatch_m: float | None
    share_labelled: float | None
    regularity: float | None


@dataclass(frozen=True)
class DatumPreview:
    """Which datum the coordinates seem to have; `guess` is None where the evidence does not tell."""

    asked: str
    guess: str | None
    reason: str
    evidence: tuple[DatumEvidence, ...]


@dataclass(frozen=True)
class Preview:
    """What was recognised in an export.

    Attributes:
        preset: `daas`, `milan` ...
        files: its tables (of more than 500, an even choice); `files_total` counts all.
        roles: which column is what, in the first table.
        unused_columns: columns without a role.
        times, datum: None where their columns are not known.
        timezone, resolution, min_count: that an ingest would use.
        rows_sampled, would_take, would_reject: rows read for this preview, taken, and rejected by reason.
        extent: box of the places taken, degrees, WGS-84, under the datum asked for.
        sample: the first rows as they are written, column to text.
        warnings: lines worth reading.
        problem: why an ingest with these options would stop; None if it would not, as far as the sample tells.
    """

    preset: str
    files: tuple[FilePreview, ...]
    files_total: int
    roles: RolesPreview | None
    unused_columns: tuple[str, ...]
    times: TimesPreview | None
    timezone: str
    resolution: int
    min_count: int
    datum: DatumPreview | None
    rows_sampled: int
    would_take: int
    would_reject: dict[str, int]
    extent: Bounds | None
    sample: tuple[dict[str, str | None], ...]
    warnings: tuple[str, ...]
    problem: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain dicts, lists, texts and numbers, fit for JSON."""
        return asdict(self)


def preview_signaling(
    files: Sequence[Path], city_path: Path | None = None, options: SignalingOptions | None = None
) -> Preview:
    """Look at an export without writing anything.

    Args:
        files: files, archives or folders, as `ingest_signaling` takes them.
        city_path: the city they would go into; None, or an absent one: a new city.
        options: how to read them.

    Raises:
        InputError: a file is absent, torn or of an unknown kind, or an option does not exist.
    """
    raise NotImplementedError
