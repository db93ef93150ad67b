"""A sample of an export, as tables of its own: whole lines from the beginning, the middle and the end of its files."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fusion.errors import InputError
from fusion.ingest.archives import check_gzip, read_head, unpack
from fusion.ingest.columns import find_roles
from fusion.ingest.exports import Source, open_all
from fusion.ingest.opening import PARQUET_ENDINGS, TEXT_ENDINGS, open_table
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import Preset
from fusion.ingest.spelling import ending_of, find_encoding, new_path
from fusion.ingest.tables import Table

MOST_FILES = 150
_LEAST_ROWS = 100
_BLOCKS = 8
_LINE_BYTES = 512  # a line is seldom longer; it bounds what is read, not what is understood
_GUESS_BYTES = 1 << 16


def choose_sources(sources: Sequence[Source]) -> list[Source]:
    """Return at most `MOST_FILES` of the files: a third from the beginning on, the others spread to the last."""
    if len(sources) <= MOST_FILES:
        return list(sources)
    # Files in a row show the step between two hours; files far apart show the span.
    together = MOST_FILES // 3
    spread = np.linspace(together, len(sources) - 1, MOST_FILES - together).astype(int)
    return [*sources[:together], *(sources[number] for number in spread)]


def sample_exports(
    sources: Sequence[Source], preset: Preset, options: SignalingOptions, scratch: Path, most_rows: int
) -> tuple[list[Table], list[str]]:
    """Open samples of the files of an export, `most_rows` in all, as `open_exports` opens the files.

    Args:
        sources: the files to look at.
        preset, options: how to read them.
        scratch: a folder for the copies.
        most_rows: rows over all files; at least 100 of each.

    Raises:
        InputError: a file cannot be used, or none has rows.
    """
    rows = max(most_rows // len(sources), _LEAST_ROWS)

    def open_source(source: Source) -> Table:
        ending = ending_of(source.name)
        path = source.path
        if path is not None and not path.is_file():
            raise InputError(f"{source.name}: there is no such file: check the path")
        encoding = None
        if source.member is not None and ending not in TEXT_ENDINGS:
            path = unpack(source.member, new_path(scratch, ending))
        elif source.member is not None:
            path = read_head(source.member, new_path(scratch, ending), rows * _LINE_BYTES)
            _cut_lines(path, rows, is_whole=path.stat().st_size == source.member.info.file_size)
        elif path is not None and path.stat().st_size and ending.removesuffix(".gz") in TEXT_ENDINGS:
            encoding = _encoding(path, source.name)
            path = _sample_text(path, source.name, encoding, scratch, rows)
        elif path is not None and path.stat().st_size and ending in PARQUET_ENDINGS:
            path = _sample_parquet(path, source.name, scratch, rows)
        table = open_table(
            path or Path(), preset, scratch, source.name, lambda table: find_roles(table, preset, options), rows
        )
        return table if encoding is None else replace(table, encoding=encoding)

    return open_all(sources, open_source)


def _encoding(path: Path, name: str) -> str:
    try:
        if path.suffix.lower() == ".gz":
            check_gzip(path, name)
        return find_encoding(path, name)
    except (OSError, EOFError) as error:
        raise InputError(f"{name} cannot be read ({error}): export it again") from None


def _sample_text(path: Path, name: str, encoding: str, scratch: Path, rows: int) -> Path:
    """Copy whole lines: the first half of the rows from the beginning, the others from places spread over the file."""
    target = new_path(scratch, ending_of(name).removesuffix(".gz"))
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(path, "rb") as packed:
                target.write_bytes(packed.read(rows * _LINE_BYTES))
                is_whole = not packed.read(1)
        except (OSError, EOFError) as error:
            raise InputError(f"{name} cannot be read ({error}): export it again") from None
        _cut_lines(target, rows, is_whole, encoding)
        return target
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(_GUESS_BYTES)
        line_bytes = min(len(first) / max(first.count(b"\n"), 1), _LINE_BYTES)
        block = int(rows * line_bytes / 2 / _BLOCKS) + _LINE_BYTES
        head = int(rows * line_bytes / 2) + _LINE_BYTES
        if encoding == "utf-16" or size <= head + _BLOCKS * block:
            file.seek(0)
            target.write_bytes(file.read(rows * _LINE_BYTES if encoding == "utf-16" else size))
            _cut_lines(target, rows, target.stat().st_size == size, encoding)
            return target
        file.seek(0)
        pieces = [_to_line_end(file.read(head))]
        for start in np.linspace(head, size - block, _BLOCKS).astype(int):
            file.seek(start)
            piece = file.read(block)
            pieces.append(_to_line_end(piece[piece.find(b"\n") + 1 :]))
        target.write_bytes(b"".join(pieces))
    return target


def _cut_lines(path: Path, rows: int, is_whole: bool, encoding: str = "utf-8") -> None:
    """Cut a copy after so many lines, and before a line that the copy itself cut in two."""
    data = path.read_bytes()
    if encoding == "utf-16":
        data = data[: len(data) // 2 * 2].decode("utf-16", errors="ignore").encode()
    lines = data.splitlines(keepends=True)
    kept = lines[: rows + 1] if len(lines) > rows + 1 or is_whole else lines[:-1] or lines
    path.write_bytes(b"".join(kept))


def _to_line_end(piece: bytes) -> bytes:
    return piece[: piece.rfind(b"\n") + 1]


def _sample_parquet(path: Path, name: str, scratch: Path, rows: int) -> Path:
    """Copy the first rows of the first and the middle row group, and the last of the last."""
    target = new_path(scratch, ".parquet")
    try:
        with pq.ParquetFile(path) as file:
            groups = sorted({0, file.num_row_groups // 2, file.num_row_groups - 1} & set(range(file.num_row_groups)))
            if not groups:
                return path
            share = -(-rows // len(groups))
            batches = []
            for group in groups:
                if group == groups[-1] and group:
                    table = file.read_row_group(group)
                    batches += table.slice(max(len(table) - share, 0)).to_batches()
                    break
                left = share
                for batch in file.iter_batches(batch_size=min(share, 65536), row_groups=[group]):
                    batches.append(batch.slice(0, left))
                    left -= len(batches[-1])
                    if left <= 0:
                        break
            pq.write_table(pa.Table.from_batches(batches, file.schema_arrow), target)
    except (pa.ArrowException, OSError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{name} cannot be read as Parquet ({first}): export it again") from None
    return target
