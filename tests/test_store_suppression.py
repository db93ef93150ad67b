"""What is suppressed cannot be told from anything that the city says.

Two cities that differ in nothing but the true size of what they suppress must answer alike, byte for byte: then no
difference, sum or ratio of answers tells that size. First from the export on, then for a table in which the true
values were left beside their flags, and last the reason why it holds: every view follows from the published table.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from fusion import store
from fusion.city import City, CityInfo, Measure, open_city
from fusion.geo import grid
from fusion.ingest.inspection import inspect_city
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
from fusion.serving.activity import records
from fusion.serving.releases import rejects_release

THRESHOLDS = {"people": 15, "outflow": 5, "inflow": 0}
PARENT = int(grid.parents(grid.cells_at([113.65], [34.76], 9), 1)[0])
_AROUND = grid.disk(int(grid.cells_at([113.65], [34.76], 9)[0]), 3)
CELLS = np.sort(
    np.concatenate([_AROUND[grid.parents(_AROUND, 1) == PARENT], _AROUND[grid.parents(_AROUND, 1) != PARENT][:3]])
)
HOURS = pd.date_range("2021-07-26T00:00Z", periods=4 * 24, freq="h", unit="us")[[0, 1, 24, 25, 48, 72]]
SHAPE = (len(THRESHOLDS), len(CELLS), len(HOURS))
_SLOW = settings(
    max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=(Phase.generate,)
)


@some.composite
def counts(draw: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Two (measure, cell, hour) arrays, -1 = missing, that differ in suppressed counts only."""
    rng = np.random.default_rng(draw(some.integers(0, 2**32 - 1)))
    share_small, share_missing = draw(some.floats(0, 1)), draw(some.floats(0, 0.5))
    kind = rng.choice(
        4, p=np.array([share_small, share_missing, 0.2, 1.0]) / (share_small + share_missing + 1.2), size=SHAPE
    )
    threshold = np.array(list(THRESHOLDS.values()))[:, None, None]
    above = threshold + rng.choice([1, 2, 7, 400], size=SHAPE)
    both = [np.where(kind == 0, rng.integers(1, np.maximum(threshold, 1) + 1, size=SHAPE), above) for _ in range(2)]
    both[1] = np.where((kind == 0) & (threshold == 0), both[0], both[1])
    return tuple(np.select([kind == 1, kind == 2], [-1, 0], own) for own in both)


