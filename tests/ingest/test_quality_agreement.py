"""Signaling against imagery: shares counted by hand, and a datum that was left as it came."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from fusion import store
from fusion.city import open_city
from fusion.geo import datum, grid
from fusion.ingest.imagery import ingest_imagery
from fusion.ingest.quality import accounts, load_quality
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

CENTRE = (113.65, 34.76)
HALF_M = 3000.0


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 x 6 km of imagery, of which the western fifth has no data."""
    crs = grid.utm_crs(*CENTRE)
    (x,), (y,) = grid.project([CENTRE[0]], [CENTRE[1]], crs)
    path = tmp_path_factory.mktemp("imagery") / "picture.tif"
    pixels = np.full((3, 300, 300), 90, dtype="uint8")
    pixels[:, :, :60] = 0
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=300, count=3, dtype="uint8", crs=str(crs), nodata=0,
        transform=from_origin(x - HALF_M, y + HALF_M, 20, 20),
    ) as target:  # fmt: skip
        target.write(pixels)
    return path


def export(path: Path, shift: str | None = None) -> Path:
    """Hourly counts on a lattice of 200 m that fills the imagery's box."""
    step = np.linspace(-HALF_M, HALF_M, 31)
    lon = CENTRE[0] + step / (111_320 * np.cos(np.deg2rad(CENTRE[1])))
    lat = CENTRE[1] + step / 111_320
    east, north = (axis.ravel() for axis in np.meshgrid(lon, lat))
    if shift:
        east, north = getattr(datum, f"wgs84_to_{shift}")(east, north)
    rows = [f"2021-07-24 08:00,{x:.7f},{y:.7f},50" for x, y in zip(east, north, strict=True)]
    path.write_text("\n".join(["time,lon,lat,people", *rows]) + "\n")
    return path


def test_cells_are_held_against_valid_pixels(tmp_path: Path, picture: Path) -> None:
    ingest_signaling([export(tmp_path / "a.csv")], tmp_path / "town")
    assert "agreement" not in load_quality(open_city(tmp_path / "town"))

    report = ingest_imagery([picture], tmp_path / "town")

    found = report["agreement"]
    # Cells reach over the edge by up to their own size, so a share of the border's centres lie outside.
    crs = grid.utm_crs(*CENTRE)
    x, y = (
        own - centre
        for own, centre in zip(
            grid.project(*grid.centres(store.cells(open_city(tmp_path / "town"))), crs),
            grid.project([CENTRE[0]], [CENTRE[1]], crs),
            strict=True,
        )
    )
    inside = (np.abs(x) <= HALF_M) & (np.abs(y) <= HALF_M) & (x >= -HALF_M + 60 * 20)
    assert found["signaling_on_imagery"] == pytest.approx(inside.mean(), abs=0.01)
    assert found["imagery_with_signaling"] > 0.97
    assert found["shift_like"] is None
    assert np.hypot(*found["shift_m"]) < 200
    assert accounts(report) == []
    assert report == json.loads((tmp_path / "town" / "quality.json").read_text())


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_a_datum_left_as_it_came_is_named(tmp_path: Path, picture: Path, name: str) -> None:
    ingest_signaling([export(tmp_path / "a.csv", name)], tmp_path / "town")

    found = ingest_imagery([picture], tmp_path / "town")["agreement"]

    assert found["shift_like"] == name
    assert any(f"--datum {name}" in line for line in found["warnings"])


def test_a_datum_that_was_undone_is_not(tmp_path: Path, picture: Path) -> None:
    ingest_signaling([export(tmp_path / "a.csv", "bd09")], tmp_path / "town", SignalingOptions(datum="bd09"))

    found = ingest_imagery([picture], tmp_path / "town")["agreement"]

    assert found["shift_like"] is None
    assert found["warnings"] == []
