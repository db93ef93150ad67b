"""Datums of Chinese web maps: GCJ-02 and BD-09 to WGS-84 and back.

GCJ-02 is an obfuscation whose forward formula is public by reverse engineering only (the constants below are those of
every open implementation, for instance eviltransform and TransBigData). Its inverse has no closed form: one
correction step leaves up to 2.2 m, three fixed-point iterations leave less than 0.1 mm.
Outside China (a box of longitude 72.004 to 137.8347, latitude 0.8293 to 55.8271) GCJ-02 equals WGS-84.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.errors import InputError

Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]

DATUMS = ("wgs84", "gcj02", "bd09")

_SEMI_MAJOR_M = 6378245.0  # Krasovsky 1940
_ECCENTRICITY_SQ = 0.00669342162296594323
_BD_ANGLE = np.pi * 3000.0 / 180.0
_ITERATIONS = 4


def wgs84_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift WGS-84 degrees to GCJ-02 degrees.

    Args:
        lon, lat: degrees, WGS-84, any one shape.

    Returns:
        `(lon, lat)` arrays of that shape, degrees, GCJ-02.
    """
    lon, lat = _pair(lon, lat)
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    wave = 20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)
    d_lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    d_lat += (wave + 20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    d_lat += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    d_lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    d_lon += (wave + 20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    d_lon += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    curvature = 1.0 - _ECCENTRICITY_SQ * np.sin(phi) ** 2
    d_lat = np.degrees(d_lat * curvature**1.5 / (_SEMI_MAJOR_M * (1.0 - _ECCENTRICITY_SQ)))
    d_lon = np.degrees(d_lon * np.sqrt(curvature) / (_SEMI_MAJOR_M * np.cos(phi)))
    inside = (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)
    return np.where(inside, lon + d_lon, lon), np.where(inside, lat + d_lat, lat)


def gcj02_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift GCJ-02 degrees to WGS-84 degrees, to better than 0.1 mm.

    Args:
        lon, lat: degrees, GCJ-02, any one shape.

    Returns:
        `(lon, lat)` arrays of that shape, degrees, WGS-84.
    """
    lon, lat = _pair(lon, lat)
    return _invert(wgs84_to_gcj02, lon, lat, (lon, lat))


def gcj02_to_bd09(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift GCJ-02 degrees to BD-09 degrees (Baidu's datum)."""
    lon, lat = _pair(lon, lat)
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_ANGLE)
    theta = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_ANGLE)
    return radius * np.cos(theta) + 0.0065, radius * np.sin(theta) + 0.006


def bd09_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift BD-09 degrees to GCJ-02 degrees, to better than 0.1 mm."""
    lon, lat = _pair(lon, lat)
    return _invert(gcj02_to_bd09, lon, lat, (lon - 0.0065, lat - 0.006))


def wgs84_to_bd09(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift WGS-84 degrees to BD-09 degrees."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))


def bd09_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    """Shift BD-09 degrees to WGS-84 degrees, to better than 0.1 mm."""
    return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat))


def to_wgs84(lon: ArrayLike, lat: ArrayLike, datum: str) -> Coordinates:
    """Shift degrees of a named datum to WGS-84.

    Raises:
        InputError: the datum is none of `DATUMS`.
    """
    if datum == "wgs84":
        return _pair(lon, lat)
    if datum == "gcj02":
        return gcj02_to_wgs84(lon, lat)
    if datum == "bd09":
        return bd09_to_wgs84(lon, lat)
    raise InputError(f"unknown datum {datum!r}: use one of {', '.join(DATUMS)}")


def _pair(lon: ArrayLike, lat: ArrayLike) -> Coordinates:
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def _invert(
    forward: Callable[[ArrayLike, ArrayLike], Coordinates],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    guess: Coordinates,
) -> Coordinates:
    """Fixed-point inverse of a map that is a small shift away from the identity."""
    x, y = guess
    for _ in range(_ITERATIONS):
        shifted_lon, shifted_lat = forward(x, y)
        x, y = x + lon - shifted_lon, y + lat - shifted_lat
    return x, y
