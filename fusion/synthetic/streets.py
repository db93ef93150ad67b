"""The street net: superblocks between main streets, cut into parcels, each of one site.

Streets run along bent coordinates (u, v), metres, which are x and y plus slow waves: so they curve a little, and the
old town around the station lies askew. Parcels of some 110 to 150 m take the site of the nearest cell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fusion.synthetic.exact import Floats, Floats32, lattice, scramble, scramble2, unit
from fusion.synthetic.plan import FILLERS, Plan, Rows
from fusion.synthetic.tables import APPEARANCES
from fusion.synthetic.terrain import AVENUES_EAST, AVENUES_NORTH

LOOKS: tuple[str, ...] = tuple(latent.id for latent in APPEARANCES) + FILLERS
# Looks that run on through a site, without lanes between its parcels.
_OPEN = np.array([look in ("rails", "runway", "green", "farmland", "bank", "vacant") for look in LOOKS])

FILLER_FRAMES = 64
_PARCEL_M = 128.0
_AROUND_M = 1600.0
_LANE_M, _STREET_M, _MAIN_M, _AVENUE_M = 3.6, 7.0, 14.0, 27.0  # half widths
_OLD_TOWN, _OLD_TOWN_M = (113.662, 34.752), 2600.0  # longitude and latitude, approximate; radius


@dataclass(frozen=True)
class Streets:
    """The net, as tables that pixels look up.

    `main_u`, `main_v`: main streets; `first` (I*J,) first parcel of each superblock, `count_u`, `count_v` (I*J,) how
    many it has each way, `cut_u`, `cut_v` (I*J,C) where they part, metres from the superblock's corner.
    A parcel has `u0 u1 v0 v1`, half widths of the streets on its four sides `half` (4,P), `look`, `site` (-1 for
    filler) and `dice`, 32 random bits; `frame` is its site, or for filler one of FILLER_FRAMES after the last site.
    """

    seed: int
    old_town: tuple[float, float]
    main_u: Floats
    main_v: Floats
    first: NDArray[np.int32]
    count_u: NDArray[np.int32]
    count_v: NDArray[np.int32]
    cut_u: Floats32
    cut_v: Floats32
    u0: Floats32
    u1: Floats32
    v0: Floats32
    v1: Floats32
    half: Floats32
    look: NDArray[np.uint8]
    site: Rows
    frame: Rows
    dice: NDArray[np.uint32]

    def bend(self, x: Floats32, y: Floats32) -> tuple[Floats32, Floats32]:
        """Map metres in the box to street coordinates."""
        return _bend(self.seed, self.old_town, x, y)

    def parcels_at(self, u: Floats32, v: Floats32) -> NDArray[np.int32]:
        """Return the parcel of each point."""
        i = _between(self.main_u, u)
        j = _between(self.main_v, v)
        block = i * (len(self.main_v) - 1) + j
        k = _cut(u - self.main_u.astype(np.float32)[i], block, self.count_u, self.cut_u)
        m = _cut(v - self.main_v.astype(np.float32)[j], block, self.count_v, self.cut_v)
        return self.first[block] + k * self.count_v[block] + m


def _bend(seed: int, centre: tuple[float, float], x: Floats32, y: Floats32) -> tuple[Floats32, Floats32]:
    zero = np.zeros(1, dtype=np.float32)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    near = np.maximum(np.float32(1) - (dx * dx + dy * dy) * np.float32(1 / _OLD_TOWN_M**2), np.float32(0))
    near = near * near * np.float32(0.34)
    wave_x = (lattice(seed * 7 + 11, 3800.0, y, zero + 0 * y) - np.float32(0.5)) * np.float32(420)
    wave_y = (lattice(seed * 7 + 12, 4400.0, x, zero + 0 * x) - np.float32(0.5)) * np.float32(420)
    return x + wave_x + near * dy, y + wave_y - near * dx


def build_streets(plan: Plan, look_of_cell: NDArray[np.uint8], seed: int) -> Streets:
    """Lay streets over a plan.

    Args:
        plan: the city's cells and sites.
        look_of_cell: (N,) index into LOOKS.
        seed: the city's.
    """
    box = plan.box
    town_x, town_y = box.local(np.array([_OLD_TOWN[0]]), np.array([_OLD_TOWN[1]]))
    old = (float(town_x[0]), float(town_y[0]))
    middle = (np.float32(box.width_m / 2), np.float32(box.height_m / 2))
    north_x, _ = box.local(np.array(AVENUES_NORTH), np.full(len(AVENUES_NORTH), 34.7780))
    _, east_y = box.local(np.full(len(AVENUES_EAST), 113.640), np.array(AVENUES_EAST))
    avenue_u = _bend(seed, old, north_x.astype(np.float32), np.full(len(north_x), middle[1]))[0]
    avenue_v = _bend(seed, old, np.full(len(east_y), middle[0]), east_y.astype(np.float32))[1]
    rng = np.random.default_rng([seed, 303])
    main_u, wide_u = _main_streets(box.width_m, avenue_u, rng)
    main_v, wide_v = _main_streets(box.height_m, avenue_v, rng)
    blocks = (len(main_u) - 1) * (len(main_v) - 1)
    block = np.arange(blocks)
    i, j = block // (len(main_v) - 1), block % (len(main_v) - 1)
    size_u, size_v = np.diff(main_u)[i], np.diff(main_v)[j]
    grain = 0.88 + 0.30 * unit(scramble(block, seed + 31), 1).astype(np.float64)
    count_u = np.maximum(1, np.rint(size_u / (_PARCEL_M * grain))).astype(np.int32)
    count_v = np.maximum(1, np.rint(size_v / (_PARCEL_M * grain))).astype(np.int32)
    cut_u = _cuts(size_u, count_u, block, seed + 41)
    cut_v = _cuts(size_v, count_v, block, seed + 42)
    per_block = count_u * count_v
    first = np.concatenate([[0], np.cumsum(per_block)[:-1]]).astype(np.int32)
    owner = np.repeat(block, per_block)
    inner = np.arange(len(owner)) - first[owner]
    k, m = inner // count_v[owner], inner % count_v[owner]
    u0, u1 = (main_u[i[owner]] + cut_u[owner, k + d] for d in (0, 1))
    v0, v1 = (main_v[j[owner]] + cut_v[owner, m + d] for d in (0, 1))
    x, y = _unbend(seed, old, (u0 + u1) / 2, (v0 + v1) / 2)
    cell = cKDTree(np.stack([plan.x, plan.y], axis=1)).query(np.stack([x, y], axis=1))[1]
    look, site = look_of_cell[cell], plan.site[cell]
    frame = np.where(site >= 0, site, plan.sites + (scramble(owner, seed + 61) % FILLER_FRAMES).astype(np.int32))
    # The lowest bit is a chequerboard: looks that take turns, such as sports grounds, go by it.
    dice = (scramble(np.arange(len(owner)), seed * 3 + 51) & np.uint32(0xFFFFFFFE)) | ((k + m) & 1).astype(np.uint32)
    streets = Streets(
        seed, old, main_u, main_v, first, count_u, count_v, cut_u.astype(np.float32), cut_v.astype(np.float32),
        u0.astype(np.float32), u1.astype(np.float32), v0.astype(np.float32), v1.astype(np.float32),
        np.zeros((4, len(owner)), dtype=np.float32), look, site, frame.astype(np.int32), dice,
    )  # fmt: skip
    at_main = (k == 0, k == count_u[owner] - 1, m == 0, m == count_v[owner] - 1)
    wide = (wide_u[i[owner]], wide_u[i[owner] + 1], wide_v[j[owner]], wide_v[j[owner] + 1])
    mid_u, mid_v = (u0 + u1) / 2, (v0 + v1) / 2
    for side, (pu, pv) in enumerate(((u0 - 2, mid_v), (u1 + 2, mid_v), (mid_u, v0 - 2), (mid_u, v1 + 2))):
        other = streets.parcels_at(pu.astype(np.float32), pv.astype(np.float32))
        same = (site[other] == site) & (look[other] == look)
        through = same & _OPEN[look]
        half = np.where(at_main[side], np.where(wide[side], _AVENUE_M, np.where(through, 0.0, _MAIN_M)), _STREET_M)
        half = np.where(~at_main[side] & same, np.where(_OPEN[look], 0.0, _LANE_M), half)
        streets.half[side] = half
    return streets


def _main_streets(length: float, avenues: Floats32, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Space main streets irregularly; the nearest one moves onto each avenue."""
    places, at = [], -_AROUND_M
    while at < length + _AROUND_M + 1000:
        places.append(at)
        at += 640.0 + float(rng.integers(0, 36)) * 10.0
    main = np.array(places)
    wide = np.zeros(len(main), dtype=bool)
    for avenue in np.sort(avenues.astype(np.float64)):
        if not main[0] < avenue < main[-1]:
            continue
        nearest = int(np.abs(main - avenue).argmin())
        if not wide[nearest]:
            main[nearest], wide[nearest] = avenue, True
    keep = np.ones(len(main), dtype=bool)
    for index in range(1, len(main)):
        if main[index] - main[np.flatnonzero(keep[:index])[-1]] < 420.0 and not wide[index]:
            keep[index] = False
    return main[keep], wide[keep]


