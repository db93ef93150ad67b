"""What an ingest of signaling would do, from a sample of the files and before anything is written.

A preview never raises for a file that opens: where a column is not known its `problem` says so, with the columns still
shown, so that a user can choose.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd

from fusion.city import City, open_city
from fusion.errors import InputError
from fusion.geo.datum import DATUMS
from fusion.geo.grid import Bounds, Cells, check_resolution
from fusion.ingest.columns import FILE_NAME, Roles, check_alike, find_known_roles, find_roles
from fusion.ingest.datumguess import DatumEvidence, DatumPreview, guess_datum
from fusion.ingest.devices import DeviceScan
from fusion.ingest.devices_copies import nameless_copies
from fusion.ingest.devices_fields import MASK, hide_ids
from fusion.ingest.exports import list_sources
from fusion.ingest.frame import DEFAULT_RESOLUTION
from fusion.ingest.indexing import advice_on_swapped, index_places, index_times, place_table
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import USER_HEADERS, Preset, find_header, preset
from fusion.ingest.previewed import FilePreview, Preview, RolesPreview, TimesPreview
from fusion.ingest.quality import REASONS
from fusion.ingest.sampling import choose_sources, sample_exports
from fusion.ingest.scan import Scan, connect
from fusion.ingest.tables import Table
from fusion.ingest.times import check_timezone, instants_of, join_date_and_hour
from fusion.ingest.towers import Towers, towers_of

__all__ = [
    "DatumEvidence",
    "DatumPreview",
    "FilePreview",
    "Preview",
    "RolesPreview",
    "TimesPreview",
    "preview_signaling",
]

_MOST_ROWS = 200_000
_MOST_PLACES = 20_000  # of which the datum is judged
_SHOWN_ROWS = 10
_STEPS = {10.0: "10 min", 15.0: "15 min", 30.0: "30 min", 60.0: "hour", 1440.0: "day"}
_MINUTE_US = 60_000_000


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
    options = options or SignalingOptions()
    chosen = preset(options.preset)
    if not files:
        raise InputError("no file was named: give at least one export")
    if options.timezone:
        check_timezone(options.timezone)
    if options.resolution is not None:
        check_resolution(options.resolution)
    if options.datum not in (None, *DATUMS):
        raise InputError(f"unknown datum {options.datum!r}: use one of {', '.join(DATUMS)}")
    city = _city(city_path)
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        scratch = Path(folder)
        sources, passed = list_sources(files, scratch)
        looked = choose_sources(sources)
        tables, notes = sample_exports(looked, chosen, options, scratch, _MOST_ROWS)
        sizes = {source.name: source.size_bytes for source in looked}
        shown = Preview(
            preset=chosen.id,
            files=tuple(_file(table, sizes) for table in tables),
            files_total=len(sources),
            roles=None,
            unused_columns=tables[0].columns,
            times=None,
            timezone=options.timezone or (city.info.timezone if city else chosen.timezone),
            resolution=_resolution(city, options),
            min_count=chosen.min_count if options.min_count is None else options.min_count,
            datum=None,
            rows_sampled=0,
            would_take=0,
            would_reject={},
            extent=None,
            sample=_first_rows(tables[0], chosen, options),
            warnings=(*passed, *notes),
            problem=None,
        )
        return _judged(shown, tables, city, chosen, options, scratch)


def _judged(
    shown: Preview, tables: list[Table], city: City | None, chosen: Preset, options: SignalingOptions, scratch: Path
) -> Preview:
    """Add what the columns hold; stop where an ingest would, and say why."""
    known = find_known_roles(tables[0], chosen, options)
    # Records of devices have a measure and no column of it.
    values = {column: measure.id for column, measure in zip(known.values, known.measures, strict=False)}
    tower = known.place if known.kind == "tower" else ()
    roles_shown = RolesPreview(known.kind or None, known.place, known.time, values, known.user, tower)
    used = {*known.place, *known.time, *known.values, known.user}
    shown = replace(
        shown,
        roles=roles_shown,
        unused_columns=tuple(column for column in tables[0].columns if column not in used),
        times=_first_times(tables[0], known, shown.timezone),
    )
    try:
        roles = [find_roles(table, chosen, options) for table in tables]
        check_alike([table.name for table in tables], roles)
        towers = towers_of(options, roles[0])
        private = tables if chosen.counts_devices else []
        with connect(scratch) as connection, nameless_copies(private, scratch):
            scan: Scan | DeviceScan = (
                DeviceScan(connection, tables, roles, scratch, towers)
                if chosen.counts_devices
                else Scan(connection, tables, roles, chosen.sums_rows)
            )
            scan.group()
            shown = replace(shown, times=_times(scan.distinct_times(), roles[0].time, shown.timezone))
            where = scan.distinct_places()
            shown = replace(shown, datum=_datum(where, roles[0], towers, city, chosen, options, shown.resolution))
            return _counted(shown, scan, where, city, chosen, options)
    except InputError as error:
        return replace(shown, problem=str(error), warnings=(*shown.warnings, *_datum_warning(shown.datum)))


def _counted(
    shown: Preview,
    scan: Scan | DeviceScan,
    where: pd.DataFrame,
    city: City | None,
    chosen: Preset,
    options: SignalingOptions,
) -> Preview:
    """Add what would be taken of the sample and what rejected, by the same passes as an ingest."""
    places = index_places(where, scan.roles[0], _own_bounds(city), chosen, options, shown.resolution, scan.towers)
    times, _ = index_times(scan.distinct_times(), shown.timezone)
    scan.index(place_table(where, places), times)
    scan.judge()
    found = scan.rejects().aggregate("reason, count(*) AS rows", "reason").to_arrow_table().to_pandas()
    counts = dict(zip(found["reason"], found["rows"], strict=True))
    rejected = {reason: int(counts[reason]) for reason in REASONS if reason in counts}
    rows = scan.row_counts()
    problem = None
    if rejected.get("swapped", 0) > rows["rows_taken"]:
        whose = f"{scan.towers.name}: its own " if scan.towers else ""
        problem = f"{whose}longitude and latitude look swapped: {advice_on_swapped(scan.roles[0], scan.towers)}"
    elif not rows["rows_taken"]:
        listed = ", ".join(f"{count} {REASONS[reason][0]}" for reason, count in rejected.items())
        problem = (
            f"none of the {rows['rows_read']} rows looked at could be taken ({listed}): check the columns, the datum "
            "and the city"
        )
    good = bool((places.cell != 0).any())
    return replace(
        shown,
        rows_sampled=rows["rows_read"],
        would_take=rows["rows_taken"],
        would_reject=rejected,
        extent=places.extent() if good else None,
        warnings=(*shown.warnings, *_datum_warning(shown.datum)),
        problem=problem,
    )


def _city(path: Path | None) -> City | None:
    if path is None:
        return None
    # A city that is there but cannot be read is an error; one that is not there yet is new.
    return open_city(path) if (path / "city.toml").is_file() else None


def _resolution(city: City | None, options: SignalingOptions) -> int:
    if options.resolution is not None:
        return options.resolution
    return city.info.resolution if city else DEFAULT_RESOLUTION


def _own_bounds(city: City | None) -> Bounds | None:
    """Bounds that do not come from an earlier activity, whose datum may have been wrong."""
    return city.info.bounds if city and (city.has_imagery or city.has_functions) else None


def _file(table: Table, sizes: dict[str, int]) -> FilePreview:
    size = sizes.get(table.name) or sizes.get(table.name.rsplit("/", 1)[0], 0)
    text = table.kind == "text"
    return FilePreview(
        table.name,
        size,
        table.kind,
        table.encoding if text else None,
        table.delimiter if text else None,
        table.header,
        table.columns,
    )


def _first_rows(table: Table, chosen: Preset, options: SignalingOptions) -> tuple[dict[str, str | None], ...]:
    """The first rows; of device records only the places and times, as any other column may hold an id."""
    rows = table.sample.head(_SHOWN_ROWS).astype(object)
    user = find_header(table.columns, USER_HEADERS)
    if user:
        rows[user] = MASK
    if chosen.counts_devices:
        known = find_known_roles(table, chosen, options)
        rows = hide_ids(rows, known)
    return tuple(
        {str(column): None if pd.isna(cell) else str(cell) for column, cell in zip(rows.columns, row, strict=True)}
        for row in rows.itertuples(index=False)
    )


def _first_times(table: Table, roles: Roles, timezone: str) -> TimesPreview | None:
    """The times of a table's first rows, for where the other columns are not known yet."""
    if not roles.time:
        return None
    rows = table.sample.assign(**{FILE_NAME: table.stamp})[list(roles.time)].drop_duplicates()
    return _times(rows.set_axis([f"t{number}" for number in range(len(roles.time))], axis=1), roles.time, timezone)


