"""Compare in a real browser: every chart and the map are drawn, the figures can be taken along."""

import csv
import io

import pytest
from playwright.sync_api import expect

from fusion.city import City, open_city
from fusion.serving.comparison import compare_runs
from tests.browser.mapping import wait_for_map
from tests.mini_runs import CORE, write_runs

pytestmark = pytest.mark.browser

ROWS = {**CORE, "vit-pretrained+bilstm-late": 0.68}


@pytest.fixture(scope="module")
def city(data_folder) -> City:
    """The tiny synthetic city with six rows, the one more that a declared contrast needs, and one on random folds."""
    city = open_city("zhengzhou-demo", data_folder)
    write_runs(city, ROWS)
    write_runs(city, {"vit": 0.7}, fold_kind="random")
    return city


def test_charts_and_map_are_drawn_and_the_table_comes_along(open_page, server, city: City) -> None:
    page, _ = open_page(server, "/compare?city=zhengzhou-demo&lang=en")

    accuracy = page.locator(".st-key-compare_accuracy")
    # what others reported stands elsewhere; other files of this folder may have left runs in the city
    rows = len(compare_runs(city).accuracy)
    assert rows >= len(ROWS)
    expect(accuracy.locator(".scatterlayer .point")).to_have_count(rows)
    expect(accuracy.locator(".annotation")).to_have_count(5)  # a label a ceiling
    for key in ("contrasts", "classes", "confusion", "reliability", "cost", "flattery", "reported"):
        chart = page.locator(f".st-key-compare_{key} .main-svg").first
        chart.scroll_into_view_if_needed()
        expect(chart).to_be_visible()

    page.get_by_text("Table", exact=True).first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").first.click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text(encoding="utf-8-sig"))))
    shown = {row["experiment"]: float(row["accuracy"]) for row in rows if row["kind"] == "measured"}
    expected = compare_runs(city).accuracy.set_index("experiment")["accuracy"].to_dict()
    assert shown == pytest.approx(expected)

    page.get_by_test_id("stDeckGlJsonChart").scroll_into_view_if_needed()
    wait_for_map(page)


def test_it_fits_a_phone_in_chinese(open_page, server, city: City) -> None:
    page, _ = open_page(server, "/compare?city=zhengzhou-demo&lang=zh", size=(390, 844))

    expect(page.get_by_role("heading", name="单模态与融合")).to_be_visible()
    expect(page.locator(".st-key-compare_accuracy .main-svg").first).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
