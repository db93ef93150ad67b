"""Inverse datums: how far off, and how many points in a wrong resolution-9 cell, beside TransBigData's single step.

    python benchmarks/datum.py [--points 1000000] [--sample 200]

The reference solves the published forward formula by Newton's method in 80-bit floats, for every point, and is itself
checked against 50 digits (mpmath) on a sample. Points are random over China, as an export in GCJ-02 or BD-09 has them.
"""

import argparse
import time
from collections.abc import Callable

import mpmath
import numpy as np
import transbigdata
from numpy.typing import NDArray

from fusion.geo import datum
from fusion.geo.grid import cells_at

Long = NDArray[np.longdouble]
PI = np.longdouble("3.14159265358979323846264338327950288")
MM_PER_DEG = 111_320_000.0
STEP_DEG = np.longdouble("1e-6")


def gcj02_of(lon: Long, lat: Long) -> tuple[Long, Long]:
    """WGS-84 to GCJ-02, in the precision of what comes."""
    x, y, third = lon - 105, lat - 35, np.longdouble(2) / 3
    fifth, tenth = np.longdouble(1) / 5, np.longdouble(1) / 10
    wave = 20 * np.sin(6 * x * PI) + 20 * np.sin(2 * x * PI)
    north = -100 + 2 * x + 3 * y + fifth * y**2 + tenth * x * y + fifth * np.sqrt(np.abs(x)) + third * wave
    north += third * (20 * np.sin(y * PI) + 40 * np.sin(y / 3 * PI))
    north += third * (160 * np.sin(y / 12 * PI) + 320 * np.sin(y / 30 * PI))
    east = 300 + x + 2 * y + tenth * x**2 + tenth * x * y + tenth * np.sqrt(np.abs(x)) + third * wave
    east += third * (20 * np.sin(x * PI) + 40 * np.sin(x / 3 * PI))
    east += third * (150 * np.sin(x / 12 * PI) + 300 * np.sin(x / 30 * PI))
    axis, flat = np.longdouble(6378245), np.longdouble("0.00669342162296594323")
    phi = lat * PI / 180
    w = 1 - flat * np.sin(phi) ** 2
    degrees = 180 / PI
    return (
        lon + degrees * east * np.sqrt(w) / (axis * np.cos(phi)),
        lat + degrees * north * w * np.sqrt(w) / (axis * (1 - flat)),
    )


def bd09_of(lon: Long, lat: Long) -> tuple[Long, Long]:
    """WGS-84 to BD-09, which is defined upon GCJ-02."""
    x, y = gcj02_of(lon, lat)
    angle = PI * 3000 / 180
    radius = np.sqrt(x * x + y * y) + np.longdouble("0.00002") * np.sin(y * angle)
    theta = np.arctan2(y, x) + np.longdouble("0.000003") * np.cos(x * angle)
    return radius * np.cos(theta) + np.longdouble("0.0065"), radius * np.sin(theta) + np.longdouble("0.006")


