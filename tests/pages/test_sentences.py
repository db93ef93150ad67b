"""Sentences of the library on Chinese pages: each is one that the library says, and each that it says has one."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeGuard

import pandas as pd
import pytest

from fusion.city import open_city
from fusion.cityinfo import check_name
from fusion.errors import FusionError
from fusion.geo.datum import to_wgs84
from fusion.ingest import archives
from fusion.ingest.archives import check_room
from fusion.ingest.columns import find_roles
from fusion.ingest.datumguess import REASONS
from fusion.ingest.engine import parse_memory
from fusion.ingest.exports import list_sources, open_exports
from fusion.ingest.options import SignalingOptions, read_thresholds
from fusion.ingest.presets import PRESETS
from fusion.ingest.rasters import look_at
from fusion.ingest.times import check_timezone
from fusion.ingest.vectors import read_polygons as read_vectors
from fusion.serving.regions import read_cells
from fusion.serving.releases import encode_release
from pages.ui import language, sentences

ROOT = Path(__file__).resolve().parents[2]
# What a page can meet: other parts of the library raise what only a command line or a programmer can bring about.
ON_PAGES = ("ingest", "geo", "serving", "extract", ".")
ERRORS = ("InputError", "CityError", "ConfigError", "NoRowsError", "RunError")
PLACE = re.compile(r"(\{\w*\})+")  # what is filled in, be it of several parts
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def templates_of(node: ast.expr, optional: dict[str, ast.IfExp]) -> set[str]:
    """Return a text or f-string of the source with `{}` for what is filled in: two where a part can be empty."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if not isinstance(node, ast.JoinedStr):
        return set()
    texts = {""}
    for part in node.values:
        texts = {text + more for text in texts for more in filled_in(part, optional)}
    return {PLACE.sub("{}", text) for text in texts}


def filled_in(part: ast.expr, optional: dict[str, ast.IfExp]) -> set[str]:
    if isinstance(part, ast.Constant):
        return {str(part.value)}
    value = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(value, ast.Name):
        value = optional.get(value.id, value)
    if can_be_empty(value):
        return templates_of(value.body, optional) | templates_of(value.orelse, optional)
    return {"{}"}


def can_be_empty(value: ast.expr) -> TypeGuard[ast.IfExp]:
    branches = (value.body, value.orelse) if isinstance(value, ast.IfExp) else ()
    return any(isinstance(branch, ast.Constant) and branch.value == "" for branch in branches)


def optional_of(tree: ast.Module) -> dict[str, ast.IfExp]:
    """Return the names of a module that hold a part of a sentence, or nothing."""
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and can_be_empty(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def trees(folder: str = "") -> list[ast.Module]:
    """Return the modules of a folder of the library and of those in it; `.`: only the library's own."""
    paths = (ROOT / "fusion" / folder).glob("*.py" if folder == "." else "**/*.py")
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(paths)]


def test_every_sentence_is_one_of_the_library() -> None:
    known: set[str] = set()
    for tree in trees():
        optional = optional_of(tree)
        known = known.union(*(templates_of(node, optional) for node in ast.walk(tree) if isinstance(node, ast.expr)))

    assert not [text for text in sentences.sentences() if PLACE.sub("{}", text) not in known]


