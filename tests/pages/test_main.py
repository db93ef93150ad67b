"""The frame: navigation, languages, cities, what the address bar says and keeps."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.miniature import build_miniature, cells

ROOT = Path(__file__).resolve().parents[2]
CELL = f"{int(cells()[9]):x}"


def said(app: AppTest) -> str:
    """Everything that a page says in words."""
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_without_a_city_every_page_says_how_to_make_one(open_page) -> None:
    app = open_page("activity_map")

    assert "no city yet" in said(app)
    assert "python -m fusion demo" in said(app)


def test_the_browser_s_language_comes_first_and_a_link_before_it(open_page, miniature_city) -> None:
    chinese = open_page("activity_map", lang="zh")

    assert chinese.title[0].value == "信令活动"
    assert chinese.session_state["lang"] == "zh"


def test_the_switcher_changes_language_and_address(open_page, miniature_city) -> None:
    app = open_page("activity_map")

    app.segmented_control(key="lang_choice").set_value("zh").run()

    assert app.title[0].value == "信令活动"
    assert app.query_params["lang"] in ("zh", ["zh"])


def test_another_city_lets_cell_and_hour_go(open_page, data_root: Path) -> None:
    build_miniature(data_root)
    build_miniature(data_root, "second", functions=False)
    app = open_page("activity_map", city="miniature", cell=CELL, hour="2021-07-28T09Z")
    assert app.session_state["cell"] == int(CELL, 16)

    app.selectbox(key="city_choice").set_value("second").run()

    assert app.session_state["city"] == "second"
    assert "cell" not in app.session_state
    assert app.query_params["city"] in ("second", ["second"])
    assert "cell" not in app.query_params


def test_choices_survive_a_click_in_the_navigation(open_page, miniature_city) -> None:
    app = open_page("activity_map", city="miniature", cell=CELL, hour="2021-07-28T09Z")

    app.query_params.clear()
    app.switch_page("overview.py").run()

    assert app.session_state["cell"] == int(CELL, 16)
    assert app.query_params["cell"] in (CELL.rstrip("f"), [CELL.rstrip("f")])
    assert app.query_params["hour"] in ("2021-07-28T09Z", ["2021-07-28T09Z"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"city": "atlantis"}, "names the city atlantis"),
        ({"cell": "zebra"}, "'zebra"),
        ({"hour": "noon"}, "names the hour noon"),
    ],
)
def test_a_link_to_nothing_is_said_and_the_page_opens(open_page, miniature_city, query: dict, message: str) -> None:
    app = open_page("activity_map", **query)

    assert message in "\n".join(error.value for error in app.error)
    assert app.title[0].value == "Activity map"


def test_two_cities_of_one_title_do_not_read_alike(open_page, data_root: Path) -> None:
    build_miniature(data_root)
    build_miniature(data_root, "twin")

    options = open_page("activity_map").selectbox(key="city_choice").options

    assert len(set(options)) == 2


def test_a_synthetic_city_is_called_so(open_page, miniature_city) -> None:
    assert "invented" in said(open_page("activity_map"))


def _texts_said() -> dict[str, Path]:
    """Every text that pages hand to `t(...)`."""
    found = {}
    for path in sorted((ROOT / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t" and node.args:
                texts = [part for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                found |= {part.value: path for part in texts if isinstance(part.value, str)}
    return found


def test_every_text_has_a_chinese_one_with_the_same_places() -> None:
    from string import Formatter

    from pages.ui.language import catalogue

    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    missing = {text: path.name for text, path in _texts_said().items() if text not in catalogue()}
    assert not missing
    assert not [text for text, chinese in catalogue().items() if places(text) != places(chinese)]


def test_no_text_is_translated_twice() -> None:
    seen: dict[str, str] = {}
    for path in sorted((ROOT / "pages" / "ui" / "texts").glob("*.toml")):
        for text in tomllib.loads(path.read_text(encoding="utf-8")):
            assert text not in seen, f"{text!r} is in {seen.get(text)} and in {path.name}"
            seen[text] = path.name


def test_only_predict_needs_torch(tmp_path: Path) -> None:
    """Start-up rests on it: torch and timm take seconds to import."""
    build_miniature(tmp_path)
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "pages" / "main.py")!r}, default_timeout=60).run()
for page in ("overview", "activity_map", "compare", "ablation", "data"):
    app.switch_page(page + ".py").run()
    assert not app.exception, app.exception
    print(page, sorted({{"torch", "timm", "lightning", "torchvision"}} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "FUSION_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )

    shown = result.stdout.split("\n")[:5]
    assert shown == ["overview []", "activity_map []", "compare []", "ablation []", "data []"], result.stderr
