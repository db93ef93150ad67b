"""The Data page: the report, bringing data in from upload to report, cities on disk."""

import json
import shutil
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import list_cities, open_city
from fusion.ingest.quality import load_quality
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
from fusion.serving import background, ingest_jobs, uploads
from fusion.serving.ingest_jobs import IngestRequest
from pages.ui import data_bring, data_disk, data_files, data_jobs, data_options, data_report
from tests.miniature import build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts

ROWS = [
    f"2021-07-{day} {hour:02d}:00,{113.60 + 0.01 * place},34.75,{100 + 10 * place + hour}"
    for day in (24, 25)
    for hour in range(24)
    for place in range(4)
]
EXPORT = "\n".join(["time,lon,lat,people", *ROWS, ROWS[0], "2021-07-24 05:00,113.6,34.75,many"]) + "\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    yield tmp_path
    for job in ingest_jobs.list_jobs(tmp_path):
        background.cancel(job, patience_s=0)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with `town`, ingested from EXPORT."""
    folder = tmp_path_factory.mktemp("ingested")
    (folder / "export.csv").write_text(EXPORT)
    ingest_signaling([folder / "export.csv"], folder / "town", SignalingOptions())
    return folder


@pytest.fixture
def town(root: Path, ingested: Path):
    shutil.copytree(ingested / "town", root / "town")
    return open_city("town", root)


def turn_to(app: AppTest, part: str) -> AppTest:
    return app.segmented_control(key="part").set_value(part).run()


def upload(app: AppTest, *files: tuple[str, str]) -> AppTest:
    key = f"data_upload_{app.session_state[data_files.ROUND]}"
    uploader = app.file_uploader(key=key)
    return uploader.set_value([(name, text.encode(), "text/csv") for name, text in files]).run()


def name_city(app: AppTest, name: str) -> None:
    app.text_input(key=data_bring.NAME).set_value(name).run()


def until_ended(root: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while any(background.status(job).active for job in ingest_jobs.list_jobs(root)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_accounts_for_every_row(town, lang: str) -> None:
    app = open_page("data", "town", lang)

    assert_whole(app)
    said = texts(app)
    assert "192 + 2 = 194" in said
    assert ("a count that is no number" if lang == "en" else "数值不是数字") in " ".join(
        app.dataframe[-1].value["reason"]
    )
    assert ("192 cell-hours: 100.0 % valid" if lang == "en" else "共 192 个单元小时：100.0 % 有效") in said
    assert ("1 say the same, 0 contradict" if lang == "en" else "1 行内容相同，0 行相互矛盾") in said
    assert ("Too few days" if lang == "en" else "天数太少") in said
    assert len(app.get("plotly_chart")) == 3  # reasons, hours, cells


def test_an_older_report_says_what_was_not_measured_and_measures_it_when_asked(town) -> None:
    report = json.loads(town.quality.read_text())
    town.quality.write_text(json.dumps({key: value for key, value in report.items() if key != "coverage"}))
    app = open_page("data", "town")
    assert_whole(app)
    assert "Not measured at this ingest." in texts(app)
    assert "cell-hours" not in texts(app)

    app.toggle(key=f"{data_report.MEASURE_NOW}_town").set_value(True).run()

    assert_whole(app)
    assert "192 cell-hours" in texts(app)
    assert "coverage" not in load_quality(town)  # measured, not stored


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_city_without_a_report_says_how_to_make_one(root: Path, lang: str) -> None:
    build_miniature(root, "bare", activity=False, imagery=False, functions=False)

    app = open_page("data", "bare", lang)

    assert_whole(app)
    assert ("Nothing was ingested" if lang == "en" else "尚未导入任何数据") in texts(app)


def test_a_synthetic_city_is_called_so(root: Path) -> None:
    build_miniature(root)

    assert "invented" in texts(open_page("data", "miniature"))


def test_without_any_city_data_can_be_brought_in(root: Path) -> None:
    app = open_page("data", "")
    assert "no city yet" in texts(app)

    app = turn_to(app, "ingest")

    assert_whole(app)
    assert app.selectbox(key=data_bring.KIND).value == "signaling"


def test_from_upload_by_preview_to_the_report(root: Path) -> None:
    app = turn_to(open_page("data", "", "zh"), "ingest")
    app = upload(app, ("../../export.csv", EXPORT))

    assert_whole(app)
    assert "将采用 192 行，拒收 2 行" in texts(app)
    assert "people → people" in texts(app).replace("\\", "")
    assert app.button(key=data_bring.START).disabled  # no city yet
    name_city(app, "new-town")
    app.button(key=data_bring.START).click().run()
    assert_whole(app)
    until_ended(root)
    app.run()

    assert_whole(app)
    assert "192 + 2 = 194" in texts(app)
    assert load_quality(open_city("new-town", root))["rows_read"] == 194
    assert not list((root / ".uploads").iterdir())
    app.button(key=data_jobs.OPEN).click().run()
    assert_whole(app)
    assert (app.session_state["city"], app.session_state["part"]) == ("new-town", "report")


def test_columns_that_are_not_known_are_chosen_by_hand(root: Path) -> None:
    app = turn_to(open_page("data", ""), "ingest")
    app = upload(app, ("odd.csv", EXPORT.replace("people", "zahl")))
    name_city(app, "new-town")
    assert "no column is known to hold the count" in " ".join(error.value for error in app.error)
    assert app.button(key=data_bring.START).disabled

    app.multiselect(key=data_options.VALUES).set_value(["zahl"])
    app.segmented_control(key=data_options.DATUM).set_value("gcj02").run()

    assert_whole(app)
    app.button(key=data_bring.START).click().run()
    (job,) = ingest_jobs.list_jobs(root)
    assert job.request.options == ("--value", "zahl", "--datum", "gcj02")
    assert "people" not in job.request.command("x")


@pytest.mark.parametrize("name", ["../town", "incoming"])
def test_a_name_that_cannot_be_a_city_s_is_refused_with_a_clear_line(root: Path, name: str) -> None:
    app = turn_to(open_page("data", ""), "ingest")

    name_city(app, name)

    assert "cannot name a city" in " ".join(error.value for error in app.error)


def test_files_on_the_server_are_chosen_from_a_list(root: Path) -> None:
    (root / "incoming" / "july").mkdir(parents=True)
    (root / "incoming" / "july" / "24.csv").write_text(EXPORT)
    (root / "secret.csv").write_text(EXPORT)
    app = turn_to(open_page("data", ""), "ingest")

    app.segmented_control(key=data_files.SOURCE).set_value("server").run()
    box = app.multiselect(key=data_files.CHOSEN)
    assert [option.split(" ")[0] for option in box.options] == ["july/", "july/24.csv"]
    box.set_value(["july/"]).run()

    assert_whole(app)
    assert "192 would be taken" in texts(app)


def test_an_ingest_survives_a_reload_and_ends_when_cancelled(town, root: Path, monkeypatch) -> None:
    event = json.dumps({"event": "progress", "share": 0.6, "text": "indexing places"})
    script = f"import sys, time; print({event!r}); sys.stdout.flush(); time.sleep(600)"
    monkeypatch.setattr(IngestRequest, "command", lambda self, city: [sys.executable, "-c", script])
    token = uploads.new_upload(root)
    job = ingest_jobs.start(root, "town", IngestRequest("signaling", (__file__,), ("a.csv",), (), token))
    while ingest_jobs.progress(job).share < 0.6:
        time.sleep(0.05)

    app = turn_to(open_page("data", "town", "zh"), "ingest")  # a new session, as after a reload

    assert_whole(app)
    assert "60\u00a0%，定位到单元" in " ".join(str(bar.proto.text) for bar in app.get("progress"))
    app.button(key=f"{data_jobs.CANCEL}_{job.id}").click().run()
    assert_whole(app)
    assert background.status(job).state == "cancelled"
    assert "已取消。城市保持原样。" in "\n".join(info.value for info in app.info)


def test_a_failed_ingest_says_why_and_can_be_tried_again(root: Path, monkeypatch) -> None:
    script = (
        "import sys; sys.stderr.write('error: city town is being written by another process: wait\\n'); sys.exit(2)"
    )
    monkeypatch.setattr(IngestRequest, "command", lambda self, city: [sys.executable, "-c", script])
    ingest_jobs.start(root, "town", IngestRequest("signaling", (__file__,), ("a.csv",)))
    until_ended(root)

    app = turn_to(open_page("data", ""), "ingest")

    assert not app.exception
    assert "being written by another process" in " ".join(error.value for error in app.error)
    app.button(key=data_jobs.AGAIN).click().run()
    assert len(ingest_jobs.list_jobs(root)) == 2


def test_a_city_is_deleted_only_when_its_name_is_typed(town, root: Path) -> None:
    build_miniature(root)
    app = turn_to(open_page("data", "town"), "disk")
    assert_whole(app)
    app.selectbox(key=data_disk.CITY).set_value("town").run()
    assert app.button(key=data_disk.DELETE).disabled

    app.text_input(key=f"{data_disk.NAME}_town").set_value("town").run()
    app.button(key=data_disk.DELETE).click().run()

    assert_whole(app)
    assert [city.name for city in list_cities(root)] == ["miniature"]
    assert "town was deleted" in " ".join(one.value for one in app.success)
    assert app.session_state["city"] == "miniature"


def test_samples_are_deleted_alone(root: Path) -> None:
    city = build_miniature(root)
    (city.samples / "a").mkdir(parents=True)
    (city.samples / "a" / "images.npy").write_bytes(b"x" * 5000)
    app = turn_to(open_page("data", "miniature", "zh"), "disk")
    app.selectbox(key=data_disk.CITY).set_value("miniature").run()

    app.button(key=data_disk.SAMPLES).click().run()

    assert_whole(app)
    assert not city.samples.exists()
    assert "已删除 miniature 的样本：5.0 kB" in " ".join(one.value for one in app.success)


def test_a_link_opens_a_part_of_the_page(town) -> None:
    app = AppTest.from_file(str(Path(__file__).resolve().parents[2] / "pages" / "main.py"), default_timeout=120)
    app.query_params.update({"lang": "en", "city": "town", "part": "disk"})
    app.switch_page("data.py").run()

    assert_whole(app)
    assert "Disk use by city" in texts(app)
    assert app.query_params["part"] in ("disk", ["disk"])
