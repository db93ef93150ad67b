"""Files of labelled functions: features of vector files, and rows of tables with points, shapes or cells."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.ingest.archives import list_members, unpack
from fusion.ingest.functions_tables import FIELD_HEADERS, read_label_rows
from fusion.ingest.opening import is_table
from fusion.ingest.options import FunctionOptions
from fusion.ingest.presets import find_header
from fusion.ingest.vectors import pick_column, read_polygons

VECTOR_ENDINGS = (".geojson", ".json", ".gpkg", ".shp", ".fgb", ".kml")


@dataclass(frozen=True)
class Features:
    """What a file of functions holds, before any of it is judged.

    Attributes:
        names: of the files.
        kind: `polygons`, `points` or `cells`.
        field: the column of the class, as the user would name it.
        value: (N,) class as text; empty where there is none.
        file, row: (N,) where each stands: file's name; line of a text file, else row or feature, from 1.
        geometry: (N,) shapes in degrees of the file's datum, for polygons.
        lon, lat: (N,) degrees of the file's datum, for points; NaN where there is no position.
        cell: (N,) H3 cells as text, for cells.
        share: (N,) share of the cell, NaN for what is no number; None where the table has none.
        malformed: columns `file`, `row`, `text`: lines of text without the right number of fields.
        texts: tells the features of (n,) indices as text, for the rejects.
        notes: lines on what was passed over.
    """

    names: list[str]
    kind: str
    field: str
    value: pd.Series
    file: NDArray[np.object_]
    row: NDArray[np.int64]
    texts: Callable[[NDArray[np.int64]], list[str]]
    malformed: pd.DataFrame
    geometry: NDArray[np.object_] | None = None
    lon: NDArray[np.float64] | None = None
    lat: NDArray[np.float64] | None = None
    cell: pd.Series | None = None
    share: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.value)


def read_features(path: Path, options: FunctionOptions, scratch: Path) -> Features:
    """Read labelled polygons, points or cells.

    Args:
        path: GeoJSON, GeoPackage or Shapefile (also one in a .zip); or a table (CSV, TSV, text, Parquet, Excel; also
            .gz, .zip or a folder of them).
        options: which columns and layer.
        scratch: a folder for what has to be unpacked or rewritten.

    Raises:
        InputError: the file cannot be read, or a column is not there or not known.
    """
    if path.suffix.lower() == ".zip" and path.is_file():
        members = list_members(path, scratch)
        found = [member for member in members if Path(member.name).suffix.lower() in VECTOR_ENDINGS]
        if any(member.name.lower().endswith(".shp") for member in found):
            return _of_vector(path, options)
        if found:
            # Under its own name, which messages show; its folders in the archive are left out.
            return _of_vector(unpack(found[0], scratch / Path(found[0].name).name), options)
    if path.is_dir() or path.suffix.lower() == ".zip" or is_table(path.name):
        return _of_tables(path, options, scratch)
    return _of_vector(path, options)


def _of_vector(path: Path, options: FunctionOptions) -> Features:
    name = path.name
    table = read_polygons(path, "functions", options.layer)
    columns = [str(column) for column in table.columns if column != table.geometry.name]
    field, value = _vector_value(table, columns, options.field, name)
    geometry = table.geometry.to_numpy()
    rows = np.arange(1, len(table) + 1, dtype=np.int64)

    def texts(chosen: NDArray[np.int64]) -> list[str]:
        properties = table[columns].iloc[chosen].to_dict("records")
        return [json.dumps(row, ensure_ascii=False, default=str) for row in properties]

    malformed = pd.DataFrame({"file": [], "row": [], "text": []})
    return _of_shapes(geometry, [name], field, value, np.full(len(table), name, dtype=object), rows, texts, malformed)


def _vector_value(
    table: geopandas.GeoDataFrame, columns: list[str], wanted: str | None, name: str
) -> tuple[str, pd.Series]:
    where = f"functions {name}"
    if wanted and wanted not in columns and "+" in wanted:
        parts = [pick_column(columns, part.strip(), None, where, "--field") for part in wanted.split("+")]
        return wanted, _joined([table[part].map(plain_value) for part in parts])
    default = None if wanted else find_header(tuple(columns), FIELD_HEADERS)
    field = pick_column(columns, wanted, default, where, "--field")
    return field, table[field].map(plain_value).astype("str")


def _of_shapes(
    geometry: NDArray[np.object_],
    names: list[str],
    field: str,
    value: pd.Series,
    file: NDArray[np.object_],
    row: NDArray[np.int64],
    texts: Callable[[NDArray[np.int64]], list[str]],
    malformed: pd.DataFrame,
    notes: tuple[str, ...] = (),
) -> Features:
    """Points where no shape has an area, else polygons."""
    kinds = set(shapely.get_type_id(geometry).tolist())
    points = {int(shapely.GeometryType.POINT), int(shapely.GeometryType.MULTIPOINT)}
    areas = {int(shapely.GeometryType.POLYGON), int(shapely.GeometryType.MULTIPOLYGON)}
    if kinds & points and not kinds & areas:
        centres = shapely.centroid(geometry)
        lon, lat = shapely.get_x(centres), shapely.get_y(centres)
        return Features(names, "points", field, value, file, row, texts, malformed, lon=lon, lat=lat, notes=notes)
    return Features(names, "polygons", field, value, file, row, texts, malformed, geometry=geometry, notes=notes)


def _of_tables(path: Path, options: FunctionOptions, scratch: Path) -> Features:
    found = read_label_rows(path, options, scratch)
    rows, names, field, malformed = found.rows, found.names, found.field, found.malformed
    file, row = rows["file"].to_numpy(dtype=object), rows["row"].to_numpy(dtype=np.int64)
    value = rows["value"].fillna("").str.strip().astype("str")

    def texts(chosen: NDArray[np.int64]) -> list[str]:
        return rows["text"].iloc[chosen].fillna("").tolist()

    if found.kind == "h3":
        share = rows["share"].to_numpy(dtype=float) if found.has_share else None
        return Features(
            names, "cells", field, value, file, row, texts, malformed, cell=rows["p0"], share=share, notes=found.notes
        )
    if found.kind == "wkt":
        shapes = shapely.from_wkt(rows["p0"].fillna("").to_numpy(dtype=object), on_invalid="ignore")
        return _of_shapes(shapes, names, field, value, file, row, texts, malformed, found.notes)
    lon, lat = rows["p0"].to_numpy(dtype=float), rows["p1"].to_numpy(dtype=float)
    return Features(names, "points", field, value, file, row, texts, malformed, lon=lon, lat=lat, notes=found.notes)


def _joined(parts: list[pd.Series]) -> pd.Series:
    joined = parts[0].astype("str")
    for part in parts[1:]:
        joined = joined + ";" + part.astype("str")
    return joined


def plain_value(value: object) -> str:
    """Return a class as text: numbers of a Shapefile come as 101.0."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
