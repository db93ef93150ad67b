"""Lines and lakes over the parcels: rivers with their banks, railways, ring roads."""

import numpy as np
from numpy.typing import NDArray

from fusion.synthetic.exact import Floats32, lattice
from fusion.synthetic.materials import M
from fusion.synthetic.terrain import Line, Terrain

F = np.float32
_FAR = np.float32(1e6)
_ORDER = ("river", "rail", "street", "ring", "fast")


class Canvas:
    """One tile's surfaces, heights (m) and shades, all (H,W), with the metres of its pixels' centres."""

    def __init__(self, x: Floats32, y: Floats32, surface: NDArray[np.uint8], height: Floats32, shade: Floats32) -> None:
        self.x, self.y = x, y
        self.surface, self.height, self.shade = surface, height, shade

    def paint(self, where: NDArray[np.bool_], surface: np.uint8, height: float = 0.0) -> None:
        """Cover `where`."""
        self.surface[where] = surface
        self.height[where] = F(height)
        self.shade[where] = F(1)


def draw_terrain(canvas: Canvas, terrain: Terrain, crossing: NDArray[np.bool_]) -> None:
    """Draw lakes and lines over a tile; `crossing` marks main streets, which bridge rivers."""
    _draw_lakes(canvas, terrain)
    for kind in _ORDER:
        for line in terrain.lines:
            if line.kind == kind:
                away = _distance(canvas, line)
                if away is not None:
                    _DRAW[kind](canvas, away, F(line.half_m), crossing)


def _distance(canvas: Canvas, line: Line) -> Floats32 | None:
    """Distance of each pixel to a polyline in metres where it is near, or None if the line is nowhere near."""
    reach = line.half_m + 45.0
    x0, y0 = float(canvas.x[0, 0]), float(canvas.y[0, 0])
    step = float(canvas.x[0, 1]) - x0
    rows, columns = canvas.x.shape
    a, b = line.points[:-1], line.points[1:]
    low, high = np.minimum(a, b) - reach, np.maximum(a, b) + reach
    c0 = np.floor((low[:, 0] - x0) / step).astype(int).clip(0, columns)
    c1 = np.ceil((high[:, 0] - x0) / step).astype(int).clip(0, columns)
    r0 = np.floor((low[:, 1] - y0) / step).astype(int).clip(0, rows)
    r1 = np.ceil((high[:, 1] - y0) / step).astype(int).clip(0, rows)
    near = np.flatnonzero((c1 > c0) & (r1 > r0))
    if not len(near):
        return None
    square = np.full((rows, columns), _FAR, dtype=np.float32)
    for n in near:
        part = (slice(r0[n], r1[n]), slice(c0[n], c1[n]))
        ax, ay = F(a[n, 0]), F(a[n, 1])
        dx, dy = F(b[n, 0] - a[n, 0]), F(b[n, 1] - a[n, 1])
        px, py = canvas.x[part] - ax, canvas.y[part] - ay
        t = ((px * dx + py * dy) * F(1 / max(float(dx * dx + dy * dy), 1e-6))).clip(0, 1)
        ex, ey = px - t * dx, py - t * dy
        np.minimum(square[part], ex * ex + ey * ey, out=square[part])
    return np.sqrt(square)


def _draw_lakes(canvas: Canvas, terrain: Terrain) -> None:
    for lake in terrain.lakes:
        reach_x, reach_y = lake.radius_x + 150, lake.radius_y + 150
        if (
            canvas.x[0, -1] < lake.x - reach_x
            or canvas.x[0, 0] > lake.x + reach_x
            or canvas.y[-1, 0] < lake.y - reach_y
            or canvas.y[0, 0] > lake.y + reach_y
        ):
            continue
        dx, dy = (canvas.x - F(lake.x)) * F(1 / lake.radius_x), (canvas.y - F(lake.y)) * F(1 / lake.radius_y)
        wobble = (lattice(301, lake.radius_y * 0.55, canvas.x, canvas.y) - F(0.5)) * F(0.30)
        inside = np.sqrt(dx * dx + dy * dy) + wobble
        rim = F(14.0 / min(lake.radius_x, lake.radius_y))
        canvas.paint(inside < 1 + 3 * rim, M.verge)
        crowns = lattice(302, 9.0, canvas.x, canvas.y) > F(0.55)
        canvas.paint((inside < 1 + 3 * rim) & crowns, M.canopy, 6.0)
        canvas.paint(inside < 1 + rim, M.path)
        canvas.paint(inside < 1, M.lake)


def _river(canvas: Canvas, away: Floats32, half: np.float32, crossing: NDArray[np.bool_]) -> None:
    open_ground = ~crossing & (canvas.surface != M.lake)
    bank = (away < half + F(20)) & open_ground
    canvas.paint(bank, M.verge)
    canvas.paint(bank & (lattice(303, 9.0, canvas.x, canvas.y) > F(0.5)), M.canopy, 6.0)
    canvas.paint(bank & (np.abs(away - half - F(13)) < F(2.2)), M.path)
    canvas.paint((away < half) & open_ground, M.river)


def _rail(canvas: Canvas, away: Floats32, half: np.float32, crossing: NDArray[np.bool_]) -> None:
    canvas.paint(away < half + F(10), M.weeds)
    canvas.paint(
        (away < half + F(10)) & (away > half + F(2)) & (lattice(304, 9.0, canvas.x, canvas.y) > F(0.6)), M.canopy, 6.0
    )
    canvas.paint(away < half, M.ballast)
    canvas.paint(
        (away < half) & ((np.abs(away - F(4)) < F(2)) | (np.abs(away - F(11)) < F(2)) | (np.abs(away - F(16)) < F(2))),
        M.rail,
    )


def _fast(canvas: Canvas, away: Floats32, half: np.float32, crossing: NDArray[np.bool_]) -> None:
    canvas.paint((away < half + F(9)) & ~crossing, M.verge)
    canvas.paint(away < half, M.platform, 9.0)
    canvas.shade[away < half * F(0.55)] = F(0.80)


def _street(canvas: Canvas, away: Floats32, half: np.float32, crossing: NDArray[np.bool_]) -> None:
    canvas.paint(away < half + F(10), M.verge)
    canvas.paint((away < half + F(10)) & (lattice(305, 9.0, canvas.x, canvas.y) > F(0.5)), M.canopy, 6.0)
    canvas.paint(away < half, M.asphalt)


def _ring(canvas: Canvas, away: Floats32, half: np.float32, crossing: NDArray[np.bool_]) -> None:
    canvas.paint(away < half + F(16), M.verge)
    crowns = lattice(306, 9.0, canvas.x, canvas.y) > F(0.46)
    canvas.paint((away < half + F(16)) & (away > half) & crowns & ~crossing, M.canopy, 6.0)
    canvas.paint(away < half, M.asphalt)
    canvas.paint((np.abs(away - half * F(0.66)) < F(2.1)) & ~crossing, M.median, 2.0)
    deck = half * F(0.46)
    canvas.paint(away < deck, M.concrete, 11.0)
    canvas.shade[away < deck] = F(0.93)
    canvas.paint(away < F(2.1), M.lane, 11.0)


_DRAW = {"river": _river, "rail": _rail, "fast": _fast, "street": _street, "ring": _ring}