def _times(whens: pd.DataFrame, names: tuple[str, ...], timezone: str) -> TimesPreview | None:
    whens = whens.dropna()
    if not len(whens):
        return None
    texts = whens["t0"] if "t1" not in whens else join_date_and_hour(whens["t0"], whens["t1"])
    instants, kinds = instants_of(texts)
    good = np.array([kind is not None for kind in kinds], dtype=bool)
    _, hours = index_times(whens, timezone)
    first = int(good.argmax())  # the first that is a time: of device records another may be an id
    read_as = " or ".join(sorted({str(kind) for kind in kinds[good]})) or "unknown"
    minutes = None
    if good.any():
        apart = np.diff(np.unique(instants[good])) / _MINUTE_US
        minutes = float(apart.min()) if len(apart) else None
    if FILE_NAME in names:
        read_as += ", from the file's name" if len(names) == 1 else ", the date from the file's name"
    return TimesPreview(
        example=" ".join(str(whens.iloc[first][f"t{number}"]) for number in range(len(names))),
        read_as=read_as,
        first=_local(hours[0], timezone) if len(hours) else None,
        last=_local(hours[-1], timezone) if len(hours) else None,
        step_minutes=minutes,
        step=None if minutes is None else _STEPS.get(minutes, f"{minutes:g} min"),
    )


def _local(hour_us: int, timezone: str) -> str:
    return datetime.fromtimestamp(int(hour_us) / 1e6, UTC).astimezone(ZoneInfo(timezone)).isoformat(timespec="minutes")


def _datum(
    where: pd.DataFrame,
    roles: Roles,
    towers: Towers | None,
    city: City | None,
    chosen: Preset,
    options: SignalingOptions,
    resolution: int,
) -> DatumPreview:
    some = where.sample(min(_MOST_PLACES, len(where)), random_state=0)
    return guess_datum(
        options.datum or "wgs84",
        lambda datum: index_places(some, roles, None, chosen, replace(options, datum=datum), resolution, towers),
        _own_bounds(city),
        _labelled(city),
    )


def _labelled(city: City | None) -> Cells | None:
    if city is None or not city.has_functions:
        return None
    with duckdb.connect() as connection:
        cells = connection.read_parquet(str(city.functions)).select("cell").to_arrow_table()["cell"]
    return cells.to_numpy().astype(np.uint64)


def _datum_warning(datum: DatumPreview | None) -> tuple[str, ...]:
    if datum is None or datum.guess in (None, datum.asked):
        return ()
    return (f"the coordinates look like {datum.guess}, not {datum.asked}: {datum.reason}",)
