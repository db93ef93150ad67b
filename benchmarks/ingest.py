"""Signaling ingest against its limit (DuckDB parsing the same columns) and against pandas over unique places.

    python benchmarks/ingest.py [--rows 2000000] [--parts 1] [--rounds 5] [--no-pandas]

Task: CSV of an hourly export in GCJ-02 -> WGS-84 -> H3 resolution 9 -> sum per cell and hour -> small sums hidden ->
Parquet. With `--parts 1` each place and hour has one row, and repeated rows are looked for (preset daas); with more,
that many rows are parts of one sum (as country codes are in preset milan). `ingest` is the whole command: sniffing,
rejects, quality report, fingerprint and commit included; `scan` its first pass alone. Rounds are interleaved and ratios
taken round by round, because other work on the machine moves absolute times; printed are medians and ranges.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd

from fusion.geo.datum import gcj02_to_wgs84
from fusion.geo.grid import cells_at
from fusion.ingest.columns import find_roles
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import preset
from fusion.ingest.scan import Scan, connect
from fusion.ingest.signaling import ingest_signaling
from fusion.ingest.tables import open_table

DAAS = SignalingOptions(datum="gcj02")
PARTS = SignalingOptions(
    preset="milan", time="time", lon="lon", lat="lat", values=("people",), datum="gcj02", timezone="Asia/Shanghai"
)
HOURS = 192


def write_export(path: Path, rows: int, parts: int) -> None:
    """Write rows of places on a lattice around Zhengzhou, hour by hour, `parts` rows for each place and hour."""
    places = max(rows // HOURS // parts, 1)
    duckdb.sql(
        f"""COPY (SELECT strftime(TIMESTAMP '2021-07-24' + to_hours((i // {places} % {HOURS})::INT),
                                  '%Y-%m-%d %H:%M:%S') AS time,
                         round(113.40 + 0.5 * (i % {places} % 250) / 250, 6) AS lon,
                         round(34.60 + 0.3 * (i % {places} // 250) / ({places} // 250 + 1), 6) AS lat,
                         (hash(i) % 500)::INT AS people
                  FROM range({places * HOURS * parts}) t(i)) TO '{path}' (HEADER)"""
    )


def parse(path: Path) -> None:
    """The limit: DuckDB parses the four columns, typed, and does nothing with them."""
    columns = {"time": "TIMESTAMP", "lon": "DOUBLE", "lat": "DOUBLE", "people": "DOUBLE"}
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
    rows = pd.read_csv(path, parse_dates=["time"])
    places = rows[["lon", "lat"]].drop_duplicates().reset_index(drop=True)
    places["cell"] = cells_at(*gcj02_to_wgs84(places["lon"], places["lat"]), 9)
    rows = rows.merge(places, on=["lon", "lat"])
    rows["hour"] = rows["time"].dt.floor("h").dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC")
    summed = rows.groupby(["hour", "cell"], as_index=False)["people"].sum()
    summed["people_suppressed"] = summed["people"].between(1, 15)
    summed.to_parquet(target)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long one call took, and the time of all processors that it used."""
    wall, processors = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processors


def main() -> None:
    """Time the ways in turn and print ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=2_000_000)
    arguments.add_argument("--parts", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument(
        "--no-pandas", action="store_true", help="leave the peer out (it needs 0.3 GB a million rows)"
    )
    chosen = arguments.parse_args()
    options = DAAS if chosen.parts == 1 else PARTS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        export = root / "export.csv"
        write_export(export, chosen.rows, chosen.parts)
        (root / "scratch").mkdir()
        ways: dict[str, Callable[[], object]] = {
            "parse (limit)": lambda: parse(export),
            "scan": lambda: scan(export, root / "scratch", options),
            "ingest": lambda: ingest_signaling([export], root / "town", options),
        }
        if not chosen.no_pandas:
            ways["pandas"] = lambda: with_pandas(export, root / "peer.parquet")
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                taken[name].append(seconds(way))
        size_mb = export.stat().st_size / 1e6
        print(f"{chosen.rows:,} rows, {chosen.parts} a place and hour, {size_mb:.0f} MB, {chosen.rounds} rounds")
        limit = taken["parse (limit)"]
        for name, times in taken.items():
            ratios = [[own[kind] / least[kind] for own, least in zip(times, limit, strict=True)] for kind in (0, 1)]
            print(
                f"{name:14} {statistics.median(wall for wall, _ in times):7.2f} s; against the limit, time "
                f"{statistics.median(ratios[0]):5.2f} ({min(ratios[0]):.2f} to {max(ratios[0]):.2f}), processor time "
                f"{statistics.median(ratios[1]):5.2f} ({min(ratios[1]):.2f} to {max(ratios[1]):.2f})"
            )


if __name__ == "__main__":
    main()
