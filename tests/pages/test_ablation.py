"""Ablation through the main script."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fusion.analysis.conditions import CONDITIONS
from fusion.city import City, open_city, write_city
from fusion.classes import IDS
from fusion.geo import grid
from fusion.serving.ablation import ablation_of
from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import AXES
from pages import ablation as page
from pages.ui import ablating, ablating_inside
from pages.views import ablation as view
from tests.mini_runs import write_runs
from tests.miniature import build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts

BASE = "vit-pretrained+convlstm-bottleneck"
SCORES = {
    "vit": 0.4,
    "vit-pretrained": 0.45,
    "convlstm": 0.5,
    "vit-pretrained+convlstm-late": 0.6,
    BASE: 0.6,
    f"{BASE}-mid": 0.95,
    f"{BASE}-late": 0.58,
    f"{BASE}-orthogonal": 0.6,
    f"{BASE}-merged": 0.6,
    f"{BASE}-dropout": 0.6,
}


def _measure(folder: Path) -> None:
    """Give a run what training and `robustness` store: similarity, cost, accuracy under damage."""
    run, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("run", "metrics"))
    merge = EXPERIMENTS[run["experiment"]].network.merge
    run["cost"] = {"parameters": run["parameters"], "multiply_adds": 100 - round(80 * merge)}
    if "bottleneck" in run["experiment"]:
        metrics["similarity"] = [{"level": level, "cka": 0.2 * level, "overlap": 0.1} for level in (1, 2, 3, 4)]
    rows = []
    for condition in CONDITIONS:
        if condition.touches is None or (run["experiment"].startswith("vit") and "+" in run["experiment"]):
            accuracy = 0.6 if condition.touches is None else 0.3
            rows.append((condition.name, condition.strength, 20, accuracy, accuracy - 0.1, accuracy + 0.1, 0.2))
    table = pd.DataFrame(rows, columns=["condition", "strength", "n", "accuracy", "low", "high", "macro_f1"])
    table.to_csv(folder / "robustness.csv", index=False)
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ablated")
    made = build_miniature(root)
    cells = grid.disk(int(grid.cells_at([113.65], [34.75], 9)[0]), 7)
    table = pd.DataFrame({"cell": cells, "function": np.resize(np.array(IDS), len(cells))})
    table["share"], table["source"] = np.float32(0.7), "made up"
    with write_city(made.path) as writer:  # several spatial groups: intervals need them
        table.to_parquet(writer.new("functions.parquet"), index=False)
        city = writer.commit(made.info)
    for folder in write_runs(city, SCORES):
        _measure(folder)
    for name in (BASE, f"{BASE}-mid"):
        write_runs(city, {name: SCORES[name]}, seed=1)
    build_miniature(root, "no-runs")
    write_runs(build_miniature(root, "few-runs"), {"vit": 0.5, "vit+bilstm-late": 0.6})
    return root


@pytest.fixture
def city(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    """A copy of one's own, so that a test may change runs."""
    shutil.copytree(built, tmp_path / "data")
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    return open_city("miniature", tmp_path / "data")


