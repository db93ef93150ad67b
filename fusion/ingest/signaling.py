"""Signaling exports into a city: one DuckDB scan, H3 on the distinct places only, one commit."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.city import CityInfo, CityWriter, write_city
from fusion.errors import InputError
from fusion.fingerprint import fingerprint_file
from fusion.geo.grid import Bounds, boundaries, check_resolution
from fusion.ingest.columns import check_alike, find_roles
from fusion.ingest.devices_copies import nameless_copies
from fusion.ingest.exports import open_exports
from fusion.ingest.frame import (
    DEFAULT_RESOLUTION,
    add_source,
    check_overlap,
    clear_lines,
    imagery_extent,
    new_info,
    provenance,
)
from fusion.ingest.indexing import advice_on_swapped, index_places, index_times, place_table
from fusion.ingest.options import Resources, SignalingOptions
from fusion.ingest.places import Places
from fusion.ingest.presets import Preset, preset
from fusion.ingest.quality import REASONS, write_quality, write_rejects
from fusion.ingest.scanning import AnyScan, open_scan
from fusion.ingest.times import HOUR_US, check_timezone
from fusion.ingest.towers import towers_of

__all__ = ["Resources", "SignalingOptions", "ingest_signaling"]

Progress = Callable[[float, str], None]

_LISTED_HOURS = 1000


def ingest_signaling(
    files: Sequence[Path],
    city_path: Path,
    options: SignalingOptions | None = None,
    progress: Progress | None = None,
    resources: Resources | None = None,
) -> dict[str, Any]:
    """Replace a city's activity by what these exports hold; make the city if there is none.

    Args:
        files: CSV, TSV or text (also .gz), Parquet, Excel, zip archives or folders of these.
        city_path: the city's folder.
        options: how to read them.
        progress: is told the share done, 0 to 1, and what is being done.
        resources: memory and processes; one process by default.

    Returns:
        The quality report (docs/data-formats.md), as written to `quality.json`.

    Raises:
        InputError: a file, a column or an option cannot be used, or no row remains; the city stays as it was.
        CityError: the city cannot be written, for instance on a full disk; it stays as it was.
        CityLockedError: another writer holds the city.
        ConfigError: the backend is unknown or cannot be reached.
    """
    options = options or SignalingOptions()
    resources = resources or Resources()
    tell = progress or (lambda share, text: None)
    if not files:
        raise InputError("no file was named: give at least one export")
    chosen = preset(options.preset)
    if options.timezone:
        check_timezone(options.timezone)
    if options.resolution is not None:
        check_resolution(options.resolution)
    with write_city(city_path) as writer, clear_lines(city_path.name):
        scratch = writer.new_folder("signaling")
        tell(0.0, "looking at the files")
        tables, notes = open_exports(files, chosen, options, scratch)
        roles = [find_roles(table, chosen, options) for table in tables]
        check_alike([table.name for table in tables], roles)
        towers = towers_of(options, roles[0])
        private = tables if chosen.counts_devices else []
        with (
            nameless_copies(private, scratch),
            open_scan(tables, roles, chosen, towers, scratch, resources) as scan,
        ):
            return _take(scan, writer, chosen, options, tell, notes, resources)


def _take(
    scan: AnyScan,
    writer: CityWriter,
    chosen: Preset,
    options: SignalingOptions,
    tell: Progress,
    notes: list[str],
    resources: Resources,
) -> dict[str, Any]:
    info = writer.info
    timezone = options.timezone or (info.timezone if info else chosen.timezone)
    resolution = _resolution(writer, info, options)
    tell(0.05, "reading")
    scan.group()
    tell(0.6, "indexing places")
    where, whens = scan.distinct_places(), scan.distinct_times()
    frame = info.bounds if info and _is_framed(writer) else None
    places = index_places(where, scan.roles[0], frame, chosen, options, resolution, scan.towers)
    times, hour_us = index_times(whens, timezone)
    scan.index(place_table(where, places), times)
    tell(0.65, "judging rows")
    scan.judge()
    rejected = _by_reason(scan)
    counts = scan.row_counts()
    _check_remains(writer, counts, rejected, where, scan)
    extent = _extent(places)
    if (writer.path / "imagery.tif").is_file():
        check_overlap("signaling", extent, "imagery", imagery_extent(writer.path / "imagery.tif"))
    tell(0.75, "writing")
    measures = scan.roles[0].measures
    numbers = scan.write(writer.new("activity.parquet"), measures)
    write_rejects(writer, "signaling", scan.rejects(), scan.connection)
    scan.connection.close()  # its memory is wanted by what follows
    hours = (numbers["last_us"] - numbers["first_us"]) // HOUR_US + 1
    bounds = info.bounds if info and _is_framed(writer) else extent
    base = info or new_info(writer.path.name, bounds, resolution, timezone)
    names = [table.name for table in scan.tables]
    described = replace(
        base,
        bounds=bounds,
        resolution=resolution,
        timezone=timezone,
        provenance=provenance(writer, "activity.parquet"),
        first_hour=_iso(numbers["first_us"]),
        hours=hours,
        measures=measures,
        sources=add_source(base, "signaling", names),
    )
    missing = _missing_hours(hour_us, numbers["first_us"], hours)
    report = {
        "rows_read": counts["rows_read"],
        "rows_taken": counts["rows_taken"],
        "rows_rejected": sum(rejected.values()),
        "rejected_by_reason": rejected,
        "files": names,
        "preset": chosen.id,
        "datum": options.datum or "wgs84",
        "timezone": timezone,
        "resolution": resolution,
        "min_count": measures[0].min_count,
        "columns": {"place": scan.roles[0].place, "time": scan.roles[0].time, "values": scan.roles[0].values},
        "measures": [measure.id for measure in measures],
        "first_hour": described.first_hour,
        "hours": hours,
        "missing_hours": len(missing),
        "missing_hours_listed": missing[:_LISTED_HOURS],
        "cells": numbers["cells"],
        "share_suppressed": numbers["suppressed"] / max(numbers["suppressed"] + numbers["valid"], 1),
        "extents": {"signaling": extent},
        "warnings": notes + _warnings(rejected, counts["rows_read"], hours, numbers["hours_with_rows"]),
    }
    tell(0.85, "checking")
    # Both read the new table; beside each other they take the time of one, and the memory of both.
    with ThreadPoolExecutor(max_workers=1) as beside:
        bounded = resources.memory_bytes is not None
        digits = None if bounded else beside.submit(fingerprint_file, writer.new("activity.parquet"))
        report = write_quality(writer, "signaling", report, described)
        known = {"activity": digits.result()} if digits else {}
    tell(0.9, "committing")
    writer.commit(described, known)
    tell(1.0, "done")
    return report


def _resolution(writer: CityWriter, info: CityInfo | None, options: SignalingOptions) -> int:
    if info is None:
        return DEFAULT_RESOLUTION if options.resolution is None else options.resolution
    resolution = info.resolution if options.resolution is None else options.resolution
    if resolution != info.resolution and (writer.path / "functions.parquet").is_file():
        raise InputError(
            f"--resolution {resolution}: city {info.name} has functions on resolution {info.resolution}: "
            "use that one, or another city"
        )
    return resolution


def _is_framed(writer: CityWriter) -> bool:
    # A city whose only data is the activity being replaced takes its bounds anew: the old datum may have been wrong.
    return any((writer.path / name).is_file() for name in ("imagery.tif", "functions.parquet"))


def _by_reason(scan: AnyScan) -> dict[str, int]:
    found = scan.rejects().aggregate("reason, count(*) AS rows", "reason").to_arrow_table().to_pandas()
    counts = dict(zip(found["reason"], found["rows"], strict=True))
    return {reason: int(counts[reason]) for reason in REASONS if reason in counts}


def _check_remains(
    writer: CityWriter, counts: dict[str, int], rejected: dict[str, int], where: pd.DataFrame, scan: AnyScan
) -> None:
    """Refuse an export of which nothing, or next to nothing, could be taken."""
    name = scan.tables[0].name if len(scan.tables) == 1 else f"{len(scan.tables)} files"
    if not counts["rows_read"]:
        raise InputError(f"{name} has no rows: export it again")
    swapped = rejected.get("swapped", 0)
    if swapped > counts["rows_taken"]:
        advice = advice_on_swapped(scan.roles[0], scan.towers)
        if scan.towers is not None:
            raise InputError(
                f"{scan.towers.name}: its own longitude and latitude look swapped, by {swapped} of "
                f"{counts['rows_read']} records: {advice}"
            )
        raise InputError(
            f"{name}: longitude and latitude look swapped in {swapped} of {counts['rows_read']} rows: {advice}"
        )
    if counts["rows_taken"]:
        return
    listed = ", ".join(f"{count} {REASONS[reason][0]}" for reason, count in rejected.items())
    first = scan.rejects().limit(1).to_arrow_table().to_pylist()[0]
    if rejected.get("outside", 0) * 2 > counts["rows_read"] and writer.info and scan.roles[0].kind == "point":
        west, east = where["p0"].min(), where["p0"].max()
        south, north = where["p1"].min(), where["p1"].max()
        check_overlap("signaling", (west, south, east, north), f"city {writer.path.name}", writer.info.bounds)
    raise InputError(
        f"{name}: none of {counts['rows_read']} rows could be taken ({listed}); the first is row {first['row']}, "
        f"{first['text'][:80]!r}: check the columns, the datum and the city"
    )


def _extent(places: Places) -> Bounds:
    """The box around the cells and the places in them."""
    cells = np.unique(places.cell[places.cell != 0])
    corners = np.array([corner for ring in boundaries(cells) for corner in ring])
    west, south, east, north = places.extent()
    return (
        min(west, float(corners[:, 0].min())),
        min(south, float(corners[:, 1].min())),
        max(east, float(corners[:, 0].max())),
        max(north, float(corners[:, 1].max())),
    )


def _missing_hours(hour_us: np.ndarray, first_us: int, hours: int) -> list[str]:
    span = first_us + np.arange(hours, dtype=np.int64) * HOUR_US
    return [_iso(int(hour)) for hour in np.setdiff1d(span, hour_us)]


def _iso(hour_us: int) -> str:
    return datetime.fromtimestamp(hour_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _warnings(rejected: dict[str, int], rows: int, hours: int, hours_with_rows: int) -> list[str]:
    found = []
    if rejected.get("outside", 0) * 20 > rows:
        found.append(f"{rejected['outside']} of {rows} rows lie outside the city: check the datum and the city")
    if rejected.get("conflict", 0) * 20 > rows:
        found.append(
            f"{rejected['conflict']} of {rows} rows contradict an earlier row of their place and time: "
            "if the export has a line a group of people, sum the groups first"
        )
    if hours > 2 * hours_with_rows:
        found.append(f"only {hours_with_rows} of {hours} hours have rows: check the times")
    return found
