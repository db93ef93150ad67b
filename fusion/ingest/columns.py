"""Which column of an export is the time, which the place, which a count."""

import contextlib
from dataclasses import dataclass, replace

import pandas as pd

from fusion.city import Measure
from fusion.errors import InputError
from fusion.ingest import presets
from fusion.ingest.opening import check_header
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import Preset, find_header, measure_for, measure_of_devices
from fusion.ingest.tables import FILE_NAME, Table
from fusion.ingest.times import EXAMPLES, hours_of, is_date_only, is_hour_of_day, join_date_and_hour

_DAY_LENGTH = len("2021-07-24")


@dataclass(frozen=True)
class Roles:
    """The columns of one file.

    `place` is (lon, lat) of `kind` point, one column of h3 or wkt, one or two of grid; `time` is one column or (date,
    hour), of which one may be `FILE_NAME`: then `stamp` is what the file's name says. Records of devices have a `user`
    and no values; their place may be one or several columns of `kind` tower.
    """

    kind: str
    place: tuple[str, ...]
    time: tuple[str, ...]
    values: tuple[str, ...]
    measures: tuple[Measure, ...]
    stamp: str = ""
    user: str | None = None


def find_roles(table: Table, preset: Preset, options: SignalingOptions) -> Roles:
    """Find each role by option, by preset or by header.

    Raises:
        InputError: a role has no column, or its column holds something else; the file's columns are named.
    """
    user = None
    if preset.counts_devices:
        check_header(table.name, table.columns)
        user = _user(table, options)
    elif options.user or options.tower or options.towers:
        raise InputError("--user, --tower and --towers are of device records: give --preset devices")
    kind, place = _place(table, preset, options)
    time = _time(table, preset, options)
    values, measures = _values(table, preset, options)
    used = (*place, *time, *values, *((user,) if user else ()))
    for column in used:
        if used.count(column) > 1:
            raise InputError(f"{table.name}: column {column!r} is named twice: give each role a column of its own")
    stamp = (table.stamp or "") if FILE_NAME in time else ""
    return Roles(kind, place, time, values, measures, stamp[:_DAY_LENGTH] if len(time) == 2 else stamp, user)


def _user(table: Table, options: SignalingOptions) -> str:
    found = _column(table, options.user, "--user") if options.user else find_header(table.columns, presets.USER_HEADERS)
    if found is None:
        raise _missing(table, "the device", "--user")
    if table.type_of(found) in ("FLOAT", "DOUBLE"):
        raise InputError(f"{table.name}: column {found!r} holds ids as floats, which lose digits: export them as text")
    return found


def _tower(table: Table, options: SignalingOptions) -> tuple[str, ...]:
    """The columns of a tower's id: those asked for, one that is enough, or a cell's id with its area's code."""
    if options.tower:
        whole = options.tower in table.columns
        names = (options.tower,) if whole else tuple(name.strip() for name in options.tower.split("+"))
        return tuple(_column(table, name, "--tower") for name in names)
    found = find_header(table.columns, presets.TOWER_HEADERS)
    if found:
        return (found,)
    cell = find_header(table.columns, presets.TOWER_ID_HEADERS)
    area = find_header(table.columns, presets.AREA_HEADERS)
    return tuple(name for name in (area, cell) if name) if cell else ()


def find_known_roles(table: Table, preset: Preset, options: SignalingOptions) -> Roles:
    """Find the roles that can be found, and leave the others empty: to show them where `find_roles` raises."""
    kind, user = "", None
    place: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    with contextlib.suppress(InputError):
        kind, place = _place(table, preset, options)
    with contextlib.suppress(InputError):
        time = _time(table, preset, options)
    with contextlib.suppress(InputError):
        values, measures = _values(table, preset, options)
    with contextlib.suppress(InputError):
        user = _user(table, options) if preset.counts_devices else None
    return Roles(kind, place, time, values, measures, user=user)


def check_alike(names: list[str], roles: list[Roles]) -> None:
    """Refuse files of different kinds in one export.

    Raises:
        InputError: one has another kind of place, other measures or another form of time than the first.
    """
    for name, own in zip(names[1:], roles[1:], strict=True):
        if (own.kind, own.measures, len(own.time)) != (roles[0].kind, roles[0].measures, len(roles[0].time)):
            raise InputError(f"{name} has other columns than {names[0]}: ingest files of one kind at a time")


