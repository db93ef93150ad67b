"""The DuckDB of an ingest: how much memory it may take, and where it spills."""

import os
import re
from pathlib import Path

import duckdb

from fusion.errors import InputError
from fusion.ingest.tables import quote

# Below 2 GB grouping 10 million rows into 2.6 million spills, and takes twice the time.
_MEMORY_MB_LEAST, _MEMORY_MB_MOST, _MEMORY_SHARE = 1024, 4096, 0.25
# What the process takes besides DuckDB: Python and its libraries, the distinct places, the allocator's slack.
_RESERVE_BYTES = 400 << 20
# Aggregation wants some 125 MB a thread (DuckDB's documentation); with less, fewer threads spill less.
_THREAD_BYTES = 100 << 20
LEAST_MEMORY_BYTES = 700_000_000
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_memory(text: str) -> int:
    """Return the bytes of an amount of memory such as `1GB`, `800 MB` or `1.5GiB`.

    Raises:
        InputError: it has no number or no unit, or is too small for any ingest.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    unit = _UNITS.get(found.group(2).upper()) if found else None
    if found is None or unit is None:
        raise InputError(f"--memory {text!r} is no amount of memory: write 1GB, 800MB or 1.5GiB")
    amount = round(float(found.group(1)) * unit)
    if amount < LEAST_MEMORY_BYTES:
        raise InputError(f"--memory {text}: an ingest needs at least {LEAST_MEMORY_BYTES // 10**6}MB: give it more")
    return amount


def connect(scratch: Path, memory_bytes: int | None = None, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that keeps within its memory and spills to a folder.

    Args:
        scratch: the folder to spill to.
        memory_bytes: for the whole process; None: DuckDB alone keeps within a quarter of the machine's, 1 to 4 GB.
        threads: at most so many; None: the machine's cores.
    """
    physical_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    limit_mb = min(max(physical_mb * _MEMORY_SHARE, _MEMORY_MB_LEAST), _MEMORY_MB_MOST)
    connection = duckdb.connect()
    if threads is None:
        threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    if memory_bytes is not None:
        limit_mb = (memory_bytes - _RESERVE_BYTES) / 2**20
        threads = max(1, min(threads, int(limit_mb * 2**20 // _THREAD_BYTES)))
    connection.execute(f"SET threads = {threads}")
    connection.execute(f"SET memory_limit = '{limit_mb:.0f}MiB'")
    connection.execute(f"SET temp_directory = {quote(str(scratch))}")
    connection.execute("SET preserve_insertion_order = false")
    return connection