@_SLOW
@given(counts())
def test_two_exports_that_differ_in_small_sums_give_one_city(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with TemporaryDirectory() as folder:
        one, other = (_ingested(Path(folder) / name, own) for name, own in zip("ab", pair, strict=True))

        for name in ("activity.parquet", "quality.json", "city.toml"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
        pd.testing.assert_frame_equal(rejects_release(one), rejects_release(other))


@_SLOW
@given(counts())
def test_no_view_tells_what_a_table_still_holds(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """As if a table had come with its small values in it, or the threshold had been raised after the ingest."""
    with TemporaryDirectory() as folder:
        one, other = (_written(Path(folder) / name, own) for name, own in zip("ab", pair, strict=True))

        for said, also in zip(_said(one), _said(other), strict=True):
            assert said == also


@_SLOW
@given(counts())
def test_every_view_follows_from_the_published_table(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with TemporaryDirectory() as folder:
        city = _written(Path(folder) / "a", pair[0])
        for measure, threshold in list(THRESHOLDS.items())[:2]:
            table = store.release(city, measure, HOURS).assign(cell=lambda rows: grid.from_hex(rows["id"].tolist()))
            published = table[measure].dropna()
            assert ((published == 0) | (published > threshold)).all()
            _check_rollups(city, measure, table)
            _check_totals(city, measure, table)
            _check_usual(city, measure, table)


def _check_rollups(city: City, measure: str, table: pd.DataFrame) -> None:
    threshold = THRESHOLDS[measure]
    for resolution in (8, 6):
        shown = table.assign(cell=grid.parents_at(table["cell"], resolution))
        sums = shown.groupby(["hour", "cell"])[measure].sum(min_count=1)
        rolled = store.release(city, measure, HOURS, resolution)
        np.testing.assert_array_equal(rolled[measure], sums)
        # A sum of what is valid is 0 or above the threshold, so that no roll-up needs hiding of its own.
        assert ((rolled[measure].dropna() == 0) | (rolled[measure].dropna() > threshold)).all()
        cell = int(grid.parents_at(table["cell"].to_numpy()[:1], resolution)[0])
        profile = store.profile(city, cell, measure, resolution).set_index("hour")["value"].reindex(HOURS)
        np.testing.assert_array_equal(profile, sums.xs(np.uint64(cell), level="cell").reindex(profile.index))


def _check_totals(city: City, measure: str, table: pd.DataFrame) -> None:
    totals = store.totals(city, measure).set_index("hour")["total"].reindex(HOURS)
    sums = table.groupby("hour")[measure].sum(min_count=1)
    np.testing.assert_array_equal(totals, sums.reindex(totals.index))


def _check_usual(city: City, measure: str, table: pd.DataFrame) -> None:
    """Hour 0 of Monday against the published values of hour 0 on Tuesday to Thursday (UTC is the city's zone)."""
    wide = table.pivot(index="cell", columns="hour", values=measure)
    usual = store.usual(city, HOURS[0], measure).set_index("cell")
    mean = wide[[HOURS[2], HOURS[4], HOURS[5]]].mean(axis=1)
    np.testing.assert_allclose(usual["usual"], mean.reindex(usual.index))


def _said(city: City) -> list[str]:
    """Everything that the city says of the counts that it suppresses some of."""
    answers = [json.dumps(inspect_city(city)), json.dumps(store.coverage(city)), repr(store.values(city, "people"))]
    tables = [store.totals(city, "people"), store.release(city, "outflow", HOURS)]
    for resolution, cell in ((None, int(CELLS[0])), (8, PARENT)):
        tables += [store.usual(city, HOURS[0], "people", resolution), store.profile(city, cell, "people", resolution)]
        tables.append(store.release(city, "people", HOURS, resolution))
    answers.append(json.dumps(records(city, HOURS[0], "people", 8, "usual")))
    return answers + [table.to_csv(index=False) for table in tables]


def _ingested(folder: Path, values: np.ndarray) -> City:
    """Ingest an export in which each count comes from two places of its cell, and a row is repeated."""
    folder.mkdir()
    rows = [",".join(("time", "h3", *THRESHOLDS))]
    for cell, at in zip(CELLS, np.moveaxis(values, 1, 0), strict=True):
        (lon,), (lat,) = grid.centres([cell])
        middle = int(grid.cells_at([lon], [lat], 10)[0])
        beside = next(int(c) for c in grid.disk(middle, 1) if int(c) != middle and grid.parents([c], 1)[0] == cell)
        for hour, of in zip(HOURS, at.T, strict=True):
            half = [max(count, 0) // 2 for count in of]
            first = ["" if count < 0 else str(part) for count, part in zip(of, half, strict=True)]
            second = ["" if count < 0 else str(count - part) for count, part in zip(of, half, strict=True)]
            rows += [
                f"{hour:%Y-%m-%dT%HZ},{middle:x},{','.join(first)}",
                f"{hour:%Y-%m-%dT%HZ},{beside:x},{','.join(second)}",
            ]
    rows.append(rows[-1])  # the rejects then hold a row with its counts
    export = folder / "export.csv"
    export.write_text("\n".join(rows) + "\n")
    options = SignalingOptions(
        values=tuple(THRESHOLDS), timezone="UTC", min_count=15, min_counts=(("outflow", 5), ("inflow", 0))
    )
    report = ingest_signaling([export], folder / "town", options)
    assert report["rejected_by_reason"] == {"duplicate": 1}
    return open_city(folder / "town")


def _written(folder: Path, values: np.ndarray) -> City:
    """A city whose table has every count in it, the small ones too: some flagged, some not."""
    path = folder / "town"
    path.mkdir(parents=True)
    hour, cell = (axis.ravel() for axis in np.meshgrid(np.arange(len(HOURS)), np.arange(len(CELLS)), indexing="ij"))
    table = pd.DataFrame({"cell": CELLS[cell], "hour": HOURS[hour]})
    for (name, threshold), own in zip(THRESHOLDS.items(), values[:, cell, hour], strict=True):
        table[name] = np.where(own < 0, np.nan, own).astype(np.float32)
        table[f"{name}_suppressed"] = (own > 0) & (own <= threshold) & (cell % 2 == 0)
    table.to_parquet(path / "activity.parquet", index=False)
    info = CityInfo(
        name="town", title_en="town", title_zh="town", bounds=(113.6, 34.7, 113.7, 34.8), resolution=9, timezone="UTC",
        provenance="synthetic", first_hour="2021-07-26T00:00:00Z", hours=73,
        measures=tuple(Measure(name, "people", name, name, threshold) for name, threshold in THRESHOLDS.items()),
    )  # fmt: skip
    (path / "city.toml").write_text(info.to_toml(), encoding="utf-8")
    return open_city(path)


def test_a_threshold_raised_after_the_ingest_hides_more(tmp_path: Path) -> None:
    values = np.full(SHAPE, 20)
    city = _written(tmp_path / "a", values)
    stricter = replace(city, info=replace(city.info, measures=(replace(city.info.measures[0], min_count=20),)))

    assert (store.snapshot(city, HOURS[0], "people")["state"] == store.VALID).all()
    assert (store.snapshot(stricter, HOURS[0], "people")["state"] == store.SUPPRESSED).all()
    assert np.isnan(store.totals(stricter, "people")["total"]).all()


def test_an_index_without_a_threshold_is_left_as_it_came(tmp_path: Path) -> None:
    """Fractions, tiny ones and a negative zero, as scaled exports have them."""
    rows = [
        f"2021-07-26T00Z,{cell:x},{value}" for cell, value in zip(CELLS, ["0.25", "1e-30", "-0", "14.5"], strict=False)
    ]
    export = tmp_path / "export.csv"
    export.write_text("\n".join(["time,h3,people", *rows]) + "\n")
    ingest_signaling([export], tmp_path / "town", SignalingOptions(min_count=0, timezone="UTC"))

    table = store.snapshot(open_city(tmp_path / "town"), HOURS[0], "people")

    assert table["value"].tolist() == np.array([0.25, 1e-30, 0.0, 14.5], dtype=np.float32).astype(float).tolist()
    assert (table["state"] == store.VALID).all()
