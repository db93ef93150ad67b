"""What a preview of signaling says: plain values, fit for a page, a terminal or JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from fusion.geo.grid import Bounds
from fusion.ingest.datumguess import DatumPreview


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
class Preview:
    """What was recognised in an export.

    Attributes:
        preset: `daas`, `milan` ...
        files: its tables (of more than 150, a choice); `files_total` counts all.
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
