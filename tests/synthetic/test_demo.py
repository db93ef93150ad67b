"""Building a city: what lies on disk, the same every time, never over another."""

import json
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest
import rasterio

from fusion import store
from fusion.city import open_city
from fusion.classes import IDS
from fusion.errors import CityError
from fusion.synthetic.demo import FIRST_HOUR, build_demo
from fusion.synthetic.parameters import TINY

SMALL = replace(TINY, width_m=2_400, height_m=2_000)


@pytest.fixture(scope="module")
def city(tiny_city_root):
    return open_city("zhengzhou-demo", tiny_city_root)


def test_city_says_that_it_is_synthetic(city):
    assert city.info.provenance == "synthetic"
    assert "synthetic" in city.info.title_en
    assert "合成" in city.info.title_zh
    assert any("Invented" in source for source in city.info.sources)
    assert [flag.date for flag in city.info.flagged] == ["2021-07-30", "2021-07-31"]


def test_first_hour_is_midnight_at_zhengzhou():
    local = pd.Timestamp(FIRST_HOUR).tz_convert("Asia/Shanghai")
    assert local.isoformat() == "2021-07-24T00:00:00+08:00"


def test_activity_is_as_the_format_says(city):
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(city.activity))
        kinds = dict(zip(table.columns, map(str, table.types), strict=True))
    assert kinds == {
        "cell": "UBIGINT",
        "hour": "TIMESTAMP WITH TIME ZONE",
        "people": "FLOAT",
        "people_suppressed": "BOOLEAN",
    }
    rows = pd.read_parquet(city.activity)
    assert (rows["people"].isna() == rows["people_suppressed"]).all()
    assert not (rows["people"].between(1, 15)).any()
    ordered = rows.sort_values(["hour", "cell"], ignore_index=True)
    assert ordered[["hour", "cell"]].equals(rows[["hour", "cell"]])
    assert not rows.duplicated(["hour", "cell"]).any()


def test_store_answers_from_it(city):
    hours = store.hours(city)
    assert len(hours) == 192
    assert str(hours[0]) == "2021-07-23 16:00:00+00:00"
    table = store.snapshot(city, hours[12], "people")
    assert set(table["state"]) <= {0, 1, 2}
    assert (table["state"] == 0).mean() > 0.5


def test_functions_and_truth_agree(city):
    functions, truth = pd.read_parquet(city.functions), pd.read_parquet(city.path / "truth.parquet")
    assert functions["cell"].tolist() == truth["cell"].tolist()
    assert functions["function"].tolist() == truth["function"].tolist()
    assert set(functions["function"]) == set(IDS)
    assert set(functions["source"]) == {"synthetic"}
    assert truth.groupby("site")[["function", "appearance", "rhythm"]].nunique().max().max() == 1


def test_picture_is_a_cloud_optimised_geotiff(city):
    with rasterio.open(city.imagery) as image:
        assert (image.count, image.dtypes[0], image.res, image.crs.to_epsg()) == (3, "uint8", (4.0, 4.0), 32649)
        assert image.overviews(1)
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_quality_counts_every_cell_and_hour(city):
    report = json.loads(city.quality.read_text(encoding="utf-8"))
    rows = pd.read_parquet(city.activity)
    assert report["rows_taken"] == report["rows_read"] == len(rows)
    assert report["rows_rejected"] == 0
    possible = report["cells"] * report["hours"]
    assert report["share_missing"] == pytest.approx(1 - len(rows) / possible)


def test_same_seed_gives_the_same_rows_and_pixels(tmp_path):
    one = build_demo(tmp_path, "one", seed=7, parameters=SMALL)
    two = build_demo(tmp_path, "two", seed=7, parameters=SMALL)
    assert one.info.fingerprints == two.info.fingerprints
    # Known since the freeze; the same on every machine (fusion.synthetic.exact).
    assert one.info.fingerprints == {
        "activity": "0ff0abcc8f47eeee",
        "imagery": "7a181641c2b88838",
        "functions": "6147f7a1226c32dd",
    }


def test_second_call_returns_the_city_and_another_seed_does_not_replace_it(tmp_path):
    told = []
    first = build_demo(tmp_path, seed=1, parameters=SMALL, progress=lambda share, text: told.append(share))
    stamp = first.imagery.stat().st_mtime_ns
    assert told == sorted(told)
    assert told[-1] == 1.0
    again = build_demo(tmp_path, seed=1, parameters=SMALL)
    assert again.imagery.stat().st_mtime_ns == stamp
    for other in ({"seed": 2, "parameters": SMALL}, {"seed": 1, "parameters": replace(SMALL, kappa=0.5)}):
        with pytest.raises(CityError, match="--force"):
            build_demo(tmp_path, **other)
    assert open_city(first.path).fingerprint() == first.fingerprint()
    forced = build_demo(tmp_path, seed=2, parameters=SMALL, force=True)
    assert forced.fingerprint() != first.fingerprint()


def test_a_real_city_is_not_replaced(tmp_path):
    build_demo(tmp_path, "mine", parameters=SMALL)
    (tmp_path / "mine" / "truth.json").unlink()
    with pytest.raises(CityError, match="another city"):
        build_demo(tmp_path, "mine", parameters=SMALL)


def test_looks_can_be_told_by_simple_statistics(city):
    """Colours and their spread in the middle of a chip, nearest neighbour at another site: no network needed."""
    truth = pd.read_parquet(city.path / "truth.parquet")
    from fusion.geo import grid

    with rasterio.open(city.imagery) as image:
        pixels, transform = image.read(), image.transform
    x, y = grid.project(*grid.centres(truth["cell"].to_numpy()), grid.utm_crs(113.66, 34.76))
    columns, rows = ((x - transform.c) / 4).astype(int), ((transform.f - y) / 4).astype(int)
    chips = [pixels[:, r - 26 : r + 26, c - 26 : c + 26].astype(float) for r, c in zip(rows, columns, strict=True)]
    features = np.array(
        [
            np.concatenate(
                [chip.mean((1, 2)), chip.std((1, 2)), np.percentile(chip[1] - chip[0], [5, 50, 95]),
                 np.percentile(chip[2] - chip[0], [5, 50, 95]), np.percentile(chip.mean(0), [5, 25, 75, 95])]
            )
            for chip in chips
        ]
    )  # fmt: skip
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    apart = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    site = truth["site"].to_numpy()
    apart[site[:, None] == site[None]] = np.inf
    look = truth["appearance"].to_numpy()
    assert (look[apart.argmin(axis=1)] == look).mean() > 0.75
