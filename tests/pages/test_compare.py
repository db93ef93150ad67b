"""Compare through the main script."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import City, open_city
from fusion.serving.comparison import compare_runs
from fusion.training.suites import CONTRASTS
from pages import compare
from pages.ui import closer_look, paired_tests
from tests.mini_runs import CORE, write_runs
from tests.miniature import build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts

# the core rows and the one more that a declared contrast needs
ROWS = {**CORE, "vit-pretrained+bilstm-late": 0.68}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    made = build_miniature(root)
    for seed in (0, 1):
        write_runs(made, ROWS, seed=seed, not_evaluable=("airport",))
    write_runs(made, {"vit": 0.7}, fold_kind="random", not_evaluable=("airport",))
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


def test_every_experiment_and_ceiling_is_in_the_table(built: Path, shown: dict[tuple[str, str], AppTest]) -> None:
    table = shown["miniature", "en"].dataframe[0].value

    measured = table[table["kind"] == "measured"]
    assert set(measured["experiment"]) == set(ROWS)
    assert set(measured["seeds"]) == {2}
    expected = compare_runs(open_city("miniature", built)).accuracy["accuracy"].tolist()
    assert measured["accuracy"].astype(float).tolist() == pytest.approx(expected)
    assert table[table["kind"] == "ceiling"]["experiment"].tolist() == [
        *("image", "signal", "additive", "joint", "oracle")
    ]
    assert set(table["kind"]) == {"measured", "ceiling"}


def _table(app: AppTest, column: str) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value)


@pytest.mark.parametrize("name", ["miniature", "no-runs"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_others_reported_stands_apart_with_its_sources(
    shown: dict[tuple[str, str], AppTest], name: str, lang: str
) -> None:
    app = shown[name, lang]

    table = _table(app, "source")
    assert table.loc[table["user"], "low"].tolist() == [0.668, 0.636, 0.533]
    assert (0.41, 0.57) in set(zip(table["low"], table["high"], strict=True))
    assert table["source"].str.len().min() > 10
    assert {"en": "Not measured here", "zh": "并非此处测得"}[lang] in texts(app)


def test_every_declared_contrast_is_in_its_table_run_or_not(shown: dict[tuple[str, str], AppTest]) -> None:
    app = shown["miniature", "en"]
    table = _table(app, "p_holm").set_index("question")

    assert len(table) == len(CONTRASTS)
    assert table["state"].tolist().count("run") == 1
    assert table.loc["Does pretraining the ViT help?", "verdict"] in ("gain", "loss", "open")
    assert table.loc["Does fusion beat the image alone?", "state"] == "not run"
    assert f"1 of {len(CONTRASTS)} declared contrasts were run" in texts(app)


def test_the_goals_are_told_with_what_they_came_to(built: Path, shown: dict[tuple[str, str], AppTest]) -> None:
    closes, beats = compare_runs(open_city("miniature", built)).goals()
    figures = [metric.value for metric in shown["miniature", "en"].metric][:2]

    assert figures == [f"{closes.value * 100:.1f}\u00a0%", f"{beats.value * 100:+.1f}".replace("-", "−")]
    assert "Goal: 80 % or more" in texts(shown["miniature", "en"])


def test_random_folds_stand_beside_spatial_ones(shown: dict[tuple[str, str], AppTest]) -> None:
    table = _table(shown["miniature", "en"], "random_trained")

    assert table["experiment"].tolist() == ["vit"]
    assert "No model was run on both" in texts(shown["no-imagery", "en"])


def test_the_city_is_said_to_be_synthetic(shown: dict[tuple[str, str], AppTest]) -> None:
    assert "synthetic" in texts(shown["miniature", "en"]).lower()


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


def test_pairs_nobody_declared_are_shown_on_demand_the_fusions_own_streams_first(city: City) -> None:
    app = open_page("compare", city.name)
    assert not any("only_unimodal" in frame.value for frame in app.dataframe)

    app.toggle(key=paired_tests.EXPLORE).set_value(True).run()
    assert len(_table(app, "only_unimodal")) == 6  # neither ViT-pretrained nor ConvLSTM with blocks was run alone
    assert "Exploration: 6 pairs" in texts(app)
    app.segmented_control(key=paired_tests.PAIRS).set_value("all").run()
    assert len(_table(app, "only_unimodal")) == 4 * 3


def test_cost_is_shown_as_multiply_adds_or_parameters(city: City) -> None:
    app = open_page("compare", city.name)
    app.segmented_control(key=closer_look.COST).set_value("parameters").run()

    assert_whole(app)
    table = _table(app, "rank")
    assert table["multiply_adds"].tolist() == [200 * value for value in table["parameters"]]


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

    assert len(keys) == 3  # random folds last
    app.selectbox(key=compare.SETTING).select_index(1).run()

    assert_whole(app)
    table = app.dataframe[0].value
    assert table[table["kind"] == "measured"]["experiment"].tolist() == ["vit"]
    assert f"None of the {len(CONTRASTS)} declared contrasts has both its models yet." in texts(app)


def test_random_folds_are_said_to_flatter_where_they_are_chosen(city: City) -> None:
    app = open_page("compare", city.name)
    app.selectbox(key=compare.SETTING).select_index(1).run()

    assert_whole(app)
    assert "flatters all that follows" in app.warning[0].value


def test_a_torn_run_is_named_and_the_rest_shown(city: City) -> None:
    torn = city.run_folders()[0]
    (torn / "metrics.json").write_text("{")

    app = open_page("compare", city.name)

    assert_whole(app)
    assert torn.name in app.warning[0].value
