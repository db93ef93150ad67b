"""The frame in a real browser: languages, navigation, base path, a phone."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import run_server
from tests.browser.mapping import wait_for_map
from tests.miniature import cells

pytestmark = pytest.mark.browser

CELL = f"{int(cells()[9]):x}"
PAGES = {
    "Overview": "概览",
    "Activity map": "信令活动",
    "Predict": "区域预测",
    "Compare": "单模态与融合",
    "Ablation": "消融",
}


def test_the_browser_s_language_is_the_first(open_page, server) -> None:
    page, _ = open_page(server, "/activity_map?city=miniature", locale="zh-CN")

    expect(page.get_by_role("heading", name="信令活动")).to_be_visible()


def test_every_page_opens_and_the_choice_goes_along(open_page, server) -> None:
    page, _ = open_page(server, f"/activity_map?city=miniature&cell={CELL}&hour=2021-07-28T09Z&lang=zh")

    for name in [*list(PAGES.values())[2:], PAGES["Overview"], PAGES["Activity map"]]:
        page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
        expect(page.get_by_test_id("stSidebarNavLink").filter(has_text=name)).to_have_attribute("aria-current", "page")
        expect(page.locator("h1").first).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        page.wait_for_url(re.compile(f"city=miniature.*cell={CELL.rstrip('f')}.*hour=2021-07-28T09Z"))

    expect(page.locator(".st-key-cell_card")).to_contain_text(CELL)


def test_a_base_path_goes_before_everything(open_page, data_folder, tmp_path) -> None:
    with run_server(data_folder, tmp_path / "server.log", base="fusion") as server:
        page, watch = open_page(server, f"/activity_map?city=miniature&cell={CELL}")
        wait_for_map(page)

        expect(page.locator(".st-key-cell_card")).to_contain_text(CELL)
        ours = [url for url in watch.requests if "/tiles/" in url or "/api/" in url]
        assert any("/api/miniature/activity" in url for url in ours)
        assert any(".png" in url for url in ours)
        assert all(url.startswith(f"{server.url}/") for url in ours)


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page, server) -> None:
    page, _ = open_page(server, f"/activity_map?city=miniature&cell={CELL}", size=(390, 844))
    wait_for_map(page)

    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 390
    top = page.get_by_test_id("stDeckGlJsonChart").bounding_box()["y"]
    assert top < 700, "the map is below the first screen"
