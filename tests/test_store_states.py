"""One cell-hour of each state, followed from the export to the network's mask."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest

from fusion import store
from fusion.city import City, open_city
from fusion.extract.build import build_samples
from fusion.geo import grid
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers, fit_scalers
from fusion.serving.activity import activity_json
from tests.miniature import build_miniature, cells

HOURS = 48
AT = 30  # the hour of all the special ones
ZERO, SMALL, SUMMED, EMPTY, ABSENT, PLAIN = 12, 13, 14, 15, 16, 17
STATE = {ZERO: 0, SMALL: 1, SUMMED: 0, EMPTY: 2, ABSENT: 2, PLAIN: 0}
VALUE = {ZERO: 0.0, SMALL: np.nan, SUMMED: 17.0, EMPTY: np.nan, ABSENT: np.nan, PLAIN: 100.0}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """The miniature's 37 cells and imagery, with counts of its own: 100 but for the special cells at hour 30."""
    folder = tmp_path_factory.mktemp("states")
    city = build_miniature(folder, activity=False)
    hours = pd.date_range("2021-07-28 00:00", periods=HOURS, freq="h").strftime("%Y-%m-%d %H:%M")
    rows = ["time,h3,people"]
    for number, cell in enumerate(cells()):
        one, other = (f"{int(child):x}" for child in _children(int(cell)))
        for step, hour in enumerate(hours):
            if step != AT or number == PLAIN or number not in STATE:
                rows.append(f"{hour},{one},100")
            elif number == ZERO:
                rows.append(f"{hour},{one},0")
            elif number == SMALL:
                rows += [f"{hour},{one},3", f"{hour},{other},4"]
            elif number == SUMMED:
                rows += [f"{hour},{one},8", f"{hour},{other},9"]
            elif number == EMPTY:
                rows.append(f"{hour},{one},")
    export = folder / "export.csv"
    export.write_text("\n".join(rows) + "\n")
    report = ingest_signaling([export], city.path, SignalingOptions(timezone="Asia/Shanghai"))
    assert report["rows_taken"] == len(rows) - 1
    return open_city(city.path)


def _children(cell: int) -> list[int]:
    """Two cells of the next finer resolution inside a cell."""
    (lon,), (lat,) = grid.centres([cell])
    middle = int(grid.cells_at([lon], [lat], 10)[0])
    return [middle, next(int(c) for c in grid.disk(middle, 1) if int(c) != middle and grid.parents([c], 1)[0] == cell)]


def test_in_the_table(city: City) -> None:
    table = duckdb.sql(f"SELECT * FROM '{city.activity}' WHERE epoch_us(hour) = {_us(city)}").to_arrow_table()
    rows = table.to_pandas().set_index("cell")
    found = {
        number: (rows.loc[cell, "people"], bool(rows.loc[cell, "people_suppressed"]))
        for number, cell in enumerate(cells())
        if number in STATE and number != ABSENT
    }
    assert cells()[ABSENT] not in rows.index
    for number, (value, suppressed) in found.items():
        np.testing.assert_equal(float(value), VALUE[number])
        assert suppressed == (STATE[number] == 1)


def test_in_the_store_and_in_a_release(city: City) -> None:
    hour = store.hours(city)[AT]
    snapshot, release = store.snapshot(city, hour, "people"), store.release(city, "people", [hour])
    for number, state in STATE.items():
        assert snapshot["state"][number] == state
        np.testing.assert_equal(snapshot["value"][number], VALUE[number])
        assert release["state"][number] == ("valid", "suppressed", "missing")[state]
        np.testing.assert_equal(release["people"][number], VALUE[number])
    whole = store.release(city, "people")
    pd.testing.assert_frame_equal(whole[whole["hour"] == hour].reset_index(drop=True), release)
    assert len(whole) == HOURS * len(cells())


def test_on_the_map(city: City) -> None:
    records = json.loads(activity_json(city, store.hours(city)[AT], "people"))
    for number, state in STATE.items():
        assert records[number]["state"] == state
        assert records[number]["value"] == (None if state else VALUE[number])


@pytest.fixture(scope="module")
def samples(city: City) -> SampleSet:
    return build_samples(city, "hours", chip_px=4, k=1)


def test_in_the_samples(samples: SampleSet) -> None:
    for number, state in STATE.items():
        assert samples.state[number, AT, 0] == state
        assert samples.series[number, AT, 0] == (0 if state else VALUE[number])


def test_in_the_batch_and_its_mask(city: City, samples: SampleSet) -> None:
    scalers = Scalers(("people",), (2.0,), (0.5,), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert fit_scalers(samples, np.arange(len(samples))).measures == scalers.measures
    row_of = {name: row for row, name in enumerate(samples.ids.tolist())}
    names = grid.to_hex(cells())
    for number, state in STATE.items():
        batch = make_batch(samples, [row_of[names[number]]], scalers)
        value, suppressed, missing = batch["cube"][0, AT, :, 1, 1]
        assert (suppressed, missing) == (state == 1, state == 2)
        assert value == pytest.approx(0 if state else (np.log1p(VALUE[number]) - 2) / 0.5)
        assert batch["present"][0, AT, 1, 1] == (state != 2)


def _us(city: City) -> int:
    return int(store.hours(city)[AT].timestamp()) * 1_000_000
