"""What a preview says of exports of known content, and that it writes nothing."""

import gzip
import json
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from fusion.cli import main
from fusion.cli.preview import preview_lines
from fusion.errors import InputError
from fusion.geo import datum, grid
from fusion.ingest import datumguess
from fusion.ingest.options import SignalingOptions
from fusion.ingest.preview import Preview, preview_signaling
from fusion.ingest.signaling import ingest_signaling

CENTRE = (113.65, 34.76)
HEADER = "time,lon,lat,people"


def lattice(datum_name: str, step: float = 0.004, size: int = 30) -> list[tuple[float, float]]:
    """Places in rows and columns of WGS-84 around the centre, written in a datum with six decimals."""
    offsets = (np.arange(size) - (size - 1) / 2) * step
    lon, lat = (part.ravel() for part in np.meshgrid(CENTRE[0] + offsets, CENTRE[1] + offsets))
    if datum_name != "wgs84":
        lon, lat = getattr(datum, f"wgs84_to_{datum_name}")(lon, lat)
    return [(round(float(x), 6), round(float(y), 6)) for x, y in zip(lon, lat, strict=True)]


def export(path: Path, places: list[tuple[float, float]], hours: int = 2) -> Path:
    rows = [f"2021-07-24 {hour + 8:02d}:00,{lon},{lat},100" for hour in range(hours) for lon, lat in places]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


@pytest.fixture
def town(tmp_path):
    """A city whose labels give it bounds of its own: those of the lattice."""
    ingest_signaling([export(tmp_path / "first.csv", lattice("wgs84"))], tmp_path / "town")
    lon, lat = np.array(lattice("wgs84")).T
    cells = pd.DataFrame({"cell": np.unique(grid.cells_at(lon, lat, 9))})
    duckdb.from_df(cells).project(
        "cell::UBIGINT AS cell, 'park' AS function, 1::FLOAT AS share, 'x' AS source"
    ).to_parquet(str(tmp_path / "town" / "functions.parquet"))
    return tmp_path / "town"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evidence(preview: Preview, name: str) -> datumguess.DatumEvidence:
    assert preview.datum is not None
    return next(one for one in preview.datum.evidence if one.datum == name)


def test_what_is_recognised(tmp_path):
    lines = [
        "日期;小时;经度;纬度;人数;流入;区县",
        *(f'2021-07-{24 + hour // 24};{hour % 24};113.65;34.76;"1,{hour:03d}";3;中原' for hour in range(30)),
        "2021-07-25;6;113.65;34.76;many;3;中原",
        "2021-07-25;7",
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode("gbk"))
    preview = preview_signaling([path])
    (file,) = preview.files
    assert (file.name, file.kind, file.encoding, file.delimiter) == ("a.csv", "text", "gb18030", ";")
    assert file.size_bytes == path.stat().st_size
    assert preview.roles is not None
    assert (preview.roles.place_kind, preview.roles.place) == ("point", ("经度", "纬度"))
    assert preview.roles.time == ("日期", "小时")
    assert preview.roles.values == {"人数": "people", "流入": "inflow"}
    assert preview.unused_columns == ("区县",)
    assert preview.times is not None
    assert (preview.times.first, preview.times.last) == ("2021-07-24T00:00+08:00", "2021-07-25T06:00+08:00")
    assert (preview.times.step, preview.times.step_minutes, preview.times.read_as) == ("hour", 60, "local time")
    assert (preview.timezone, preview.resolution, preview.min_count) == ("Asia/Shanghai", 9, 15)
    assert (preview.rows_sampled, preview.would_take) == (32, 30)
    assert preview.would_reject == {"malformed": 1, "bad_value": 1}
    assert preview.sample[0] == {
        **{"日期": "2021-07-24", "小时": "0", "经度": "113.65", "纬度": "34.76"},
        **{"人数": "1,000", "流入": "3", "区县": "中原"},
    }
    assert len(preview.sample) == 10
    assert preview.problem is None
    assert json.loads(json.dumps(preview.to_dict()))["files"][0]["columns"][0] == "日期"


def test_nothing_is_written(tmp_path, town):
    before = contents(tmp_path)
    preview_signaling([tmp_path / "first.csv"], town)
    preview_signaling([tmp_path / "first.csv"], tmp_path / "new")
    assert contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


STEPS = [
    (["2021-07-24 08:00", "2021-07-24 08:10", "2021-07-24 09:00"], "10 min", "local time"),
    (["2021-07-24T00:00:00+08:00", "2021-07-25T00:00:00+08:00"], "day", "time with offset"),
    (["1627084800", "1627088400"], "hour", "epoch seconds"),
    (["1627084800000", "1627088400000"], "hour", "epoch milliseconds"),
    (["2021072408", "2021072408"], None, "local time"),
]


@pytest.mark.parametrize(("times", "step", "read_as"), STEPS)
def test_the_step_and_form_of_times(tmp_path, times, step, read_as):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *(f"{time},113.65,34.76,{n}" for n, time in enumerate(times))]) + "\n")
    found = preview_signaling([path]).times
    assert found is not None
    assert (found.step, found.read_as) == (step, read_as)


