"""The same export on a Ray cluster of two nodes as in one process, a worker killed in between: `make test-cluster`."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fusion.errors import ConfigError
from fusion.ingest import merge, partition
from fusion.ingest.signaling import Resources, SignalingOptions, ingest_signaling

DAYS, HOURS, PLACES = 4, 24, 500


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    """A file a day; each begins with the last hour of the day before, and every 50th line is damaged."""
    paths = []
    for day in range(DAYS):
        paths.append(tmp_path / f"day-{day}.csv")
        rows = duckdb.sql(
            f"""SELECT strftime(TIMESTAMP '2021-07-24' + to_hours(h::INT), '%Y-%m-%d %H:%M:%S') AS time,
                       113.6 + 0.001 * (p % 25) AS lon, 34.7 + 0.001 * (p // 25) AS lat, (hash(h * 1000 + p) % 300)::INT
                FROM range({HOURS * day - (day > 0)}, {HOURS * (day + 1)}) t(h), range({PLACES}) s(p) ORDER BY h, p"""
        ).fetchall()
        lines = [f"{time},{lon:.3f},{lat:.3f},{people}" for time, lon, lat, people in rows]
        lines = [line[: len(line) // 2] if number % 50 == 0 else line for number, line in enumerate(lines)]
        paths[-1].write_text("\n".join(["time,lon,lat,people", *lines]) + "\n", encoding="utf-8")
    return paths


def contents(city: Path) -> dict[str, Any]:
    """What an ingest left, as rows in their order."""
    tables = {
        name: duckdb.sql(f"FROM read_parquet('{city / name}.parquet')").fetchall() for name in ("activity", "rejects")
    }
    return tables | {name: (city / name).read_text(encoding="utf-8") for name in ("quality.json", "city.toml")}


def kill_once(part: partition.Part) -> None:
    """Group a part, but the first time that part 2 comes the worker is killed in the middle of it."""
    mark = part.folder.parents[2] / "killed"
    if part.number == 2 and not mark.exists():
        mark.touch()
        partition.write_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    _group_part(part)


_group_part = partition.group_part


def test_without_ray_one_line_says_how_to_get_it(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigError, match=r"pip install -r requirements-cluster\.txt"):
        ingest_signaling(days, tmp_path / "town", resources=Resources(backend="ray"))

    assert not (tmp_path / "town").exists()


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of two nodes of one CPU each, named by RAY_ADDRESS."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield
    cluster.shutdown()


@pytest.mark.slow
# Ray leaves files and sockets to the garbage collector when it shuts down; none of them is ours.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_two_nodes_give_what_one_process_gives_and_a_killed_worker_loses_nothing(
    days: list[Path], tmp_path: Path, two_nodes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SignalingOptions(datum="gcj02")
    one = ingest_signaling(days, tmp_path / "one" / "town", options)
    monkeypatch.setattr(merge, "group_part", kill_once)

    other = ingest_signaling(days, tmp_path / "ray" / "town", options, resources=Resources(backend="ray"))

    assert (tmp_path / "killed").exists()
    assert other == one
    assert contents(tmp_path / "ray" / "town") == contents(tmp_path / "one" / "town")
    assert one["rejected_by_reason"]["duplicate"] == PLACES * (DAYS - 1) * 49 // 50
    assert not list((tmp_path / "ray" / "town").glob("*.new"))
