"""The door to the explanations: the parts are the analysis's own, limits are named, hours are the city's."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.analysis.explain import modality_shapley, occlude_hours
from fusion.analysis.findings import LIMITS, Rollout, Shapley
from fusion.analysis.rollout import attention_rollout
from fusion.city import City
from fusion.classes import IDS
from fusion.errors import SampleError
from fusion.extract.build import build_samples
from fusion.geo import grid
from fusion.samples.sampleset import SampleSet
from fusion.serving.explanation import Explanation, explain_cell, local_starts
from fusion.serving.predictor import load_predictor
from fusion.training.experiments import EXPERIMENTS
from tests.mini_runs import write_checkpoint, write_runs
from tests.miniature import build_miniature, cells

WITH_TOKENS = next(row.name for row in EXPERIMENTS.values() if row.network.absent_tokens)
CELL = grid.to_hex(cells()[20:21])[0]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return build_miniature(tmp_path_factory.mktemp("explained"))


@pytest.fixture(scope="module")
def samples(city: City) -> SampleSet:
    return build_samples(city)


def _folder(city: City, samples: SampleSet, experiment: str) -> Path:
    (folder,) = write_runs(city, {experiment: 0.5}, folds=1)
    return write_checkpoint(folder, samples.meta)


def test_every_part_is_what_the_analysis_says(city: City, samples: SampleSet) -> None:
    model = load_predictor(_folder(city, samples, WITH_TOKENS), "cpu")
    (row,) = samples.rows_of([CELL])

    found = explain_cell(model, samples, CELL)

    probability = model.probabilities(samples, np.array([row]))[0]
    assert found.predicted == IDS[probability.argmax()]
    assert found.probability == pytest.approx(probability.max(), abs=1e-6)
    assert found.rollout is not None
    np.testing.assert_allclose(found.rollout.patches, attention_rollout(model, samples, row).patches, atol=1e-7)
    assert found.hours is not None
    np.testing.assert_allclose(found.hours["support"], occlude_hours(model, samples, row).support, atol=1e-6)
    assert found.hours["step"].tolist() == list(range(24))
    assert found.hours["local"].isna().all()
    assert found.clock
    assert found.shapley == modality_shapley(model, samples, row)
    assert found.limits == {}


@pytest.mark.parametrize(
    ("experiment", "limits"),
    [
        ("vit", {"hours": "no-signal", "shapley": "one-modality"}),
        ("convlstm", {"rollout": "no-image", "shapley": "one-modality"}),
        ("vit+convlstm-late", {"shapley": "no-absent-tokens"}),
    ],
)
def test_what_a_model_does_not_allow_is_named(
    city: City, samples: SampleSet, experiment: str, limits: dict[str, str]
) -> None:
    found = explain_cell(load_predictor(_folder(city, samples, experiment), "cpu"), samples, CELL)

    assert found.limits == limits
    assert set(limits.values()) <= set(LIMITS)
    for part in ("rollout", "hours", "shapley"):
        assert (getattr(found, part) is None) == (part in limits)


def test_a_region_without_a_sample_gives_one_line(city: City, samples: SampleSet) -> None:
    model = load_predictor(_folder(city, samples, "vit"), "cpu")
    outside = grid.to_hex(grid.cells_at([113.9], [34.9], 9))[0]

    with pytest.raises(SampleError, match="1 of 1 ids are not in the samples"):
        explain_cell(model, samples, outside)


def test_steps_of_the_layout_hours_begin_on_the_citys_clock(samples: SampleSet) -> None:
    meta = dataclasses.replace(samples.meta, layout="hours", steps=3, first_hour="2021-07-23T16:00:00Z")

    assert local_starts(meta).tolist() == [pd.Timestamp(2021, 7, 24, hour) for hour in range(3)]


def test_the_table_holds_every_figure() -> None:
    found = Explanation(
        "89", "park", 0.7,
        rollout=Rollout(np.array([[0.4, 0.1], [0.2, 0.1]]), 0.2, np.array([0.0, 0.3])),
        hours=pd.DataFrame({"step": [0, 1], "local": [pd.NaT, pd.NaT], "support": [0.1, np.nan]}).astype(
            {"local": "datetime64[ns]"}
        ),
        shapley=Shapley(5, 0.1, 0.3, 0.2, 0.7),
    )  # fmt: skip

    table = found.to_table().set_index(["part", "item"])["value"]

    assert table["rollout"].to_dict() == {"0,0": 0.4, "0,1": 0.1, "1,0": 0.2, "1,1": 0.1, "class token": 0.2}
    assert table["elsewhere"].to_dict() == {"block 1": 0.0, "block 2": 0.3}
    assert table["hours"]["0"] == 0.1
    assert np.isnan(table["hours"]["1"])
    assert table["shapley"].loc[["image", "signal", "both"]].tolist() == pytest.approx([0.35, 0.25, 0.7])


def test_the_door_opens_without_torch() -> None:
    code = "import sys, fusion.serving.explanation, fusion.charts.explain_figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
