"""Overview through the main script."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import open_city
from fusion.serving.comparison import compare_runs
from pages.views.formats import interval, percent, points
from tests.mini_runs import write_runs
from tests.miniature import HOURS, build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("overviewed")
    write_runs(build_miniature(root))
    build_miniature(root, "no-runs")
    build_miniature(root, "only-activity", imagery=False, functions=False)
    build_miniature(root, "only-labels", activity=False, imagery=False)
    write_runs(build_miniature(root, "half-run"), {"vit": 0.5})
    return root


@pytest.fixture(scope="module")
def shown(built: Path) -> dict[tuple[str, str], AppTest]:
    """Every city in both languages, opened once; read only."""
    names = ("miniature", "no-runs", "only-activity", "only-labels", "half-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_DATA", str(built))
        return {(name, lang): open_page("overview", name, lang) for name in names for lang in LANGUAGES}


def test_the_page_stands_on_every_city_in_both_languages(shown: dict[tuple[str, str], AppTest]) -> None:
    for app in shown.values():
        assert_whole(app)


def test_it_says_what_the_city_is(shown: dict[tuple[str, str], AppTest]) -> None:
    app = shown["miniature", "en"]

    metrics = {metric.label: metric.value for metric in app.metric}
    assert app.title[0].value == "Miniature"
    assert metrics["Cells"] == "37"
    assert metrics["Hours with data"] == f"{HOURS - 1} / {HOURS}"
    assert metrics["Labelled cells"] == "9"
    said = texts(app)
    for expected in ("synthetic", "2021-07-28 – 2021-07-31", "made up for tests", "2021-07-31", "testing begins"):
        assert expected in said


def test_it_speaks_chinese(shown: dict[tuple[str, str], AppTest]) -> None:
    app = shown["miniature", "zh"]

    assert app.title[0].value == "小样"
    assert "开始检测" in texts(app)
    assert "单元数" in {metric.label for metric in app.metric}


def test_the_headline_is_what_compare_computes(built: Path, shown: dict[tuple[str, str], AppTest]) -> None:
    best = compare_runs(open_city("miniature", built)).headline()
    assert best is not None

    app = shown["miniature", "en"]

    values = [metric.value for metric in app.metric]
    assert percent(best["fusion"]["accuracy"]) in values
    assert percent(best["unimodal"]["accuracy"]) in values
    assert points(best["paired"]["difference"]) in values
    assert interval(best["fusion"]["low"], best["fusion"]["high"]) in texts(app)
    assert "Ceilings on the same cells" in texts(app)


def test_what_is_missing_is_said_with_the_command_that_brings_it(shown: dict[tuple[str, str], AppTest]) -> None:
    said = texts(shown["only-activity", "en"])

    assert "python -m fusion ingest imagery FILES --city only-activity" in said
    assert "python -m fusion ingest functions FILE --city only-activity" in said
    assert "none can be yet" in said
    assert "python -m fusion ingest signaling" in texts(shown["only-labels", "en"])
    assert "python -m fusion train" in texts(shown["no-runs", "en"])
    assert "not both been run" in texts(shown["half-run", "en"])


def test_no_city_at_all_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))

    for page in ("overview", "predict", "compare"):
        app = open_page(page, "none")
        assert not app.exception
        assert "python -m fusion demo" in texts(app)


def test_overview_and_compare_do_not_wait_for_torch(built: Path) -> None:
    script = (
        "import sys; from tests.pages.apptest import open_page, assert_whole;"
        "[assert_whole(open_page(page, 'miniature')) for page in ('overview', 'compare')];"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "FUSION_DATA": str(built)},
    )
    assert done.stdout.strip() == "False"
