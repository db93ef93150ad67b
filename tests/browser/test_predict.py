"""Predict in a real browser: click, predict, download, change the language."""

import csv
import io
import json

import pytest
from playwright.sync_api import Page, expect

from fusion.charts.maps import view_of_bounds
from fusion.city import City, open_city
from fusion.classes import IDS
from fusion.extract.build import build_samples
from fusion.geo import grid
from tests.browser.mapping import click_cell, wait_for_map
from tests.mini_runs import write_checkpoint, write_runs
from tests.miniature import CENTRE, cells

pytestmark = pytest.mark.browser

MIDDLE = int(grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0])
BESIDE = int(grid.ring(MIDDLE, 1)[0])


@pytest.fixture(scope="module")
def city(data_folder) -> City:
    """The miniature city with the checkpoints of untrained networks, three of one fold."""
    city = open_city("miniature", data_folder)
    samples = build_samples(city)
    for folder in write_runs(city, {"vit": 0.5, "convlstm-transformer": 0.5, "vit+convlstm-bottleneck": 0.6}, folds=3):
        if "-f0of3" in folder.name:
            write_checkpoint(folder, samples.meta)
    return city


def go(page: Page) -> None:
    page.locator(".st-key-predict_go button").click()
    expect(page.get_by_role("heading", name="Region by region")).to_be_visible(timeout=120_000)


def download(page: Page, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.locator(f".st-key-predict_download_{label} button").click()
    return waiting.value.path().read_bytes()


def click_result(page: Page, cell: int) -> None:
    """Click the middle of the result map, where that cell lies, until its card comes first."""
    chart = page.get_by_test_id("stDeckGlJsonChart").nth(1)
    chart.scroll_into_view_if_needed()
    first = page.locator("[class*='st-key-card_']").first
    for _ in range(4):
        page.wait_for_timeout(2500)  # a software renderer needs its time before it can tell what was hit
        box = chart.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for _ in range(16):
            page.wait_for_timeout(500)
            if grid.to_hex([cell])[0] in (first.get_attribute("class") or ""):
                return
    raise AssertionError("no click on the result was taken")


def test_clicked_cells_are_predicted_downloaded_and_kept_in_another_language(open_page, server, city: City) -> None:
    page, _ = open_page(server, "/predict?city=miniature&lang=en")
    wait_for_map(page)
    view = view_of_bounds(city.info.bounds)
    click_cell(page, MIDDLE, view)
    click_cell(page, BESIDE, view)
    expect(page.get_by_text("2 of 37 cells chosen")).to_be_visible()

    click_cell(page, BESIDE, view)  # a second click lets it go
    expect(page.get_by_text("1 of 37 cells chosen")).to_be_visible()
    click_cell(page, BESIDE, view)
    expect(page.get_by_text("2 of 37 cells chosen")).to_be_visible()

    go(page)

    content = download(page, "CSV")
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert {row["id"] for row in rows} == set(grid.to_hex([MIDDLE, BESIDE]))
    for row in rows:
        probabilities = {id_: float(row[f"p_{id_}"]) for id_ in IDS}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == max(probabilities, key=probabilities.get)
        assert float(row["confidence"]) == pytest.approx(max(probabilities.values()), abs=1e-5)
        assert row["provenance"] == "synthetic"
        assert row["predicted_image"] in IDS
        assert row["predicted_signal"] in IDS
    features = json.loads(download(page, "GeoJSON"))["features"]
    assert {feature["properties"]["id"] for feature in features} == set(grid.to_hex([MIDDLE, BESIDE]))

    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_role("heading", name="逐个区域")).to_be_visible()
    expect(page.get_by_text("已选 2 / 37 个单元")).to_be_visible()
    expect(page.locator(f".st-key-card_{grid.to_hex([MIDDLE])[0]}")).to_be_visible()


def test_a_link_brings_its_cells_and_a_new_choice_marks_the_result_as_old(open_page, server, city: City) -> None:
    inner = grid.disk(MIDDLE, 1)
    assert inner[0] != MIDDLE  # it would come first without a click
    link = ".".join(text.rstrip("f") for text in grid.to_hex(inner))
    page, _ = open_page(server, f"/predict?city=miniature&lang=en&cells={link}")
    expect(page.get_by_text("7 of 37 cells chosen")).to_be_visible()

    go(page)
    expect(page.locator("[class*='st-key-card_']")).to_have_count(3)
    expect(page.get_by_text("This result is of")).to_have_count(0)

    click_result(page, MIDDLE)

    page.locator(".st-key-predict_how").get_by_text("All", exact=True).click()
    page.locator(".st-key-predict_all button").click()

    expect(page.get_by_text(f"{len(cells())} of 37 cells chosen")).to_be_visible()
    expect(page.get_by_text("This result is of another choice of cells")).to_be_visible()
