"""Which scan an export gets: of counts or of device records, in one process or in parts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusion.backends import open_backend
from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.devices import DeviceScan
from fusion.ingest.engine import LEAST_MEMORY_BYTES, connect
from fusion.ingest.merge import PartedScan
from fusion.ingest.options import Resources
from fusion.ingest.presets import Preset
from fusion.ingest.scan import Scan
from fusion.ingest.tables import Table
from fusion.ingest.towers import Towers

AnyScan = Scan | DeviceScan | PartedScan
# Of several processes on one machine, all together.
_MEMORY_SHARE = 0.5


@contextmanager
def open_scan(
    tables: list[Table], roles: list[Roles], chosen: Preset, towers: Towers | None, scratch: Path, resources: Resources
) -> Iterator[AnyScan]:
    """Yield the scan of an export, nothing read yet.

    Args:
        tables, roles: the files and their columns.
        chosen: the preset.
        towers: the tower table of device records.
        scratch: a folder in the city's; a cluster's machines see it.
        resources: memory and processes.

    Raises:
        InputError: device records in parts: a device may be in several, and would be counted in each.
        ConfigError: the backend is unknown or cannot be reached.
    """
    if not resources.in_parts:
        with connect(scratch, resources.memory_bytes) as connection:
            if chosen.counts_devices:
                yield DeviceScan(connection, tables, roles, scratch, towers)
            else:
                yield Scan(connection, tables, roles, chosen.sums_rows)
        return
    if chosen.counts_devices:
        raise InputError(f"preset {chosen.id} is ingested by one process: leave --jobs and --backend away")
    with open_backend(resources.backend, resources.jobs, len(tables)) as backend:
        memory_bytes = resources.memory_bytes
        if memory_bytes is None and backend.name == "local":
            physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            memory_bytes = max(int(physical * _MEMORY_SHARE / backend.jobs), LEAST_MEMORY_BYTES)
        with connect(scratch, resources.memory_bytes) as connection:
            yield PartedScan(connection, tables, roles, chosen.sums_rows, scratch, backend, memory_bytes)
