"""Previews of imagery, functions and URFC files: what they say is what is in the files."""

import zipfile
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from fusion.errors import InputError
from fusion.serving.previews import preview_functions, preview_imagery, preview_urfc
from tests.miniature import build_miniature


def test_imagery_is_described_and_what_is_none_says_why(tmp_path: Path) -> None:
    city = build_miniature(tmp_path)
    (tmp_path / "text.tif").write_text("no picture")

    good, bad = preview_imagery([city.imagery, tmp_path / "text.tif"]).to_dict("records")

    assert (good["file"], good["bands"], good["type"], good["pixel"], good["problem"]) == (
        "imagery.tif", 3, "uint8", 16.0, "",
    )  # fmt: skip
    assert good["crs"] == "EPSG:32649"
    assert good["west"] < city.info.bounds[0] < city.info.bounds[2] < good["east"]
    assert "text.tif" in bad["problem"]


@pytest.mark.parametrize(
    ("crs", "problem"),
    [('LOCAL_CS["site",UNIT["metre",1]]', "it is a local one"), ("EPSG:4326", "latitude 113.640 to 113.650")],
)
def test_an_image_without_a_place_says_so(tmp_path: Path, crs: str, problem: str) -> None:
    profile = {"driver": "GTiff", "count": 3, "height": 100, "width": 100, "dtype": "uint8"}
    swapped = Affine(1e-4, 0, 34.76, 0, -1e-4, 113.65)
    with rasterio.open(tmp_path / "a.tif", "w", crs=rasterio.CRS.from_user_input(crs), transform=swapped, **profile):
        pass

    (row,) = preview_imagery([tmp_path / "a.tif"]).to_dict("records")

    assert problem in row["problem"]


def test_polygons_tell_their_columns_and_values(tmp_path: Path) -> None:
    table = geopandas.GeoDataFrame(
        {"klass": ["school", "school", "park"], "id": [1, 2, 3]},
        geometry=[shapely.box(x, 0, x + 1, 1) for x in range(3)],
        crs=4326,
    )
    table.to_file(tmp_path / "land.gpkg", layer="use")

    found = preview_functions(tmp_path / "land.gpkg")

    assert (found.layers, found.kind, found.crs, found.features) == (("use",), "Polygon", "EPSG:4326", 3)
    assert found.columns == ("klass", "id")
    assert found.values["klass"] == {"school": 2, "park": 1}
    assert len(found.sample) == 3


def test_a_table_of_cells_tells_its_columns(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("h3,function\n89411b0c0c3ffff,park\n89411b0c0c7ffff,park\n", encoding="utf-8")

    found = preview_functions(tmp_path / "cells.csv")

    assert (found.kind, found.columns) == ("", ("h3", "function"))
    assert found.values["function"] == {"park": 2}


def test_what_is_no_vector_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "land.geojson").write_text("{}")

    with pytest.raises(InputError, match=r"land\.geojson cannot be read"):
        preview_functions(tmp_path / "land.geojson")


def test_urfc_is_counted_by_class_in_a_folder_and_in_a_zip_of_it(tmp_path: Path) -> None:
    files = ["train_image/001/000000_001.jpg", "train_image/002/000001_002.jpg", "train_visit/000000_001.txt"]
    for name in (*files, "test_visit/000009.txt", "train_image/.hidden.jpg"):
        path = tmp_path / "URFC" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    with zipfile.ZipFile(tmp_path / "urfc.zip", "w") as archive:
        for name in (*files, "test_visit/000009.txt"):
            archive.writestr(name, "x")

    for source in (tmp_path / "URFC", tmp_path / "urfc.zip"):
        rows = {(row["folder"], row["class"]): row for row in preview_urfc(source).to_dict("records")}
        assert {key: (row["images"], row["visits"]) for key, row in rows.items()} == {
            ("train_image", "001"): (1, 0),
            ("train_image", "002"): (1, 0),
            ("train_visit", "001"): (0, 1),
            ("test_visit", ""): (0, 1),
        }


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_what_is_no_urfc_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "urfc.zip").write_bytes(content)

    with pytest.raises(InputError, match="no zip archive"):
        preview_urfc(tmp_path / "urfc.zip")
