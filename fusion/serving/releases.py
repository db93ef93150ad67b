"""Tables as files that other programs open: CSV for Excel, GeoJSON for GIS, Parquet for Python.

Every table that leaves is spelled here, so that no cell of it is taken for a formula.
"""

import io
import json
import re
import unicodedata
from pathlib import Path

import pandas as pd

from fusion.city import City
from fusion.errors import InputError
from fusion.geo import grid
from fusion.ingest.quality import load_rejects

KINDS = {
    ".csv": "text/csv",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
}

# A spreadsheet takes a text that starts so for a formula, some of them in the wide letters of Chinese input too (OWASP,
# CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FIELDS = re.compile(r"([,;|\t\r\n])")
_NUMBER = re.compile(r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def encode_release(table: pd.DataFrame, kind: str, digits: int | None = 6) -> bytes:
    """Spell a table of cells as a file.

    Args:
        table: one row a cell, with a column `id` (H3 hexadecimal); missing values stay missing.
        kind: `.geojson` (a polygon a cell, WGS-84), or one of `encode_table`.
        digits: of fractions in CSV; None: all that they have.

    Raises:
        InputError: another kind of file.
    """
    if kind == ".geojson":
        return json.dumps(_features(table), ensure_ascii=False, allow_nan=False).encode("utf-8")
    if kind not in KINDS:
        raise InputError(f"cannot write {kind!r}: use one of {', '.join(KINDS)}")
    return encode_table(table, kind, digits)


def encode_table(table: pd.DataFrame, kind: str, digits: int | None = None) -> bytes:
    """Spell any table as a file.

    Args:
        table: anything of texts, numbers and times; missing values stay missing.
        kind: `.csv` (UTF-8 with the mark that Excel needs, would-be formulas quoted, times in UTC to the minute) or
            `.parquet`.
        digits: of fractions in CSV; None: all that they have.

    Raises:
        InputError: another kind of file.
    """
    if kind == ".csv":
        spelled = _without_formulas(table).to_csv(
            index=False, float_format=None if digits is None else f"%.{digits}g", date_format="%Y-%m-%dT%H:%MZ"
        )
        return spelled.encode("utf-8-sig")
    if kind == ".parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise InputError(f"cannot write {kind!r}: use .csv or .parquet")


def rejects_release(city: City) -> pd.DataFrame:
    """Return a city's rejects as they may be shown and handed out: what could be a small count is hidden.

    A row that repeats another gives that one's count away, a suppressed one too. Which field of a rejected row is the
    count is often what is wrong with it, so every field whose one number is above 0 and up to the largest threshold of
    the city reads `≤ 15` (or what that is), an hour of 8 too. The row's number leads to the whole of it.

    Returns:
        As `fusion.ingest.quality.load_rejects`.

    Raises:
        CityError: the table is torn.
    """
    table = load_rejects(city)
    threshold = max((measure.min_count for measure in city.info.measures), default=0)
    if not threshold:
        return table
    rows = table["part"] != "functions"
    return table.assign(text=table["text"].where(~rows, table["text"].map(lambda text: _hide(text, threshold))))


def _hide(text: object, threshold: int) -> object:
    if not isinstance(text, str):
        return text
    return "".join(part if _FIELDS.fullmatch(part) else _hide_field(part, threshold) for part in _FIELDS.split(text))


def _hide_field(field: str, threshold: int) -> str:
    # As ingest reads them: wide digits too, and _ between digits.
    found = _NUMBER.findall(unicodedata.normalize("NFKC", field))
    return f"≤ {threshold}" if len(found) == 1 and 0 < float(found[0].replace("_", "")) <= threshold else field


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
    safe = table.rename(columns=_quoted)
    for name, column in safe.items():
        # Numbers and times hold no formula; a text may lie in any other column, whatever its type says.
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)):
            safe[name] = column.map(_quoted)
    return safe


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
