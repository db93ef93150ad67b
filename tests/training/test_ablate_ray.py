"""The same trials on a Ray cluster of two nodes as on this machine alone: `make test-cluster`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from fusion.errors import ConfigError
from fusion.samples.sampleset import SampleSet
from fusion.training.ablate import Event, ablate, plan
from fusion.training.runs import load_run
from tests.training.conftest import quick


def test_without_ray_one_line_says_how_to_get_it(
    planted: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigError, match=r"pip install -r requirements-cluster\.txt") as caught:
        ablate(planted.folder, plan(["vit"], [0], 3), tmp_path, "cpu", backend="ray")

    assert "\n" not in str(caught.value)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two nodes of one CPU each; yields its address, which is also in RAY_ADDRESS."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
# Ray leaves files and sockets to the garbage collector when it shuts down; none of them is ours.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_two_nodes_train_what_one_machine_trains(
    planted: SampleSet, tmp_path: Path, two_nodes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    before = torch.get_num_threads()
    trials = plan([quick("bilstm"), quick("vit")], [0], folds=3, run_folds=1)
    heard: list[Event] = []

    there = ablate(planted.folder, trials, tmp_path / "ray", "cpu", backend="ray", listener=heard.append)
    here = ablate(planted.folder, trials, tmp_path / "local", "cpu", jobs=1)

    torch.set_num_threads(before)
    assert [outcome.error for outcome in there] == [None, None]
    assert [outcome.state for outcome in there] == ["done", "done"]
    assert [event.kind for event in heard].count("done") == 2
    assert "epoch" in {event.kind for event in heard}  # what a node writes on the shared board is heard here
    for one, other in zip(there, here, strict=True):
        assert one.folder.name == other.folder.name
        pd.testing.assert_frame_equal(
            load_run(one.folder).predictions(), load_run(other.folder).predictions(), rtol=0, atol=1e-6
        )
        figures = ["epoch", "train_loss", "val_loss", "val_macro_f1", "lr"]
        pd.testing.assert_frame_equal(
            load_run(one.folder).history()[figures], load_run(other.folder).history()[figures], rtol=0, atol=1e-6
        )
