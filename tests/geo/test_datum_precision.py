"""Inverse datums against an independent reference: the formula in 50 digits, its inverse by Newton's method."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from fusion.geo import datum
from fusion.geo.grid import cells_at

MM_PER_DEG = 111_320_000.0
POINTS = 100_000


@pytest.fixture(scope="module")
def china() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.uniform(73.5, 135.5, POINTS), random.uniform(17.5, 53.5, POINTS)


def gcj02_of(lon: mpmath.mpf, lat: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    """WGS-84 to GCJ-02 as published, term by term, in the working precision of mpmath."""
    sin, pi = mpmath.sin, mpmath.pi
    x, y = lon - 105, lat - 35
    third, fifth, tenth = mpmath.mpf(2) / 3, mpmath.mpf(1) / 5, mpmath.mpf(1) / 10
    north = -100 + 2 * x + 3 * y + fifth * y**2 + tenth * x * y + fifth * mpmath.sqrt(abs(x))
    north += third * (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi))
    north += third * (20 * sin(y * pi) + 40 * sin(y / 3 * pi))
    north += third * (160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30))
    east = 300 + x + 2 * y + tenth * x**2 + tenth * x * y + tenth * mpmath.sqrt(abs(x))
    east += third * (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi))
    east += third * (20 * sin(x * pi) + 40 * sin(x / 3 * pi))
    east += third * (150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi))
    axis, flat = mpmath.mpf(6378245), mpmath.mpf("0.00669342162296594323")
    phi = mpmath.radians(lat)
    w = 1 - flat * sin(phi) ** 2
    meridian, parallel = axis * (1 - flat) / (w * mpmath.sqrt(w)), axis / mpmath.sqrt(w) * mpmath.cos(phi)
    return lon + mpmath.degrees(east / parallel), lat + mpmath.degrees(north / meridian)


def bd09_of(lon: mpmath.mpf, lat: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    """WGS-84 to BD-09, which is defined upon GCJ-02."""
    x, y = gcj02_of(lon, lat)
    angle = mpmath.pi * 3000 / 180
    radius = mpmath.hypot(x, y) + mpmath.mpf("0.00002") * mpmath.sin(y * angle)
    theta = mpmath.atan2(y, x) + mpmath.mpf("0.000003") * mpmath.cos(x * angle)
    return radius * mpmath.cos(theta) + mpmath.mpf("0.0065"), radius * mpmath.sin(theta) + mpmath.mpf("0.006")


def solve(forward: Callable, lon: float, lat: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The WGS-84 point whose image is lon, lat, in 50 digits."""
    found = mpmath.findroot(
        lambda x, y: [a - b for a, b in zip(forward(x, y), (mpmath.mpf(lon), mpmath.mpf(lat)), strict=True)],
        (mpmath.mpf(lon) - mpmath.mpf("0.005"), mpmath.mpf(lat) - mpmath.mpf("0.002")),
        tol=1e-60,
    )
    return found[0], found[1]


@pytest.mark.parametrize(("name", "forward"), [("gcj02", gcj02_of), ("bd09", bd09_of)])
def test_inverse_agrees_with_fifty_digits(name: str, forward: Callable, china: tuple[np.ndarray, np.ndarray]) -> None:
    lon, lat = china[0][:60], china[1][:60]
    found = getattr(datum, f"{name}_to_wgs84")(lon, lat)
    with mpmath.workdps(50):
        exact = np.array([[float(v) for v in solve(forward, *point)] for point in zip(lon, lat, strict=True)])

    off_mm = MM_PER_DEG * np.hypot((found[0] - exact[:, 0]) * np.cos(np.radians(lat)), found[1] - exact[:, 1])

    assert off_mm.max() < 0.01


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_no_point_falls_into_a_wrong_cell(name: str, china: tuple[np.ndarray, np.ndarray]) -> None:
    """There and back; a cell may differ only where the point lies on its edge, closer than the inverse is exact."""
    forward, back = getattr(datum, f"wgs84_to_{name}"), getattr(datum, f"{name}_to_wgs84")

    found = back(*forward(*china))

    off_mm = MM_PER_DEG * np.hypot((found[0] - china[0]) * np.cos(np.radians(china[1])), found[1] - china[1])
    assert off_mm.max() < 0.01
    assert (cells_at(*found, 9) == cells_at(*china, 9)).all()
