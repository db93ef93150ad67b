"""The box, its cells, and how they fall into sites.

A site is a contiguous patch of cells that will have one function. Sites are cut without regard to function, so that
neither their size nor their shape nor their place says anything about it.
"""

from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from fusion.geo import grid
from fusion.synthetic.exact import Floats, lattice
from fusion.synthetic.parameters import Parameters
from fusion.synthetic.terrain import LocalProjection, Terrain, build_terrain

Rows = NDArray[np.int32]

FILLERS = ("farmland", "village", "vacant", "bank")
_SMALLEST, _LARGEST = 3, 7


class Box(LocalProjection):
    """The ground rectangle of the picture: UTM metres, upper left corner on a whole pixel."""

    def __init__(self, parameters: Parameters) -> None:
        self.pixel_m = parameters.pixel_m
        self.crs: pyproj.CRS = grid.utm_crs(parameters.centre_lon, parameters.centre_lat)
        x, y = grid.project([parameters.centre_lon], [parameters.centre_lat], self.crs)
        self.columns, self.rows = parameters.width_m // self.pixel_m, parameters.height_m // self.pixel_m
        self.width_m, self.height_m = self.columns * self.pixel_m, self.rows * self.pixel_m
        self.left = float(round((x[0] - self.width_m / 2) / 100) * 100)
        self.top = float(round((y[0] + self.height_m / 2) / 100) * 100)
        self._to_local = pyproj.Transformer.from_crs(4326, self.crs, always_xy=True)

    def local(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Map degrees, WGS-84, to metres east and south of the upper left corner, rounded to centimetres.

        The rounding takes away what processors disagree about in the projection's sines.
        """
        x, y = self._to_local.transform(np.asarray(lon), np.asarray(lat))
        return np.rint((np.asarray(x) - self.left) * 100) / 100, np.rint((self.top - np.asarray(y)) * 100) / 100

    def bounds(self) -> tuple[float, float, float, float]:
        """Return `(west, south, east, north)` degrees around the whole box."""
        right, bottom = self.left + self.width_m, self.top - self.height_m
        lon, lat = self._to_local.transform(
            np.array([self.left, right, self.left, right]),
            np.array([self.top, self.top, bottom, bottom]),
            direction="INVERSE",
        )
        return tuple(round(float(v), 6) for v in (lon.min(), lat.min(), lon.max(), lat.max()))  # type: ignore[return-value]


@dataclass(frozen=True)
class Plan:
    """The city without its functions.

    `cells` (N,) sorted uint64, `x`, `y` (N,) metres in the box, `near` (N,6) rows of neighbouring cells or -1,
    `site` (N,) site of each cell or -1, `filler` (N,) index into FILLERS or -1, `pairs` (P,2) sites side by side,
    `station_sites`: the sites of the two real stations that lie in the box.
    """

    box: Box
    terrain: Terrain
    cells: NDArray[np.uint64]
    x: Floats
    y: Floats
    near: Rows
    site: Rows
    filler: Rows
    pairs: Rows
    station_sites: tuple[int, ...]

    @property
    def sites(self) -> int:
        """How many sites there are."""
        return int(self.site.max()) + 1


def build_plan(parameters: Parameters, seed: int) -> Plan:
    """Cut a box into cells, filler and sites."""
    box = Box(parameters)
    terrain = build_terrain(box)
    cells = grid.cells_in_bounds(box.bounds(), parameters.resolution)
    x, y = box.local(*grid.centres(cells))
    margin = parameters.margin_m
    inside = (x > margin) & (y > margin) & (x < box.width_m - margin) & (y < box.height_m - margin)
    cells, x, y = cells[inside], x[inside], y[inside]
    around = grid.neighbourhoods(cells, cells, 1).reshape(-1, 9)
    near = np.ascontiguousarray(around[:, [0, 1, 3, 5, 7, 8]])
    station_cells = [
        int(((x - sx) ** 2 + (y - sy) ** 2).argmin())
        for sx, sy in terrain.stations
        if margin < sx < box.width_m - margin and margin < sy < box.height_m - margin
    ]
    filler = _place_filler(parameters, seed, box, terrain, x, y, station_cells)
    rng = np.random.default_rng([seed, 101])
    site = _grow_sites(near, filler, rng)
    return Plan(
        box, terrain, cells, x, y, near, site, filler, _pairs(near, site), tuple(int(site[c]) for c in station_cells)
    )


def _place_filler(
    parameters: Parameters, seed: int, box: Box, terrain: Terrain, x: Floats, y: Floats, keep: list[int]
) -> Rows:
    """Fields and villages towards the rim, vacant ground anywhere, banks under lakes."""
    filler = np.full(len(x), -1, dtype=np.int32)
    fx, fy = x.astype(np.float32), y.astype(np.float32)
    rim = np.maximum(np.abs(2 * x / box.width_m - 1), np.abs(2 * y / box.height_m - 1))
    wish = 1.25 * rim * rim + lattice(seed * 7 + 1, 2600.0, fx, fy) + 0.35 * lattice(seed * 7 + 2, 900.0, fx, fy)
    wish[keep] = -1.0
    count = int(parameters.filler_share * len(x))
    chosen = np.argsort(-wish, kind="stable")[:count]
    kind = lattice(seed * 7 + 3, 1100.0, fx, fy) + 0.25 * (rim - 0.6)
    filler[chosen] = np.where(kind[chosen] < 0.36, 2, np.where(kind[chosen] < 0.50, 1, 0))
    for lake in terrain.lakes:
        wet = ((x - lake.x) / (lake.radius_x + 60)) ** 2 + ((y - lake.y) / (lake.radius_y + 60)) ** 2 < 1.0
        filler[wet] = 3
    filler[keep] = -1
    return filler


def _grow_sites(near: Rows, filler: Rows, rng: np.random.Generator) -> Rows:
    """Grow compact patches of a drawn size from random cells; hand lone leftovers to their smallest neighbour."""
    site = np.full(len(filler), -1, dtype=np.int32)
    order, jitter = rng.permutation(len(filler)), rng.integers(0, 1 << 20, len(filler))
    sizes = rng.integers(_SMALLEST, _LARGEST + 1, len(filler))
    members: list[list[int]] = []
    for start in order:
        if site[start] >= 0 or filler[start] >= 0:
            continue
        name, mine = len(members), [int(start)]
        site[start] = name
        contacts: dict[int, int] = {}
        while len(mine) < sizes[name]:
            for cell in near[mine[-1]]:
                if cell >= 0 and site[cell] < 0 and filler[cell] < 0:
                    contacts[int(cell)] = contacts.get(int(cell), 0) + 1
            if not contacts:
                break
            best = max(contacts, key=lambda cell: (contacts[cell], jitter[cell]))
            del contacts[best]
            site[best] = name
            mine.append(best)
        members.append(mine)
    for mine in members:
        if len(mine) <= 1:
            beside = {int(site[c]) for cell in mine for c in near[cell] if c >= 0 and site[c] >= 0} - {
                int(site[mine[0]])
            }
            if beside:
                host = min(beside, key=lambda name: (len(members[name]), name))
                site[mine] = host
                members[host].extend(mine)
                mine.clear()
    used = np.flatnonzero([len(mine) > 0 for mine in members])
    renamed = np.full(len(members) + 1, -1, dtype=np.int32)
    renamed[used] = np.arange(len(used), dtype=np.int32)
    return renamed[site]


def _pairs(near: Rows, site: Rows) -> Rows:
    one = np.repeat(site, near.shape[1])
    other = np.where(near >= 0, site[near], -1).ravel()
    meet = (one >= 0) & (other >= 0) & (one < other)
    return np.unique(np.stack([one[meet], other[meet]], axis=1), axis=0).astype(np.int32)
