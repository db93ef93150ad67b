"""Places on the axes: read off configurations, measured against a row that differs in nothing else."""

import math

import pytest

from fusion.serving.ablation_axes import SCALES, VARIES, places, streams_of
from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import AXES

BASE = "vit-pretrained+convlstm-bottleneck"


def _place(axis: str, experiment: str, **options: object) -> object:
    (found,) = (row for row in places(axis, **options) if row.experiment == experiment)
    return found


def test_every_axis_says_what_it_varies_and_has_its_declared_rows() -> None:
    assert set(VARIES) == set(AXES)
    for axis, declared in AXES.items():
        assert sorted(row.experiment for row in places(axis)) == sorted(declared)


def test_scales_ascend_and_the_reference_is_the_first_declared_row() -> None:
    rows = places("bottlenecks")

    assert [(row.value, row.en, row.zh) for row in rows] == [(b, f"B = {b}", f"B = {b}") for b in (1, 4, 16)]
    assert {row.reference for row in rows} == {BASE}
    assert all(math.isnan(row.value) for axis in set(AXES) - set(SCALES) for row in places(axis))


@pytest.mark.parametrize(
    ("axis", "experiment", "reference"),
    [
        ("coupling", f"{BASE}-orthogonal", BASE),
        ("coupling", "vit-pretrained+trans-blstm-2-bottleneck-apart", "vit-pretrained+trans-blstm-2-bottleneck"),
        ("pretraining", "vit-pretrained+bilstm-late", "vit+bilstm-late"),
        ("pretraining", "vit-pretrained", "vit"),
        ("fusion", BASE, "vit-pretrained+convlstm-late"),
        ("streams", "trans-blstm-1", "vit"),
    ],
)
def test_a_row_is_measured_against_one_that_differs_in_what_the_axis_varies(
    axis: str, experiment: str, reference: str
) -> None:
    assert _place(axis, experiment).reference == reference


@pytest.mark.parametrize(
    ("axis", "experiment", "en", "zh"),
    [
        ("fusion", f"{BASE}-shared", "bottleneck, B = 4, shared blocks", "瓶颈，B = 4，共享块"),
        ("coupling", BASE, "ConvLSTM: none", "ConvLSTM：无"),
        ("coupling", f"{BASE}-contrastive", "ConvLSTM: contrastive, 0.1", "ConvLSTM：对比对齐，0.1"),
        (
            *("coupling", "vit-pretrained+trans-blstm-2-bottleneck-apart"),
            *("TRANS-BLSTM 2: tensors pushed apart, 0.1", "TRANS-BLSTM 2：参数推远，0.1"),
        ),
        ("streams", "convlstm-transformer", "ConvLSTM → Transformer", "ConvLSTM → Transformer"),
        ("pretraining", "vit", "ViT: from scratch", "ViT：从头训练"),
        ("merging", f"{BASE}-merged-75", "75 % merged", "合并 75 %"),
        ("modality-dropout", f"{BASE}-dropout", "33 % of the samples", "丢弃 33 %"),
    ],
)
def test_a_row_is_called_by_what_changes(axis: str, experiment: str, en: str, zh: str) -> None:
    row = _place(axis, experiment)

    assert (row.en, row.zh) == (en, zh)


def test_fusion_layers_are_called_by_their_number() -> None:
    rows = places("fusion-layer")

    assert [row.en for row in rows] == [f"Lf = {EXPERIMENTS[row.experiment].network.fusion_layer}" for row in rows]
    assert [row.value for row in rows] == sorted(row.value for row in rows)
    assert rows[0].en == rows[0].zh == "Lf = 0"


def test_no_two_rows_of_an_axis_read_alike() -> None:
    for axis in AXES:
        rows = places(axis)
        assert len({row.en for row in rows}) == len({row.zh for row in rows}) == len(rows)


def test_a_run_s_own_configuration_goes_before_the_declared_one() -> None:
    config = EXPERIMENTS[f"{BASE}-mid"].with_options({"network.fusion_layer": "1"}).to_dict()

    row = _place("fusion-layer", f"{BASE}-mid", runs={f"{BASE}-mid": config})

    assert (row.value, row.en) == (1.0, "Lf = 1")


def test_where_the_first_row_was_not_run_the_others_are_measured_against_the_first_that_was() -> None:
    runs = {name: EXPERIMENTS[name].to_dict() for name in ("vit-pretrained", "trans-blstm-2")}

    assert _place("streams", "trans-blstm-2", runs=runs).reference == "vit-pretrained"
    # Alone it has nothing to be measured against but the row that is to come.
    assert _place("pretraining", "vit-pretrained", runs=runs).reference == "vit"


def test_a_row_of_one_s_own_joins_the_scale_that_it_varies_and_no_other() -> None:
    own = EXPERIMENTS[BASE].with_options({"network.bottlenecks": "8"})
    runs = {own.name: own.to_dict()}

    assert [row.value for row in places("bottlenecks", runs)] == [1, 4, 8, 16]
    assert _place("bottlenecks", own.name, runs=runs).reference == BASE
    assert own.name not in {row.experiment for axis in set(AXES) - {"bottlenecks"} for row in places(axis, runs)}


def test_a_row_of_one_s_own_that_differs_in_more_joins_nothing() -> None:
    own = EXPERIMENTS[BASE].with_options({"network.bottlenecks": "8", "training.epochs": "1"})

    assert all(own.name not in {row.experiment for row in places(axis, {own.name: own.to_dict()})} for axis in AXES)


def test_streams_are_named() -> None:
    assert streams_of(EXPERIMENTS["vit+bilstm-late"].to_dict())[0] == "ViT + BiLSTM"