@pytest.mark.parametrize("name", ["wgs84", "gcj02", "bd09"])
def test_the_datum_of_a_city_with_bounds(tmp_path, town, name):
    preview = preview_signaling([export(tmp_path / "a.csv", lattice(name))], town)
    assert preview.datum is not None
    assert preview.datum.guess == name
    right = evidence(preview, name)
    assert right.share_inside == 1.0
    assert right.share_labelled > 0.99  # six decimals: a place on the edge of two cells
    assert right.shift_m < 60  # the city's box is that of whole cells
    for other in {"wgs84", "gcj02", "bd09"} - {name}:
        assert evidence(preview, other).share_inside < 0.98
        assert evidence(preview, other).shift_m > 300
    assert any(f"look like {name}, not wgs84" in line for line in preview.warnings) == (name != "wgs84")


def test_the_box_tells_where_the_shares_are_alike(tmp_path, town):
    """Places well inside the city on the side to which the wrong datum shifts them."""
    everywhere = datumguess.DatumEvidence("wgs84", 1.0, 400.0, 560.0, None, 0.0)
    shifted = datumguess.DatumEvidence("gcj02", 1.0, 260.0, 20.0, None, 0.0)
    far = datumguess.DatumEvidence("bd09", 0.9, 900.0, 1200.0, None, 0.0)
    assert datumguess._decide((everywhere, shifted, far), alike=True) == ("gcj02", datumguess.BOX)
    assert datumguess._decide((everywhere, shifted, far), alike=False) == (None, datumguess.UNDECIDED)


def test_evidence_that_contradicts_itself_is_no_guess():
    one = datumguess.DatumEvidence("wgs84", 1.0, 10.0, 10.0, None, 0.0)
    other = datumguess.DatumEvidence("gcj02", 0.9, 10.0, 600.0, None, 1.0)
    assert datumguess._decide((one, other), alike=True) == (None, datumguess.UNDECIDED)


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_a_new_city_tells_the_datum_by_a_lattice_only(tmp_path, name):
    preview = preview_signaling([export(tmp_path / "a.csv", lattice(name))])
    assert preview.datum is not None
    assert (preview.datum.guess, preview.datum.reason) == (name, datumguess.LATTICE)
    assert evidence(preview, name).share_inside is None
    assert evidence(preview, name).regularity > 0.95


def test_a_new_city_has_no_evidence_otherwise(tmp_path):
    """A lattice as it is written may be of any datum; places of no order tell nothing."""
    random = np.random.default_rng(0).uniform(-0.1, 0.1, (500, 2)) + CENTRE
    for places in (lattice("wgs84"), [(float(x), float(y)) for x, y in random]):
        found = preview_signaling([export(tmp_path / "a.csv", places)]).datum
        assert found is not None
        assert (found.guess, found.reason) == (None, datumguess.NO_BOUNDS)


def test_an_earlier_activity_is_no_evidence(tmp_path, town):
    (town / "functions.parquet").unlink()
    found = preview_signaling([export(tmp_path / "a.csv", lattice("wgs84"))], town).datum
    assert found is not None
    assert (found.guess, found.reason) == (None, datumguess.NO_BOUNDS)


def test_outside_china_there_is_one_datum(tmp_path):
    places = [(9.19 + number / 1000, 45.46) for number in range(30)]
    path = export(tmp_path / "a.csv", places)
    found = preview_signaling([path]).datum
    assert found is not None
    assert (found.guess, found.reason) == ("wgs84", datumguess.OUTSIDE_CHINA)
    wrong = preview_signaling([path], None, SignalingOptions(datum="bd09"))
    assert "datum bd09 is one of Chinese maps" in (wrong.problem or "")


