"""Every kind of data from the Data page: what it shows, and that the command which it would start takes the files."""

import json
import shutil
import zipfile
from pathlib import Path

import geopandas
import pytest
import shapely
from streamlit.testing.v1 import AppTest

from fusion.city import open_city
from fusion.cli import main
from fusion.ingest.quality import accounts, load_quality
from fusion.serving import ingest_jobs
from fusion.serving.background import Job
from fusion.serving.ingest_jobs import IngestRequest
from pages.ui import data_bring, data_files, data_functions
from tests.extract.urfc_folder import write_folder
from tests.miniature import build_miniature, cells
from tests.pages.apptest import assert_whole, open_page, texts

USERS = ("9f8e7d6c5b4a39281706f5e4d3c2b1a0", "00112233445566778899aabbccddeeff")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[IngestRequest]:
    """The requests that the page would start, none of which it does."""
    requests: list[IngestRequest] = []
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    (tmp_path / "incoming").mkdir()

    def start(root: Path, city: str, request: IngestRequest) -> Job:
        requests.append(request)
        return Job("id", city, root, 0.0, request)

    monkeypatch.setattr(ingest_jobs, "start", start)
    return requests


def choose(kind: str, *names: str) -> AppTest:
    """Open the section, choose a kind, name a new city and choose files that lie on the server."""
    app = open_page("data", "")
    app.segmented_control(key="part").set_value("ingest").run()
    app.selectbox(key=data_bring.KIND).set_value(kind)
    app.text_input(key=data_bring.NAME).set_value("new-town")
    app.segmented_control(key=data_files.SOURCE).set_value("server").run()
    app.multiselect(key=data_files.CHOSEN).set_value(list(names)).run()
    assert_whole(app)
    return app


def ingest(app: AppTest, asked: list[IngestRequest]) -> dict:
    """Press the button; run the command that it stands for in this process; return the report."""
    app.button(key=data_bring.START).click().run()
    assert_whole(app)
    (request,) = asked
    assert main(request.command("new-town")[3:]) == 0
    report = load_quality(open_city("new-town"))
    assert accounts(report) == []
    return report


def test_device_records_are_counted_and_their_ids_are_shown_nowhere(tmp_path: Path, asked) -> None:
    rows = [f"{user},2021-07-24 08:{minute:02d}:00,113.65,34.76" for user in USERS for minute in (1, 9)]
    (tmp_path / "incoming" / "records.csv").write_text("\n".join(["user_id,time,lon,lat", *rows]) + "\n")

    app = choose("devices", "records.csv")

    shown = texts(app) + "".join(frame.value.to_string() for frame in app.dataframe)
    assert not [user for user in USERS if user in shown]
    assert "user\\_id" in texts(app)
    report = ingest(app, asked)
    assert report["rows_taken"] == 4
    assert open_city("new-town").info.measures[0].id == "devices"


def test_milan_with_its_grid(tmp_path: Path, asked) -> None:
    squares = [
        {"type": "Feature", "properties": {"cellId": number}, "geometry": shapely.geometry.mapping(box)}
        for number, box in ((1, shapely.box(9.0, 45.3, 9.003, 45.302)), (2, shapely.box(9.01, 45.3, 9.013, 45.302)))
    ]
    (tmp_path / "incoming" / "grid.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": squares}))
    rows = [f"{square}\t1383260400000\t39\t0.5\t0.25\t1\t1\t2" for square in (1, 2)]
    (tmp_path / "incoming" / "day.tsv").write_text("\n".join(rows) + "\n")

    report = ingest(choose("milan", "day.tsv", "grid.geojson"), asked)

    assert (report["rows_taken"], report["preset"], report["cells"]) == (2, "milan", 2)


def test_imagery(tmp_path: Path, asked) -> None:
    city = build_miniature(tmp_path / "elsewhere")
    shutil.copy(city.imagery, tmp_path / "incoming" / "image.tif")

    app = choose("imagery", "image.tif")

    assert app.dataframe[-1].value["bands"].tolist() == [3]
    part = ingest(app, asked)["imagery"]
    assert open_city("new-town").has_imagery
    for lang, words in (("en", "Valid pixels: "), ("zh", "有效像元：")):
        shown = open_page("data", "new-town", lang)
        assert_whole(shown)
        assert f"**{part['crs']}**" in texts(shown)
        assert f"{part['width']:,} × {part['height']:,} px" in texts(shown)
        assert words in texts(shown)


def test_functions_by_a_mapping_that_lies_beside_them(tmp_path: Path, asked) -> None:
    lon, lat = 113.65, 34.75
    boxes = [shapely.box(lon + x, lat, lon + x + 0.01, lat + 0.01) for x in (0, 0.02, 0.04)]
    table = geopandas.GeoDataFrame({"use": ["R2", "A33", "??"]}, geometry=boxes, crs=4326)
    table.to_file(tmp_path / "incoming" / "land.geojson")
    (tmp_path / "incoming" / "classes.toml").write_text('R2 = "residential"\nA33 = "school"\n')
    app = choose("functions", "land.geojson", "classes.toml")
    assert app.button(key=data_bring.START).disabled  # which column holds the class, only the reader knows

    app.selectbox(key=data_functions.FIELD).set_value("use").run()

    assert_whole(app)
    values = next(frame.value for frame in app.dataframe if "function" in frame.value)
    assert dict(zip(values["value"], values["function"].fillna(""), strict=True)) == {
        "R2": "Residential area", "A33": "School", "??": "",
    }  # fmt: skip
    report = ingest(app, asked)
    assert report["functions"]["polygons_read"] == 3
    by_class = report["functions"]["cells_by_class"]
    assert sorted(by_class) == ["residential", "school"]
    shown = texts(open_page("data", "new-town"))
    assert f"By class: **Residential area {by_class['residential']}, School {by_class['school']}**" in shown
    assert "Values without a class: **?? 1**" in shown


def test_a_table_of_cells_is_recognised_by_its_values(tmp_path: Path, asked) -> None:
    rows = [f"{int(cell):x},park" for cell in cells()[:5]]
    (tmp_path / "incoming" / "cells.csv").write_text("\n".join(["h3,class", *rows]) + "\n")

    app = choose("functions", "cells.csv")

    assert app.selectbox(key=data_functions.FIELD).value == "class"
    ingest(app, asked)
    assert open_city("new-town").has_functions


def test_urfc_from_a_zip(tmp_path: Path, asked) -> None:
    folder = write_folder(tmp_path / "URFC", regions=9, tests=1, users=3)
    with zipfile.ZipFile(tmp_path / "incoming" / "urfc.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))

    app = choose("urfc", "urfc.zip")

    assert "10 images and 10 visit files." in texts(app)
    report = ingest(app, asked)
    assert report["urfc"]["regions"] == 10
    report_page = open_page("data", "new-town")
    assert_whole(report_page)
    assert "10 regions, 1 of them without a class" in texts(report_page)
