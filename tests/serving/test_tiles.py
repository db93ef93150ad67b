"""Tiles show the pixels of the right ground; where there is none they are transparent."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from fusion.city import City, open_city
from fusion.errors import CityError, InputError
from fusion.geo import grid
from fusion.serving import tiles
from tests.miniature import CENTRE, cells


def tile_at(lon: float, lat: float, z: int) -> tuple[int, int, float, float]:
    """The web's tile numbers of a point and its place inside that tile, 0 to 1, by the published formula."""
    x = (lon + 180) / 360 * 2**z
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z
    return int(x), int(y), x % 1, y % 1


def test_a_tile_shows_the_ground_under_it(miniature: City) -> None:
    lon, lat = CENTRE
    x, y, right, down = tile_at(lon, lat, 14)

    picture = np.asarray(Image.open(io.BytesIO(tiles.tile(miniature, 14, x, y))))

    with rasterio.open(miniature.imagery) as source:
        px, py = rasterio.warp.transform("EPSG:4326", source.crs, [lon], [lat])
        expected = next(source.sample([(px[0], py[0])]))
    row, column = int(down * 256), int(right * 256)
    near = picture[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, :3].reshape(-1, 3)
    assert np.abs(near.astype(int) - expected).sum(axis=1).min() <= 12  # stripes meet within a pixel or two


def test_beside_the_imagery_a_tile_is_transparent(miniature: City) -> None:
    picture = Image.open(io.BytesIO(tiles.tile(miniature, 10, 0, 0)))

    assert picture.size == (256, 256)
    assert np.asarray(picture)[..., 3].max() == 0


def test_a_tile_half_outside_is_half_transparent(miniature: City) -> None:
    x, y, _, _ = tile_at(*CENTRE, 10)  # this tile is much wider than the city

    alpha = np.asarray(Image.open(io.BytesIO(tiles.tile(miniature, 10, x, y))))[..., 3]

    assert alpha.min() == 0
    assert alpha.max() == 255


@pytest.mark.parametrize(("z", "x", "y"), [(-1, 0, 0), (23, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_a_tile_that_the_grid_has_not_is_said(miniature: City, z: int, x: int, y: int) -> None:
    with pytest.raises(InputError, match="no tile"):
        tiles.tile(miniature, z, x, y)


def test_a_city_without_imagery_has_no_tiles(miniature_root: Path) -> None:
    with pytest.raises(CityError, match="no imagery"):
        tiles.tile(open_city("no-imagery", miniature_root), 3, 0, 0)


def test_broken_imagery_is_said_in_one_line(tmp_path: Path) -> None:
    from tests.miniature import build_miniature

    city = build_miniature(tmp_path)
    city.imagery.write_bytes(city.imagery.read_bytes()[:300])

    with pytest.raises(CityError, match="cannot be read") as error:
        tiles.tile(city, 14, *tile_at(*CENTRE, 14)[:2])
    assert "\n" not in str(error.value)


def test_the_style_needs_no_other_host(miniature: City) -> None:
    style = tiles.style(miniature, "/base/")

    assert style["sources"]["imagery"]["tiles"][0].startswith("/base/tiles/miniature/{z}/{x}/{y}.png")
    west, south, east, north = style["sources"]["imagery"]["bounds"]
    assert west < CENTRE[0] < east
    assert south < CENTRE[1] < north
    assert not {"glyphs", "sprite"} & set(style)
    assert "http" not in str(style)


def test_the_style_of_a_city_without_imagery_is_plain(miniature_root: Path) -> None:
    style = tiles.style(open_city("no-imagery", miniature_root), "")

    assert [layer["type"] for layer in style["layers"]] == ["background"]


def test_a_chip_is_cut_in_ground_metres(miniature: City) -> None:
    lon, lat = (float(axis[0]) for axis in grid.centres([cells()[18]]))

    wide = tiles.chip(miniature, lon, lat, 1024, 64)

    assert wide.shape == (64, 64, 3)
    # Stripes are 16 pixels of 16 m wide: 1,024 m hold four, so four changes of brightness, give or take one.
    changes = (np.abs(np.diff(wide[:, 32, 0].astype(int))) > 30).sum()
    assert 3 <= changes <= 5


def test_a_chip_beside_the_imagery_is_none(miniature: City) -> None:
    assert tiles.chip(miniature, 0.0, 0.0, 384) is None


def test_the_chip_of_a_cell_shows_its_outline(miniature: City) -> None:
    cell = int(cells()[18])
    lon, lat = (float(axis[0]) for axis in grid.centres([cell]))

    plain, drawn = tiles.chip(miniature, lon, lat, 384, 320), tiles.chip_of_cell(miniature, cell, 384, 320)

    changed = (plain != drawn).any(axis=2)
    assert 0.01 < changed.mean() < 0.08  # a line, not a field
    assert not changed[130:190, 130:190].any()  # and none of it in the middle