def _cuts(size: Floats, count: NDArray[np.int32], block: NDArray, salt: int) -> Floats:
    """Part each superblock evenly but for a jitter of a seventh."""
    most = int(count.max())
    n = np.arange(most + 1)
    dice = unit(scramble2(np.repeat(block, most + 1), np.tile(n, len(block)), salt), 1).reshape(len(block), most + 1)
    jitter = (dice.astype(np.float64) - 0.5) * (2.0 / 7.0)
    inner = (n > 0) & (n < count[:, None])
    return np.minimum((n + np.where(inner, jitter, 0.0)) * (size / count)[:, None], size[:, None])


def _unbend(seed: int, centre: tuple[float, float], u: Floats, v: Floats) -> tuple[Floats, Floats]:
    x, y = u.copy(), v.copy()
    for _ in range(14):
        bu, bv = _bend(seed, centre, x.astype(np.float32), y.astype(np.float32))
        x, y = x + 0.9 * (u - bu), y + 0.9 * (v - bv)
    return x, y


def _between(edges: Floats, at: Floats32) -> NDArray[np.int32]:
    found = np.searchsorted(edges.astype(np.float32), at, side="right") - 1
    return found.clip(0, len(edges) - 2).astype(np.int32)


def _cut(at: Floats32, block: NDArray, count: NDArray[np.int32], cuts: Floats32) -> NDArray[np.int32]:
    """Which part of its superblock each point is in; the jitter is under half a part."""
    most = cuts.shape[1]
    n = count[block]
    size = cuts[block, n]
    guess = np.floor(at * (n.astype(np.float32) / size)).astype(np.int32).clip(0, n - 1)
    flat, row = cuts.ravel(), block * most
    guess = guess - (at < flat[row + guess])
    guess = guess + (at >= flat[row + guess + 1])
    return guess.clip(0, n - 1).astype(np.int32)