PROBLEMS = {
    "place": (b"time,x,y,people\n2021072408,113.6,34.7,9\n", {}, "no column is known to hold the place"),
    "time": (b"when,lon,lat,people\n2021072408,113.6,34.7,9\n", {}, "no column is known to hold the time"),
    "days": (b"time,lon,lat,people\n2021-07-24,113.6,34.7,9\n", {}, "holds dates without hours"),
    "count": (b"time,lon,lat,n\n2021072408,113.6,34.7,9\n", {}, "no column is known to hold the count"),
    "ids": (b"time,grid_id,people\n2021072408,5,9\n", {}, "holds grid ids"),
    "option": (b"time,lon,lat,people\n2021072408,113.6,34.7,9\n", {"values": ("uv",)}, "no column 'uv'"),
    "grid": (b"time,grid_id,people\n2021072408,5,9\n", {"grid_origin": "1,2"}, "--grid-size None is no size"),
    "swapped": (b"time,lon,lat,people\n2021072408,34.7,113.6,9\n", {}, "longitude and latitude look swapped"),
    "nothing": (b"time,lon,lat,people\n2021072408,113.6,34.7,x\n", {}, "none of the 1 rows looked at could be taken"),
    "negative": (b"time,lon,lat,people\n2021072408,113.6,34.7,9\n", {"min_count": -1}, "--min-count -1 is negative"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_said_with_the_columns_shown(tmp_path, name):
    content, options, message = PROBLEMS[name]
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    preview = preview_signaling([path], None, SignalingOptions(**options))
    assert message in (preview.problem or "")
    assert "\n" not in (preview.problem or "")
    assert preview.files[0].columns == tuple(content.decode().split("\n")[0].split(","))
    assert len(preview.sample) == 1
    assert preview_lines(preview)[-1].startswith("problem")


def test_files_of_different_kinds_are_a_problem(tmp_path):
    one = export(tmp_path / "a.csv", lattice("wgs84")[:3])
    two = tmp_path / "b.csv"
    two.write_text("time,lon,lat,people,inflow\n2021072408,113.6,34.7,9,1\n")
    assert "b.csv has other columns than a.csv" in (preview_signaling([one, two]).problem or "")


BAD = {
    "absent": (None, r"a.csv: there is no such file"),
    "empty": (b"", r"a.csv is empty"),
    "header": (b"time,lon,lat,people\n", r"a.csv has a header and no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path, name):
    content, message = BAD[name]
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        preview_signaling([tmp_path / "a.csv"])


def test_options_that_do_not_exist_are_errors(tmp_path):
    path = export(tmp_path / "a.csv", lattice("wgs84")[:3])
    for options in ({"preset": "x"}, {"datum": "x"}, {"timezone": "x"}, {"resolution": 16}):
        with pytest.raises(InputError):
            preview_signaling([path], None, SignalingOptions(**options))
    with pytest.raises(InputError, match="no file was named"):
        preview_signaling([])


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "zip", "parquet"])
def test_of_a_large_file_a_sample_is_read(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("fusion.ingest.preview._MOST_ROWS", 2_000)
    hours = pd.date_range("2021-07-24", periods=192, freq="h").strftime("%Y-%m-%d %H:%M")
    rows = pd.DataFrame(
        [(hour, *place, 100) for hour in hours for place in lattice("wgs84", size=12)], columns=HEADER.split(",")
    )
    path = tmp_path / f"a.{kind}"
    content = rows.to_csv(index=False).encode()
    if kind == "parquet":
        rows.to_parquet(path, row_group_size=5_000)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.csv", content)
    else:
        path.write_bytes(gzip.compress(content) if kind == "csv.gz" else content)
    preview = preview_signaling([path])
    assert 1_500 < preview.rows_sampled < 3_000
    assert preview.would_take == preview.rows_sampled
    assert preview.would_reject == {}
    assert preview.times is not None
    assert preview.times.first == "2021-07-24T00:00+08:00"
    if kind in ("csv", "parquet"):  # the end is looked at too
        assert preview.times.last >= "2021-07-31T20:00+08:00"


def test_of_many_files_some_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("fusion.ingest.sampling.MOST_FILES", 3)
    for hour in range(24):
        (tmp_path / f"20210724_{hour:02d}.csv").write_text("lon,lat,people\n113.65,34.76,100\n")
    preview = preview_signaling([tmp_path])
    assert (preview.files_total, len(preview.files)) == (24, 3)
    assert preview.times is not None
    assert (preview.times.first, preview.times.last) == ("2021-07-24T00:00+08:00", "2021-07-24T23:00+08:00")
    assert preview.times.read_as == "local time, from the file's name"


@pytest.mark.parametrize("name", ["daas", "devices"])
def test_ids_of_devices_are_masked(tmp_path, name):
    path = tmp_path / "a.csv"
    path.write_text("imsi,time,lon,lat,owner\n460001234567890,2021-07-24 08:01:00,113.65,34.76,zhang\n")
    preview = preview_signaling([path], None, SignalingOptions(preset=name))
    assert "460001234567890" not in json.dumps(preview.to_dict())
    if name == "devices":
        assert "zhang" not in json.dumps(preview.to_dict())
        assert preview.roles is not None
        assert preview.roles.user == "imsi"
        assert preview.would_take == 1


def test_milan(shared_data):
    folder = shared_data / "milan"
    options = SignalingOptions(preset="milan", grid=folder / "milano-grid.geojson")
    preview = preview_signaling([folder / "sms-call-internet-mi-sample.tsv"], None, options)
    assert preview.times is not None
    assert (preview.times.step, preview.times.read_as) == ("10 min", "epoch milliseconds")
    assert (preview.times.first, preview.times.last) == ("2013-11-01T00:00+01:00", "2013-11-01T23:00+01:00")
    assert (preview.would_take, preview.would_reject, preview.unused_columns) == (1245, {}, ("country",))


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    path = str(export(tmp_path / "a.csv", lattice("gcj02")))
    assert main(["ingest", "signaling", path, "--preview"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "place      lon + lat (point)" in lines
    assert any(line.startswith("datum      gcj02; wgs84 is asked for") for line in lines)
    assert main(["ingest", "signaling", path, "--city", "new", "--preview", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datum"]["guess"] == "gcj02"
    assert not (tmp_path / "data" / "new").exists()
    assert main(["ingest", "signaling", path]) == 2
    assert "--city is missing" in capsys.readouterr().err
