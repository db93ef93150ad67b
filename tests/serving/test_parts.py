"""What a cell was to a run: told only where the folds come out as the run recorded them."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from fusion.samples.sampleset import SampleSet
from fusion.samples.split import spatial_folds
from fusion.serving.parts import fold_parts
from fusion.training.runs import RunRecord
from tests.training.conftest import write_planted


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    return write_planted(tmp_path_factory.mktemp("parts") / "planted")


def _record(folder: Path, samples: SampleSet, ids: list[str], **run: object) -> RunRecord:
    columns = {f"p_{id_}": 1 / 9 for id_ in samples.meta.classes}
    pd.DataFrame({"id": ids, "true": "park", "predicted": "park"}).assign(**columns).to_parquet(
        folder / "predictions.parquet"
    )
    known = {"fold_kind": "spatial", "folds": 3, "fold": 1, "samples_fingerprint": samples.meta.fingerprint}
    return RunRecord(folder, {**known, **run}, {})


def test_every_sample_has_its_part(tmp_path: Path, samples: SampleSet) -> None:
    fold = spatial_folds(samples, 3)[1]
    record = _record(tmp_path, samples, [str(id_) for id_ in samples.ids[fold.test]])

    parts = fold_parts(samples, record)

    for name in ("train", "validation", "test"):
        expected = {str(id_) for id_ in samples.ids[getattr(fold, name)]}
        assert set(parts.index[parts == name]) == expected
    assert (parts == "unlabelled").sum() == (samples.labels < 0).sum() == 5
    assert (parts == "buffer").sum() == len(samples.labelled) - len(fold.train) - len(fold.validation) - len(fold.test)


def test_another_test_part_than_recorded_makes_all_unknown(tmp_path: Path, samples: SampleSet) -> None:
    fold = spatial_folds(samples, 3)[1]
    record = _record(tmp_path, samples, [str(id_) for id_ in samples.ids[fold.test][1:]])

    assert set(fold_parts(samples, record)) == {"unknown"}


@pytest.mark.parametrize("run", [{"samples_fingerprint": "other"}, {"fold_kind": "random"}, {"folds": 500}], ids=str)
def test_folds_that_cannot_be_told_make_all_unknown(tmp_path: Path, samples: SampleSet, run: dict) -> None:
    record = dataclasses.replace(_record(tmp_path, samples, [], **run))

    assert set(fold_parts(samples, record)) == {"unknown"}
