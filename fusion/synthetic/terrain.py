"""The fixed lines of the picture: ring roads, railways, rivers, lakes, main streets.

Positions are approximate: rounded by hand from public knowledge of Zhengzhou (the two stations and the rings to a few
hundred metres, rivers and railways in their general course), good enough to recognise the city and for nothing else.
The freight spurs, the rest of the streets and everything between them are invented.
"""

from dataclasses import dataclass

import numpy as np

from fusion.synthetic.exact import Floats

# Longitude, latitude (WGS-84, approximate).
STATIONS: dict[str, tuple[float, float]] = {
    "Zhengzhou": (113.6586, 34.7466),
    "Zhengzhou East": (113.7790, 34.7590),
}
# west, south, east, north: approximate courses of the second (inner), third and fourth ring roads.
RINGS: dict[str, tuple[float, float, float, float]] = {
    "second": (113.6250, 34.7330, 113.6990, 34.7870),
    "third": (113.5790, 34.7020, 113.7270, 34.8110),
    "fourth": (113.5400, 34.6720, 113.7660, 34.8450),
}
_RING_CORNER_M = {"second": 500.0, "third": 900.0, "fourth": 1500.0}
# Main streets as longitudes (running north) and latitudes (running east), approximate.
AVENUES_NORTH: tuple[float, ...] = (113.5990, 113.6450, 113.6640, 113.6830, 113.7130, 113.7480)
AVENUES_EAST: tuple[float, ...] = (34.6880, 34.7180, 34.7480, 34.7640, 34.7970, 34.8270)

_RAILWAYS: dict[str, tuple[tuple[float, float], ...]] = {
    "Longhai": (
        (113.50, 34.778),
        (113.55, 34.766),
        (113.60, 34.752),
        (113.635, 34.744),
        (113.658, 34.7425),
        (113.70, 34.7395),
        (113.74, 34.7300),
        (113.82, 34.7230),
    ),
    "Jingguang": (
        (113.632, 34.90),
        (113.636, 34.86),
        (113.640, 34.82),
        (113.648, 34.785),
        (113.657, 34.755),
        (113.6586, 34.7466),
        (113.656, 34.728),
        (113.662, 34.70),
        (113.672, 34.672),
        (113.68, 34.64),
    ),
    "high-speed north-south": (
        (113.742, 34.90),
        (113.755, 34.85),
        (113.770, 34.80),
        (113.779, 34.759),
        (113.784, 34.72),
        (113.779, 34.69),
        (113.765, 34.64),
    ),
    "high-speed west": (
        (113.50, 34.693),
        (113.56, 34.690),
        (113.62, 34.689),
        (113.68, 34.692),
        (113.73, 34.705),
        (113.765, 34.735),
        (113.779, 34.759),
    ),
}
_RIVERS: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "Jialu": (
        44.0,
        (
            (113.49, 34.802),
            (113.535, 34.812),
            (113.57, 34.826),
            (113.605, 34.829),
            (113.635, 34.841),
            (113.67, 34.836),
            (113.70, 34.842),
            (113.735, 34.833),
            (113.765, 34.824),
            (113.82, 34.806),
        ),
    ),
    "Jinshui": (
        12.0,
        (
            (113.545, 34.64),
            (113.567, 34.682),
            (113.590, 34.712),
            (113.612, 34.740),
            (113.636, 34.757),
            (113.668, 34.7655),
            (113.694, 34.772),
            (113.716, 34.786),
            (113.737, 34.801),
            (113.76, 34.81),
        ),
    ),
    "Xionger": (
        16.0,
        (
            (113.615, 34.64),
            (113.635, 34.683),
            (113.672, 34.708),
            (113.695, 34.727),
            (113.720, 34.745),
            (113.738, 34.765),
            (113.752, 34.784),
            (113.757, 34.803),
        ),
    ),
    "Dongfeng": (15.0, ((113.628, 34.838), (113.640, 34.803), (113.668, 34.793), (113.700, 34.792), (113.728, 34.796))),
}
# Lakes: longitude, latitude, radii east and north in metres.
_LAKES: tuple[tuple[float, float, float, float], ...] = (
    (113.7470, 34.8180, 1050.0, 780.0),  # Longhu
    (113.7205, 34.7715, 230.0, 230.0),  # the lake of the Zhengdong business district
    (113.5610, 34.7840, 420.0, 260.0),  # Xiliu lake
    (113.6100, 34.6790, 330.0, 240.0),  # invented reservoir
)
# Circular streets of the Zhengdong New District: longitude, latitude, radius in metres.
_CIRCLES: tuple[tuple[float, float, float], ...] = (
    (113.7205, 34.7715, 520.0),
    (113.7205, 34.7715, 820.0),
    (113.7470, 34.8180, 1420.0),
)


