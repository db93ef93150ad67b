"""Imagery of known pixels into a city, and the real files."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from fusion.city import open_city
from fusion.errors import CityError, InputError
from fusion.ingest.imagery import ImageryOptions, ingest_imagery
from fusion.ingest.signaling import ingest_signaling

UTM = 32649
LEFT, TOP, PIXEL_M = 740_000.0, 3_850_000.0, 2.0


def write(path: Path, pixels: np.ndarray, left: float = LEFT, top: float = TOP, **options: object) -> Path:
    profile = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype.name,
        "crs": UTM,
        "transform": Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top),
    } | options
    interpretation = profile.pop("colorinterp", None)
    with rasterio.open(path, "w", **profile) as image:
        image.write(pixels)
        if interpretation:
            image.colorinterp = interpretation
    return path


def noise(height: int = 60, width: int = 80, seed: int = 0, high: int = 256, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(seed).integers(1, high, (3, height, width)).astype(dtype)


def read(city: Path) -> np.ndarray:
    with rasterio.open(city / "imagery.tif") as image:
        return image.read()


def test_the_file_is_as_the_contract_says(tmp_path):
    ingest_imagery([write(tmp_path / "a.tif", noise(700, 900))], tmp_path / "town")
    with rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        assert image.dtypes == ("uint8",) * 3
        assert image.crs.to_epsg() == UTM
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert image.overviews(1)
        assert image.dataset_mask().all()
        west, south, east, north = rasterio.warp.transform_bounds(image.crs, 4326, *image.bounds)
    city = open_city(tmp_path / "town")
    assert city.info.bounds == pytest.approx((west, south, east, north))
    assert (city.info.provenance, city.info.hours, city.info.first_hour) == ("real", 0, None)
    assert city.info.sources == ("imagery: a.tif",)


def test_pixels_on_the_citys_own_grid_are_kept_to_the_bit(tmp_path):
    pixels = noise()
    ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town")
    assert (read(tmp_path / "town") == pixels).all()


def test_adjoining_tiles_make_the_whole_in_any_order(tmp_path):
    pixels = noise(60, 80)
    tiles = [
        write(
            tmp_path / f"{row}{column}.tif",
            pixels[:, row * 30 : row * 30 + 30, column * 40 : column * 40 + 40],
            LEFT + column * 40 * PIXEL_M,
            TOP - row * 30 * PIXEL_M,
        )
        for row in range(2)
        for column in range(2)
    ]
    quality = ingest_imagery(tiles[::-1], tmp_path / "town")
    assert (read(tmp_path / "town") == pixels).all()
    assert quality["imagery"]["warnings"] == []
    assert quality["imagery"]["share_valid"] == 1.0


def test_where_files_overlap_the_first_is_seen(tmp_path):
    one, two = write(tmp_path / "a.tif", noise(seed=1)), write(tmp_path / "b.tif", noise(seed=2), LEFT + 20 * PIXEL_M)
    ingest_imagery([one, two], tmp_path / "town")
    pixels = read(tmp_path / "town")
    assert (pixels[:, :, :80] == noise(seed=1)).all()
    assert (pixels[:, :, 80:] == noise(seed=2)[:, :, 60:]).all()


def test_a_gap_is_drawn_empty_and_told(tmp_path):
    one, two = write(tmp_path / "a.tif", noise()), write(tmp_path / "b.tif", noise(seed=1), LEFT + 200 * PIXEL_M)
    quality = ingest_imagery([one, two], tmp_path / "town")
    assert quality["imagery"]["warnings"] == ["a gap parts b.tif from a.tif: is a tile missing?"]
    assert (read(tmp_path / "town")[:, :, 80:200] == 0).all()
    assert quality["imagery"]["share_valid"] == pytest.approx(160 / 280)


def test_no_data_alpha_and_black(tmp_path):
    """No data is 0 in all bands, and only that: a valid black pixel becomes 1."""
    pixels = noise()
    pixels[:, :10] = 0
    ingest_imagery([write(tmp_path / "nodata.tif", pixels, nodata=0)], tmp_path / "nodata")
    assert (read(tmp_path / "nodata") == pixels).all()
    alpha = np.concatenate(
        [pixels, np.where(np.arange(60) < 20, 0, 255).astype("uint8")[None, :, None] * np.ones((1, 1, 80), "uint8")]
    )
    kinds = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    ingest_imagery([write(tmp_path / "alpha.tif", alpha, colorinterp=kinds)], tmp_path / "alpha")
    assert (read(tmp_path / "alpha")[:, :20] == 0).all()
    assert (read(tmp_path / "alpha")[:, 20:] == pixels[:, 20:]).all()
    ingest_imagery([write(tmp_path / "black.tif", pixels)], tmp_path / "black")
    assert (read(tmp_path / "black") == np.maximum(pixels, 1)).all()


def test_bands_are_found_by_their_colour(tmp_path):
    pixels = noise()
    kinds = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    ingest_imagery(
        [write(tmp_path / "bgr.tif", pixels, photometric="minisblack", colorinterp=kinds)], tmp_path / "town"
    )
    assert (read(tmp_path / "town") == pixels[::-1]).all()


def test_16_bits_are_stretched_between_percentiles_by_hand(tmp_path):
    pixels = noise(100, 100, high=4000, dtype="uint16")
    pixels[:, :50] //= 4
    one = write(tmp_path / "a.tif", pixels[:, :, :50])
    two = write(tmp_path / "b.tif", pixels[:, :, 50:], LEFT + 50 * PIXEL_M)
    quality = ingest_imagery([one, two], tmp_path / "town")
    found = read(tmp_path / "town")
    for band in range(3):
        low, high = np.percentile(pixels[band], [2, 98], method="inverted_cdf")
        assert quality["imagery"]["stretched"][band] == pytest.approx([low, high])
        wanted = np.clip(np.rint((pixels[band].astype(float) - low) / (high - low) * 254 + 1), 1, 255)
        assert (found[band] == wanted).all()
    assert isinstance(json.loads((tmp_path / "town" / "quality.json").read_text())["imagery"]["stretched"][0][0], float)


def test_geographic_imagery_lands_where_it_lies(tmp_path):
    """A bright square of known longitude and latitude is there again after the way to UTM."""
    step = 2e-5
    pixels = np.full((3, 200, 200), 50, dtype="uint8")
    pixels[:, 80:120, 80:120] = 250
    west, north = 113.65, 34.76
    transform = Affine(step, 0, west, 0, -step, north)
    ingest_imagery([write(tmp_path / "a.tif", pixels, crs=4326, transform=transform)], tmp_path / "town")
    with rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        assert image.crs.to_epsg() == UTM
        assert image.res == pytest.approx((2.0, 2.0), abs=0.3)
        bright = np.argwhere(image.read(1) > 200).mean(axis=0)
        x, y = image.xy(*bright)
        lon, lat = rasterio.warp.transform(image.crs, 4326, [x], [y])
    assert (lon[0], lat[0]) == pytest.approx((west + 100 * step, north - 100 * step), abs=1e-5)


def test_a_size_of_pixel_is_an_option(tmp_path):
    pixels = np.repeat(np.repeat(noise(30, 40), 2, axis=1), 2, axis=2)
    ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town", ImageryOptions(pixel_m=2 * PIXEL_M))
    assert (read(tmp_path / "town") == noise(30, 40)).all()


def test_imagery_is_replaced_and_signaling_stays(tmp_path):
    town = tmp_path / "town"
    export = tmp_path / "a.csv"
    lon, lat = rasterio.warp.transform(UTM, 4326, [LEFT + 50], [TOP - 50])
    export.write_text(f"time,lon,lat,people\n2021072408,{lon[0]},{lat[0]},100\n")
    ingest_signaling([export], town)
    before = open_city(town).info
    quality = ingest_imagery([write(tmp_path / "a.tif", noise())], town)
    after = open_city(town).info
    assert (after.bounds, after.measures, after.hours) == (before.bounds, before.measures, before.hours)
    assert after.fingerprints.keys() == {"activity", "imagery"}
    assert quality["rows_taken"] == 1
    assert quality["extents"].keys() == {"signaling", "imagery"}
    ingest_imagery([write(tmp_path / "b.tif", noise(seed=5))], town)
    assert (read(town) == noise(seed=5)).all()


def test_imagery_and_signaling_that_do_not_meet_name_both_extents(tmp_path):
    town, export = tmp_path / "town", tmp_path / "a.csv"
    export.write_text("time,lon,lat,people\n2021072408,114.5,34.7,100\n")
    ingest_signaling([export], town)
    image = write(tmp_path / "a.tif", noise())
    with pytest.raises(InputError, match=r"imagery covers 113\.\d+,34.* and city town 114\.\d+,34.*do not overlap"):
        ingest_imagery([image], town)
    ingest_imagery([image], tmp_path / "other")
    with pytest.raises(InputError, match=r"signaling covers 114\.5.* and city other 113\.\d+,34.*do not overlap"):
        ingest_signaling([export], tmp_path / "other")


BAD = {
    "absent.tif": (None, r"absent.tif: there is no such file"),
    "empty.tif": (b"", r"empty.tif is empty"),
    "text.tif": (b"no image", r"text.tif cannot be read as an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_geotiff(tmp_path, name):
    content, message = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        ingest_imagery([tmp_path / name], tmp_path / "town")
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (noise(), {"crs": None}, r"a.tif has no coordinate reference system"),
        (noise()[:2], {}, r"a.tif has 2 band\(s\) of colour: red, green and blue are needed"),
        (noise().astype("complex64"), {}, r"a.tif has pixels of complex64: convert them to one of uint8, "),
        (noise() * 0, {"nodata": 0}, r"a.tif: no pixel is valid"),
    ],
)
def test_imagery_that_cannot_be_used(tmp_path, pixels, options, message):
    image = write(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(InputError, match=message):
        ingest_imagery([image], tmp_path / "town")
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ImageryOptions(stretch=(98, 2)), r"stretch 98 to 2 is no range"),
        (ImageryOptions(pixel_m=0), r"a pixel of 0 m cannot be"),
        (ImageryOptions(timezone="Mars"), r"unknown timezone 'Mars'"),
        (ImageryOptions(resolution=99), r"H3 resolution 99"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        ingest_imagery([write(tmp_path / "a.tif", noise())], tmp_path / "town", options)


def test_a_full_disk_is_one_line_and_the_city_stays(tmp_path, monkeypatch):
    town = tmp_path / "town"
    ingest_imagery([write(tmp_path / "a.tif", noise())], town)

    def full(*_: object, **__: object) -> None:
        raise rasterio.errors.RasterioIOError("No space left on device")

    monkeypatch.setattr("rasterio.shutil.copy", full)
    with pytest.raises(CityError, match=r"city town was not changed: No space left on device"):
        ingest_imagery([write(tmp_path / "b.tif", noise(seed=1))], town)
    assert (read(town) == noise()).all()
    assert not list(town.glob("*.new"))


def test_the_real_files_do_what_they_should(tmp_path, shared_data):
    folder = shared_data / "imagery"
    for name, message in (
        ("corrupt.tif", r"corrupt.tif is broken: its pixels cannot be read"),
        ("float.tif", r"float.tif has no coordinate reference system"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            ingest_imagery([folder / name], tmp_path / "bad")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "bad").exists()
    for name, epsg in (("RGB.byte.tif", 32618), ("RGBA.uint16.tif", 32612), ("cogeo.tif", 32652)):
        city = tmp_path / name.lower().replace(".", "-")
        quality = ingest_imagery([folder / name], city)
        assert quality["imagery"]["crs"] == f"EPSG:{epsg}"
        with rasterio.open(folder / name) as source, rasterio.open(city / "imagery.tif") as found:
            share = float((source.dataset_mask() > 0).mean())
            theirs = rasterio.warp.transform_bounds(source.crs, 4326, *source.bounds)
            mine = rasterio.warp.transform_bounds(found.crs, 4326, *found.bounds)
        assert mine == pytest.approx(theirs, abs=1e-4)
        assert quality["imagery"]["share_valid"] == pytest.approx(share, abs=0.01)


def test_the_real_mosaic_shows_the_scene_that_it_was_cut_from(tmp_path, shared_data):
    """rgb1 to rgb4, whose UTM has no name, against RGB.byte.tif: the same pixels on the same ground."""
    folder = shared_data / "imagery"
    quality = ingest_imagery([folder / f"rgb{number}.tif" for number in (1, 2, 3, 4)], tmp_path / "mosaic")
    assert quality["imagery"]["warnings"] == []
    ingest_imagery([folder / "RGB.byte.tif"], tmp_path / "whole")
    with (
        rasterio.open(tmp_path / "mosaic" / "imagery.tif") as mosaic,
        rasterio.open(tmp_path / "whole" / "imagery.tif") as whole,
    ):
        assert mosaic.crs == whole.crs
        rows, columns = np.mgrid[50:650:7, 50:750:7]
        x, y = rasterio.transform.xy(whole.transform, rows.ravel(), columns.ravel())
        there = np.array(list(mosaic.sample(zip(x, y, strict=True))), dtype=float)
        here = np.array(list(whole.sample(zip(x, y, strict=True))), dtype=float)
    both = (here > 0).all(axis=1) & (there > 0).all(axis=1)
    assert both.mean() > 0.6
    assert (both == (here > 0).all(axis=1)).mean() > 0.99
    assert np.abs(here[both] - there[both]).mean() < 3.0
    assert np.corrcoef(here[both].ravel(), there[both].ravel())[0, 1] > 0.99
