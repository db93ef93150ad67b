"""Predictions as files that other programs open: CSV for Excel, GeoJSON for GIS, Parquet for Python."""

import io
import json
from pathlib import Path

import pandas as pd

from fusion.errors import InputError
from fusion.geo import grid

KINDS = {
    ".csv": "text/csv",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
}

# A spreadsheet takes a text that starts so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def encode_release(table: pd.DataFrame, kind: str) -> bytes:
    """Spell a table of cells as a file.

    Args:
        table: one row a cell, with a column `id` (H3 hexadecimal); missing values stay missing.
        kind: `.csv` (UTF-8 with the mark that Excel needs, would-be formulas quoted), `.geojson` (a polygon a
            cell, WGS-84) or `.parquet`.

    Raises:
        InputError: another kind of file.
    """
    if kind == ".csv":
        return _without_formulas(table).to_csv(index=False, float_format="%.6g").encode("utf-8-sig")
    if kind == ".geojson":
        return json.dumps(_features(table), ensure_ascii=False, allow_nan=False).encode("utf-8")
    if kind == ".parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise InputError(f"cannot write {kind!r}: use one of {', '.join(KINDS)}")


def write_release(table: pd.DataFrame, path: Path) -> None:
    """Write `encode_release` of the kind that the path's ending says.

    Raises:
        InputError: another ending, or a place that cannot be written.
    """
    content = encode_release(table, path.suffix.lower())
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place") from None


def _features(table: pd.DataFrame) -> dict:
    corners = grid.boundaries(grid.from_hex(table["id"].tolist()))
    plain = table.astype(object).where(table.notna(), None)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                # GeoJSON closes its rings; H3 runs counter-clockwise, as RFC 7946 wants outer rings.
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": row,
            }
            for ring, row in zip(corners, plain.to_dict("records"), strict=True)
        ],
    }


def _without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(
                lambda value: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
            )
    return safe