@dataclass(frozen=True)
class Line:
    """A polyline to be drawn: `points` (N,2) metres east and south of the box's corner, `half_m` half its width."""

    kind: str
    half_m: float
    points: Floats


@dataclass(frozen=True)
class Lake:
    """An ellipse with a wobbling shore, metres."""

    x: float
    y: float
    radius_x: float
    radius_y: float


@dataclass(frozen=True)
class Terrain:
    """Everything fixed, in the box's own metres."""

    lines: tuple[Line, ...]
    lakes: tuple[Lake, ...]
    stations: tuple[tuple[float, float], ...]


def build_terrain(local: "LocalProjection") -> Terrain:
    """Lay the fixed lines into a box.

    Args:
        local: maps (lon, lat) arrays to (x, y) metres east and south of the box's upper left corner.
    """
    lines: list[Line] = []
    for half, course in _RIVERS.values():
        lines.append(Line("river", half, _smooth(_points(local, course))))
    for name, course in _RAILWAYS.items():
        lines.append(
            Line(
                "fast" if name.startswith("high") else "rail",
                9.0 if name.startswith("high") else 18.0,
                _smooth(_points(local, course)),
            )
        )
    for x, y, radius in _CIRCLES:
        ((cx, cy),) = _points(local, ((x, y),))
        lines.append(Line("street", 16.0, _rounded(cx - radius, cy - radius, cx + radius, cy + radius, radius)))
    for name, (west, south, east, north) in RINGS.items():
        (x0, y0), (x1, y1) = _points(local, ((west, north), (east, south)))
        lines.append(Line("ring", 27.0 if name == "second" else 37.0, _rounded(x0, y0, x1, y1, _RING_CORNER_M[name])))
    lakes = []
    for x, y, radius_x, radius_y in _LAKES:
        ((cx, cy),) = _points(local, ((x, y),))
        lakes.append(Lake(cx, cy, radius_x, radius_y))
    stations = tuple((float(x), float(y)) for x, y in _points(local, tuple(STATIONS.values())))
    return Terrain(tuple(lines), tuple(lakes), stations)


class LocalProjection:
    """Anything that maps degrees to the box's metres; `plan.Box` is one."""

    def local(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Map degrees, WGS-84, to metres east and south of the upper left corner."""
        raise NotImplementedError


def _points(local: LocalProjection, course: tuple[tuple[float, float], ...]) -> Floats:
    lon, lat = np.array(course, dtype=np.float64).T
    return np.stack(local.local(lon, lat), axis=1)


def _smooth(points: Floats, steps: int = 10) -> Floats:
    """Join points by a Catmull-Rom spline."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t + (3 * p1 - p0 - 3 * p2 + p3) * t * t * t
    )
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def _rounded(x0: float, y0: float, x1: float, y1: float, radius: float, steps: int = 8) -> Floats:
    """A closed rectangle with round corners; a quarter circle is rational in t."""
    t = np.arange(steps + 1) / steps
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    # t from 0 to 1 sweeps a quarter: half its angle has tangent t.
    corners = []
    for cx, cy, sx, sy in (
        (x1 - radius, y0 + radius, (0, 1), (-1, 0)),
        (x1 - radius, y1 - radius, (1, 0), (0, 1)),
        (x0 + radius, y1 - radius, (0, -1), (1, 0)),
        (x0 + radius, y0 + radius, (-1, 0), (0, -1)),
    ):
        corners.append(
            np.stack(
                [cx + radius * (sx[0] * cosine + sx[1] * sine), cy + radius * (sy[0] * cosine + sy[1] * sine)], axis=1
            )
        )
    ring = np.concatenate(corners)
    return np.concatenate([ring, ring[:1]])
