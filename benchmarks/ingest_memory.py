"""Signaling ingest in bounded memory: peak of the whole process and time, beside the same without a bound.

    python benchmarks/ingest_memory.py [--rows 2000000] [--memory 1GB] [--bad 0.05] [--distinct] [--rounds 1]

Each run is a process of its own, `python -m fusion ingest signaling`, and the peak is what the kernel says of its
resident set (`ru_maxrss`). Rows as in `benchmarks/ingest.py`; `--bad` is the share of damaged rows, in equal parts too
few fields, a count that is no number, a time that is none, and a place elsewhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from ingest import HOURS, PLACES

ARGUMENTS = ["--datum", "gcj02", "--json"]
PARTS = ["--preset", "milan", "--time", "time", "--lon", "lon", "--lat", "lat", "--value", "people"]


def write_export(path: Path, rows: int, bad: float, distinct: bool) -> None:
    """Write rows hour by hour as lines of text, some of them damaged."""
    an_hour = -(-rows // HOURS)
    count = an_hour if distinct else PLACES
    every = round(1 / bad) if bad else rows + 1
    wide = max(int(count**0.5), 1)
    with duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{path.parent}'")
        connection.execute(
            f"""COPY (
                    SELECT CASE WHEN i % {every} <> {every} - 1 THEN time || ',' || place || ',' || people || code
                                WHEN i // {every} % 4 = 0 THEN time || ',' || place
                                WHEN i // {every} % 4 = 1 THEN time || ',' || place || ',<15' || code
                                WHEN i // {every} % 4 = 2 THEN 'noon,' || place || ',' || people || code
                                ELSE time || ',9.190001,45.460001,' || people || code END AS "time,lon,lat,people,code"
                    FROM (SELECT i, (hash(i) % 500)::INT AS people, ',410105000000' AS code,
                                 strftime(TIMESTAMP '2021-07-24' + to_hours((i // {an_hour})::INT), '%Y-%m-%d %H:%M:%S')
                                     AS time,
                                 printf('%.6f,%.6f', 113.406123 + 0.5 * (p % {wide}) / {wide},
                                        34.599456 + 0.3 * (p // {wide}) / {wide}) AS place
                          FROM (SELECT i, i % {an_hour} % {count} AS p FROM range({rows}) t(i))))
                TO '{path}' (HEADER, DELIMITER '|', QUOTE '')"""
        )


def run(export: Path, data: Path, arguments: list[str]) -> tuple[float, float, dict]:
    """Return seconds, peak in MB and the report of one ingest."""
    command = [sys.executable, "-m", "fusion", "ingest", "signaling", str(export), "--city", "town", *arguments]
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env=os.environ | {"FUSION_DATA": str(data)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        text = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1000, json.loads(text)


def main() -> None:
    """Print peaks and times."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=2_000_000)
    arguments.add_argument("--memory", default="1GB")
    arguments.add_argument("--bad", type=float, default=0.0)
    arguments.add_argument("--distinct", action="store_true", help="one row a place and hour")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--folder", type=Path, help="for the export and the city; a temporary one by default")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        export, data = Path(folder) / "export.csv", Path(folder) / "data"
        write_export(export, chosen.rows, chosen.bad, chosen.distinct)
        print(f"{chosen.rows:,} rows, {export.stat().st_size / 1e9:.2f} GB, {chosen.bad:.0%} damaged")
        common = ARGUMENTS + ([] if chosen.distinct else PARTS)
        for _ in range(chosen.rounds):
            free, free_mb, _ = run(export, data, common)
            bound, bound_mb, report = run(export, data, [*common, "--memory", chosen.memory])
            print(
                f"unbounded {free:.1f} s, {free_mb:,.0f} MB; --memory {chosen.memory} {bound:.1f} s, "
                f"{bound_mb:,.0f} MB; {bound / free:.2f} times the time; "
                f"{report['rows_rejected']:,} of {report['rows_read']:,} rows rejected"
            )


if __name__ == "__main__":
    main()