def solve(forward: Callable, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[Long, Long]:
    """Newton's method with a Jacobian of differences."""
    wanted = lon.astype(np.longdouble), lat.astype(np.longdouble)
    x, y = wanted[0] - np.longdouble("0.008"), wanted[1] - np.longdouble("0.004")
    for _ in range(6):
        here, east, north = forward(x, y), forward(x + STEP_DEG, y), forward(x, y + STEP_DEG)
        a, c = (east[0] - here[0]) / STEP_DEG, (east[1] - here[1]) / STEP_DEG
        b, d = (north[0] - here[0]) / STEP_DEG, (north[1] - here[1]) / STEP_DEG
        off = here[0] - wanted[0], here[1] - wanted[1]
        determinant = a * d - b * c
        x, y = x - (d * off[0] - b * off[1]) / determinant, y - (a * off[1] - c * off[0]) / determinant
    return x, y


def millimetres(one: tuple, other: tuple) -> NDArray[np.float64]:
    """Distances of points that lie close."""
    shrink = np.cos(np.radians(np.asarray(other[1], dtype=float)))
    return MM_PER_DEG * np.hypot(((one[0] - other[0]) * shrink).astype(float), (one[1] - other[1]).astype(float))


def fifty_digits(name: str, lon: float, lat: float, guess: tuple[np.longdouble, np.longdouble]) -> float:
    """How far a solution is from the one in 50 digits, in millimetres."""

    def forward(x: mpmath.mpf, y: mpmath.mpf) -> list[mpmath.mpf]:
        return _mp_forward(name, x, y, lon, lat)

    start = [mpmath.mpf(np.format_float_positional(value)) for value in guess]
    x, y = mpmath.findroot(forward, start, tol=1e-70)
    off = (x - start[0]) * mpmath.cos(mpmath.radians(y)), y - start[1]
    return float(mpmath.hypot(*off)) * MM_PER_DEG


def _mp_forward(name: str, lon: mpmath.mpf, lat: mpmath.mpf, x0: float, y0: float) -> list[mpmath.mpf]:
    sin, pi, mpf = mpmath.sin, mpmath.pi, mpmath.mpf
    x, y = lon - 105, lat - 35
    wave = 20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)
    north = -100 + 2 * x + 3 * y + y**2 / 5 + x * y / 10 + mpmath.sqrt(abs(x)) / 5
    north += (wave + 20 * sin(y * pi) + 40 * sin(y / 3 * pi) + 160 * sin(y / 12 * pi) + 320 * sin(y / 30 * pi)) * 2 / 3
    east = 300 + x + 2 * y + x**2 / 10 + x * y / 10 + mpmath.sqrt(abs(x)) / 10
    east += (wave + 20 * sin(x * pi) + 40 * sin(x / 3 * pi) + 150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)) * 2 / 3
    axis, flat = mpf(6378245), mpf("0.00669342162296594323")
    w = 1 - flat * sin(mpmath.radians(lat)) ** 2
    u = lon + mpmath.degrees(east * mpmath.sqrt(w) / (axis * mpmath.cos(mpmath.radians(lat))))
    v = lat + mpmath.degrees(north * w ** mpf("1.5") / (axis * (1 - flat)))
    if name == "bd09":
        angle = pi * 3000 / 180
        radius = mpmath.hypot(u, v) + mpf("0.00002") * sin(v * angle)
        theta = mpmath.atan2(v, u) + mpf("0.000003") * mpmath.cos(u * angle)
        u, v = radius * mpmath.cos(theta) + mpf("0.0065"), radius * sin(theta) + mpf("0.006")
    return [u - mpf(x0), v - mpf(y0)]


def main() -> None:
    """Print errors, cells and times."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--points", type=int, default=1_000_000)
    arguments.add_argument("--sample", type=int, default=200)
    chosen = arguments.parse_args()
    random = np.random.default_rng(0)
    lon, lat = random.uniform(73.5, 135.5, chosen.points), random.uniform(17.5, 53.5, chosen.points)
    ways = {
        "gcj02": (gcj02_of, datum.gcj02_to_wgs84, transbigdata.gcj02towgs84),
        "bd09": (bd09_of, datum.bd09_to_wgs84, transbigdata.bd09towgs84),
    }
    for name, (forward, ours, theirs) in ways.items():
        exact = solve(forward, lon, lat)
        with mpmath.workdps(50):
            checked = max(
                fifty_digits(name, lon[i], lat[i], (exact[0][i], exact[1][i]))
                for i in range(min(chosen.sample, len(lon)))
            )
        print(f"{name}: {len(lon):,} points; the reference is within {checked:.1e} mm of 50 digits on {chosen.sample}")
        cells = cells_at(exact[0].astype(float), exact[1].astype(float), 9)
        for label, inverse in (("fusion", ours), ("TransBigData", theirs)):
            begun = time.perf_counter()
            found = inverse(lon, lat)
            taken = time.perf_counter() - begun
            off = millimetres(found, exact)
            wrong = int((cells_at(np.asarray(found[0]), np.asarray(found[1]), 9) != cells).sum())
            print(
                f"  {label:13} off by at most {off.max():.2e} mm, median {np.median(off):.2e}; {wrong:,} points "
                f"({wrong / len(lon):.4%}) in a wrong cell; {taken / len(lon) * 1e9:.0f} ns a point"
            )


if __name__ == "__main__":
    main()