def _place(table: Table, preset: Preset, options: SignalingOptions) -> tuple[str, tuple[str, ...]]:
    asked = [
        name
        for name, given in (
            ("--lon/--lat", options.lon or options.lat),
            ("--h3", options.h3),
            ("--wkt", options.wkt),
            ("--grid-id", options.grid_id),
            ("--tower", options.tower),
        )
        # With a tower table, --lon and --lat name columns of that.
        if given and not (options.towers and name == "--lon/--lat")
    ]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} both say where the rows are: give one of them")
    if preset.counts_devices and (options.tower or options.towers):
        if options.towers is None:
            raise InputError("--tower needs the positions of the towers: give their table with --towers")
        tower = _tower(table, options)
        if not tower:
            raise _missing(table, "the tower", "--tower")
        return "tower", tower
    if options.lon or options.lat:
        if not (options.lon and options.lat):
            raise InputError("--lon and --lat go together: name both columns")
        return "point", (_column(table, options.lon, "--lon"), _column(table, options.lat, "--lat"))
    if options.h3:
        return "h3", (_column(table, options.h3, "--h3"),)
    if options.wkt:
        return "wkt", (_column(table, options.wkt, "--wkt"),)
    has_grid = options.grid is not None or options.grid_origin is not None
    grid_id = options.grid_id or preset.grid_id
    if grid_id:
        return "grid", _grid(table, grid_id, has_grid)
    lon, lat = find_header(table.columns, presets.LON_HEADERS), find_header(table.columns, presets.LAT_HEADERS)
    if not has_grid and lon and lat:
        return "point", (lon, lat)
    cell = find_header(table.columns, presets.H3_HEADERS)
    if not has_grid and cell:
        return "h3", (cell,)
    found = find_header(table.columns, presets.GRID_HEADERS)
    text = find_header(table.columns, presets.WKT_HEADERS)
    if text and not (found and has_grid):
        return "wkt", (text,)
    if found:
        return "grid", _grid(table, found, has_grid)
    if preset.counts_devices and _tower(table, options):
        raise InputError(
            f"{table.name}: column {'+'.join(_tower(table, options))!r} holds towers: give the table of their "
            "positions with --towers"
        )
    raise _missing(table, "the place", "--lon and --lat, --h3, --wkt, or --grid-id with --grid")


def _grid(table: Table, name: str, has_grid: bool) -> tuple[str, ...]:
    if name not in table.columns and "+" in name:
        columns = tuple(_column(table, part.strip(), "--grid-id") for part in name.split("+", 1))
    else:
        columns = (_column(table, name, "--grid-id"),)
    if not has_grid:
        raise InputError(
            f"{table.name}: column {'+'.join(columns)!r} holds grid ids: give the grid's GeoJSON with --grid, or its "
            "corner and size with --grid-origin and --grid-size"
        )
    return columns


def _time(table: Table, preset: Preset, options: SignalingOptions) -> tuple[str, ...]:
    if options.time and options.time not in table.columns and "+" in options.time:
        names = tuple(_time_column(table, name.strip()) for name in options.time.split("+", 1))
    elif options.time or preset.time:
        names = (_time_column(table, options.time or preset.time or ""),)
    else:
        names = _known_time(table)
    texts = sample_times(table, names)
    if not len(texts) or names == (FILE_NAME,):
        return names
    _, reason = hours_of(texts, "UTC")
    if (reason != None).all():  # noqa: E711
        spelled = "+".join(names)
        if is_date_only(texts):
            raise InputError(f"{table.name}: column {spelled!r} holds dates without hours: name the time with --time")
        # What stands there in place of a time may be an id.
        held = "no time" if preset.counts_devices else f"{texts.iloc[0]!r}, no time"
        raise InputError(f"{table.name}: column {spelled!r} holds {held}: name the time with --time ({EXAMPLES})")
    return names


