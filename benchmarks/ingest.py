"""Signaling ingest against its limit, DuckDB parsing the same columns, and against its peers: all ratios in one run.

    python benchmarks/ingest.py [--rows 2000000] [--distinct] [--rounds 3] [--without pandas --without transbigdata]

Task: CSV of an hourly export in GCJ-02, 58 bytes a row -> WGS-84 -> H3 resolution 9 -> sum per cell and hour -> small
sums hidden -> Parquet. There are 12,100 places and 192 hours, and rows of one place and
hour are parts of one count (50 million rows: 21 parts). With `--distinct` there are as many places as it takes for one
row a place and hour, repeated rows are looked for (preset daas), and a group is no smaller than the export.

`ingest` is the whole command: sniffing, rejects, quality report, fingerprint and commit included; `scan` its first pass
alone. Peers: pandas, which indexes its unique places; TransBigData's way, its own datum and grid functions on the
columns of a pandas frame; H3 row by row, and `DataFrame.apply`, both timed on a sample and extrapolated. Rounds are
interleaved and ratios taken round by round, because other work on the machine moves absolute times; printed are medians
and ranges. `processor` counts the time of all cores.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import h3
import numpy as np
import pandas as pd
import transbigdata

from fusion.geo.datum import gcj02_to_wgs84, wgs84_to_gcj02
from fusion.geo.grid import cells_at
from fusion.ingest.columns import find_roles
from fusion.ingest.opening import open_table
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import preset
from fusion.ingest.scan import Scan, connect
from fusion.ingest.signaling import ingest_signaling

DISTINCT = SignalingOptions(datum="gcj02")
PARTS = SignalingOptions(
    preset="milan", time="time", lon="lon", lat="lat", values=("people",), datum="gcj02", timezone="Asia/Shanghai"
)
HOURS, PLACES = 192, 12_100
SAMPLE = 20_000


def write_export(path: Path, rows: int, distinct: bool) -> None:
    """Write rows hour by hour, of places on a lattice around Zhengzhou, in GCJ-02 with six decimals."""
    an_hour = -(-rows // HOURS)
    count = an_hour if distinct else PLACES
    number = np.arange(count)
    # Some 300 m apart, and closer where there are more of them than that lattice has.
    wide = max(int(np.sqrt(count)), 1)
    lon, lat = 113.4 + 0.5 * (number % wide) / wide, 34.6 + 0.3 * (number // wide) / wide
    lon, lat = wgs84_to_gcj02(lon, lat)
    places = pd.DataFrame({"place": number, "lon": np.round(lon, 6), "lat": np.round(lat, 6)})
    with duckdb.connect() as connection:
        connection.register("places", places)
        connection.execute(
            f"""COPY (SELECT strftime(TIMESTAMP '2021-07-24' + to_hours((i // {an_hour})::INT), '%Y-%m-%d %H:%M:%S')
                             AS time, lon, lat, (hash(i) % 500)::INT AS people, '410105000000' AS district
                      FROM range({rows}) t(i) JOIN places ON place = i % {an_hour} % {count})
                TO '{path}' (HEADER)"""
        )


def parse(path: Path) -> None:
    """The limit: DuckDB parses the four columns, typed, and does nothing with them."""
    columns = {"time": "TIMESTAMP", "lon": "DOUBLE", "lat": "DOUBLE", "people": "DOUBLE", "district": "VARCHAR"}
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""SELECT count(time), sum(lon), sum(lat), sum(people)
                FROM read_csv('{path}', auto_detect=false, header=true, delim=',', columns={columns})"""
        ).fetchall()


def scan(path: Path, scratch: Path, options: SignalingOptions) -> None:
    """The first pass of ingest: one scan, grouped by place and time as written."""
    chosen = preset(options.preset)
    table = open_table(path, chosen, scratch)
    with connect(scratch) as connection:
        Scan(connection, [table], [find_roles(table, chosen, options)], chosen.sums_rows).group()


def with_pandas(path: Path, target: Path) -> None:
    """The peer: pandas reads all rows, indexes its unique places, merges and sums."""
    rows = pd.read_csv(path, usecols=["time", "lon", "lat", "people"], parse_dates=["time"])
    places = rows[["lon", "lat"]].drop_duplicates().reset_index(drop=True)
    places["cell"] = cells_at(*gcj02_to_wgs84(places["lon"], places["lat"]), 9)
    _write_hourly(rows.merge(places, on=["lon", "lat"]), ["cell"], target)


def with_transbigdata(path: Path, target: Path) -> None:
    """The peer: each row moved and put into a square of its grid by TransBigData, summed by pandas."""
    rows = pd.read_csv(path, usecols=["time", "lon", "lat", "people"], parse_dates=["time"])
    lon, lat = transbigdata.gcj02towgs84(rows["lon"], rows["lat"])
    # About the area of a cell of resolution 9.
    grid = transbigdata.area_to_params([113.3, 34.5, 114.0, 35.0], accuracy=325)
    rows["column"], rows["row"] = transbigdata.GPS_to_grid(lon, lat, grid)
    _write_hourly(rows, ["column", "row"], target)


def row_by_row(path: Path, target: Path) -> None:
    """The peer: H3 asked for each row of a sample."""
    rows = pd.read_csv(path, usecols=["time", "lon", "lat", "people"], parse_dates=["time"], nrows=SAMPLE)
    lon, lat = gcj02_to_wgs84(rows["lon"], rows["lat"])
    rows["cell"] = [h3.latlng_to_cell(y, x, 9) for x, y in zip(lon, lat, strict=True)]
    _write_hourly(rows, ["cell"], target)


def with_apply(path: Path, target: Path) -> None:
    """The peer: `DataFrame.apply` over the rows of a sample, datum and cell in one function."""

    def cell(row: pd.Series) -> str:
        lon, lat = gcj02_to_wgs84(row["lon"], row["lat"])
        return h3.latlng_to_cell(float(lat), float(lon), 9)

    rows = pd.read_csv(path, usecols=["time", "lon", "lat", "people"], parse_dates=["time"], nrows=SAMPLE // 4)
    rows["cell"] = rows.apply(cell, axis=1)
    _write_hourly(rows, ["cell"], target)


def _write_hourly(rows: pd.DataFrame, place: list[str], target: Path) -> None:
    rows["hour"] = rows["time"].dt.floor("h").dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC")
    summed = rows.groupby(["hour", *place], as_index=False)["people"].sum()
    summed["people_suppressed"] = summed["people"].between(1, 15)
    summed.to_parquet(target)


def seconds(work: Callable[[], object], factor: float = 1.0) -> tuple[float, float]:
    """Return how long one call took, and the time of all processors that it used, times a factor."""
    wall, processors = time.perf_counter(), time.process_time()
    work()
    return factor * (time.perf_counter() - wall), factor * (time.process_time() - processors)


def spread(own: list[float], base: list[float]) -> str:
    """Median and range of ratios, round by round."""
    ratios = [mine / other for mine, other in zip(own, base, strict=True)]
    return f"{statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Time the ways in turn and print ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=2_000_000)
    arguments.add_argument("--distinct", action="store_true", help="one row a place and hour")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--without", action="append", default=[], help="leave a peer out (pandas needs 0.3 GB a million rows)"
    )
    arguments.add_argument("--folder", type=Path, help="for the export; a temporary one by default")
    chosen = arguments.parse_args()
    options = DISTINCT if chosen.distinct else PARTS
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        root = Path(folder)
        export, peer = root / "export.csv", root / "peer.parquet"
        write_export(export, chosen.rows, chosen.distinct)
        (root / "scratch").mkdir()
        ways: dict[str, tuple[Callable[[], object], float]] = {
            "limit": (lambda: parse(export), 1.0),
            "scan": (lambda: scan(export, root / "scratch", options), 1.0),
            "ingest": (lambda: ingest_signaling([export], root / "town", options), 1.0),
            "pandas": (lambda: with_pandas(export, peer), 1.0),
            "transbigdata": (lambda: with_transbigdata(export, peer), 1.0),
            "h3 by row": (lambda: row_by_row(export, peer), chosen.rows / SAMPLE),
            "apply": (lambda: with_apply(export, peer), chosen.rows / (SAMPLE // 4)),
        }
        ways = {name: way for name, way in ways.items() if name not in chosen.without}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, (way, factor) in ways.items():
                taken[name].append(seconds(way, factor))
        size = export.stat().st_size
        print(
            f"{chosen.rows:,} rows of {size / chosen.rows:.0f} bytes, "
            f"{'one a place and hour' if chosen.distinct else f'{chosen.rows / PLACES / HOURS:.1f} a place and hour'}, "
            f"{len(os.sched_getaffinity(0))} cores, {chosen.rounds} rounds"
        )
        columns = {kind: {name: [pair[kind] for pair in pairs] for name, pairs in taken.items()} for kind in (0, 1)}
        print(f"{'':14}{'seconds':>10}  {'against the limit':30}{'the same, processor':30}{'against ingest':30}")
        for name in ways:
            wall, processor = columns[0], columns[1]
            print(
                f"{name:14}{statistics.median(wall[name]):10.2f}  {spread(wall[name], wall['limit']):30}"
                f"{spread(processor[name], processor['limit']):30}{spread(wall[name], wall['ingest']):30}"
                + ("  (extrapolated)" if ways[name][1] != 1.0 else "")
            )


if __name__ == "__main__":
    main()
