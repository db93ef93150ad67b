"""Tables of labelled points, shapes or cells: which column is what, and their rows as they stand."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.archives import unpack
from fusion.ingest.exports import Source, list_sources, open_all
from fusion.ingest.numerals import as_number, plain_id
from fusion.ingest.opening import open_table
from fusion.ingest.options import FunctionOptions
from fusion.ingest.presets import H3_HEADERS, LAT_HEADERS, LON_HEADERS, WKT_HEADERS, find_header, preset
from fusion.ingest.scan import connect
from fusion.ingest.spelling import ending_of, new_path
from fusion.ingest.tables import Table, blank_lines, quote, read_tables

FIELD_HEADERS = (
    *("function", "class", "category", "type", "level2", "landuse", "typecode"),
    *("类别", "类型", "分类", "功能", "用地类型", "用地性质"),
)
_SHARE_HEADERS = ("share", "fraction", "占比", "比例")
# Of a point in one column, longitude first: so Amap's interface writes it.
_LOCATION_HEADERS = ("location", "lonlat", "lnglat", "坐标", "经纬度")


@dataclass(frozen=True)
class LabelRows:
    """The rows of tables of one kind.

    Attributes:
        names: of the files.
        kind: `point`, `h3` or `wkt`.
        field: the column of the class, levels joined by `+`.
        has_share: whether `rows` has shares.
        rows: columns `file`, `row`, `value` (class), `p0` and `p1` (longitude and latitude) or `p0` (cell, shape) as
            text, `share`, `text` (the row as it came).
        malformed: lines of text without the right number of fields: `file`, `row`, `text`.
        notes: lines on what was passed over.
    """

    names: list[str]
    kind: str
    field: str
    has_share: bool
    rows: pd.DataFrame
    malformed: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Roles:
    """Columns of one table: `place` of `kind` point, location, h3 or wkt."""

    kind: str
    place: tuple[str, ...]
    field: tuple[str, ...]
    share: str | None


def read_label_rows(path: Path, options: FunctionOptions, scratch: Path) -> LabelRows:
    """Read a table, an archive of tables or a folder of them.

    Args:
        path: CSV, TSV, text, Parquet or Excel; also .gz, .zip or a folder.
        options: which columns.
        scratch: a folder for what has to be unpacked or rewritten.

    Raises:
        InputError: a file cannot be read, a column is not there or not known, or files differ in kind.
    """
    sources, notes = list_sources([path], scratch)

    def open_source(source: Source) -> Table:
        own = source.path or unpack(source.member, new_path(scratch, ending_of(source.name)))  # type: ignore[arg-type]
        return open_table(own, preset("daas"), scratch, source.name, lambda table: _find_roles(table, options))

    tables, more = open_all(sources, open_source)
    roles = [_find_roles(table, options) for table in tables]
    for table, own in zip(tables, roles, strict=True):
        if (own.kind, own.share is None) != (roles[0].kind, roles[0].share is None):
            raise InputError(f"{table.name} has other columns than {tables[0].name}: ingest files of one kind")
    frames = [_read_rows(table, own, scratch) for table, own in zip(tables, roles, strict=True)]
    rows = pd.concat([frame for frame, _ in frames], ignore_index=True)
    malformed = pd.concat([lost for _, lost in frames], ignore_index=True)
    kind = "point" if roles[0].kind == "location" else roles[0].kind
    names, field = [table.name for table in tables], "+".join(roles[0].field)
    return LabelRows(names, kind, field, roles[0].share is not None, rows, malformed, tuple(notes + more))


def _find_roles(table: Table, options: FunctionOptions) -> _Roles:
    if options.field and options.field not in table.columns and "+" in options.field:
        field = tuple(_column(table, part.strip(), "--field") for part in options.field.split("+"))
    else:
        field = (_known(table, options.field, FIELD_HEADERS, "the class", "--field"),)
    share = options.share or find_header(table.columns, _SHARE_HEADERS)
    if share:
        _column(table, share, "--share")
    kind, place = _find_place(table, options)
    return _Roles(kind, place, field, share if kind == "h3" else None)


def _find_place(table: Table, options: FunctionOptions) -> tuple[str, tuple[str, ...]]:
    if options.lat and not options.lon:
        raise InputError("--lat is given without --lon: name both columns")
    if options.lon:
        columns = (_column(table, options.lon, "--lon"),)
        return ("point", (*columns, _column(table, options.lat, "--lat"))) if options.lat else ("location", columns)
    if options.h3:
        return "h3", (_column(table, options.h3, "--h3"),)
    if options.wkt:
        return "wkt", (_column(table, options.wkt, "--wkt"),)
    lon, lat = find_header(table.columns, LON_HEADERS), find_header(table.columns, LAT_HEADERS)
    if lon and lat:
        return "point", (lon, lat)
    for kind, headers in (("h3", H3_HEADERS), ("location", _LOCATION_HEADERS), ("wkt", WKT_HEADERS)):
        found = find_header(table.columns, headers)
        if found and table.type_of(found) != "BLOB":
            return kind, (found,)
    _known(table, None, (), "the place", "--lon and --lat, --h3 or --wkt")
    raise AssertionError("unreachable")


def _known(table: Table, wanted: str | None, headers: tuple[str, ...], role: str, option: str) -> str:
    if wanted:
        return _column(table, wanted, option)
    found = find_header(table.columns, headers)
    if found is None:
        raise InputError(
            f"{table.name}: no column is known to hold {role}: it has {', '.join(table.columns)}; "
            f"name one with {option}"
        )
    return found


def _column(table: Table, name: str, option: str) -> str:
    if name not in table.columns:
        raise InputError(f"{table.name}: no column {name!r}: it has {', '.join(table.columns)}; name one with {option}")
    return name


def _read_rows(table: Table, roles: _Roles, scratch: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a table's rows (file, row, value, p0, p1, share, text), and its lines that are none (file, row, text)."""
    names = [table.sql_of(column) for column in table.columns if not table.type_of(column).startswith("BLOB")]
    told = ", ".join(f"coalesce({name}::VARCHAR, '')" for name in names)
    levels = [f"coalesce({plain_id(f'{table.sql_of(column)}::VARCHAR')}, '')" for column in roles.field]
    columns = {
        "number": "file_row_number" if not table.is_text else "row_number() OVER () - 1",
        "value": levels[0] if len(levels) == 1 else f"concat_ws(';', {', '.join(levels)})",
        **_place_sql(table, roles),
        "share": "NULL::DOUBLE" if roles.share is None else as_number(f"{table.sql_of(roles.share)}::VARCHAR"),
        "text": f"concat_ws({quote(table.delimiter or ',')}, {told})",
    }
    with connect(scratch) as connection:
        connection.execute("SET preserve_insertion_order = true")
        listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        try:
            connection.execute(
                f"CREATE TABLE found AS SELECT {listed} FROM {read_tables([table], table.is_text)}"
            ).fetchall()
        except duckdb.InvalidInputException as error:
            why = str(error).splitlines()[0]
            raise InputError(f"{table.name} cannot be read as a table ({why[:200]}): export it again") from None
        rows = connection.sql("SELECT * FROM found ORDER BY number").to_arrow_table().to_pandas()
        lost = pd.DataFrame({"row": pd.Series(dtype="int64"), "text": pd.Series(dtype="str")})
        if table.is_text:
            lost = (
                connection.sql(
                    "SELECT line::BIGINT AS row, any_value(csv_line) AS text FROM reject_errors GROUP BY ALL"
                )
                .to_arrow_table()
                .to_pandas()
            )
    number = rows["number"].to_numpy(dtype=np.int64)
    if table.is_text:
        passed = [*blank_lines(table), *lost["row"].tolist(), *([table.skip + 1] if table.header else [])]
        number = np.setdiff1d(np.arange(1, len(rows) + len(passed) + 1), passed)[: len(rows)]
    else:
        number = number + 1
    lost["text"] = lost["text"].str.strip("\r\n")
    return rows.assign(file=table.name, row=number), lost.assign(file=table.name)[["file", "row", "text"]]


def _place_sql(table: Table, roles: _Roles) -> dict[str, str]:
    names = [f"{table.sql_of(column)}::VARCHAR" for column in roles.place]
    if roles.kind == "point":
        return {"p0": as_number(names[0]), "p1": as_number(names[1])}
    if roles.kind == "location":
        halves = f"string_split(translate({names[0]}, '，; ', ',,'), ',')"
        return {f"p{place}": f"TRY_CAST({halves}[{place + 1}] AS DOUBLE)" for place in (0, 1)}
    return {"p0": names[0]}
