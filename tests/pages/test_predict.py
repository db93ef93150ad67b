"""Predict through the main script, with the weights of untrained networks: it has to show what they say."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import City, open_city
from fusion.extract.build import build_samples
from fusion.geo import grid
from fusion.serving.explanation import explain_cell
from fusion.serving.predictor import load_predictor, predict
from fusion.training.experiments import EXPERIMENTS
from pages import predict as page
from pages.ui import answers, explaining, prediction, region_picker, state
from tests.mini_runs import write_checkpoint, write_runs
from tests.miniature import MISSING_CELL, build_miniature, cells
from tests.pages.apptest import LANGUAGES, assert_whole, go, open_page, texts

# with a learned token for an absent modality: only such a model can say what each modality gave
WITH_TOKENS = next(row.name for row in EXPERIMENTS.values() if row.network.absent_tokens)
MODELS = {"vit": 0.5, "convlstm-transformer": 0.5, "vit+convlstm-bottleneck": 0.6, WITH_TOKENS: 0.55}
SEVEN = tuple(grid.disk(int(grid.cells_at([113.65], [34.75], 9)[0]), 1).tolist())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("predicted")
    city = build_miniature(root)
    samples = build_samples(city)
    for folder in write_runs(city, MODELS, folds=3):
        if "-f0of3" in folder.name:
            write_checkpoint(folder, samples.meta)
    build_miniature(root, "no-runs")
    build_miniature(root, "no-imagery", imagery=False)
    build_miniature(root, "no-activity", activity=False)
    write_runs(build_miniature(root, "results-only"), {"vit": 0.5})
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(built, tmp_path / "data")
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def city(root: Path) -> City:
    return open_city("miniature", root)


def _choose(app: AppTest, chosen: tuple[int, ...]) -> AppTest:
    app.session_state[state.REGION] = tuple(sorted(chosen))
    return app.run()


def _go(app: AppTest) -> AppTest:
    return app.button(key=page.GO).click().run()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_city_lacks_is_said(root: Path, lang: str) -> None:
    said = {}
    for name in ("no-runs", "no-imagery", "no-activity", "results-only"):
        app = open_page("predict", name, lang)
        assert_whole(app)
        said[name] = texts(app)

    if lang == "en":
        assert "No model was trained on this city yet." in said["no-runs"]
        assert "this city has no imagery" in said["no-imagery"]
        assert "this city has no signaling" in said["no-activity"]
        assert "no run of this city has its weights" in said["results-only"]
    else:
        assert "没有影像" in said["no-imagery"]
        assert "没有任何带权重" in said["results-only"]


def test_nothing_runs_without_a_choice(city: City) -> None:
    app = open_page("predict", city.name)

    assert_whole(app)
    assert app.button(key=page.GO).disabled
    assert app.selectbox(key=prediction.DEVICE).value == "auto"
    assert "auto: cpu here" in app.selectbox(key=prediction.DEVICE).options


def test_a_prediction_is_the_checkpoints_own_side_by_side_and_outlives_language_and_page(city: City) -> None:
    app = _go(_choose(open_page("predict", city.name), SEVEN))

    assert_whole(app)
    answer = app.session_state[answers.ANSWER]
    folders = {folder.name.split("-s0")[0]: folder for folder in city.run_folders() if "-f0of3" in folder.name}
    for side, name in (("image", "vit"), ("signal", "convlstm-transformer"), ("fusion", "vit+convlstm-bottleneck")):
        expected = predict(city, folders[name], np.array(sorted(SEVEN), dtype=np.uint64), device="cpu")
        columns = [name for name in expected if name.startswith("p_")]
        assert answer.probabilities[side] == pytest.approx(expected[columns].to_numpy(), abs=1e-5)
        if side == "fusion":
            assert answer.table["predicted"].tolist() == expected["predicted"].tolist()
    assert answer.device == "cpu"

    app.segmented_control(key="lang_choice").set_value("zh").run()
    assert_whole(app)
    assert "结果" in [element.value for element in app.subheader]
    assert app.session_state[answers.ANSWER] is answer

    go(go(app, "compare"), "predict")
    assert "结果" in [element.value for element in app.subheader]


def test_an_old_result_never_passes_for_a_new_one(city: City) -> None:
    app = _go(_choose(open_page("predict", city.name), SEVEN))
    assert not [warning for warning in app.warning if "This result is of" in warning.value]

    _choose(app, SEVEN[:3])
    assert "This result is of another choice of cells" in texts(app)

    app.selectbox(key="city_choice").select("no-runs").run()
    assert_whole(app)
    assert "Result" not in [element.value for element in app.subheader]


def test_the_chosen_model_alone_when_so_asked(city: City) -> None:
    app = _choose(open_page("predict", city.name), SEVEN)
    app.toggle(key=prediction.SIDES).set_value(False)

    _go(app)

    assert list(app.session_state[answers.ANSWER].sides) == ["fusion"]
    assert "Image only" in texts(app)  # named as not asked


def test_cells_without_a_sample_are_listed_not_dropped(root: Path, city: City) -> None:
    samples = build_samples(city)
    outside = int(grid.cells_at([113.9], [34.9], 9)[0])
    app = _go(_choose(open_page("predict", city.name), (*SEVEN, outside)))

    table = app.session_state[answers.ANSWER].table
    assert len(samples) == 37
    assert table["covered"].tolist().count(False) == 1
    lost = next(frame.value for frame in app.dataframe if list(frame.value.columns) == ["id", "lon", "lat"])
    assert lost["id"].tolist() == [f"{outside:x}"]


def test_only_uncovered_cells_give_a_clear_line(city: City) -> None:
    app = _go(_choose(open_page("predict", city.name), (int(grid.cells_at([113.9], [34.9], 9)[0]),)))

    assert_whole(app)
    assert "None of these cells can be predicted." in texts(app)


def test_the_table_says_true_class_and_part(city: City) -> None:
    app = _go(_choose(open_page("predict", city.name), tuple(cells().tolist())))

    table = next(frame.value for frame in app.dataframe if "part" in frame.value)
    assert len(table) == 37
    assert (table["true"] != "–").sum() == 9
    # Nine labels make no folds: nobody can say what these cells were to the run, and the page says so.
    assert set(table["part"]) == {"part unknown"}
    assert "nobody can tell" in texts(app)


@pytest.mark.parametrize("break_", ["torn", "version"])
def test_a_checkpoint_that_cannot_be_used_gives_one_line(city: City, break_: str) -> None:
    for folder in city.run_folders():
        card = folder / "model.json"
        if card.is_file() and break_ == "torn":
            (folder / "model.safetensors").write_bytes(b"nothing")
        elif card.is_file():
            card.write_text(json.dumps({**json.loads(card.read_text()), "model_version": 0}))

    app = _go(_choose(open_page("predict", city.name), SEVEN))

    assert not app.exception
    assert len(app.error) == 1
    assert "train" in app.error[0].value
    assert "\n" not in app.error[0].value


def test_stale_runs_are_marked_and_come_last(city: City) -> None:
    for folder in city.run_folders():
        if folder.name.startswith("vit+"):
            path = folder / "run.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "city_fingerprint": "older"}))

    app = open_page("predict", city.name)

    options = app.selectbox(key=prediction.RUN).options
    assert "out of date" in options[-1]
    assert "out of date" not in options[0]


def test_the_runs_own_test_cells_can_be_chosen(city: City) -> None:
    app = open_page("predict", city.name)

    app.button(key=prediction.TESTED).click().run()

    folder = next(one for one in city.run_folders() if one.name == app.selectbox(key=prediction.RUN).value)
    tested = pd.read_parquet(folder / "predictions.parquet")["id"]
    assert set(app.session_state[state.REGION]) == {int(id_, 16) for id_ in tested}


def test_choosing_by_ring_list_and_all(city: City) -> None:
    app = open_page("predict", city.name)
    centre = grid.to_hex([cells()[MISSING_CELL]])[0]

    app.segmented_control(key=region_picker.HOW).set_value("ring").run()
    app.text_input(key=region_picker.RING_CELL).input(centre)
    app.slider(key=region_picker.RING_K).set_value(1)
    app.button(key="predict_ring").click().run()
    around = set(grid.disk(int(centre, 16), 1).tolist()) & set(cells().tolist())
    assert set(app.session_state[state.REGION]) == around

    app.segmented_control(key=region_picker.HOW).set_value("list").run()
    app.text_area(key=region_picker.LIST).input(" ".join(grid.to_hex(cells()[:2])))
    app.toggle(key=region_picker.ADD).set_value(True)
    app.button(key="predict_listed").click().run()
    assert set(app.session_state[state.REGION]) == around | set(cells()[:2].tolist())

    app.text_area(key=region_picker.LIST).input("nonsense")
    app.button(key="predict_listed").click().run()
    assert "not an H3 cell" in app.error[0].value
    assert set(app.session_state[state.REGION]) == around | set(cells()[:2].tolist())

    app.segmented_control(key=region_picker.HOW).set_value("all").run()
    app.button(key="predict_all").click().run()
    assert app.session_state[state.REGION] == tuple(cells().tolist())

    app.button(key="predict_clear").click().run()
    assert app.session_state[state.REGION] == ()


def test_choosing_by_polygon(city: City) -> None:
    app = open_page("predict", city.name)
    app.segmented_control(key=region_picker.HOW).set_value("polygon").run()
    west, south, east, north = city.info.bounds
    middle = (west + east) / 2
    ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
    document = json.dumps({"type": "Polygon", "coordinates": [ring]}).encode()

    app.file_uploader(key=region_picker.POLYGON).upload("half.geojson", document).run()
    app.button(key="predict_inside").click().run()

    assert_whole(app)
    lon, _ = grid.centres(cells())
    assert 10 < len(app.session_state[state.REGION]) < 30
    assert set(app.session_state[state.REGION]) <= set(cells()[lon <= middle].tolist())


def _explained(city: City, experiment: str | None = None) -> AppTest:
    """Predict three cells with a model, by default the page's own choice, and ask why of the first."""
    app = _choose(open_page("predict", city.name), SEVEN[:3])
    app.toggle(key=prediction.SIDES).set_value(False)
    if experiment is not None:
        run = next(f.name for f in city.run_folders() if f.name.startswith(f"{experiment}-s0-f0of3"))
        app.selectbox(key=prediction.RUN).set_value(run)
    _go(app)
    return _ask(app)


