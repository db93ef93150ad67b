"""Fingerprints of data: a hash of values and pixels, never of file bytes (a library's version is in the bytes)."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import rasterio

LARGE_ROWS = 1_000_000
_DIGITS = 16
_LARGE_MB, _BATCH_ROWS = 256, 200_000
_FLOATS = ("FLOAT", "DOUBLE")
_WHOLE = ("UBIGINT", "BIGINT", "INTEGER", "BOOLEAN", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
STRIP_ROWS = 512  # part of the definition: bands alternate from strip to strip


def fingerprint_text(text: str) -> str:
    """Return the fingerprint of a text, 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=_DIGITS // 2).hexdigest()


def fingerprint_arrays(*arrays: np.ndarray) -> str:
    """Return the fingerprint of arrays: their types, shapes and values, little-endian."""
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for array in arrays:
        plain = _little(array)
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.data if plain.size else b"")
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Return the fingerprint of a city's data file, by what it holds: a table or an image."""
    return fingerprint_imagery(path) if ".tif" in path.suffixes else fingerprint_table(path)


def fingerprint_table(path: Path) -> str:
    """Return the fingerprint of a Parquet table, whatever the order of its rows; of a large one in bounded memory."""
    with duckdb.connect() as connection:
        relation = connection.read_parquet(str(path))
        rows = len(relation)
        if rows >= LARGE_ROWS and _can_stream(relation, rows):
            with tempfile.TemporaryDirectory(dir=path.parent, suffix=".new") as scratch:
                connection.execute(f"SET memory_limit = '{_LARGE_MB}MiB'")
                connection.execute("SET temp_directory = $folder", {"folder": scratch})
                return _fingerprint_large(relation, rows)
        table = relation.order("ALL").to_arrow_table()
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for name in sorted(table.column_names):
        column = table.column(name).combine_chunks()
        values, nulls = _plain_values(column), np.asarray(column.is_null())
        digest.update(f"{name}{fingerprint_arrays(values, nulls)}".encode())
    return digest.hexdigest()


def _can_stream(relation: duckdb.DuckDBPyRelation, rows: int) -> bool:
    """Whether the parts of each column become arrays of the type that the whole becomes."""
    counts = relation.aggregate(", ".join(f'count("{name}")' for name in relation.columns)).fetchall()[0]
    kinds = [str(kind) for kind in relation.types]
    return all(kind in _FLOATS or (count == rows and kind in _WHOLE) for kind, count in zip(kinds, counts, strict=True))


def _fingerprint_large(relation: duckdb.DuckDBPyRelation, rows: int) -> str:
    """The digest of `fingerprint_table`, from columns that come a batch at a time."""
    # Two columns are the key of a city's large tables, and sorted by it they are sorted: in half the time.
    keyed = all(str(kind) in _WHOLE for kind in relation.types[:2])
    found = _digest_sorted(relation, rows, relation.columns[:2]) if keyed else None
    if found is None:
        found = _digest_sorted(relation, rows, relation.columns)
    assert found is not None  # rows alike in all columns may come in any order
    return found


def _digest_sorted(relation: duckdb.DuckDBPyRelation, rows: int, key: Sequence[str]) -> str | None:
    """The digest of rows sorted by these columns; None where they leave the order of two rows open."""
    digests = {name: hashlib.blake2b(digest_size=_DIGITS // 2) for name in relation.columns}
    nulls: dict[str, list[tuple[np.ndarray, int]]] = {name: [] for name in relation.columns}
    last: list[np.ndarray] = []
    for batch in relation.order(", ".join(f'"{name}"' for name in key)).to_arrow_reader(_BATCH_ROWS):
        columns = {name: _little(_plain_values(batch.column(name))) for name in relation.columns}
        keys = [columns[name] for name in key if len(key) < len(columns)]
        if keys and _has_ties([np.concatenate(pair) for pair in zip(last, keys, strict=True)] if last else keys):
            return None
        for name, digest in digests.items():
            if not nulls[name]:
                digest.update(f"{columns[name].dtype.str}{(rows,)}".encode())
            digest.update(columns[name].data)
            nulls[name].append((np.packbits(np.asarray(batch.column(name).is_null())), batch.num_rows))
        last = [values[-1:] for values in keys]
    whole = hashlib.blake2b(digest_size=_DIGITS // 2)
    for name in sorted(digests):
        digests[name].update(f"{np.dtype(bool).str}{(rows,)}".encode())
        for packed, count in nulls[name]:
            digests[name].update(np.unpackbits(packed, count=count).astype(bool).data)
        whole.update(f"{name}{digests[name].hexdigest()}".encode())
    return whole.hexdigest()


def _has_ties(columns: list[np.ndarray]) -> bool:
    return bool(np.logical_and.reduce([values[1:] == values[:-1] for values in columns]).any())


def _little(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))


def _plain_values(column: pa.Array) -> np.ndarray:
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64)
    if values.dtype == object:
        return np.array(["" if value is None else str(value) for value in values])
    return np.asarray(values)


class ImageryFingerprint:
    """The fingerprint of an image as it is read: its place on the ground, then its pixels, strip by strip."""

    def __init__(self, image: rasterio.DatasetReader) -> None:
        """Begin with where an open image lies."""
        place = [round(value, 6) for value in tuple(image.transform)[:6]]
        self._digest = hashlib.blake2b(digest_size=_DIGITS // 2)
        self._digest.update(f"{image.crs.to_string()}{place}{image.count}".encode())

    def add(self, pixels: np.ndarray) -> None:
        """Take the next (bands, STRIP_ROWS or, at the bottom, fewer, width) pixels."""
        self._digest.update(np.ascontiguousarray(pixels).data)

    def hexdigest(self) -> str:
        """Return the fingerprint of all that was added, 16 hexadecimal digits."""
        return self._digest.hexdigest()


def fingerprint_imagery(path: Path) -> str:
    """Return the fingerprint of an image: its place on the ground and its pixels, read a strip at a time."""
    with rasterio.open(path) as image:
        found = ImageryFingerprint(image)
        for top in range(0, image.height, STRIP_ROWS):
            window = rasterio.windows.Window(0, top, image.width, min(STRIP_ROWS, image.height - top))
            found.add(image.read(window=window))
    return found.hexdigest()
