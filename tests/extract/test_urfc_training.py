"""A city without a map goes through the commands and pages that any city goes through."""

import json
from pathlib import Path

import pandas as pd
import pytest

from fusion.city import open_city
from fusion.cli import main
from fusion.extract.urfc import ingest_urfc
from fusion.training.experiments import EXPERIMENTS
from fusion.training.runs import load_run
from tests.extract.urfc_folder import write_folder
from tests.pages.apptest import assert_whole, open_page, texts

MINI = ["--folds", "3", "--device", "cpu", "--set", "training.epochs=1", "--set", "training.batch_size=16"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the city `urfc` in it."""
    root = tmp_path_factory.mktemp("data")
    ingest_urfc(write_folder(tmp_path_factory.mktemp("urfc") / "urfc", users=4), root / "urfc")
    return root


@pytest.fixture(autouse=True)
def _here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_DATA", str(data))
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)


def test_train_ablate_compare_and_predict(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "bilstm", "--city", "urfc", *MINI]) == 0
    record = load_run(Path(capsys.readouterr().out.strip()))
    assert record.run["fold_kind"] == "random"
    assert "group" in record.predictions()

    assert (
        main(["ablate", "vit+bilstm-late", "--city", "urfc", "--seeds", "1", "--run-folds", "1", "--jobs", "1", *MINI])
        == 0
    )
    capsys.readouterr()

    assert main(["compare", "--city", "urfc", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert sorted(row["experiment"].split("-x")[0] for row in table["accuracy"]) == ["bilstm", "vit+bilstm-late"]
    assert "random" in table["setting"]

    assert main(["runs", "--city", "urfc", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert len(runs) == 2

    fusion = next(path for path in open_city(data / "urfc").run_folders() if path.name.startswith("vit+"))
    out = tmp_path / "all.csv"
    predict = ["predict", "--city", "urfc", "--run", fusion.name, "--cells", "all", "--device", "cpu", "--out"]
    assert main([*predict, str(out)]) == 0
    predicted = pd.read_csv(out)
    assert len(predicted) == 30
    assert predicted["true"].isna().sum() == 3  # the regions of the test folders, which have no class
    assert predicted["predicted"].notna().all()
    capsys.readouterr()
    assert main([*predict, "a.geojson"]) == 2
    assert "no place on a map" in capsys.readouterr().err


def test_patches_fill_the_chips_unless_the_user_chose_them() -> None:
    row = EXPERIMENTS["vit"]
    assert row.network.vision is not None
    assert row.network.vision.patch == 24
    fitted = row.fitted_to(100)
    assert fitted.network.vision is not None
    assert (fitted.network.vision.patch, fitted.name) == (25, "vit")
    assert row.fitted_to(96) == row
    assert EXPERIMENTS["bilstm"].fitted_to(100) == EXPERIMENTS["bilstm"]


def test_an_edge_that_the_user_chose_is_not_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vit", "--city", "urfc", "--set", "network.vision.patch=24", *MINI]) == 2
    assert "patch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "lang"),
    [
        ("overview", "en"), ("overview", "zh"), ("activity_map", "en"), ("predict", "zh"), ("compare", "en"),
        ("ablation", "zh"),
    ],
)  # fmt: skip
def test_pages_say_what_such_a_city_lacks(page: str, lang: str) -> None:
    app = open_page(page, "urfc", lang)
    assert_whole(app)
    if page in ("activity_map", "predict"):
        assert {"en": "has no map", "zh": "没有地图"}[lang] in texts(app)
    if page == "overview":
        assert "30" in texts(app)
