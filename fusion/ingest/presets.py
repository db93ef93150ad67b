"""What is known of exports by name: headers that say what a column is, and the presets.

`daas` is an hourly export of a Chinese DaaS platform, known by its headers. `milan` is Telecom Italia's open activity
data: no header, tab-separated, 10-minute bins in epoch milliseconds, one row a country code (Barlacchi et al. 2015,
doi:10.1038/sdata.2015.55); its values are a scaled index, not counts of people. `devices` are
records of single devices.
"""

import re
from dataclasses import dataclass

from fusion.city import Measure
from fusion.errors import InputError

TIME_HEADERS = ("time", "date_time", "datetime", "timestamp", "时间", "日期时间", "统计时间")
DATE_HEADERS = ("date", "day", "日期", "统计日期")
HOUR_HEADERS = ("hour", "小时", "时段", "统计小时")
LON_HEADERS = ("lon", "lng", "longitude", "经度", "中心经度")
LAT_HEADERS = ("lat", "latitude", "纬度", "中心纬度")
H3_HEADERS = ("h3", "h3_index", "h3_cell", "hex_id")
GRID_HEADERS = ("grid_id", "网格编号", "网格id", "栅格id", "栅格编号")
USER_HEADERS = (
    *("user", "uid", "user_id", "user_hash", "imsi", "msisdn", "imei", "device", "device_id"),
    *("用户", "用户标识", "用户id", "用户编号", "设备", "设备号", "设备id", "设备标识"),
)
TOWER_HEADERS = (
    *("tower", "tower_id", "cgi", "ecgi", "eci", "base_station", "base_station_id", "bs_id", "station_id"),
    *("基站", "基站编号", "基站id", "基站标识", "小区", "小区编号", "小区id", "小区标识"),
)
# Cell ids that count within a location area only: with its code beside them both make up the id.
TOWER_ID_HEADERS = ("cell_id", "ci", "cid")
AREA_HEADERS = ("lac", "tac", "位置区", "位置区码")
WKT_HEADERS = ("wkt", "geometry", "geom", "the_geom", "几何")
VALUE_HEADERS = {
    "people": ("people", "population", "count", "uv", "人数", "人口", "人流量"),
    "inflow": ("inflow", "流入", "流入人数"),
    "outflow": ("outflow", "流出", "流出人数"),
}

NULL_TEXTS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-", "--", "\\N")

_MEASURES = {
    "people": ("people", "People", "人数"),
    "devices": ("devices", "Devices", "设备数"),
    "inflow": ("people", "Inflow", "流入"),
    "outflow": ("people", "Outflow", "流出"),
    "sms_in": ("index", "SMS received", "短信接收"),
    "sms_out": ("index", "SMS sent", "短信发送"),
    "call_in": ("index", "Calls received", "来电"),
    "call_out": ("index", "Calls made", "去电"),
    "internet": ("index", "Internet", "上网"),
}
# Words that DuckDB reserves would break the queries that name a measure's column.
_RESERVED = {
    *("all", "and", "any", "as", "asc", "case", "cast", "check", "column", "create", "default", "desc", "distinct"),
    *("do", "else", "end", "except", "false", "fetch", "for", "from", "grant", "group", "having", "in", "into", "is"),
    *("join", "lateral", "limit", "not", "null", "offset", "on", "only", "or", "order", "primary", "references"),
    *("select", "some", "table", "then", "to", "true", "union", "unique", "user", "using", "when", "where", "with"),
    *("cell", "hour", "value", "state"),
}


@dataclass(frozen=True)
class Preset:
    """How one kind of export differs from the others.

    `columns` are the names of a file without a header, by position; `sums_rows` says that several rows of one place
    and time are parts of one count (country codes), not repetitions; `counts_devices`, that a row is a record of one
    device and not a count.
    """

    id: str
    timezone: str
    min_count: int
    sums_rows: bool
    columns: tuple[str, ...] = ()
    time: str | None = None
    grid_id: str | None = None
    grid_property: str | None = None
    values: tuple[str, ...] = ()
    counts_devices: bool = False


PRESETS: dict[str, Preset] = {
    "daas": Preset("daas", timezone="Asia/Shanghai", min_count=15, sums_rows=False),
    "devices": Preset("devices", timezone="Asia/Shanghai", min_count=15, sums_rows=True, counts_devices=True),
    "milan": Preset(
        "milan",
        timezone="Europe/Rome",
        min_count=0,
        sums_rows=True,
        columns=("square_id", "time", "country", "sms_in", "sms_out", "call_in", "call_out", "internet"),
        time="time",
        grid_id="square_id",
        grid_property="cellId",
        values=("sms_in", "sms_out", "call_in", "call_out", "internet"),
    ),
}


def preset(name: str | None) -> Preset:
    """Return a preset, `daas` for None.

    Raises:
        InputError: there is none of that name.
    """
    found = PRESETS.get(name or "daas")
    if found is None:
        raise InputError(f"unknown preset {name!r}: use one of {', '.join(PRESETS)}")
    return found


def plain(header: str) -> str:
    """Return a header as it is compared: lower case, one underscore for spaces and dashes."""
    return re.sub(r"[\s\-_]+", "_", header.strip().lower())


def find_header(headers: tuple[str, ...], wanted: tuple[str, ...]) -> str | None:
    """Return the first of a file's headers, in the order of `wanted`, that is one of those known."""
    by_plain = {plain(header).replace("_", ""): header for header in reversed(headers)}
    return next((by_plain[key] for name in wanted if (key := name.replace("_", "")) in by_plain), None)


def measure_of_devices(min_count: int) -> Measure:
    """Return the measure of distinct devices: of one operator's customers, not people and not a population."""
    return Measure("devices", *_MEASURES["devices"], min_count)


def measure_for(header: str, min_count: int, taken: tuple[str, ...] = ()) -> Measure:
    """Name the measure of a column: a known one, or the header made fit for a column's name."""
    known = {alias: id_ for id_, aliases in VALUE_HEADERS.items() for alias in aliases} | {
        id_: id_ for id_ in _MEASURES
    }
    id_ = known.get(plain(header))
    if id_ is not None and id_ not in taken:
        unit, en, zh = _MEASURES[id_]
        return Measure(id_, unit, en, zh, min_count)
    id_ = re.sub(r"[^a-z0-9_]+", "", plain(header)).strip("_") or "count"
    if id_ in _RESERVED or id_[0].isdigit() or id_.endswith("_suppressed"):
        id_ = f"m_{id_}"
    stem, number = id_, 2
    while id_ in taken:
        id_, number = f"{stem}_{number}", number + 1
    return Measure(id_, "count", header, header, min_count)