@pytest.fixture(scope="module")
def shown(built: Path) -> dict[tuple[str, str], AppTest]:
    """Every city in both languages, opened once; read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_DATA", str(built))
        names = ("miniature", "no-runs", "few-runs")
        return {(name, lang): open_page("ablation", name, lang) for name in names for lang in LANGUAGES}


def _table(app: AppTest, column: str) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_the_page_stands_on_every_city_in_both_languages(shown: dict[tuple[str, str], AppTest]) -> None:
    for app in shown.values():
        assert_whole(app)
    assert shown["miniature", "en"].title[0].value == "Ablation"
    assert shown["miniature", "zh"].title[0].value == "消融"


def test_every_axis_can_be_chosen_and_says_what_it_asks(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_DATA", str(built))
    app = open_page("ablation", "miniature")
    for axis in AXES:
        app.segmented_control(key=page.AXIS).set_value(axis).run()
        assert_whole(app)
    assert set(ablating.axis_titles()) == set(AXES)
    questions = {ablating.axis_question(axis) for axis in AXES}
    assert len(questions) == len(AXES)


def test_the_axis_table_is_what_the_library_says(built: Path, shown: dict[tuple[str, str], AppTest]) -> None:
    expected = ablation_of(open_city("miniature", built)).axes["fusion-layer"].rows

    table = _table(shown["miniature", "en"], "difference_low")

    assert table["row"].tolist() == expected["label_en"].tolist()
    assert table["row"][0] == "Lf = 0"
    for name in ("accuracy", "difference", "difference_high"):
        assert table[name].astype(float).tolist() == pytest.approx(expected[name].tolist(), nan_ok=True)


def test_findings_come_from_intervals_and_fewer_runs_are_marked(shown: dict[tuple[str, str], AppTest]) -> None:
    said = texts(shown["miniature", "en"])

    middle = EXPERIMENTS[f"{BASE}-mid"].network.fusion_layer
    assert f"**Lf = {middle}** against **Lf = 0**: +" in said
    assert "the interval lies above 0" in said
    assert "The intervals of the other 1 hold 0." in said
    assert "* fewer seeds or folds" in said  # the late row has one seed of two
    assert f"Declared before they were run (suite core): {BASE}, {BASE}-mid" in said


def test_the_overview_counts_rows_and_what_chance_would_prove(shown: dict[tuple[str, str], AppTest]) -> None:
    table = _table(shown["miniature", "en"], "axis").set_index("axis")

    layer, bottlenecks = table.loc["Fusion layer Lf"], table.loc["Bottlenecks B"]
    assert layer[["run", "declared", "compared", "better", "worse"]].tolist() == [3, 3, 2, 1, 0]
    assert bottlenecks[["run", "declared", "compared"]].tolist() == [1, 3, 0]


def test_an_axis_without_runs_is_named_with_its_command(shown: dict[tuple[str, str], AppTest]) -> None:
    app = shown["few-runs", "en"]

    assert "python -m fusion robustness --city few-runs" in texts(app)
    assert "No run here says how alike its streams are." in texts(app)


def test_rows_that_were_not_run_are_listed_with_a_command(city: City) -> None:
    app = open_page("ablation", city.name)
    app.segmented_control(key=page.AXIS).set_value("coupling").run()

    assert f"{BASE}-contrastive" in texts(app)
    assert app.code[0].value.startswith(f"python -m fusion ablate {BASE}-share ")
    assert app.code[0].value.endswith("--seeds 2 --folds 3")


def test_a_city_without_runs_says_how_to_train(shown: dict[tuple[str, str], AppTest]) -> None:
    assert "python -m fusion train" in texts(shown["no-runs", "en"])


def test_similarity_follows_measure_and_models(city: City) -> None:
    app = open_page("ablation", city.name)
    app.multiselect(key=ablating_inside.ALIKE).set_value([f"{BASE}-merged"]).run()
    app.segmented_control(key=ablating_inside.MEASURE).set_value("overlap").run()

    assert_whole(app)
    table = _table(app, "overlap")
    assert set(table["experiment"]) == {f"{BASE}-merged"}
    assert table["level"].tolist() == [1, 2, 3, 4]


def test_robustness_shows_absence_in_words_and_damage_by_choice(city: City) -> None:
    app = open_page("ablation", city.name)
    app.multiselect(key=ablating_inside.DAMAGED).set_value([BASE, "vit"]).run()
    app.segmented_control(key=ablating_inside.DAMAGE).set_value("noise").run()

    assert_whole(app)
    assert f"**{BASE}** without imagery: 60.0 % → 30.0 %" in texts(app)
    tables = [frame.value for frame in app.dataframe if "strength" in frame.value]
    assert set(tables[0]["condition"]) == {"none", "image-absent", "signal-absent"}
    assert set(tables[1]["condition"]) == {"none", "noise"}


def test_a_robustness_file_that_comes_or_is_torn_is_seen_at_once(city: City) -> None:
    app = open_page("ablation", city.name)
    torn = next(folder for folder in city.run_folders() if (folder / "robustness.csv").is_file())
    (torn / "robustness.csv").write_text("nothing\n")

    app.run()

    assert_whole(app)
    assert any(torn.name in warning.value for warning in app.warning)


def test_settings_are_chosen_between(city: City) -> None:
    write_runs(city, {"vit": 0.9, "vit-pretrained": 0.9}, folds=2)
    app = open_page("ablation", city.name)
    app.segmented_control(key=page.AXIS).set_value("pretraining").run()
    app.selectbox(key=page.SETTING).select_index(1).run()

    assert_whole(app)
    assert "2 spatial folds" in str(app.selectbox(key=page.SETTING).options[1])
    assert set(_table(app, "difference_low")["experiment"]) == {"vit", "vit-pretrained"}


def test_stale_runs_are_said_to_be(city: City) -> None:
    for folder in city.run_folders():
        path = folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "city_fingerprint": "older"}))

    app = open_page("ablation", city.name)

    assert_whole(app)
    assert ["out of date" in warning.value for warning in app.warning] == [True]


def _said(text: str, **values: object) -> str:
    return text.format(**values)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.3, 0.4, "a loss, the intervals lie apart"), (0.4, 0.6, "the intervals overlap"), (0.9, 0.95, "a gain")],
)
def test_absence_is_a_loss_only_where_intervals_lie_apart(low: float, high: float, verdict: str) -> None:
    rows = [("f", "none", 0.6, 0.5, 0.7), ("f", "image-absent", (low + high) / 2, low, high)]
    table = pd.DataFrame(rows, columns=["experiment", "condition", "accuracy", "low", "high"])

    (sentence,) = view.absence_findings(table, ["f"], _said)

    assert verdict in sentence


def test_a_pair_on_several_axes_is_compared_once(built: Path) -> None:
    compared, expected = view.by_chance(ablation_of(open_city("miniature", built)))

    # mid, late; of the fusions the bottleneck; orthogonal; streams: pretrained, convlstm; pretraining: the same
    # pretrained against vit; merged; dropout.
    assert (compared, expected) == (8, pytest.approx(0.4))


def test_charts_begin_with_what_the_axis_is_about() -> None:
    assert view.first_lines(["a", "b", "c", "d", "e", "f"], ["f", "x"]) == ["f", "a", "b", "c", "d"]
