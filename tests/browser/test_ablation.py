"""Ablation in a real browser: charts are drawn, a choice redraws them, figures come along, a reload keeps the page."""

import csv
import io
import json

import pandas as pd
import pytest
from playwright.sync_api import expect

from fusion.city import City, open_city
from fusion.serving.ablation import ablation_of
from tests.mini_runs import write_runs

pytestmark = pytest.mark.browser

BASE = "vit-pretrained+convlstm-bottleneck"
SCORES = {"vit": 0.5, "convlstm": 0.55, BASE: 0.7, f"{BASE}-mid": 0.72, f"{BASE}-late": 0.68, f"{BASE}-orthogonal": 0.7}


@pytest.fixture(scope="module")
def city(data_folder) -> City:
    """The tiny synthetic city with runs along two axes, their similarity and one robustness file each."""
    city = open_city("zhengzhou-demo", data_folder)
    for folder in write_runs(city, SCORES):
        if BASE in folder.name:
            path = folder / "metrics.json"
            levels = [{"level": level, "cka": 0.2 * level, "overlap": 0.1} for level in (1, 2, 3, 4)]
            path.write_text(json.dumps({**json.loads(path.read_text()), "similarity": levels}))
            rows = [("none", 0, 9, 0.7, 0.6, 0.8, 0.5), ("image-absent", 1, 9, 0.5, 0.4, 0.6, 0.3)]
            rows += [("cloud", share, 9, 0.6, 0.5, 0.7, 0.4) for share in (0.25, 0.5)]
            columns = ["condition", "strength", "n", "accuracy", "low", "high", "macro_f1"]
            pd.DataFrame(rows, columns=columns).to_csv(folder / "robustness.csv", index=False)
    return city


def test_charts_follow_the_choice_the_table_comes_along_and_a_reload_keeps_the_page(
    open_page, server, city: City
) -> None:
    page, _ = open_page(server, "/ablation?city=zhengzhou-demo&lang=en")

    accuracy = page.locator(".st-key-ablation_accuracy")
    expect(accuracy.locator(".scatterlayer .point")).to_have_count(3)
    for key in ("difference", "similarity", "absent", "graded"):
        chart = page.locator(f".st-key-ablation_{key} .main-svg").first
        chart.scroll_into_view_if_needed()
        expect(chart).to_be_visible()
    expect(page.locator(".st-key-ablation_absent .barlayer .point path").first).to_be_visible()

    page.get_by_test_id("stButtonGroup").get_by_text("Coupling", exact=True).click()
    expect(accuracy.locator(".scatterlayer .point")).to_have_count(2)
    expect(accuracy).to_contain_text("orthogonal, 0.1")

    page.get_by_text("Table", exact=True).first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").first.click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text(encoding="utf-8-sig"))))
    shown = {row["experiment"]: float(row["accuracy"]) for row in rows}
    expected = ablation_of(city).axes["coupling"].rows.set_index("experiment")["accuracy"].to_dict()
    assert shown == pytest.approx(expected)

    page.reload()
    expect(page.get_by_role("heading", name="Ablation", exact=True)).to_be_visible()
    expect(accuracy.locator(".main-svg").first).to_be_visible()


def test_it_fits_a_phone_in_chinese(open_page, server, city: City) -> None:
    page, _ = open_page(server, "/ablation?city=zhengzhou-demo&lang=zh", size=(390, 844))

    expect(page.get_by_role("heading", name="消融", exact=True)).to_be_visible()
    expect(page.locator(".st-key-ablation_accuracy .main-svg").first).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
