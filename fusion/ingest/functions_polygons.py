"""Polygons of functions to cells: the class that covers most of each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.grid import Bounds, Cells, area_m2, boundaries, cells_at, cells_in_bounds, centres, project, utm_crs
from fusion.ingest.functions_cells import Decision

# A polygon that a cell only touches has a share of rounding errors.
_TOUCH = 1e-6
_MOST_CELLS = 5_000_000
_M_PER_DEG = 111_320.0


def decide_by_area(
    geometry: NDArray[np.object_],
    label: NDArray[np.int64],
    resolution: int,
    bounds: Bounds | None,
    name: str,
    tell: Callable[[float, str], None],
) -> Decision:
    """Give each cell the class that covers most of it, with its share of the cell's area.

    Areas are measured in the UTM zone. Where polygons of one class overlap, the ground counts once; a tie goes to the
    earlier class.

    Args:
        geometry: (N,) shapes in degrees, WGS-84.
        label: (N,) class index, -1 for a shape that is not to be used.
        resolution: H3 resolution of the cells.
        bounds: only cells with their centre in these; None: all that are covered.
        name: the file, for messages.
        tell: is told the share done, 0 to 1, and what is being done.

    Raises:
        InputError: no shape lies on the ground, or they span more cells than a city has.
    """
    extent = polygons_extent(geometry, name)
    box = bounds or extent
    crs = utm_crs((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    tell(0.0, "mending polygons")
    shapes, repaired = _mend(_projected(geometry, crs))
    reason = np.full(len(geometry), None, dtype=object)
    reason[np.array([shape is None for shape in shapes], dtype=bool)] = "bad_geometry"
    good = np.array([why is None for why in reason], dtype=bool) & (label >= 0)
    tell(0.2, "laying cells")
    cells = _candidates(extent, bounds, resolution)
    tell(0.4, "measuring shares")
    chosen, met = _largest_shares(cells, crs, shapes[good], label[good])
    reason[np.flatnonzero(good)[~met]] = "outside"
    return Decision(chosen, reason, extent, {"polygons_repaired": int((repaired & good).sum())})


def polygons_extent(geometry: NDArray[np.object_], name: str) -> Bounds:
    """Return the box of the shapes that lie on the ground; InputError where none does."""
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
