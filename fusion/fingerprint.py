"""Fingerprints of data: a hash of values and pixels, never of file bytes (a library's version is in the bytes)."""

import hashlib
from pathlib import Path

import duckdb
import numpy as np
import rasterio

_DIGITS = 16
STRIP_ROWS = 512  # part of the definition: bands alternate from strip to strip


def fingerprint_text(text: str) -> str:
    """Return the fingerprint of a text, 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=_DIGITS // 2).hexdigest()


def fingerprint_arrays(*arrays: np.ndarray) -> str:
    """Return the fingerprint of arrays: their types, shapes and values, little-endian."""
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for array in arrays:
        plain = np.ascontiguousarray(array)
        plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.data if plain.size else b"")
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Return the fingerprint of a city's data file, by what it holds: a table or an image."""
    return fingerprint_imagery(path) if ".tif" in path.suffixes else fingerprint_table(path)


def fingerprint_table(path: Path) -> str:
    """Return the fingerprint of a Parquet table, whatever the order of its rows."""
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(path)).order("ALL").to_arrow_table()
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for name in sorted(table.column_names):
        column = table.column(name).combine_chunks()
        values, nulls = column.to_numpy(zero_copy_only=False), np.asarray(column.is_null())
        if values.dtype.kind == "M":
            values = values.astype("datetime64[us]").astype(np.int64)
        elif values.dtype == object:
            values = np.array(["" if value is None else str(value) for value in values])
        digest.update(f"{name}{fingerprint_arrays(values, nulls)}".encode())
    return digest.hexdigest()


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
