"""Distinct devices a cell and hour, against the same count in plain DuckDB SQL on cells that are already there.

    python benchmarks/devices.py [--rows 2000000] [--rounds 3] [--memory 1GB] [--bad 0]

Task: CSV of device records (id of 32 hexadecimal digits, time to the second, GCJ-02 lon and lat of up to 12,100 towers,
20 records a tower and hour) ->
WGS-84 -> H3 resolution 9 -> distinct devices a cell and hour -> small counts hidden -> Parquet. The peer reads a CSV of
the same records whose cells and hours are there already, and does `COUNT(DISTINCT user) GROUP BY cell, hour`. `ingest`
is the whole command: sniffing, hashing, indexing, quality report, fingerprint and commit included; `bounded` the same
with `--memory`. `--bad` is the share of records that are rejected (their place lies elsewhere), which need a second
reading. Every run is a process of its own, so that its peak memory can be told; rounds are interleaved and ratios taken
round by round; printed are medians and ranges.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fusion.geo.datum import gcj02_to_wgs84
from fusion.geo.grid import cells_at
from fusion.ingest.engine import parse_memory
from fusion.ingest.options import Resources, SignalingOptions
from fusion.ingest.signaling import ingest_signaling

HOURS, MOST_TOWERS, RECORDS_A_TOWER_HOUR, RECORDS_A_DEVICE = 192, 12_100, 20, 50
ELSEWHERE = 9.19


def write_records(raw: Path, indexed: Path, rows: int, bad: float) -> None:
    """Write the records twice: as they come, and with the cell and the local hour of each."""
    towers = min(max(rows // HOURS // RECORDS_A_TOWER_HOUR, 1), MOST_TOWERS)
    number = np.arange(towers)
    lon, lat = np.round(113.40 + 0.5 * (number % 110) / 110, 6), np.round(34.60 + 0.3 * (number // 110) / 110, 6)
    cell = cells_at(*gcj02_to_wgs84(lon, lat), 9)
    with duckdb.connect() as connection:
        connection.register("towers", pd.DataFrame({"number": number, "lon": lon, "lat": lat, "cell": cell}))
        connection.execute(
            f"""CREATE TABLE records AS
                SELECT md5((hash(i) % {max(rows // RECORDS_A_DEVICE, 1)})::VARCHAR) AS user_id,
                       TIMESTAMP '2021-07-24' + to_seconds((hash(i + 7) % {HOURS * 3600})::INT) AS time,
                       (hash(i * 3 + 1) % {towers})::BIGINT AS number, hash(i * 5 + 2) % 10000 < {bad * 10000} AS bad
                FROM range({rows}) t(i)"""
        )
        connection.execute(
            f"""COPY (SELECT user_id, strftime(time, '%Y-%m-%d %H:%M:%S') AS time,
                             CASE WHEN bad THEN {ELSEWHERE} ELSE lon END AS lon, lat
                      FROM records JOIN towers USING (number)) TO '{raw}' (HEADER)"""
        )
        connection.execute(
            f"""COPY (SELECT user_id AS "user", cell, date_trunc('hour', time) AS hour
                      FROM records JOIN towers USING (number)) TO '{indexed}' (HEADER)"""
        )


def plain_sql(indexed: Path, target: Path) -> None:
    """The peer: the count alone, of cells and hours that are there."""
    columns = {"user": "VARCHAR", "cell": "UBIGINT", "hour": "TIMESTAMP"}
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""COPY (SELECT cell, hour, count(DISTINCT "user") AS devices
                      FROM read_csv('{indexed}', auto_detect=false, header=true, delim=',', columns={columns})
                      GROUP BY cell, hour) TO '{target}' (FORMAT parquet)"""
        )


def run_once(way: str, root: Path, memory: str) -> None:
    """Do one way in this process and print what it took."""
    started = time.perf_counter()
    if way == "plain SQL":
        plain_sql(root / "indexed.csv", root / "peer.parquet")
    else:
        resources = Resources(parse_memory(memory) if way == "bounded" else None)
        options = SignalingOptions(preset="devices", datum="gcj02")
        ingest_signaling([root / "raw.csv"], root / "town", options, resources=resources)
    wall_s = time.perf_counter() - started
    print(json.dumps({"wall_s": wall_s, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process held; `ru_maxrss` begins with what the process that started it held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def check_equal(root: Path) -> None:
    """Both ways have counted the same, where nothing was rejected."""
    found, hidden, apart = duckdb.sql(
        f"""SELECT count(*), count_if(devices_suppressed),
                   count_if(CASE WHEN devices_suppressed THEN b.n > 15 ELSE a.devices IS DISTINCT FROM b.n END)
            FROM (SELECT *, epoch(hour) AS start FROM '{root / "town" / "activity.parquet"}') a
            FULL JOIN (SELECT cell, epoch(hour) - 8 * 3600 AS start, devices AS n
                       FROM '{root / "peer.parquet"}') b USING (cell, start)"""
    ).fetchall()[0]
    print(f"{found:,} cell-hours, {hidden:,} of them hidden (15 and below), {apart:,} differ from the peer's")


def main() -> None:
    """Time the ways in turn and print ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=2_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--memory", default="1GB")
    arguments.add_argument("--bad", type=float, default=0.0)
    arguments.add_argument("--way", help=argparse.SUPPRESS)
    arguments.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.way:
        run_once(chosen.way, chosen.root, chosen.memory)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_records(root / "raw.csv", root / "indexed.csv", chosen.rows, chosen.bad)
        ways = ("plain SQL", "ingest", "bounded")
        taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way in ways:
                command = [sys.executable, __file__, "--way", way, "--root", folder, "--memory", chosen.memory]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                taken[way].append(json.loads(output.splitlines()[-1]))
        size_mb = (root / "raw.csv").stat().st_size / 1e6
        print(f"{chosen.rows:,} records, {size_mb:.0f} MB, {chosen.bad:.0%} rejected, {chosen.rounds} rounds")
        for way, runs in taken.items():
            ratios = [own["wall_s"] / peer["wall_s"] for own, peer in zip(runs, taken["plain SQL"], strict=True)]
            name = f"{way} ({chosen.memory})" if way == "bounded" else way
            print(
                f"{name:15} {statistics.median(run['wall_s'] for run in runs):7.2f} s; against plain SQL "
                f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
                f"peak {max(run['peak_mb'] for run in runs):6.0f} MB"
            )
        if not chosen.bad:
            check_equal(root)


if __name__ == "__main__":
    main()
