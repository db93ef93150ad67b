"""What files of imagery, functions and URFC hold, seen before anything is written.

Signaling exports: `fusion.ingest.preview`.
"""

import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyogrio
import pyogrio.errors

from fusion.errors import InputError
from fusion.extract.urfc_files import MOST_FILES
from fusion.ingest.opening import open_table
from fusion.ingest.presets import preset
from fusion.ingest.rasters import GDAL_ERRORS, extent_of, open_raster
from fusion.ingest.vectors import opened_vector

VECTORS = (".geojson", ".json", ".gpkg", ".shp", ".zip", ".fgb")
_ROWS = 10
_MOST_VALUES = 40
_LOOKED_AT = 20_000  # features or rows whose values are counted


@dataclass(frozen=True)
class FunctionsPreview:
    """What a file of functions holds.

    Attributes:
        layers: of the file; empty where it has none.
        kind: type of the geometry as the file says it; "" for a table without one.
        crs: reference system as the file says it, "" for none.
        features: number of them; -1 where the file does not say.
        columns: that may hold the class.
        sample: the first rows, without geometry.
        values: column -> how often its most frequent values occur among the first rows.
    """

    layers: tuple[str, ...]
    kind: str
    crs: str
    features: int
    columns: tuple[str, ...]
    sample: pd.DataFrame
    values: dict[str, dict[str, int]]


def preview_imagery(files: Sequence[Path]) -> pd.DataFrame:
    """Describe rasters, one row a file.

    Returns:
        Columns file, width, height (pixels), bands, type, crs, pixel (edge in the units of the reference system),
        west, south, east, north (degrees, WGS-84; missing without a reference system), problem ("" or why it cannot
        be read).
    """
    return pd.DataFrame([_raster(Path(file)) for file in files])


def preview_functions(file: Path, layer: str | None = None) -> FunctionsPreview:
    """Describe polygons, points or a table of cells.

    Raises:
        InputError: the file cannot be read.
    """
    file = Path(file)
    if file.suffix.lower() not in VECTORS:
        return _table_preview(file)
    with opened_vector(file, ""):
        layers = tuple(str(name) for name, _ in pyogrio.list_layers(file))
        info = pyogrio.read_info(file, layer=layer)
        rows = pyogrio.read_dataframe(file, layer=layer, read_geometry=False, max_features=_LOOKED_AT)
    rows = pd.DataFrame(rows)
    return FunctionsPreview(
        layers=layers,
        kind=str(info.get("geometry_type") or ""),
        crs=str(info.get("crs") or ""),
        features=int(info.get("features", -1)),
        columns=tuple(str(name) for name in rows.columns),
        sample=rows.head(_ROWS).astype("str"),
        values=_values(rows),
    )


def preview_urfc(path: Path) -> pd.DataFrame:
    """Count the images and visit files of a URFC folder or zip archive.

    Returns:
        Columns folder, class (three digits, "" where neither folder nor name says it), images, visits.

    Raises:
        InputError: the archive cannot be read, or there is neither image nor visit file in it.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    for parts in _names(Path(path)):
        name = parts[-1]
        kind = {".jpg": "images", ".jpeg": "images", ".png": "images", ".txt": "visits"}.get(Path(name).suffix.lower())
        if kind is None or name.startswith("."):
            continue
        stem = Path(name).stem.rsplit("_", 1)
        folder = next((part for part in reversed(parts[:-1]) if not part.isdigit()), "")
        class_ = stem[1] if len(stem) == 2 and len(stem[1]) == 3 and stem[1].isdigit() else ""
        counts.setdefault((folder, class_), Counter())[kind] += 1
    if not counts:
        raise InputError(f"{Path(path).name}: neither images (.jpg) nor visit files (.txt) in it: zip both folders")
    rows = [
        {"folder": folder, "class": class_, "images": found["images"], "visits": found["visits"]}
        for (folder, class_), found in sorted(counts.items())
    ]
    return pd.DataFrame(rows)


def _names(path: Path) -> list[tuple[str, ...]]:
    if path.is_dir():
        return [found.relative_to(path.parent).parts for found in path.rglob("*") if found.is_file()][:MOST_FILES]
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:MOST_FILES]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{path.name} is no zip archive that can be read ({error}): zip the folder again") from None
    return [tuple(part for part in name.split("/") if part) for name in names if not name.endswith("/")]


def _raster(file: Path) -> dict[str, object]:
    row: dict[str, object] = {"file": file.name, "problem": ""}
    try:
        with open_raster(file) as source:
            row |= {
                "width": source.width,
                "height": source.height,
                "bands": source.count,
                "type": str(source.dtypes[0]) if source.count else "",
                "crs": source.crs.to_string() if source.crs else "",
                "pixel": abs(float(source.transform.a)) or abs(float(source.transform.b)),
            }
            if source.crs:
                box = extent_of(source, file, source.crs)
                row |= dict(zip(("west", "south", "east", "north"), map(float, box), strict=True))
            else:
                row["problem"] = "no reference system: save it with one (gdal_edit -a_srs EPSG:...)"
    except (InputError, *GDAL_ERRORS, OSError, ValueError) as error:
        row["problem"] = str(error).splitlines()[0]
    return row


def _table_preview(file: Path) -> FunctionsPreview:
    with tempfile.TemporaryDirectory(prefix="preview-") as scratch:
        table = open_table(file, preset(None), Path(scratch), most_rows=_LOOKED_AT)
    sample = table.sample.head(_LOOKED_AT)
    return FunctionsPreview((), "", "", -1, tuple(table.columns), sample.head(_ROWS).astype("str"), _values(sample))


def _values(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    found = {}
    for name in rows.columns:
        counts = rows[name].value_counts()
        if len(counts) <= max(_MOST_VALUES, len(rows) // 4):
            found[str(name)] = {str(value): int(count) for value, count in counts.head(_MOST_VALUES).items()}
    return found