@pytest.mark.parametrize("folder", ON_PAGES)
def test_every_error_that_a_page_can_meet_is_said_in_chinese(folder: str) -> None:
    known = {PLACE.sub("{}", text) for text in sentences.sentences()}
    raised = [
        text
        for tree in trees(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
        and getattr(node.exc.func, "id", "") in ERRORS
        for text in sorted(templates_of(node.exc.args[0], optional_of(tree)))
    ]  # fmt: skip

    assert raised
    assert not [text for text in raised if text not in known]


def test_no_two_sentences_are_one() -> None:
    texts = [PLACE.sub("{}", text) for text in sentences.sentences()]

    assert len(set(texts)) == len(texts)


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


def test_rows_are_counted_by_reasons_in_chinese() -> None:
    line = (
        "none of the 4 rows looked at could be taken (1 a tower that the table does not have, or has no position of, "
        "3 outside the city): check the columns, the datum and the city"
    )

    assert sentences.chinese(line) == (
        "查看的 4 行均无法采用（基站表中没有或缺少位置的基站 1 行、位于城市范围之外 3 行）：请检查列、坐标系与城市"
    )
    assert sentences.chinese("3 outside the town") == "3 outside the town"


def test_the_most_particular_sentence_is_taken_and_an_unknown_one_stays() -> None:
    line = "people: 3 cells repeat one value for 24 hours and more"
    assert sentences.chinese(line).startswith("people：3 个单元连续 24")
    assert sentences.chinese("something else entirely") == "something else entirely"


@pytest.mark.parametrize(("lang", "words"), [("en", "only 5% of the cells"), ("zh", "只有 5% 有信令")])
def test_a_page_says_a_line_of_the_library_in_its_language(monkeypatch, lang: str, words: str) -> None:
    monkeypatch.setattr(language, "current", lambda: lang)

    assert words in language.t("only 5% of the cells with a function have signaling")


def test_an_empty_chinese_text_is_said_as_it_is(monkeypatch) -> None:
    monkeypatch.setattr(language, "current", lambda: "zh")

    assert language.t(" ") == language.catalogue()[" "] == ""


def test_each_sentence_is_found_by_its_own_template() -> None:
    for text, said in sentences.sentences().items():
        values = {name: f"value{number}" for number, name in enumerate(dict.fromkeys(re.findall(r"\{(\w+)\}", text)))}

        assert sentences.chinese(text.format(**values)) == said.format(**values)


def open_export(text: str, name: str = "counts.csv", preset: str = "daas") -> Callable[[Path], object]:
    def call(folder: Path) -> object:
        (folder / name).write_text(text, encoding="utf-8")
        tables, _ = open_exports([folder / name], PRESETS[preset], SignalingOptions(), folder)
        return find_roles(tables[0], PRESETS[preset], SignalingOptions())

    return call


def look_at_text(folder: Path) -> object:
    (folder / "map.tif").write_text("no raster", encoding="utf-8")
    return look_at(folder / "map.tif")


def list_folder(*names: str) -> Callable[[Path], object]:
    def call(folder: Path) -> object:
        (folder / "in").mkdir()
        for name in names:
            (folder / "in" / name).write_bytes(b"%PDF")
        return list_sources([folder / "in"], folder)

    return call


@pytest.mark.parametrize(
    ("call", "values"),
    [
        (lambda _: check_name("Old Town"), ["'Old Town'", "zhengzhou-2021"]),
        (lambda _: check_name("a" * 65), ["a" * 65, "超过 64 个字符"]),
        (lambda folder: open_city("nowhere", folder), ["'nowhere'", "`demo`"]),
        (lambda _: parse_memory("much"), ["'much'", "800MB"]),
        (lambda _: parse_memory("1MB"), ["1MB"]),
        (lambda _: to_wgs84([113.0], [34.0], "xian80"), ["'xian80'", "gcj02"]),
        (lambda _: check_timezone("China/Zhengzhou"), ["'China/Zhengzhou'"]),
        (lambda _: read_thresholds(["5", "6"]), ["全部指标"]),
        (lambda _: read_cells("8940e1b2d2bffff nonsense", [], 9), ["'nonsense'"]),
        (lambda _: encode_release(pd.DataFrame(), ".doc"), ["'.doc'", ".parquet"]),
        (lambda folder: read_vectors(folder / "a.geojson", "grid"), ["grid a.geojson", "没有此文件"]),
        (open_export(""), ["counts.csv", "为空"]),
        (open_export("1;2\n3;4\n"), ["counts.csv", "没有表头（1,2）", "--preset milan"]),
        (open_export("1;2\n3;4\n", preset="devices"), ["counts.csv 没有表头：", "一行列名"]),
        (open_export("lon,lat,count\n113.6,34.7,5\n"), ["counts.csv", "（时间）", "lon, lat, count", "--time"]),
        (open_export("time,lon,lat,count\nA7,113.6,34.7,5\n"), ["'A7'，不是时间", "--time", "纪元毫秒"]),
        (look_at_text, ["map.tif", "GeoTIFF"]),
        (list_folder("a.pdf"), ["in 中没有可读取的文件（只有 in/a.pdf）", ".parquet"]),
        (list_folder(), ["in 中没有可读取的文件：", ".parquet"]),
        (lambda folder: check_room(folder, "a.zip"), ["a.zip", "0.0 GB"]),
        (lambda folder: check_room(folder, "a.zip", 3 << 30), ["a.zip", "3.0 GB", "0.0 GB"]),
    ],
)
def test_errors_as_they_are_raised_are_said_in_chinese(
    tmp_path: Path, monkeypatch, call: Callable[[Path], object], values: list[str]
) -> None:
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(FusionError) as raised:
        call(tmp_path)
    said = sentences.chinese(str(raised.value))

    assert said != str(raised.value)
    assert CHINESE.search(said)
    assert not [value for value in values if value not in said], said
