"""Copies of device records without a name: nobody else can open them, and they go with the process.

What lies in an archive or is not UTF-8 has to be unpacked or rewritten before it can be read, ids and all. Once that is
done the copy loses its name and is read through the process's own descriptor: a process killed later leaves none.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fusion.ingest.tables import Table


@contextmanager
def nameless_copies(tables: Sequence[Table], scratch: Path) -> Iterator[None]:
    """Take the names from files in a scratch folder while they are read; links take their place.

    Where the system has no /proc the copies keep their names, and go with the scratch folder.

    Args:
        tables: an export's files; those elsewhere stay as they are.
        scratch: the folder of copies.
    """
    descriptors = Path("/proc") / str(os.getpid()) / "fd"
    with ExitStack() as stack:
        for path in {table.path for table in tables} if descriptors.is_dir() else ():
            if path.parent == scratch and path.is_file() and not path.is_symlink():
                file = stack.enter_context(path.open("rb"))
                path.unlink()
                path.symlink_to(descriptors / str(file.fileno()))
        yield
