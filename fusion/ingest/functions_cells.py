"""Points and tables of cells to functions: the class with most points, or with the largest share, of each cell."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.grid import Bounds, are_cells, resolution_of
from fusion.ingest.frame import DEFAULT_RESOLUTION
from fusion.ingest.places import Places, cell_of_text, places_at_points, places_of_cells

# Children of a hexagon one resolution finer; the twelve pentagons lie in the sea.
_CHILDREN = 7


@dataclass(frozen=True)
class Decision:
    """What a file of functions comes to.

    Attributes:
        chosen: columns `cell` uint64, `label` (class index), `share` (0 to 1); one row a cell.
        reason: (N,) None, or why a feature was not taken.
        extent: the box of the features, degrees, WGS-84.
        more: what the report should say besides.
    """

    chosen: pd.DataFrame
    reason: NDArray[np.object_]
    extent: Bounds
    more: dict[str, Any] = field(default_factory=dict)


def decide_by_count(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    label: NDArray[np.int64],
    datum: str,
    resolution: int,
    bounds: Bounds | None,
) -> Decision:
    """Give each cell the class that most of its points have, with their share of the cell's points.

    Every point counts as one, whatever its class; a tie goes to the earlier class.

    Args:
        lon, lat: (N,) degrees of `datum`; NaN where there is no position.
        label: (N,) class index, -1 for a point that is not to be used.
        datum: one of `fusion.geo.datum.DATUMS`.
        resolution: H3 resolution of the cells.
        bounds: the city's; None for a city that has none yet.

    Raises:
        InputError: the datum is unknown, or one of China for points elsewhere.
    """
    places = places_at_points(lon, lat, np.ones(len(lon), dtype=np.int64), datum, resolution, bounds)
    good = (places.cell != 0) & (label >= 0)
    counted = pd.DataFrame({"cell": places.cell[good], "label": label[good], "weight": 1.0})
    chosen = _heaviest(counted)
    chosen["share"] = chosen["weight"] / counted.groupby("cell").size().reindex(chosen["cell"]).to_numpy()
    return Decision(chosen[["cell", "label", "share"]], places.reason, _extent(places))


def decide_by_share(
    texts: pd.Series,
    label: NDArray[np.int64],
    share: NDArray[np.float64] | None,
    datum: str,
    resolution: int,
    bounds: Bounds | None,
) -> Decision:
    """Give each cell the class with the largest share that a table says.

    Cells finer than the city's count for the part of their parent that they are.

    Args:
        texts: (N,) H3 cells as text.
        label: (N,) class index, -1 for a row that is not to be used.
        share: (N,) share of the cell, above 0 and up to 1; None: all are whole, and a cell has one class.
        datum: one of `fusion.geo.datum.DATUMS`; cells of another than WGS-84 are moved by their centres.
        resolution: H3 resolution of the city's cells.
        bounds: the city's; None for a city that has none yet.

    Raises:
        InputError: the datum is unknown, or one of China for cells elsewhere.
    """
    places = places_of_cells(texts, datum, resolution, bounds, np.ones(len(texts), dtype=np.int64))
    reason = places.reason.copy()
    rows = pd.DataFrame({"cell": places.cell, "label": label, "own": _own_cells(texts)})
    rows["share"] = 1.0 if share is None else share
    usable = (places.cell != 0) & (label >= 0)
    wrong = usable & ~((rows["share"] > 0) & (rows["share"] <= 1)).to_numpy()
    reason[wrong] = "bad_value"
    rows = rows[usable & ~wrong]
    key = ["own"] if share is None else ["own", "label"]
    first = rows.groupby(key)[["label", "share"]].transform("first")
    again = rows.duplicated(key).to_numpy()
    same = ((rows["label"] == first["label"]) & (rows["share"] == first["share"])).to_numpy()
    reason[rows.index[again & same]] = "duplicate"
    reason[rows.index[again & ~same]] = "conflict"
    rows = rows[~again]
    finer = np.array([resolution_of(own) - resolution for own in rows["own"]], dtype=float)
    weighed = rows.assign(weight=rows["share"] / _CHILDREN**finer)[["cell", "label", "weight"]]
    chosen = _heaviest(weighed)
    chosen["share"] = chosen["weight"].clip(upper=1.0)
    return Decision(chosen[["cell", "label", "share"]], reason, _extent(places))


def common_resolution(texts: pd.Series, name: str) -> int:
    """Return the resolution of a table's cells, for a city that they make.

    Raises:
        InputError: they have several.
    """
    cells = np.unique(_own_cells(texts))
    found = {resolution_of(cell) for cell in cells[are_cells(cells)]}
    if len(found) > 1:
        spelled = ", ".join(map(str, sorted(found)))
        raise InputError(f"{name} has cells of resolutions {spelled}: name the city's with --resolution")
    return found.pop() if found else DEFAULT_RESOLUTION


def _heaviest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the class of most weight of each cell; the earlier class of two that weigh the same."""
    table: pd.DataFrame = rows.groupby(["cell", "label"])["weight"].sum().reset_index()
    # Sums in another order may differ in their last digits, which must not decide.
    table["rounded"] = table["weight"].round(9)
    table = table.sort_values(["cell", "rounded", "label"], ascending=[True, False, True])
    return table.drop_duplicates("cell")[["cell", "label", "weight"]].reset_index(drop=True)


def _own_cells(texts: pd.Series) -> NDArray[np.uint64]:
    return np.array([cell_of_text(text) for text in texts.astype("string").fillna("")], dtype=np.uint64)


def _extent(places: Places) -> Bounds:
    lon, lat = places.lon[np.isfinite(places.lon)], places.lat[np.isfinite(places.lat)]
    if not len(lon):
        return 0.0, 0.0, 0.0, 0.0
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
