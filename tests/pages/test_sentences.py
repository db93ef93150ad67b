"""Sentences of the library on Chinese pages: each is one that the library says, and each that it says has one."""

import ast
import re
from pathlib import Path

import pytest

from fusion.ingest.datumguess import REASONS
from pages.ui import language, sentences

ROOT = Path(__file__).resolve().parents[2]
# What a page can meet: other parts of the library raise what only a command line or a programmer can bring about.
ON_PAGES = ("ingest", "geo")
PLACE = re.compile(r"(\{\w*\})+")  # what is filled in, be it of several parts


def template_of(node: ast.expr) -> str | None:
    """Return a text or f-string of the source with `{}` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
        return PLACE.sub("{}", "".join(parts))
    return None


def trees(folder: str = "") -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "fusion" / folder).rglob("*.py"))]


def test_every_sentence_is_one_of_the_library() -> None:
    known = {template_of(node) for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.expr)}

    assert not [text for text in sentences.sentences() if PLACE.sub("{}", text) not in known]


@pytest.mark.parametrize("folder", ON_PAGES)
def test_every_error_that_a_page_can_meet_is_said_in_chinese(folder: str) -> None:
    known = {PLACE.sub("{}", text) for text in sentences.sentences()}
    raised = [
        template_of(node.exc.args[0])
        for tree in trees(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
        and getattr(node.exc.func, "id", "") in ("InputError", "CityError", "ConfigError", "NoRowsError")
    ]  # fmt: skip

    assert not [text for text in raised if text is not None and text not in known]


def test_every_reason_for_a_datum_is_said_in_chinese() -> None:
    assert set(REASONS) <= set(sentences.sentences())


def test_the_chinese_fills_in_what_the_english_does() -> None:
    for text, said in sentences.sentences().items():
        assert set(re.findall(r"\{\w+\}", said)) <= set(re.findall(r"\{\w+\}", text)), text
        assert not re.search(r"[:;,] ", said), said


def test_a_sentence_within_a_sentence() -> None:
    reason = "Too few places to tell the datum."
    line = f"the coordinates look like gcj02, not wgs84: {reason}"

    assert sentences.chinese(line) == f"坐标看起来是 gcj02，而非 wgs84：{sentences.sentences()[reason]}"


def test_the_most_particular_sentence_is_taken_and_an_unknown_one_stays() -> None:
    line = "people: 3 cells repeat one value for 24 hours and more"
    assert sentences.chinese(line).startswith("people：3 个单元连续 24")
    assert sentences.chinese("something else entirely") == "something else entirely"


@pytest.mark.parametrize(("lang", "words"), [("en", "only 5% of the cells"), ("zh", "只有 5% 有信令")])
def test_a_page_says_a_line_of_the_library_in_its_language(monkeypatch, lang: str, words: str) -> None:
    monkeypatch.setattr(language, "current", lambda: lang)

    assert words in language.t("only 5% of the cells with a function have signaling")
