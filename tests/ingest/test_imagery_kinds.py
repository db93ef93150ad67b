"""Imagery of every kind: bands, bits, masks, reference systems, turned and flipped grids, more than memory holds."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from typer.testing import CliRunner

from fusion.city import open_city
from fusion.cli import app
from fusion.errors import InputError
from fusion.fingerprint import fingerprint_file
from fusion.ingest.imagery import ImageryOptions, ingest_imagery
from fusion.ingest.strips import in_order

UTM = 32649
LEFT, TOP, PIXEL_M = 740_000.0, 3_850_000.0, 2.0
NORTH_UP = Affine(PIXEL_M, 0, LEFT, 0, -PIXEL_M, TOP)


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    profile |= {"crs": UTM, "transform": NORTH_UP} | options
    interpretation, mask = profile.pop("colorinterp", None), profile.pop("mask", None)
    with rasterio.open(path, "w", **profile) as image:
        image.write(pixels)
        if interpretation:
            image.colorinterp = interpretation
        if mask is not None:
            image.write_mask(mask)
    return path


def noise(count: int = 3, height: int = 60, width: int = 80, seed: int = 0, high: int = 256, dtype: str = "uint8"):
    return np.random.default_rng(seed).integers(1, high, (count, height, width)).astype(dtype)


def read(city: Path) -> np.ndarray:
    with rasterio.open(city / "imagery.tif") as image:
        return image.read()


def stretched(pixels: np.ndarray, valid: np.ndarray | None = None, percentiles: tuple[float, float] = (2, 98)):
    """The stretch as the documentation has it, worked out band by band."""
    out = np.zeros(pixels.shape, dtype=np.uint8)
    valid = np.ones(pixels.shape[1:], dtype=bool) if valid is None else valid
    for band in range(3):
        low, high = np.percentile(pixels[band][valid], percentiles, method="inverted_cdf").astype(float)
        out[band] = np.clip(np.rint((pixels[band].astype(float) - low) / (high - low) * 254 + 1), 1, 255)
    return out * valid


def test_bands_are_chosen(tmp_path):
    pixels = noise(6)
    quality = ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town", ImageryOptions(bands=(4, 3, 2)))
    assert (read(tmp_path / "town") == pixels[[3, 2, 1]]).all()
    assert quality["imagery"]["bands"] == [4, 3, 2]


def test_one_band_may_be_all_three(tmp_path):
    pixels = noise(1)
    ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town", ImageryOptions(bands=(1, 1, 1)))
    assert (read(tmp_path / "town") == pixels).all()


@pytest.mark.parametrize(("bands", "missing"), [((5, 3, 2), 5), ((0, 1, 2), 0), ((4, 3, 2), 4)])
def test_bands_that_are_not_there(tmp_path, bands, missing):
    """The fourth band is alpha: it is no colour."""
    kinds = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    image = write(tmp_path / "a.tif", noise(4), colorinterp=kinds)
    with pytest.raises(InputError, match=rf"a.tif has no band {missing} of colour: it has 1, 2, 3"):
        ingest_imagery([image], tmp_path / "town", ImageryOptions(bands=bands))
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32"])
def test_integers_of_more_bits_are_stretched(tmp_path, dtype):
    pixels = noise(high=9000, dtype=dtype)
    if dtype.startswith("int"):
        pixels -= 4000
    ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town", ImageryOptions(stretch=(5, 90)))
    assert (read(tmp_path / "town") == stretched(pixels, percentiles=(5, 90))).all()


def test_reflectance_with_gaps_is_stretched(tmp_path):
    """Floats from 0 to 1; NaN, declared or not, and infinite pixels are no data."""
    pixels = np.random.default_rng(0).random((3, 60, 80), dtype=np.float32)
    valid = np.ones((60, 80), dtype=bool)
    pixels[1, :10, :10], valid[:10, :10] = np.nan, False
    pixels[:, 50:, :], valid[50:, :] = np.inf, False
    quality = ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town")
    assert (read(tmp_path / "town") == stretched(np.where(valid, pixels, 0.5), valid)).all()
    assert quality["imagery"]["share_valid"] == pytest.approx(valid.mean())


def test_signed_and_unsigned_files_are_stretched_as_one(tmp_path):
    one, two = noise(high=3000, dtype="uint16"), noise(high=3000, dtype="int16", seed=1)
    beside = NORTH_UP @ Affine.translation(80, 0)
    files = [write(tmp_path / "a.tif", one), write(tmp_path / "b.tif", two, transform=beside)]
    ingest_imagery(files, tmp_path / "town")
    both = np.concatenate([one.astype(float), two.astype(float)], axis=2)
    assert (read(tmp_path / "town") == stretched(both)).all()


def test_a_mask_inside_the_file_is_honoured(tmp_path):
    pixels, mask = noise(), np.full((60, 80), 255, dtype=np.uint8)
    mask[20:40, :] = 0
    ingest_imagery([write(tmp_path / "a.tif", pixels, mask=mask)], tmp_path / "town")
    assert (read(tmp_path / "town") == pixels * (mask > 0)).all()
    ingest_imagery([tmp_path / "a.tif"], tmp_path / "coarse", ImageryOptions(pixel_m=1.0))
    assert (read(tmp_path / "coarse")[:, 44:76].sum(), (read(tmp_path / "coarse")[:, :36] > 0).all()) == (0, True)


def test_16_bits_with_no_data_and_a_fourth_band_of_data(tmp_path):
    """A pixel is empty where the three bands shown are, whatever the fourth has."""
    pixels = noise(4, high=3000, dtype="uint16")
    pixels[:3, :, :15] = 0
    image = write(tmp_path / "a.tif", pixels, nodata=0, photometric="minisblack")
    quality = ingest_imagery([image], tmp_path / "town")
    valid = np.ones((60, 80), dtype=bool)
    valid[:, :15] = False
    assert (read(tmp_path / "town") == stretched(pixels[:3], valid)).all()
    assert quality["imagery"]["share_valid"] == pytest.approx(65 / 80)


def test_south_up_is_turned_over(tmp_path):
    pixels = noise()
    flipped = Affine(PIXEL_M, 0, LEFT, 0, PIXEL_M, TOP - 60 * PIXEL_M)
    ingest_imagery([write(tmp_path / "a.tif", pixels[:, ::-1], transform=flipped)], tmp_path / "town")
    assert (read(tmp_path / "town") == pixels).all()
    bounds = open_city(tmp_path / "town").info.bounds
    assert bounds[1] < bounds[3]


def centre_of_bright(city: Path) -> tuple[float, float]:
    with rasterio.open(city / "imagery.tif") as image:
        row, column = np.argwhere(image.read(1) > 150).mean(axis=0)
        return image.transform @ (column + 0.5, row + 0.5)


def test_a_turned_image_lies_where_it_says(tmp_path):
    """A bright square in an image turned by 30 degrees is where its transform puts it; the corners are empty."""
    turned = Affine.translation(LEFT, TOP) @ Affine.rotation(30) @ Affine.scale(PIXEL_M, -PIXEL_M)
    pixels = np.full((3, 300, 400), 50, dtype=np.uint8)
    pixels[:, 100:120, 250:270] = 250
    quality = ingest_imagery([write(tmp_path / "a.tif", pixels, transform=turned)], tmp_path / "town")
    assert centre_of_bright(tmp_path / "town") == pytest.approx(turned @ (260, 110), abs=PIXEL_M)
    with rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        share = 300 * 400 * PIXEL_M**2 / (image.width * image.height * image.transform.a**2)
    assert quality["imagery"]["share_valid"] == pytest.approx(share, rel=0.02)


def test_a_reference_system_without_a_name(tmp_path):
    """UTM written out, as many programs do; and one of China's own, in metres."""
    unnamed = rasterio.CRS.from_proj4("+proj=utm +zone=49 +ellps=WGS84 +units=m +no_defs")
    ingest_imagery([write(tmp_path / "a.tif", noise(), crs=unnamed)], tmp_path / "town")
    with rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        assert (image.crs.to_epsg(), image.transform.c, image.transform.f) == (UTM, LEFT, TOP)
    pixels = np.full((3, 100, 100), 50, dtype=np.uint8)
    pixels[:, 45:55, 45:55] = 250
    x, y = rasterio.warp.transform(UTM, 4547, [LEFT], [TOP])
    transform = Affine(PIXEL_M, 0, x[0], 0, -PIXEL_M, y[0])
    ingest_imagery([write(tmp_path / "b.tif", pixels, crs=4547, transform=transform)], tmp_path / "other")
    x, y = rasterio.warp.transform(4547, UTM, [transform.c + 100], [transform.f - 100])
    assert centre_of_bright(tmp_path / "other") == pytest.approx((x[0], y[0]), abs=PIXEL_M)


