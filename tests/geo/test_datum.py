"""Datums against published point pairs, and there and back over China."""

import numpy as np
import pytest

from fusion.errors import InputError
from fusion.geo import datum

# (lon, lat) WGS-84, (lon, lat) GCJ-02: the fixtures of googollee/eviltransform, Shanghai, Shenzhen and Beijing.
EVILTRANSFORM = [
    ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
]
M_PER_DEG = 111_320.0


@pytest.fixture(scope="module")
def china() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.uniform(74, 135, 20_000), random.uniform(18, 53, 20_000)


def offset_m(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Distance of points a few metres apart."""
    return M_PER_DEG * np.hypot((one[0] - other[0]) * np.cos(np.radians(one[1])), one[1] - other[1])


@pytest.mark.parametrize(("wgs84", "gcj02"), EVILTRANSFORM)
def test_gcj02_matches_eviltransform(wgs84, gcj02):
    assert datum.wgs84_to_gcj02(*wgs84) == pytest.approx(gcj02, abs=1e-9)
    assert datum.gcj02_to_wgs84(*gcj02) == pytest.approx(wgs84, abs=1e-9)


def test_matches_coordtransform():
    """wandergis/coordtransform, README and test: the point 116.404, 39.915 from each datum into each."""
    here = 116.404, 39.915
    assert datum.wgs84_to_gcj02(*here) == pytest.approx((116.41024449916938, 39.91640428150164), abs=1e-9)
    assert datum.gcj02_to_bd09(*here) == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-9)
    # Its inverses take one step: they are off by up to 2 m, and so is what is published.
    assert datum.bd09_to_gcj02(*here) == pytest.approx((116.39762729119315, 39.90865673957631), abs=2e-5)
    assert datum.gcj02_to_wgs84(*here) == pytest.approx((116.39775550083061, 39.91359571849836), abs=2e-5)


def test_bd09_matches_geocraft():
    """PyPI geocraft, README: both steps forward, WGS-84 to BD-09."""
    assert datum.wgs84_to_bd09(116.404, 39.915) == pytest.approx((116.41662724378733, 39.922699552216216), abs=1e-9)


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_there_and_back_is_under_a_millimetre_over_china(name, china):
    forward = getattr(datum, f"wgs84_to_{name}")
    back = getattr(datum, f"{name}_to_wgs84")
    assert offset_m(back(*forward(*china)), china).max() < 1e-3


def test_offsets_at_zhengzhou_are_those_of_the_literature():
    """GCJ-02 is off by about 570 m there, BD-09 by about 1.27 km (docs/methods.md)."""
    here = np.array([113.65]), np.array([34.76])
    assert offset_m(datum.wgs84_to_gcj02(*here), here)[0] == pytest.approx(570, abs=30)
    assert offset_m(datum.wgs84_to_bd09(*here), here)[0] == pytest.approx(1270, abs=60)


@pytest.mark.parametrize("point", [(9.19, 45.46), (-122.42, 37.78), (139.69, 35.69), (151.2, -33.87)])
def test_gcj02_leaves_the_rest_of_the_world_alone(point):
    assert datum.wgs84_to_gcj02(*point) == pytest.approx(point, abs=0)
    assert datum.gcj02_to_wgs84(*point) == pytest.approx(point, abs=0)


def test_to_wgs84_goes_by_name():
    assert datum.to_wgs84(113.65, 34.76, "wgs84") == pytest.approx((113.65, 34.76), abs=0)
    for name in ("gcj02", "bd09"):
        assert datum.to_wgs84(113.65, 34.76, name) == getattr(datum, f"{name}_to_wgs84")(113.65, 34.76)


def test_unknown_datum_names_the_known_ones():
    with pytest.raises(InputError, match="unknown datum 'wgs72': use one of wgs84, gcj02, bd09"):
        datum.to_wgs84(113.65, 34.76, "wgs72")
