"""Chips against pixels that encode their own place, and against a resampling written as a loop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from fusion.city import City
from fusion.errors import CityError
from fusion.extract.chips import cut_chips, open_imagery, whole_chips
from fusion.geo import grid
from tests.extract.conftest import CENTRE, utm_centre


def _cut(city: City, position: np.ndarray, chip_m: float, chip_px: int) -> np.ndarray:
    out = np.zeros((len(position), 3, chip_px, chip_px), dtype=np.uint8)
    with open_imagery(city) as imagery:
        assert whole_chips(imagery, position, chip_m).all()
        cut_chips(imagery, position, chip_m, out)
    return out


def _area_mean(pixels: np.ndarray, left: float, top: float, side: float, chip_px: int) -> np.ndarray:
    """Resample one chip pixel by pixel: the mean of the source over the pixel's own square."""
    out = np.zeros((3, chip_px, chip_px))
    step = side / chip_px
    for i in range(chip_px):
        for j in range(chip_px):
            y0, x0 = top + i * step, left + j * step
            for row in range(int(y0), int(np.ceil(y0 + step))):
                for column in range(int(x0), int(np.ceil(x0 + step))):
                    height = min(y0 + step, row + 1) - max(y0, row)
                    width = min(x0 + step, column + 1) - max(x0, column)
                    out[:, i, j] += pixels[:, row, column] * height * width / step**2
    return out


def test_chip_is_the_pixels_where_it_lies_on_them(make_city: Callable[..., City]) -> None:
    city = make_city(image={"size_px": 200})
    x, y = utm_centre()
    position = np.array([[x, y], [x + 40, y - 80]])  # whole pixels of 4 m
    chips = _cut(city, position, 384.0, 96)
    with rasterio.open(city.imagery) as image:
        pixels = image.read()
    np.testing.assert_array_equal(chips[0], pixels[:, 52:148, 52:148])
    np.testing.assert_array_equal(chips[1], pixels[:, 72:168, 62:158])  # east is right, south is down


def test_centre_of_the_chip_is_the_cell_within_half_a_pixel(make_city: Callable[..., City]) -> None:
    city = make_city(image={"size_px": 250, "pixel_m": 12.0})  # red = 1 + column: a pixel is a level
    cells = grid.disk(int(grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0]), 2)
    position = np.stack(grid.project(*grid.centres(cells), grid.utm_crs(*CENTRE)), axis=1)
    chips = _cut(city, position, 372.0, 31)
    column = (position[:, 0] - (utm_centre()[0] - 1500)) / 12
    row = ((utm_centre()[1] + 1500) - position[:, 1]) / 12
    levels = 1 + np.arange(250) * 254 // 250
    # Pixel i covers i to i + 1, so the level at a place is that of the pixel centre half a pixel before it.
    for value, place in ((chips[:, 0, 15, 15], column), (chips[:, 1, 15, 15], row)):
        assert np.abs(value - np.interp(place - 0.5, np.arange(250), levels)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("chip_m", "chip_px", "pixel_m"), [(384.0, 12, 4.0), (100.0, 7, 4.0), (30.0, 24, 4.0)])
def test_resampling_is_exact_by_area(
    make_city: Callable[..., City], chip_m: float, chip_px: int, pixel_m: float
) -> None:
    city = make_city(image={"size_px": 200, "pixel_m": pixel_m})
    x, y = utm_centre()
    position = np.array([[x + 1.3, y - 2.9], [x - 111.1, y + 87.6]])
    chips = _cut(city, position, chip_m, chip_px)
    with rasterio.open(city.imagery) as image:
        pixels = image.read().astype(float)
    for chip, (px, py) in zip(chips, position, strict=True):
        left, top = (px - chip_m / 2 - (x - 400)) / pixel_m, ((y + 400) - py - chip_m / 2) / pixel_m
        expected = _area_mean(pixels, left, top, chip_m / pixel_m, chip_px)
        assert np.abs(chip - expected).max() <= 0.5 + 1e-3


def test_blocks_join_without_a_seam(make_city: Callable[..., City], monkeypatch: pytest.MonkeyPatch) -> None:
    city = make_city(image={"size_px": 600})
    x, y = utm_centre()
    position = np.array([x, y]) + np.random.default_rng(0).uniform(-900, 900, (40, 2))
    whole = _cut(city, position, 384.0, 16)
    monkeypatch.setattr("fusion.extract.chips._BLOCK_PX", 64)
    np.testing.assert_array_equal(_cut(city, position, 384.0, 16), whole)


def test_whole_chips_stop_at_the_edge(make_city: Callable[..., City]) -> None:
    city = make_city(image={"size_px": 200})  # 400 m to each side
    x, y = utm_centre()
    offsets = np.array([[208, 0], [208.1, 0], [-208, 0], [-208.1, 0], [0, 208], [0, 208.1], [0, -208], [0, -208.1]])
    with open_imagery(city) as imagery:
        whole = whole_chips(imagery, np.array([x, y]) + offsets, 384.0)
    assert whole.tolist() == [True, False] * 4


def test_chips_on_nodata_are_not_whole(make_city: Callable[..., City]) -> None:
    city = make_city(image={"size_px": 400, "nodata": 0})  # the northern half has no data
    x, y = utm_centre()
    with open_imagery(city) as imagery:
        whole = whole_chips(imagery, np.array([[x, y - 192], [x, y - 191], [x, y + 300]]), 384.0)
    assert whole.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("crs", "words"), [(3857, "0.82 m on the ground"), (4326, "needs? a projection in metres"), (2263, "in metres")]
)
def test_projections_without_true_metres_raise(make_city: Callable[..., City], crs: int, words: str) -> None:
    centre = {3857: (12651000.0, 4133000.0), 4326: CENTRE, 2263: (984000.0, 198000.0)}[crs]
    pixel = 1e-5 if crs == 4326 else 4.0
    city = make_city(image={"crs": pyproj.CRS.from_epsg(crs), "centre": centre, "pixel_m": pixel})
    with pytest.raises(CityError, match=words), open_imagery(city):
        pass


def test_torn_imagery_raises_one_line(make_city: Callable[..., City], tmp_path: Path) -> None:
    city = make_city()
    city.imagery.write_bytes(city.imagery.read_bytes()[:3000])
    with pytest.raises(CityError, match="ingest it again") as caught:
        _cut(city, np.array([utm_centre()]), 384.0, 8)
    assert "\n" not in str(caught.value)