def test_a_mosaic_of_two_reference_systems_meets(tmp_path):
    """The same ground from UTM and, where that has a hole, from Web Mercator."""
    ground = np.full((3, 200, 200), 60, dtype=np.uint8)
    ground[:, :, 100:] = 200
    holed = ground.copy()
    holed[:, 50:150, 50:150] = 0
    one = write(tmp_path / "a.tif", holed, nodata=0)
    with rasterio.vrt.WarpedVRT(rasterio.open(write(tmp_path / "b.tif", ground)), crs=3857, add_alpha=True) as warped:
        profile = {"driver": "GTiff", "crs": 3857, "transform": warped.transform, "count": 4, "dtype": "uint8"}
        with rasterio.open(tmp_path / "c.tif", "w", width=warped.width, height=warped.height, **profile) as image:
            image.write(warped.read())
            image.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    quality = ingest_imagery([one, tmp_path / "c.tif"], tmp_path / "town")
    with rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        column, row = ~image.transform @ (LEFT, TOP)
        found = image.read()[:, round(row) : round(row) + 200, round(column) : round(column) + 200]
    assert np.abs(found.astype(int) - ground)[:, :, np.abs(np.arange(200) - 99.5) > 2].max() <= 1
    assert quality["imagery"]["warnings"] == []


