"""Where imagery lies: mirrored grids, coordinates that no place has, and pixels that would never end."""

import re
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
from rasterio.transform import Affine

from fusion.errors import InputError
from fusion.ingest.imagery import ImageryOptions, ingest_imagery
from fusion.ingest.rasters import lay_grid, look_at

UTM = 32649
LEFT, TOP, PIXEL_M = 740_000.0, 3_850_000.0, 2.0
HEIGHT, WIDTH = 60, 80
NORTH_UP = Affine(PIXEL_M, 0, LEFT, 0, -PIXEL_M, TOP)
RIGHT, BOTTOM = LEFT + WIDTH * PIXEL_M, TOP - HEIGHT * PIXEL_M
# How the same ground may be written: its transform, and how the pixels lie then.
WRITTEN = {
    "mirrored": (Affine(-PIXEL_M, 0, RIGHT, 0, -PIXEL_M, TOP), np.s_[:, :, ::-1]),
    "turned about": (Affine(-PIXEL_M, 0, RIGHT, 0, PIXEL_M, BOTTOM), np.s_[:, ::-1, ::-1]),
    "turned about by its angle": (
        Affine.translation(RIGHT, BOTTOM) @ Affine.rotation(180) @ Affine.scale(PIXEL_M, -PIXEL_M),
        np.s_[:, ::-1, ::-1],
    ),
    "south-up": (Affine(PIXEL_M, 0, LEFT, 0, PIXEL_M, BOTTOM), np.s_[:, ::-1]),
}
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'


def write(path: Path, pixels: np.ndarray, transform: Affine = NORTH_UP, crs: object = UTM) -> Path:
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as image:
        image.write(pixels)
    return path


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (3, HEIGHT, WIDTH)).astype("uint8")


def read(city: Path) -> tuple[np.ndarray, Affine]:
    with rasterio.open(city / "imagery.tif") as image:
        return image.read(), image.transform


@pytest.mark.parametrize("pixel_m", [None, PIXEL_M])
@pytest.mark.parametrize("name", WRITTEN)
def test_however_it_is_written_it_is_kept_north_up(tmp_path, name, pixel_m):
    transform, order = WRITTEN[name]
    image = write(tmp_path / "a.tif", noise()[order], transform)

    quality = ingest_imagery([image], tmp_path / "town", ImageryOptions(pixel_m=pixel_m))

    pixels, found = read(tmp_path / "town")
    assert (pixels == noise()).all()
    assert (found, quality["imagery"]["pixel_m"]) == (NORTH_UP, PIXEL_M)


@pytest.mark.parametrize("first", ["odd", "plain"])
@pytest.mark.parametrize("name", WRITTEN)
def test_it_lies_beside_a_plain_tile(tmp_path, name, first):
    transform, order = WRITTEN[name]
    odd = write(tmp_path / "odd.tif", noise()[order], transform)
    plain = write(tmp_path / "plain.tif", noise(1), NORTH_UP @ Affine.translation(WIDTH, 0))

    quality = ingest_imagery([odd, plain] if first == "odd" else [plain, odd], tmp_path / "town")

    assert (read(tmp_path / "town")[0] == np.concatenate([noise(), noise(1)], axis=2)).all()
    assert quality["imagery"]["warnings"] == []


def test_a_mirrored_pixel_lies_where_its_transform_says(tmp_path):
    """Off the grid of the tile beside it, so that it has to be resampled: a bright square, by its coordinates."""
    pixels = np.full((3, HEIGHT, WIDTH), 50, dtype="uint8")
    pixels[:, 10:14, 60:64] = 250
    mirrored = Affine(-PIXEL_M, 0, RIGHT + 0.7, 0, -PIXEL_M, TOP - 0.3)
    tile = write(tmp_path / "plain.tif", np.full_like(pixels, 50), NORTH_UP @ Affine.translation(WIDTH + 1, 0))

    ingest_imagery([tile, write(tmp_path / "odd.tif", pixels, mirrored)], tmp_path / "town")

    found, transform = read(tmp_path / "town")
    row, column = np.argwhere(found[0] > 150).mean(axis=0)
    assert transform @ (column + 0.5, row + 0.5) == pytest.approx(mirrored @ (62, 12), abs=PIXEL_M / 2)
    assert (transform.a, transform.e) == (PIXEL_M, -PIXEL_M)


