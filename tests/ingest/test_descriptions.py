"""Files that hold no data but lead to other files or hosts are refused by whatever reads images and vectors."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from fusion.errors import InputError
from fusion.ingest.rasters import open_raster
from fusion.ingest.vectors import read_polygons
from fusion.serving.previews import preview_functions

LAYER = '<OGRVRTLayer name="secret"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer>'
OGR_VRT = f"<OGRVRTDataSource>{LAYER}</OGRVRTDataSource>"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no upload has a business with."""
    square = {"type": "Polygon", "coordinates": [[[113, 34], [114, 34], [114, 35], [113, 34]]]}
    feature = {"type": "Feature", "properties": {"class": "park"}, "geometry": square}
    path = tmp_path / "secret.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert len(read_polygons(path, "functions")) == 1
    return path


@pytest.mark.parametrize("lead", ["", "\n  ", "\ufeff"])
def test_a_vector_file_that_points_elsewhere_is_refused(tmp_path, secret, lead):
    path = tmp_path / "a.geojson"
    path.write_text(lead + OGR_VRT.format(secret), encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.geojson is a text that may lead to other files"):
        read_polygons(path, "functions")


def test_one_in_an_archive_is_too(tmp_path, secret):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.vrt", OGR_VRT.format(secret))
    with pytest.raises(InputError, match=r"a\.vrt is a text that may lead"):
        read_polygons(tmp_path / "a.zip", "functions")


def test_an_image_that_points_elsewhere_is_refused(tmp_path):
    profile = {"driver": "GTiff", "count": 3, "height": 8, "width": 8, "dtype": "uint8", "crs": 32649}
    with rasterio.open(tmp_path / "secret.tif", "w", transform=Affine(2, 0, 7e5, 0, -2, 3.8e6), **profile) as target:
        target.write(np.ones((3, 8, 8), dtype=np.uint8))
    source = f"<SourceFilename>{tmp_path / 'secret.tif'}</SourceFilename><SourceBand>1</SourceBand>"
    band = f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
    path = tmp_path / "a.tif"
    where = "<GeoTransform>7e5,2,0,3.8e6,0,-2</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{where}{band}</VRTDataset>')
    with rasterio.open(path) as image:
        assert image.driver == "VRT", "GDAL would have followed it"
    with pytest.raises(InputError, match=r"a\.tif is a text that may lead"), open_raster(path):
        pass
    with open_raster(tmp_path / "secret.tif") as image:
        assert image.count == 3


@pytest.mark.parametrize("look", [lambda path: read_polygons(path, "functions"), preview_functions])
@pytest.mark.parametrize("blanks", [0, 300, 5000])
def test_no_blanks_hide_what_a_vector_file_is_and_its_preview_looks_too(tmp_path, secret, look, blanks):
    path = tmp_path / "a.geojson"
    path.write_text(" " * blanks + OGR_VRT.format(secret))
    with pytest.raises(InputError, match=r"a\.geojson is a text that may lead"):
        look(path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.shp", " " * blanks + OGR_VRT.format(secret))
    with pytest.raises(InputError, match=r"x\.shp is a text that may lead"):
        look(tmp_path / "a.zip")


def test_a_vector_file_of_another_kind_is_named(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text(
        '{"type": "Topology", "objects": {"a": {"type": "GeometryCollection", "geometries": []}}, "arcs": []}'
    )
    with pytest.raises(InputError, match=r"a\.geojson (is of kind|cannot be read)"):
        read_polygons(path, "functions")