@pytest.mark.parametrize(("driver", "ending", "world"), [("PNG", ".png", ".pgw"), ("JPEG", ".jpg", ".jgw")])
def test_a_world_file_with_a_prj_beside_it(tmp_path, driver, ending, world):
    pixels = np.full((3, 60, 80), 90, dtype=np.uint8)
    image = tmp_path / f"a{ending}"
    # A place that is not kept: .jpg and .png cannot hold it, and the note beside them is taken away.
    written = {"driver": driver, "count": 3, "height": 60, "width": 80, "dtype": "uint8", "transform": NORTH_UP}
    with rasterio.open(image, "w", **written) as target:
        target.write(pixels)
    Path(f"{image}.aux.xml").unlink()
    (tmp_path / f"a{world}").write_text("\n".join(map(str, (2, 0, 0, -2, LEFT + 1, TOP - 1))))
    with pytest.raises(InputError, match=rf"a{ending} has no coordinate reference system"):
        ingest_imagery([image], tmp_path / "town")
    (tmp_path / "a.prj").write_text(rasterio.CRS.from_epsg(UTM).to_wkt())
    ingest_imagery([image], tmp_path / "town")
    assert np.abs(read(tmp_path / "town").astype(int) - pixels).max() <= 2
    (tmp_path / "a.prj").write_text("nonsense")
    with pytest.raises(InputError, match=r"a.prj holds no coordinate reference system"):
        ingest_imagery([image], tmp_path / "town")


def test_a_palette_is_not_taken_for_grey(tmp_path):
    image = write(tmp_path / "a.tif", noise(1), colorinterp=[ColorInterp.palette])
    with rasterio.open(image, "r+") as target:
        target.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
    with pytest.raises(InputError, match=r"a.tif has 1 band\(s\) of colour: .* expand its palette"):
        ingest_imagery([image], tmp_path / "town")


def test_the_fingerprint_is_that_of_the_file(tmp_path):
    ingest_imagery([write(tmp_path / "a.tif", noise(height=1100, width=700))], tmp_path / "town")
    city = open_city(tmp_path / "town")
    assert city.info.fingerprints["imagery"] == fingerprint_file(city.imagery)


def test_overviews_are_those_of_gdals_own_driver(tmp_path):
    pixels = noise(height=1300, width=1100)
    ingest_imagery([write(tmp_path / "a.tif", pixels)], tmp_path / "town")
    options = {"driver": "COG", "blocksize": 512, "overview_resampling": "AVERAGE"}
    rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "peer.tif", **options)
    with rasterio.open(tmp_path / "peer.tif") as peer, rasterio.open(tmp_path / "town" / "imagery.tif") as image:
        assert image.overviews(1) == peer.overviews(1) == [2, 4]
    for level in (0, 1):
        with (
            rasterio.open(tmp_path / "peer.tif", overview_level=level) as peer,
            rasterio.open(tmp_path / "town" / "imagery.tif", overview_level=level) as image,
        ):
            assert (image.read() == peer.read()).all()


def test_results_come_in_order_and_an_error_ends_them():
    assert list(in_order(lambda item: item**2, range(50), 1)) == [item**2 for item in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda item: 1 / (item - 3), range(50), 1))


def test_options_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    pixels = noise(4, high=3000, dtype="uint16")
    image = write(tmp_path / "a.tif", pixels, photometric="minisblack")
    command = ["ingest", "imagery", str(image), "--city", "town", "--bands", "4,3,2", "--stretch", "0,100"]
    result = CliRunner().invoke(app, [*command, "--pixel-m", "2"])
    assert result.exit_code == 0, result.output
    assert "80 x 60 px of 2 m from 1 file(s), 100.0% valid" in result.output
    assert (read(tmp_path / "data" / "town") == stretched(pixels[[3, 2, 1]], percentiles=(0, 100))).all()


CHILD = """
import os, resource, sys
from pathlib import Path
import fusion.ingest.imagery
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fusion.ingest.imagery._CACHE_BYTES = 48 << 20
fusion.ingest.imagery.ingest_imagery([Path(sys.argv[1])], Path(sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_an_image_larger_than_the_memory_it_takes(tmp_path):
    """4,000 x 3,000 px of 16 bits, warped from Web Mercator: 72 MB; a process on one processor grows by less."""
    file = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 4000, "width": 3000, "dtype": "uint16", "crs": 3857}
    tiling = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd"}
    rows = np.arange(512, dtype=np.uint16)[None, :, None] + np.zeros((3, 1, 3000), dtype=np.uint16)
    with rasterio.open(file, "w", transform=Affine(2, 0, 12_651_000, 0, -2, 4_140_000), **profile, **tiling) as image:
        for top in range(0, 4000, 512):
            height = min(512, 4000 - top)
            image.write(rows[:, :height] + top + 1, window=rasterio.windows.Window(0, top, 3000, height))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(file), str(tmp_path / "town")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 72
    with rasterio.open(tmp_path / "town" / "imagery.tif") as found:
        assert found.crs.to_epsg() == UTM
