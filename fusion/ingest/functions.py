"""Polygons of region functions into a city: to the class with the largest share of each cell."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.city import CityInfo, CityWriter, write_city
from fusion.classes import FUNCTIONS, IDS
from fusion.errors import InputError
from fusion.geo.grid import Bounds, Cells, area_m2, boundaries, cells_at, cells_in_bounds, centres, project, utm_crs
from fusion.ingest.frame import DEFAULT_RESOLUTION, add_source, check_overlap, clear_lines, new_info, provenance
from fusion.ingest.quality import write_quality, write_rejects
from fusion.ingest.tables import quote
from fusion.ingest.vectors import pick_column, read_polygons

Progress = Callable[[float, str], None]

# A polygon that a cell only touches has a share of rounding errors.
_TOUCH = 1e-6
_MOST_CELLS = 5_000_000
_M_PER_DEG = 111_320.0


def ingest_functions(
    file: Path, city_path: Path, field: str, mapping: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's labelled functions by those of polygons; make the city if there is none.

    A cell takes the class whose polygons cover most of it, and keeps their share of its area (measured in the city's
    UTM zone; where polygons of one class overlap, the ground counts once).

    Args:
        file: GeoJSON, GeoPackage or Shapefile of polygons, in any reference system.
        city_path: the city's folder.
        field: the column that holds the class.
        mapping: TOML table from values of that column to class ids; without it the values are class ids or the codes
            of the URFC contest (001 to 009).
        progress: is told the share done, 0 to 1, and what is being done.

    Returns:
        The quality report, whose part `functions` is new.

    Raises:
        InputError: the file, the column or the mapping cannot be used, or no polygon meets the city.
        CityError: the city cannot be written; it stays as it was.
        CityLockedError: another writer holds the city.
    """
    tell = progress or (lambda share, text: None)
    table = _read_mapping(Path(mapping)) if mapping else {key: f.id for f in FUNCTIONS for key in (f.id, f.code)}
    with write_city(city_path) as writer, clear_lines(city_path.name):
        tell(0.0, "reading polygons")
        polygons = read_polygons(Path(file), "functions")
        columns = [str(column) for column in polygons.columns if column != polygons.geometry.name]
        column = pick_column(columns, field, None, f"functions {Path(file).name}", "--field")
        return _take(polygons, column, table, Path(file).name, writer, tell)