def _known_time(table: Table) -> tuple[str, ...]:
    time = find_header(table.columns, presets.TIME_HEADERS)
    date = find_header(table.columns, presets.DATE_HEADERS)
    hour = find_header(table.columns, presets.HOUR_HEADERS)
    if time and date and is_hour_of_day(table.sample[time]):
        return date, time
    clock = next((name for name in (time, hour) if name and is_hour_of_day(table.sample[name])), None)
    if date and hour and clock == hour:
        return date, hour
    if clock and not date and table.stamp:
        return FILE_NAME, clock
    day = time or date
    if day and not clock and _is_named_day(table, day):
        return (FILE_NAME,)
    found = time or hour or date
    if found:
        return (found,)
    if _has_hour(table.stamp):
        return (FILE_NAME,)
    raise _missing(table, "the time", "--time")


def _time_column(table: Table, name: str) -> str:
    if name == FILE_NAME and table.stamp:
        return name
    return _column(table, name, "--time")


def _has_hour(stamp: str | None) -> bool:
    return stamp is not None and len(stamp) > _DAY_LENGTH


def _is_named_day(table: Table, column: str) -> bool:
    """Whether a column only repeats the date of the file's name, which has the hour too."""
    if not _has_hour(table.stamp) or not is_date_only(table.sample[column]):
        return False
    dates = table.sample[column].dropna().drop_duplicates()
    days = join_date_and_hour(dates, pd.Series("0", index=dates.index, dtype="string"))
    named = pd.Series([f"{(table.stamp or '')[:_DAY_LENGTH]} 00:00"], dtype="string")
    hour_us, _ = hours_of(pd.concat([days, named]), "UTC")
    return bool((hour_us == hour_us[-1]).all())


def sample_times(table: Table, names: tuple[str, ...]) -> pd.Series:
    """Return the times of a file's first rows as texts."""
    rows = table.sample.assign(**{FILE_NAME: table.stamp})[list(names)].dropna().drop_duplicates()
    if len(names) == 2:
        return join_date_and_hour(rows[names[0]], rows[names[1]])
    return rows[names[0]]


def _values(table: Table, preset: Preset, options: SignalingOptions) -> tuple[tuple[str, ...], tuple[Measure, ...]]:
    min_count = preset.min_count if options.min_count is None else options.min_count
    for threshold in (min_count, *dict(options.min_counts).values()):
        if threshold < 0:
            raise InputError(f"--min-count {threshold} is negative: use 0 for none or a count such as 15")
    if preset.counts_devices:
        if options.values:
            raise InputError("--value is of counts: device records have none, distinct devices are counted")
        return (), _own_thresholds(("devices",), (measure_of_devices(min_count),), options)
    if options.values or preset.values:
        columns = tuple(_column(table, name, "--value") for name in options.values or preset.values)
    else:
        found = (find_header(table.columns, aliases) for aliases in presets.VALUE_HEADERS.values())
        columns = tuple(column for column in found if column)
    if not columns:
        raise _missing(table, "the count", "--value")
    measures: list[Measure] = []
    for column in columns:
        measures.append(measure_for(column, min_count, tuple(measure.id for measure in measures)))
    return columns, _own_thresholds(columns, tuple(measures), options)


def _own_thresholds(
    columns: tuple[str, ...], measures: tuple[Measure, ...], options: SignalingOptions
) -> tuple[Measure, ...]:
    """Give measures that are named by id or column their own threshold."""
    own = dict(options.min_counts)
    if unknown := set(own) - {*columns, *(measure.id for measure in measures)}:
        have = ", ".join(measure.id for measure in measures)
        raise InputError(f"--min-count {min(unknown)}=...: there is no such measure: it has {have}")
    return tuple(
        replace(measure, min_count=own.get(measure.id, own.get(column, measure.min_count)))
        for column, measure in zip(columns, measures, strict=True)
    )


def _column(table: Table, name: str, option: str) -> str:
    if name in table.columns:
        return name
    raise InputError(f"{table.name}: no column {name!r}: it has {', '.join(table.columns)}; name one with {option}")


def _missing(table: Table, role: str, option: str) -> InputError:
    return InputError(
        f"{table.name}: no column is known to hold {role}: it has {', '.join(table.columns)}; name one with {option}"
    )
