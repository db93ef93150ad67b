"""Finding one's way on the map's canvas."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from fusion.charts.maps import View
from fusion.geo import grid

WORLD_PX = 512  # the world's width at zoom 0, of deck.gl and MapLibre
INK = (20, 30, 40)  # the outline of the chosen cell


def wait_for_map(page: Page) -> None:
    """Wait until tiles and cells are drawn: the canvas is there and its picture no longer changes."""
    page.locator("canvas.mapboxgl-canvas").wait_for()
    before = None
    for _ in range(60):
        page.wait_for_timeout(700)
        now = picture(page)
        # A map that only shows its background is not drawn yet.
        if before is not None and now.reshape(-1, 3).std(axis=0).max() > 8 and np.abs(now - before).max() <= 2:
            return
        before = now
    raise AssertionError("the map did not come to rest within 42 s")


def picture(page: Page) -> NDArray[np.int16]:
    """Return what the map shows, (height, width, 3)."""
    shot = page.get_by_test_id("stDeckGlJsonChart").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(np.int16)


def place(page: Page, cell: int, view: View) -> tuple[float, float]:
    """Return where a cell's centre lies on the map, pixels from its upper left corner, by Mercator's formula."""
    box = page.get_by_test_id("stDeckGlJsonChart").bounding_box()
    (lon,), (lat,) = grid.centres([cell])
    scale = WORLD_PX * 2**view.zoom
    x = (lon - view.lon) / 360 * scale + box["width"] / 2
    y = (_mercator(view.lat) - _mercator(lat)) * scale + box["height"] / 2
    return x, y


def click_cell(page: Page, cell: int, view: View) -> None:
    """Click the middle of a cell until the address names a cell.

    The first click after a map is drawn can take a software renderer longer than a click may last.
    """
    before = page.url
    box = page.get_by_test_id("stDeckGlJsonChart").bounding_box()
    x, y = place(page, cell, view)
    for _ in range(4):
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(1500)
        page.mouse.click(box["x"] + x, box["y"] + y)
        for _ in range(16):
            page.wait_for_timeout(500)
            if page.url != before:
                page.mouse.move(2, 2)
                return
    raise AssertionError(f"no click on the map was taken: {page.url}")


def ink_centre(shown: NDArray[np.int16]) -> tuple[float, float]:
    """Return the middle of the outline of the chosen cell, in pixels of the map."""
    rows, columns = np.nonzero((np.abs(shown - np.array(INK)) < 14).all(axis=2))
    assert len(rows) > 30, "no outline on the map"
    return float((columns.min() + columns.max()) / 2), float((rows.min() + rows.max()) / 2)


def _mercator(lat: float) -> float:
    return math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)
