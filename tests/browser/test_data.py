"""The Data page in a real browser: a file goes up, is looked at, ingested, reported, and the city goes again."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fusion.city import open_city
from fusion.ingest.quality import load_quality

pytestmark = pytest.mark.browser

ROWS = [
    f"2021-07-{day} {hour:02d}:00,{113.60 + 0.01 * place},34.75,{100 + 10 * place + hour}"
    for day in (24, 25)
    for hour in range(24)
    for place in range(4)
]
EXPORT = "\n".join(["时间,经度,纬度,人数", *ROWS, "2021-07-24 05:00,113.6,34.75,=1+1"]) + "\n"


def test_from_upload_to_report_and_away_again(open_page, server, data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "信令.csv").write_text(EXPORT, encoding="gb18030")
    page, _ = open_page(server, "/data?city=miniature&lang=en&part=ingest")
    page.locator("input[type=file]").set_input_files(tmp_path / "信令.csv")
    expect(page.get_by_text("192 would be taken and 1 rejected")).to_be_visible()
    page.get_by_role("textbox", name="Name of the new city").fill("browser-town")
    page.get_by_role("textbox", name="Name of the new city").press("Enter")
    page.get_by_role("button", name="Ingest into browser-town").click()
    page.get_by_role("button", name="Open the whole report").click()

    expect(page.get_by_text("192 + 1 = 193")).to_be_visible()
    assert load_quality(open_city("browser-town", data_folder))["rows_read"] == 193
    for chart in ("hours", "cells"):
        expect(page.locator(f".st-key-data_{chart} .main-svg").first).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").last.click()
    (row,) = csv.DictReader(io.StringIO(waiting.value.path().read_text(encoding="utf-8-sig")))
    assert (row["reason"], row["row"]) == ("bad_value", "194")
    page.reload()
    expect(page.get_by_text("192 + 1 = 193")).to_be_visible()

    page.get_by_text("Cities on disk").click()
    page.locator(".st-key-data_disk_city input").click()
    page.get_by_role("option", name="browser-town").click()
    page.get_by_role("textbox", name="Type its name to confirm").fill("browser-town")
    page.get_by_role("textbox", name="Type its name to confirm").press("Enter")
    page.get_by_role("button", name="Delete browser-town").click()
    expect(page.get_by_text("browser-town was deleted.")).to_be_visible()
    assert not (data_folder / "browser-town").exists()


def test_it_fits_a_phone_in_chinese(open_page, server) -> None:
    page, _ = open_page(server, "/data?city=zhengzhou-demo&lang=zh", size=(390, 844))

    expect(page.get_by_role("heading", name="数据", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="读取、采用、拒收")).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