def _take(
    polygons: geopandas.GeoDataFrame,
    field: str,
    table: dict[str, str],
    name: str,
    writer: CityWriter,
    tell: Progress,
) -> dict[str, Any]:
    info = writer.info
    values = polygons[field].map(_plain_value)
    label = values.map(lambda value: IDS.index(table[value]) if value in table else -1).to_numpy(dtype=np.int64)
    reason = np.full(len(polygons), None, dtype=object)
    reason[label < 0] = "unmapped"
    unmapped = {str(value): int(count) for value, count in values[label < 0].value_counts().items()}
    if (label < 0).all():
        raise InputError(
            f"functions {name}: no value of {field!r} is mapped to a class ({', '.join(list(unmapped)[:8])}): "
            f"give --mapping, a TOML file such as '{next(iter(unmapped))}' = 'residential' (classes: {', '.join(IDS)})"
        )
    geometry = polygons.geometry.to_numpy()
    extent = _extent(geometry, name)
    if info:
        check_overlap(f"functions {name}", extent, f"city {info.name}", info.bounds)
    box = info.bounds if info else extent
    crs = utm_crs((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    tell(0.1, "mending polygons")
    shapes, repaired = _mend(_projected(geometry, crs))
    reason[np.array([shape is None for shape in shapes])] = "bad_geometry"
    good = np.array([why is None for why in reason], dtype=bool)
    tell(0.2, "laying cells")
    resolution = info.resolution if info else DEFAULT_RESOLUTION
    cells = _candidates(extent, info.bounds if info else None, resolution)
    tell(0.4, "measuring shares")
    chosen, met = _largest_shares(cells, crs, shapes[good], label[good])
    reason[np.flatnonzero(good)[~met]] = "outside"
    if not len(chosen):
        raise InputError(f"functions {name}: no usable polygon covers a cell of the city: check the file and the city")
    tell(0.8, "writing")
    _write(writer.new("functions.parquet"), chosen, name)
    rejects = _rejects(polygons, reason, name)
    with duckdb.connect() as connection:
        connection.register("rejects", rejects)
        write_rejects(writer, "functions", connection.sql("SELECT file, row, reason, text FROM rejects"), connection)
    found = rejects["reason"].value_counts()
    counted = chosen["label"].value_counts().sort_index()
    report = {
        "files": [name],
        "field": field,
        "polygons_read": len(polygons),
        "polygons_taken": len(polygons) - len(rejects),
        "polygons_rejected": len(rejects),
        "rejected_by_reason": {str(why): int(count) for why, count in found.items()},
        "polygons_repaired": int((repaired & good).sum()),
        "unmapped": unmapped,
        "cells": len(chosen),
        "cells_by_class": {
            IDS[index]: count for index, count in zip(counted.index.tolist(), counted.tolist(), strict=True)
        },
        "extents": {"functions": extent},
    }
    report = write_quality(writer, "functions", report)
    tell(0.9, "committing")
    writer.commit(_described(info, writer, name, chosen))
    tell(1.0, "done")
    return report


def _described(info: CityInfo | None, writer: CityWriter, name: str, chosen: pd.DataFrame) -> CityInfo:
    if info is None:
        corners = np.array([corner for ring in boundaries(chosen["cell"]) for corner in ring])
        (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        info = new_info(writer.path.name, (west, south, east, north), None, None)
    return replace(
        info, provenance=provenance(writer, "functions.parquet"), sources=add_source(info, "functions", [name])
    )


def _read_mapping(path: Path) -> dict[str, str]:
    """Read a TOML table from values to class ids; it may stand at the top or under one name such as [mapping]."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"mapping {path.name}: there is no such file: check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"mapping {path.name} is not TOML ({error}): write lines such as 'R2' = 'residential'"
        ) from None
    if len(table) == 1 and isinstance(next(iter(table.values())), dict):
        table = next(iter(table.values()))
    for value, function in table.items():
        if function not in IDS:
            raise InputError(
                f"mapping {path.name}: {value!r} goes to {function!r}, which is no class: use one of {', '.join(IDS)}"
            )
    if not table:
        raise InputError(f"mapping {path.name} is empty: write lines such as 'R2' = 'residential'")
    return {str(value): str(function) for value, function in table.items()}


def _plain_value(value: object) -> str:
    """A class as text: numbers of a Shapefile come as 101.0."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _extent(geometry: NDArray[np.object_], name: str) -> Bounds:
    box = shapely.bounds(geometry)
    box = box[np.isfinite(box).all(axis=1) & (np.abs(box[:, [0, 2]]) <= 180).all(axis=1)]
    box = box[(np.abs(box[:, [1, 3]]) <= 90).all(axis=1)]
    if not len(box):
        raise InputError(f"functions {name}: no polygon lies on the ground: check its reference system")
    return float(box[:, 0].min()), float(box[:, 1].min()), float(box[:, 2].max()), float(box[:, 3].max())


def _projected(geometry: NDArray[np.object_], crs: Any) -> NDArray[np.object_]:
    def in_metres(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(project(points[:, 0], points[:, 1], crs))

    return np.asarray(shapely.transform(shapely.force_2d(geometry), in_metres))


def _mend(shapes: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Mend polygons that cross themselves; None where nothing with an area remains."""
    mended = np.full(len(shapes), None, dtype=object)
    repaired = np.zeros(len(shapes), dtype=bool)
    for row, shape in enumerate(shapes):
        if shape is None or shape.is_empty or not np.isfinite(shapely.bounds(shape)).all():
            continue
        if shape.geom_type not in ("Polygon", "MultiPolygon"):
            continue
        if not shape.is_valid:
            parts = [part for part in shapely.get_parts(shapely.make_valid(shape)) if part.area > 0]
            shape, repaired[row] = shapely.union_all(parts), True
        if shape.area > 0:
            mended[row] = shape
    return mended, repaired


def _candidates(extent: Bounds, bounds: Bounds | None, resolution: int) -> Cells:
    """Cells that the polygons may cover: with centres in the city, if there is one."""
    west, south, east, north = extent
    pad = 2.0 * float(np.sqrt(area_m2(cells_at([west], [south], resolution))[0])) / _M_PER_DEG
    pad_lon = pad / max(np.cos(np.radians(max(abs(south), abs(north)))), 0.01)
    west, south, east, north = west - pad_lon, south - pad, east + pad_lon, north + pad
    if bounds:
        west, south = max(west, bounds[0]), max(south, bounds[1])
        east, north = min(east, bounds[2]), min(north, bounds[3])
    width_m = (east - west) * _M_PER_DEG * np.cos(np.radians((south + north) / 2))
    expected = width_m * (north - south) * _M_PER_DEG / area_m2(cells_at([west], [south], resolution))[0]
    if expected > _MOST_CELLS:
        raise InputError(
            f"the polygons span about {expected:.0f} cells of resolution {resolution}: cut them to the city, "
            "or ingest its signaling first"
        )
    cells = cells_in_bounds((west, south, east, north), resolution)
    if bounds is None:
        return cells
    lon, lat = centres(cells)
    return cells[(lon >= bounds[0]) & (lon <= bounds[2]) & (lat >= bounds[1]) & (lat <= bounds[3])]


def _largest_shares(
    cells: Cells, crs: Any, shapes: NDArray[np.object_], label: NDArray[np.int64]
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Find the class that covers most of each cell: columns `cell`, `label`, `share`; and which shapes met a cell."""
    rings = boundaries(cells)
    corners = np.array([corner for ring in rings for corner in ring]).reshape(-1, 2)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    x, y = project(corners[:, 0], corners[:, 1], crs)
    hexagons = shapely.polygons(shapely.linearrings(x, y, indices=owner))
    shape, cell = shapely.STRtree(hexagons).query(shapes, predicate="intersects")
    pieces = shapely.intersection(shapes[shape], hexagons[cell])
    pairs = pd.DataFrame({"cell": cell, "label": label[shape], "shape": shape, "area": shapely.area(pieces)})
    pairs["piece"] = pieces
    pairs = pairs[pairs["area"] > _TOUCH * shapely.area(hexagons)[pairs["cell"]]]
    met = np.zeros(len(shapes), dtype=bool)
    met[pairs["shape"]] = True
    areas = pairs.groupby(["cell", "label"])["area"].sum()
    several = pairs[pairs.duplicated(["cell", "label"], keep=False)]
    for key, group in several.groupby(["cell", "label"]):
        areas[key] = shapely.union_all(group["piece"].to_numpy()).area
    table = areas.reset_index()
    # The lower label of two that cover the same area: the outcome must not depend on the order of the polygons.
    table = table.sort_values(["cell", "area", "label"], ascending=[True, False, True]).drop_duplicates("cell")
    share = table["area"].to_numpy() / shapely.area(hexagons)[table["cell"]]
    own = cells[table["cell"].to_numpy()]
    return pd.DataFrame({"cell": own, "label": table["label"].to_numpy(), "share": np.minimum(share, 1.0)}), met


def _write(path: Path, chosen: pd.DataFrame, name: str) -> None:
    rows = pd.DataFrame(
        {
            "cell": chosen["cell"].astype("uint64"),
            "function": [IDS[int(index)] for index in chosen["label"]],
            "share": chosen["share"].astype("float32"),
            "source": name,
        }
    )
    with duckdb.connect() as connection:
        connection.register("labelled", rows)
        connection.execute(
            f"COPY (SELECT * FROM labelled ORDER BY cell) TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()


def _rejects(polygons: geopandas.GeoDataFrame, reason: NDArray[np.object_], name: str) -> pd.DataFrame:
    rows = np.flatnonzero([why is not None for why in reason])
    properties = polygons.drop(columns=polygons.geometry.name).iloc[rows]
    texts = [json.dumps(row, ensure_ascii=False, default=str) for row in properties.to_dict("records")]
    return pd.DataFrame(
        {
            "file": pd.Series([name] * len(rows), dtype="str"),
            "row": rows.astype(np.int64) + 1,
            "reason": pd.Series(reason[rows], dtype="str"),
            "text": pd.Series(texts, dtype="str"),
        }
    )
