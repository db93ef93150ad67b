"""Compare through the main script."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import City, open_city
from fusion.serving.comparison import compare_runs
from pages import compare
from pages.ui import closer_look
from tests.mini_runs import CORE, write_runs
from tests.miniature import build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    write_runs(build_miniature(root), not_evaluable=("airport",))
    build_miniature(root, "no-runs")
    build_miniature(root, "only-activity", imagery=False, functions=False)
    write_runs(build_miniature(root, "no-imagery", imagery=False))
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, so that a test may change runs."""
    shutil.copytree(built, tmp_path / "data")
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def city(root: Path) -> City:
    return open_city("miniature", root)


@pytest.fixture(scope="module")
def shown(built: Path) -> dict[tuple[str, str], AppTest]:
    """Every city in both languages, opened once; read only."""
    names = ("miniature", "no-runs", "only-activity", "no-imagery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_DATA", str(built))
        return {(name, lang): open_page("compare", name, lang) for name in names for lang in LANGUAGES}


def test_the_page_stands_on_every_city_in_both_languages(shown: dict[tuple[str, str], AppTest]) -> None:
    for app in shown.values():
        assert_whole(app)
    assert shown["miniature", "en"].title[0].value == "Unimodal against fusion"
    assert shown["miniature", "zh"].title[0].value == "单模态与融合"


def test_every_experiment_ceiling_and_reported_figure_is_in_the_table(
    built: Path, shown: dict[tuple[str, str], AppTest]
) -> None:
    table = shown["miniature", "en"].dataframe[0].value

    measured = table[table["kind"] == "measured"]
    assert set(measured["experiment"]) == set(CORE)
    expected = compare_runs(open_city("miniature", built)).accuracy["accuracy"].tolist()
    assert measured["accuracy"].astype(float).tolist() == pytest.approx(expected)
    assert table[table["kind"] == "ceiling"]["experiment"].tolist() == [
        *("image", "signal", "additive", "joint", "oracle")
    ]
    reported = table[table["kind"] == "reported by the user"]
    assert reported["accuracy"].astype(float).tolist() == [0.668, 0.636, 0.533]


def test_reported_figures_are_said_to_be_reported_and_the_city_to_be_synthetic(
    shown: dict[tuple[str, str], AppTest],
) -> None:
    said = texts(shown["miniature", "en"])

    assert "reported by the user" in said
    assert "not measured here" in said
    assert "synthetic" in said.lower()


def test_a_class_that_cannot_be_judged_is_named(shown: dict[tuple[str, str], AppTest]) -> None:
    assert "Not evaluable here: Airport" in texts(shown["miniature", "en"])
    assert "此处不可评：机场" in texts(shown["miniature", "zh"])


def test_no_runs_says_how_to_train(shown: dict[tuple[str, str], AppTest]) -> None:
    assert "python -m fusion train" in texts(shown["no-runs", "en"])
    assert "none can be yet" in texts(shown["only-activity", "en"])


def test_another_model_changes_confusion_and_calibration(city: City) -> None:
    app = open_page("compare", city.name)

    app.selectbox(key=closer_look.EXPERIMENT).select("vit").run()

    assert_whole(app)
    counts = next(frame.value for frame in app.dataframe if "true" in frame.value and "park" in frame.value)
    assert counts.set_index("true").to_numpy().tolist() == compare_runs(city).confusion("vit").to_numpy().tolist()


def test_pairs_are_the_fusions_own_streams_until_all_are_asked_for(city: City) -> None:
    app = open_page("compare", city.name)

    def pairs() -> int:
        return len(next(frame.value for frame in app.dataframe if "verdict" in frame.value))

    assert pairs() == 6
    app.segmented_control(key=compare.PAIRS).set_value("all").run()
    assert pairs() == 9


def test_the_map_follows_the_chosen_pair(city: City) -> None:
    app = open_page("compare", city.name)
    app.selectbox(key=closer_look.FUSION).select("vit+bilstm-late").run()
    app.selectbox(key=closer_look.UNIMODAL).select("bilstm").run()

    assert_whole(app)
    changes = next(frame.value for frame in app.dataframe if "change" in frame.value)
    expected = compare_runs(city).mended("vit+bilstm-late", "bilstm")
    assert changes["change"].tolist() == expected["change"].tolist()


def test_stale_runs_are_said_to_be(root: Path, city: City) -> None:
    for folder in city.run_folders():
        path = folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "city_fingerprint": "older"}))

    app = open_page("compare", city.name)

    assert_whole(app)
    assert ["out of date" in warning.value for warning in app.warning] == [True]


def test_runs_of_two_kinds_are_chosen_between_and_never_pooled(city: City) -> None:
    write_runs(city, {"vit": 1.0}, folds=2)
    app = open_page("compare", city.name)
    keys = app.selectbox(key=compare.SETTING).options

    assert len(keys) == 2
    app.selectbox(key=compare.SETTING).select_index(1).run()

    assert_whole(app)
    table = app.dataframe[0].value
    assert table[table["kind"] == "measured"]["experiment"].tolist() == ["vit"]
    assert "No fusion and unimodal model were tested on common cells." in texts(app)


def test_a_torn_run_is_named_and_the_rest_shown(city: City) -> None:
    torn = city.run_folders()[0]
    (torn / "metrics.json").write_text("{")

    app = open_page("compare", city.name)

    assert_whole(app)
    assert torn.name in app.warning[0].value