DEGREES = Affine(2e-5, 0, 34.76, 0, -2e-5, 113.65)  # Zhengzhou with latitude as x
NOWHERE = {
    "a local system": (NORTH_UP, LOCAL, "reference system cannot be brought to WGS-84 .it is a local one, whose"),
    "swapped degrees": (DEGREES, 4326, "latitude 113.649 to 113.650, which no place has: .* look swapped"),
    "no size": (Affine(0, 0, LEFT, 0, 0, TOP), UTM, "has pixels without a size: save it"),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_place_that_cannot_be_is_one_line(tmp_path, name):
    transform, crs, message = NOWHERE[name]
    image = write(tmp_path / "a.tif", noise(), transform, crs)

    with pytest.raises(InputError, match=f"^a.tif.*{message}") as raised:
        ingest_imagery([image], tmp_path / "town")

    assert "\n" not in str(raised.value)
    assert not (tmp_path / "town").exists()


def test_a_grid_that_gdal_cannot_lay_is_one_line(tmp_path):
    """Its own error comes through rasterio as one that rasterio has no name for."""
    source = look_at(write(tmp_path / "a.tif", noise()))
    with pytest.raises(InputError, match=r"^a.tif cannot be laid beside the others \(.+\): check its georeference$"):
        lay_grid([source], pyproj.CRS.from_wkt(rasterio.CRS.from_wkt(LOCAL).to_wkt()), None)


def test_pixels_that_would_never_end_are_refused_before_anything_is_drawn(tmp_path):
    """Of 300 m the file has 4,800 pixels; a hundred million are free, and of the least size that is named all fit."""
    image = write(tmp_path / "a.tif", noise(), Affine(300, 0, LEFT, 0, -300, TOP))

    with pytest.raises(
        InputError, match=r"^a.tif: 480000 x 360000 pixels of 0.05 m are more than the 100000000"
    ) as raised:
        ingest_imagery([image], tmp_path / "town", ImageryOptions(pixel_m=0.05))

    least = float(re.findall(r"--pixel-m (\S+) or more", str(raised.value))[0])
    grid, _ = lay_grid([look_at(image)], pyproj.CRS.from_epsg(UTM), least)
    assert 0.9e8 < grid.width * grid.height <= 1e8
    assert not (tmp_path / "town").exists()


def test_files_a_country_apart_are_refused(tmp_path):
    """Two tiles of 2 m, 1,000 km apart each way, would be 250 thousand million pixels."""
    one = write(tmp_path / "a.tif", noise())
    other = write(tmp_path / "b.tif", noise(), Affine(PIXEL_M, 0, LEFT - 1e6, 0, -PIXEL_M, TOP + 1e6))
    with pytest.raises(InputError, match=r"^2 files: 500080 x 500060 pixels of 2 m .* only files of one city$"):
        lay_grid([look_at(one), look_at(other)], pyproj.CRS.from_epsg(UTM), None)


def test_a_large_file_may_have_more_pixels_than_are_free(tmp_path):
    """40,000 x 4,000 pixels, sparse: its own size is never too many, nor is seven times finer."""
    profile = {"driver": "GTiff", "count": 3, "height": 4000, "width": 40_000, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(tmp_path / "a.tif", "w", crs=UTM, transform=NORTH_UP, tiled=True, **profile):
        pass
    source = look_at(tmp_path / "a.tif")
    crs = pyproj.CRS.from_epsg(UTM)

    assert lay_grid([source], crs, None)[0].width == 40_000
    assert lay_grid([source], crs, PIXEL_M / 7)[0].width == 280_000
    with pytest.raises(InputError, match=r"^a.tif: 320000 x 32000 pixels of 0.25 m"):
        lay_grid([source], crs, PIXEL_M / 8)
