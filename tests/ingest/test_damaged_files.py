"""Damaged images, vector files, records of devices and visit files: taken, or refused with a line, and added up."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from fusion.errors import FusionError
from fusion.extract.urfc_visits import scan_visits
from fusion.ingest.functions import FunctionOptions, ingest_functions
from fusion.ingest.imagery import ingest_imagery
from fusion.ingest.options import SignalingOptions
from fusion.ingest.preview import preview_signaling
from fusion.ingest.quality import accounts
from tests.ingest.damage import spoil
from tests.ingest.test_damaged_signaling import BATCH, check_line, contents, take

VISIT_FILES = 1_200
IMAGES = VECTORS = 110
DEVICES = 90


def check(path: Path, town: Path, ingest) -> bool:
    """Ingest one file; a refusal is a line and leaves the city alone, a success adds up."""
    before = contents(town) if town.is_dir() else {}
    try:
        report = ingest(path, town)
    except FusionError as error:
        line = str(error)
    else:
        assert accounts(report) == []
        return True
    check_line(line)
    assert (contents(town) if town.is_dir() else {}) == before, line
    return False


def image_bytes(number: int) -> bytes:
    rng = np.random.default_rng(number)
    options = {"compress": ("none", "deflate", "lzw", "jpeg")[number % 4], "tiled": bool(number % 2)}
    if options["tiled"]:
        options |= {"blockxsize": 64, "blockysize": 64}
    file = io.BytesIO()
    profile = {"driver": "GTiff", "count": 3, "height": 96, "width": 96, "dtype": "uint8", "crs": 32649} | options
    with rasterio.open(file, "w", transform=Affine(4, 0, 742_600, 0, -4, 3_850_000), **profile) as target:
        target.write(rng.integers(1, 256, (3, 96, 96), dtype=np.uint8))
    return file.getvalue()


def vector_bytes(number: int) -> bytes:
    rng = np.random.default_rng(number)
    features = []
    for name in ("residential", "school", "park"):
        x, y = 113.60 + 0.05 * rng.random(), 34.70 + 0.05 * rng.random()
        ring = [[x, y], [x + 0.02, y], [x + 0.02, y + 0.02], [x, y + 0.02], [x, y]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {"class": name}, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def device_bytes(number: int) -> bytes:
    lines = ["user,time,lon,lat"]
    for row in range(40):
        lines.append(f"ux{number}x{row % 7},2021-07-24 {row % 5:02d}:12:30,{113.60 + 0.01 * (row % 3):.2f},34.7")
    return "\n".join(lines).encode() + b"\n"


def visit_bytes(number: int) -> bytes:
    rng = np.random.default_rng(number)
    lines = []
    for user in range(30):
        days = [
            f"2018{10 + day % 3:02d}{1 + day:02d}&{'|'.join(f'{hour:02d}' for hour in range(8, 8 + 1 + day % 5))}"
            for day in range(int(rng.integers(1, 6)))
        ]
        lines.append(f"{number:08x}{user:08x}\t{','.join(days)}")
    return "\n".join(lines).encode() + b"\n"


def spoiled(good: bytes, seed: int) -> bytes:
    return spoil(good, np.random.default_rng([seed, 77]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_damaged_images(tmp_path):
    taken = 0
    for seed in range(IMAGES):
        path = tmp_path / f"{seed}.tif"
        path.write_bytes(spoiled(image_bytes(seed), seed))
        taken += check(path, tmp_path / "town", lambda file, town: ingest_imagery([file], town))
    assert 0 < taken < IMAGES


def test_damaged_vector_files(tmp_path):
    taken = 0
    for seed in range(VECTORS):
        path = tmp_path / f"{seed}.geojson"
        path.write_bytes(spoiled(vector_bytes(seed), seed))
        taken += check(
            path, tmp_path / "town", lambda file, town: ingest_functions(file, town, FunctionOptions("class"))
        )
    assert 0 < taken < VECTORS


def test_damaged_records_of_devices(tmp_path):
    taken = refused = 0
    options = SignalingOptions(preset="devices", min_count=0)
    for start in range(0, DEVICES, BATCH):
        files = [tmp_path / f"{seed}.csv" for seed in range(start, start + BATCH)]
        for seed, path in enumerate(files, start=start):
            path.write_bytes(spoiled(device_bytes(seed), seed))
        with contextlib.suppress(FusionError):
            assert b"ux" not in json.dumps(preview_signaling(files[:1], None, options).to_dict()).encode()
        kept, out = take(files, tmp_path / "town", options)
        taken, refused = taken + len(kept), refused + out
        there = b"".join(contents(tmp_path / "town").values()) if (tmp_path / "town").is_dir() else b""
        assert b"ux" not in there
    assert taken + refused == DEVICES
    assert DEVICES // 4 < taken < DEVICES


def test_damaged_visit_files_count_alike_with_every_reader():
    files = [spoiled(visit_bytes(seed), seed) for seed in range(VISIT_FILES)]
    known = scan_visits(files, "python")
    for engine in ("numpy", None):
        found = scan_visits(files, engine)
        np.testing.assert_array_equal(found.counts, known.counts)
        np.testing.assert_array_equal(found.tally, known.tally)
        np.testing.assert_array_equal(found.rejects, known.rejects)
