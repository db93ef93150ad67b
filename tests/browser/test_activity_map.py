"""The activity map in a real browser with WebGL."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from fusion.charts.maps import View, view_of_bounds
from fusion.city import open_city
from fusion.geo import grid
from tests.browser.mapping import click_cell, ink_centre, picture, place, wait_for_map
from tests.miniature import CENTRE, cells

pytestmark = pytest.mark.browser

# Numbers of cells: the smallest reported count, the largest, the one in the middle and a neighbour of that.
LOW, HIGH = 1, 36
MIDDLE = int(np.searchsorted(cells(), grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0]))
BESIDE = int(np.searchsorted(cells(), grid.ring(int(cells()[MIDDLE]), 1)[0]))


def hex_of(number: int) -> str:
    return grid.to_hex([cells()[number]])[0]


def opening(server, name: str = "miniature") -> View:
    return view_of_bounds(open_city(name, server.data).info.bounds)  # as the page does on a desktop


def card(page: Page):
    return page.locator(".st-key-cell_card")


def test_tiles_and_cells_are_drawn_in_the_legend_s_colours(open_page, server) -> None:
    page, watch = open_page(server, "/activity_map?city=miniature&hour=2021-07-28T04Z")
    wait_for_map(page)

    shown, view = picture(page), opening(server)
    low, high = (
        shown[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5].reshape(-1, 3).mean(axis=0)
        for x, y in (place(page, int(cells()[number]), view) for number in (LOW, HIGH))
    )
    assert low[1] > high[1] + 60, "the smallest count is not paler than the largest"
    assert high[0] > high[1] + 60, "the largest count is not red"
    # Beside the cells the stripes of the image show, whose bands differ by 80.
    west = shown[:, 40:60].astype(float).mean(axis=1)
    assert np.ptp(west[:, 0]) > 30, "no imagery below the cells"
    assert any("/tiles/miniature/" in url and url.split("?")[0].endswith(".png") for url in watch.requests)


def test_a_click_chooses_that_cell_and_hour_and_zoom_keep_it(open_page, server) -> None:
    page, _ = open_page(server, "/activity_map?city=miniature&hour=2021-07-28T04Z")
    wait_for_map(page)
    view = opening(server)

    click_cell(page, int(cells()[MIDDLE]), view)

    expect(card(page)).to_contain_text(hex_of(MIDDLE))
    expect(card(page)).to_contain_text(f"{10 * (MIDDLE + 1) + 12}")
    expect(page.get_by_role("heading", name=f"Cell {hex_of(MIDDLE)}, 96 hours")).to_be_visible()
    assert f"cell={hex_of(MIDDLE).rstrip('f')}" in page.url

    page.locator(".mapboxgl-ctrl-zoom-in").click()
    page.mouse.move(2, 2)
    wait_for_map(page)
    before = ink_centre(picture(page))
    expected = place(page, int(cells()[MIDDLE]), View(view.lon, view.lat, view.zoom + 1))
    assert np.allclose(before, expected, atol=4)

    page.get_by_role("button", name="chevron_right icon").click()
    expect(card(page)).to_contain_text(f"{10 * (MIDDLE + 1) + 13}")
    wait_for_map(page)
    assert np.allclose(ink_centre(picture(page)), before, atol=2), "the view moved with the hour"
    assert "hour=2021-07-28T05Z" in page.url

    click_cell(page, int(cells()[BESIDE]), View(view.lon, view.lat, view.zoom + 1))
    expect(card(page)).to_contain_text(hex_of(BESIDE))
    expect(card(page)).not_to_contain_text(hex_of(MIDDLE))


def test_hours_play_and_rest(open_page, server) -> None:
    page, _ = open_page(server, "/activity_map?city=zhengzhou-demo&hour=2021-07-28T04Z")
    wait_for_map(page)

    page.get_by_text("Play", exact=True).click()

    expect(page.get_by_text("Wed 28 Jul 2021, 15:00").first).to_be_visible()  # three hours on
    page.get_by_text("Pause", exact=True).click()
    expect(page.get_by_text("Play", exact=True)).to_be_visible()
    page.wait_for_timeout(2000)
    rested = page.locator(".st-key-hour_slider").inner_text()
    page.wait_for_timeout(3000)
    assert page.locator(".st-key-hour_slider").inner_text() == rested


def test_a_deep_link_opens_and_the_language_switches(open_page, server) -> None:
    link = f"/activity_map?city=miniature&cell={hex_of(5)}&hour=2021-07-29T04Z&lang=en"
    page, _ = open_page(server, link, locale="zh-CN")

    expect(page.get_by_role("heading", name="Activity map")).to_be_visible()
    expect(card(page)).to_contain_text(hex_of(5))
    expect(card(page)).to_contain_text("72")  # 10 * (5 + 1) + 12
    expect(page.get_by_text("Thu 29 Jul 2021, 12:00").first).to_be_visible()

    page.get_by_text("Against the usual hour", exact=True).click()
    expect(page.get_by_text("People against the usual hour")).to_be_visible()
    page.get_by_text("中文", exact=True).click()

    expect(page.get_by_role("heading", name="信令活动")).to_be_visible()
    expect(page.get_by_text("2021年7月29日 周四 12:00").first).to_be_visible()
    expect(card(page)).to_contain_text(hex_of(5))
    expect(page.get_by_role("radio", name="与平常同一时刻相比")).to_be_checked()
    expect(page.get_by_role("combobox", name="城市")).to_have_value("小样")
    page.wait_for_url("**lang=zh**")
    assert "city=miniature" in page.url
