"""What ingest saw: `quality.json`, one report of all parts of a city, and `rejects.parquet`, what it did not take.

The counts of rows and what belongs to signaling stand at the top; `imagery` and `functions` are parts of their own.
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from fusion.city import City, CityInfo, CityWriter
from fusion.errors import CityError
from fusion.ingest.agreement import agreement
from fusion.ingest.inspection import inspect_activity
from fusion.ingest.presets import PRESETS
from fusion.ingest.tables import quote

PARTS = ("imagery", "functions", "urfc")
_FILES = {"signaling": "activity.parquet", "imagery": "imagery.tif", "functions": "functions.parquet"}

REASONS: dict[str, tuple[str, str]] = {
    "malformed": ("too few or too many fields", "字段数不符"),
    "bad_time": ("no time that can be read", "时间无法识别"),
    "ambiguous_time": ("an hour that clocks repeat", "夏令时重复的小时"),
    "nonexistent_time": ("an hour that clocks skip", "夏令时跳过的小时"),
    "bad_place": ("no place that can be read", "位置无法识别"),
    "swapped": ("longitude and latitude are swapped", "经纬度颠倒"),
    "outside": ("outside the city", "位于城市范围之外"),
    "unknown_grid_id": ("an id that the grid does not have", "网格中没有的编号"),
    "unknown_tower": ("a tower that the table does not have, or has no position of", "基站表中没有或缺少位置的基站"),
    "missing_user": ("no device id", "缺少用户标识"),
    "coarse_cell": ("an H3 cell coarser than the city's", "H3 单元比城市的更粗"),
    "bad_value": ("a count that is no number", "数值不是数字"),
    "negative": ("a negative count", "数值为负"),
    "duplicate": ("repeats an earlier row", "与前面的行重复"),
    "conflict": ("contradicts an earlier row of that place and hour", "与同一位置同一时间的行矛盾"),
    "unmapped": ("a class that the mapping does not have", "映射中没有的类别"),
    "bad_geometry": ("a polygon that cannot be mended", "无法修复的多边形"),
    "blank_line": ("an empty line", "空行"),
    "no_tab": ("a line without a tab", "缺少制表符的行"),
    "no_user": ("a line without a user", "缺少用户标识的行"),
    "no_entry": ("a line without a date and hour that can be read", "没有可识别日期与小时的行"),
    "bad_date": ("not a date", "日期无法识别"),
    "outside_dates": ("a date outside the half year", "日期不在半年范围内"),
    "bad_hour": ("not an hour from 00 to 23", "小时不在 00 至 23 之间"),
    "repeated": ("an hour that this user has already", "该用户重复的小时"),
    "unknown_file": ("a file of another kind", "其他类型的文件"),
    "bad_name": ("a name without region and class", "文件名缺少区域编号或类别"),
    "class_conflict": ("name and folder give different classes", "文件名与文件夹的类别不一致"),
    "repeated_name": ("a second file of that name", "重名文件"),
    "no_partner": ("an image without visits, or visits without an image", "图像与访问文件不成对"),
    "partner_rejected": ("its image or visit file was rejected", "与其成对的文件被拒绝"),
    "corrupt_image": ("an image that cannot be decoded", "图像损坏"),
    "wrong_size": ("an image of another size", "图像尺寸不符"),
    "blank_image": ("an image of one colour", "单色图像"),
    "unreadable": ("a file that cannot be read", "文件无法读取"),
    "no_entries": ("a visit file without a single entry", "没有任何记录的访问文件"),
}
CHECKS = ("coverage", "frozen_cells", "outliers", "unusual_days")
_EMPTY: dict[str, Any] = {
    "rows_read": 0,
    "rows_taken": 0,
    "rows_rejected": 0,
    "rejected_by_reason": {},
    "files": [],
    "warnings": [],
}


def load_quality(city: City) -> dict[str, Any]:
    """Return the quality report of a city; the counts of rows are there, and 0, even before any signaling came.

    Checks that were made under a smaller threshold than the city has now are left out: they say what it hides.

    Raises:
        CityError: the report is torn.
    """
    report = _EMPTY | _read(city.quality)
    made = {measure: found.get("min_count", 0) for measure, found in report.get("coverage", {}).items()}
    if any(measure.min_count > made.get(measure.id, measure.min_count) for measure in city.info.measures):
        return {name: value for name, value in report.items() if name not in CHECKS}
    return report


def load_rejects(city: City) -> pd.DataFrame:
    """Return what ingest did not take: columns `part`, `file`, `row`, `reason`, `text`.

    Raises:
        CityError: the table is torn.
    """
    if not city.rejects.is_file():
        empty = pd.DataFrame(columns=["part", "file", "row", "reason", "text"], dtype="str")
        return empty.astype({"row": "int64"})
    with duckdb.connect() as connection:
        try:
            return connection.read_parquet(str(city.rejects)).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise CityError(f"{city.name}: rejects.parquet cannot be read ({error}): ingest the data again") from None


def write_quality(
    writer: CityWriter,
    part: str,
    report: dict[str, Any],
    info: CityInfo | None = None,
    others: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Merge one part's report with what is known of the others, and write it in the open transaction.

    Args:
        writer: the transaction, in which the part's own file is written already.
        part: `signaling`, whose keys stand at the top, or one of `PARTS`.
        report: what that ingest saw.
        info: with new signaling, the city's new description: the activity is then inspected.
        others: with new signaling, reports of other parts that are written at once.

    Returns:
        The merged report.

    Raises:
        CityError: the activity that was written cannot be read back.
    """
    old = _read(writer.path / "quality.json")
    extents = old.get("extents", {}) | report.pop("extents", {})
    if part == "signaling":
        if "preset" in report:  # an export of places and hours
            report = _repeated(report) | _outside(report) | report
        written = writer.current("activity.parquet")
        if info is not None and written is not None:
            report |= inspect_activity(written, info)
            report["warnings"] = [*report.get("warnings", []), *_noticed(report, info)]
        merged = _EMPTY | report | {name: old[name] for name in PARTS if name in old} | (others or {})
    else:
        merged = _EMPTY | old | {part: report}
    merged.pop("agreement", None)
    files = {name: path for name, file in _FILES.items() if (path := writer.current(file)) is not None}
    if compared := agreement(files, extents):
        merged["agreement"] = compared
    merged = plain({**merged, "extents": extents})
    writer.new("quality.json").write_text(json.dumps(merged, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return merged


def accounts(report: dict[str, Any]) -> list[str]:
    """Return what does not add up in a report, a line each; nothing where every row is accounted for.

    Of every part: what was read was taken or rejected, and each rejected one has a reason. Of every measure: each cell
    and hour is valid, suppressed or missing.
    """
    lines = []
    for name, part in (("signaling", report), *((name, report[name]) for name in PARTS if name in report)):
        counted = counted_units(part)
        for unit, (read, taken, rejected) in counted.items():
            if read != taken + rejected:
                lines.append(f"{name}: {read} {unit} read, but {taken} taken and {rejected} rejected")
            # A part that counts several things names the reasons of each apart.
            own = f"{unit}_rejected_by_reason" if len(counted) > 1 else "rejected_by_reason"
            if own in part and (by := sum(part[own].values())) != rejected:
                lines.append(f"{name}: {rejected} {unit} rejected, but {by} with a reason")
    for measure, found in report.get("coverage", {}).items():
        states = [found[state] for state in ("valid", "suppressed", "missing")]
        if sum(states) != found["cell_hours"]:
            lines.append(f"{measure}: {found['cell_hours']} cell-hours, but {sum(states)} in one of the states")
        if found["by_hour"]:
            by_hour = [sum(found["by_hour"][state]) for state in ("valid", "suppressed", "missing")]
            if by_hour != states:
                lines.append(f"{measure}: {states} valid, suppressed and missing, but {by_hour} by hour")
    return lines


def counted_units(part: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return what a part of a report counts: unit (rows, polygons, files) to how many were read, taken and rejected."""
    units = [key.removesuffix("_read") for key in part if key.endswith("_read")]
    return {
        unit: (part[f"{unit}_read"], part[f"{unit}_taken"], part.get(f"{unit}_rejected", 0))
        for unit in units
        if f"{unit}_taken" in part
    }


def write_rejects(
    writer: CityWriter, part: str, rejects: duckdb.DuckDBPyRelation, connection: duckdb.DuckDBPyConnection
) -> None:
    """Write one part's rejects, beside those of the other parts, in the open transaction.

    Args:
        writer: the transaction.
        part: `signaling` or one of `PARTS`.
        rejects: columns `file`, `row`, `reason`, `text`.
        connection: the one that `rejects` belongs to.
    """
    rejects.create_view("new_rejects", replace=True)
    query = f"SELECT {quote(part)} AS part, file, row::BIGINT AS row, reason, text FROM new_rejects"
    old = writer.path / "rejects.parquet"
    if old.is_file():
        others = f"read_parquet({quote(str(old))}) WHERE part <> {quote(part)}"
        query += f" UNION ALL SELECT part, file, row, reason, text FROM {others}"
    target = quote(str(writer.new("rejects.parquet")))
    connection.execute(
        f"COPY ({query} ORDER BY part, file, row) TO {target} (FORMAT parquet, COMPRESSION zstd)"
    ).fetchall()


def plain(value: Any) -> Any:
    """Return a report with Python's own numbers only, as JSON needs."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _repeated(report: dict[str, Any]) -> dict[str, Any]:
    """How rows of one place and time were joined."""
    known = PRESETS.get(str(report.get("preset")))
    if known is not None and known.counts_devices:
        return {"duplicates": {"rows": None, "same": None, "contradicting": None, "joined": "distinct"}}
    if known is not None and known.sums_rows:
        return {"duplicates": {"rows": None, "same": None, "contradicting": None, "joined": "sum"}}
    rejected = report.get("rejected_by_reason", {})
    same, contradicting = rejected.get("duplicate", 0), rejected.get("conflict", 0)
    rows = same + contradicting
    return {"duplicates": {"rows": rows, "same": same, "contradicting": contradicting, "joined": "first"}}


def _outside(report: dict[str, Any]) -> dict[str, Any]:
    rejected = report.get("rejected_by_reason", {})
    rows, swapped = rejected.get("outside", 0), rejected.get("swapped", 0)
    share = (rows + swapped) / max(report.get("rows_read", 0), 1)
    return {"outside": {"rows": rows, "swapped": swapped, "share": share}}


def _noticed(report: dict[str, Any], info: CityInfo) -> list[str]:
    """Lines about what the inspection found."""
    lines = []
    flagged = {flag.date for flag in info.flagged}
    for measure, frozen in report["frozen_cells"].items():
        if frozen["cells"]:
            lines.append(f"{measure}: {frozen['cells']} cells repeat one value for {frozen['hours']} hours and more")
    for measure, found in report["unusual_days"].items():
        odd = [day["date"] for day in found["days"] if day["unusual"] and day["date"] not in flagged]
        if odd:
            lines.append(f"{measure}: {', '.join(odd[:10])} differ from the other days: flag them if there is a reason")
    return lines


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CityError(f"{path.parent.name}/quality.json cannot be read ({error}): ingest the data again") from None
    return dict(report)