def _ask(app: AppTest) -> AppTest:
    return app.toggle(key=explaining.toggle_key(_first(app))).set_value(True).run()


def _first(app: AppTest) -> str:
    return str(app.session_state[answers.ANSWER].table["id"].iloc[0])


def test_an_explanation_is_drawn_when_asked_for_and_worked_out_once(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked = []
    monkeypatch.setattr(prediction, "explain_cell", lambda *args: worked.append(args) or explain_cell(*args))

    app = _explained(city, WITH_TOKENS)

    assert_whole(app)
    said = texts(app)
    for heading in ("Where the ViT looked", "Which hours mattered", "What each modality gave"):
        assert said.count(f"**{heading}**") == 1  # the other two regions were not asked about
    assert "proves no cause" in said
    assert "Left out:" in said  # bottlenecks take a part of the attention
    folder = next(f for f in city.run_folders() if f.name == app.session_state[answers.ANSWER].question.run)
    expected = explain_cell(load_predictor(folder, "cpu"), build_samples(city), _first(app))
    assert f"with both blanked {expected.shapley.nothing * 100:.1f}" in said
    table = next(frame.value for frame in app.dataframe if list(frame.value.columns) == ["part", "item", "value"])
    np.testing.assert_allclose(table["value"], expected.to_table()["value"], atol=1e-6)

    app.segmented_control(key="lang_choice").set_value("zh").run()
    assert_whole(app)
    assert "**ViT 看了哪里**" in texts(app)
    assert len(worked) == 1

    app.toggle(key=explaining.toggle_key(_first(app))).set_value(False).run()
    assert "ViT 看了哪里" not in texts(app)


def test_a_model_without_modality_dropout_says_how_to_get_one(city: City) -> None:
    app = _explained(city)

    assert_whole(app)
    said = texts(app)
    assert "**Which hours mattered**" in said
    assert "not trained with modality dropout" in said
    assert f"python -m fusion train {WITH_TOKENS} --city {city.name}" in said
    assert "Exact Shapley values" not in said


def test_a_model_of_one_modality_says_what_it_does_not_read(city: City) -> None:
    said = texts(_explained(city, "vit"))

    assert "proves no cause" in said
    assert "This model reads no signaling." in said
    assert "This model reads one modality only" in said


def test_an_answer_of_older_data_is_not_explained_by_newer(city: City) -> None:
    app = _explained(city)
    answer = app.session_state[answers.ANSWER]
    older = dataclasses.replace(answer.question, city_fingerprint="older")
    app.session_state[answers.ANSWER] = dataclasses.replace(answer, question=older)

    app.run()

    assert "data changed since this answer" in texts(app)
    assert "Which hours mattered" not in texts(app)


def test_a_run_that_is_gone_gives_one_line(city: City) -> None:
    app = _choose(open_page("predict", city.name), SEVEN[:1])
    app.toggle(key=prediction.SIDES).set_value(False)
    _go(app)
    shutil.rmtree(city.runs / app.session_state[answers.ANSWER].question.run)

    _ask(app)

    assert not app.exception
    assert len(app.error) == 1
    assert "no longer there" in app.error[0].value
