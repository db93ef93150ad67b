"""The figures of one explanation: every number where it belongs, in either language."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusion.analysis.findings import Shapley
from fusion.charts.explain_figures import hours_figure, rollout_figure, shapley_figure

CLOCK = pd.DataFrame({"step": range(24), "local": pd.NaT, "support": [0.02, -0.05, np.nan] + [0.0] * 21})
SHAPLEY = Shapley(2, nothing=0.1, image_only=0.3, signal_only=0.2, both=0.7)  # image +0.35, signal +0.25


def test_the_heat_lies_on_the_chip_patch_by_patch_north_up() -> None:
    chip = np.zeros((8, 8, 3), dtype=np.uint8)
    chip[:4] = 255  # the north is white
    patches = np.array([[0.4, 0.1], [0.2, 0.1]])

    figure = rollout_figure(chip, patches)

    heat, ground = figure.data[0], figure.layout.images[0]
    np.testing.assert_allclose(heat.z, [[40, 10], [20, 10]])
    assert heat.colorbar.title.text == "% of attention"
    assert (heat.zmin, heat.zmax) == (0, 50)  # twice the even share, which the largest does not reach
    assert "25.0 %" in heat.hovertemplate  # four patches, spread evenly
    assert list(figure.layout.yaxis.range) == [1.5, -0.5]  # row 0 at the top
    assert (ground.x, ground.y, ground.sizex, ground.sizey, ground.layer) == (-0.5, -0.5, 2, 2, "above")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(ground.source.split(",")[1]))))
    assert picture[0, 0, :3].tolist() == [255, 255, 255]
    assert picture[-1, -1, :3].tolist() == [0, 0, 0]
    assert picture[0, 0, 3] == picture[-1, -1, 3] > 0


def test_a_plain_chip_leaves_the_heat_as_the_scale_has_it() -> None:
    figure = rollout_figure(np.full((4, 4, 3), 90, dtype=np.uint8), np.full((2, 2), 0.25))

    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.layout.images[0].source.split(",")[1]))))
    assert figure.data[0].opacity is None
    assert (picture[..., 3] == 0).all()


def test_hours_are_signed_points_and_those_without_data_are_marks_not_zeros() -> None:
    figure = hours_figure(CLOCK, clock=True)

    for_, against, gaps = figure.data
    assert for_.y[0] == pytest.approx(2)
    assert against.y[1] == pytest.approx(-5)
    assert np.isnan(for_.y[1])
    assert np.isnan(against.y[0])
    assert list(gaps.x) == [2]
    assert gaps.name == "no data"
    assert np.isnan([for_.y[2], against.y[2]]).all()
    assert figure.layout.xaxis.title.text == "hour of the day"
    assert figure.layout.yaxis.range[0] < -5


def test_a_thousandth_of_a_point_does_not_fill_the_axis() -> None:
    figure = hours_figure(CLOCK.assign(support=1e-5), clock=True)

    assert figure.layout.yaxis.range[1] >= 1
    assert len(figure.data) == 2


def test_hours_of_a_whole_week_stand_at_their_local_time() -> None:
    local = pd.date_range("2021-07-24", periods=24, freq="h")
    figure = hours_figure(CLOCK.assign(local=local), clock=False, lang="zh")

    assert pd.Timestamp(figure.data[0].x[5]) == pd.Timestamp("2021-07-24 05:00")
    assert figure.data[0].name == "支持该答案"
    assert figure.layout.xaxis.title.text is None


def test_nothing_known_of_any_hour_still_draws() -> None:
    figure = hours_figure(CLOCK.assign(support=np.nan), clock=True)

    assert len(figure.data[2].x) == 24
    assert np.isfinite(figure.layout.yaxis.range).all()


def test_the_way_from_neither_to_the_answer_has_no_gap() -> None:
    figure = shapley_figure(SHAPLEY, "Park")

    (bar,) = figure.data
    assert list(bar.y) == ["neither", "image", "signaling", "answer"]
    assert list(bar.base) == pytest.approx([0, 10, 45, 0])
    assert list(bar.x) == pytest.approx([10, 35, 25, 70])
    assert [note.text for note in figure.layout.annotations] == ["10.0 %", "+35.0", "+25.0", "70.0 %"]
    assert list(figure.layout.yaxis.categoryarray) == ["answer", "signaling", "image", "neither"]
    # bars stand at 3, 2, 1, 0; each line joins the end of one to the beginning of the next
    assert [(line.x0, round(line.y0 + 0.35), round(line.y1 - 0.35)) for line in figure.layout.shapes] == [
        (pytest.approx(10), 2, 3), (pytest.approx(45), 1, 2), (pytest.approx(70), 0, 1),
    ]  # fmt: skip
    assert figure.layout.xaxis.title.text == "Probability of Park, %"


def test_a_modality_that_speaks_against_the_answer_goes_left() -> None:
    figure = shapley_figure(Shapley(0, nothing=0.2, image_only=0.05, signal_only=0.8, both=0.6), "公园", "zh")

    # image ((0.05 - 0.2) + (0.6 - 0.8)) / 2 = -0.175, signal ((0.8 - 0.2) + (0.6 - 0.05)) / 2 = 0.575
    assert list(figure.data[0].x) == pytest.approx([20, -17.5, 57.5, 60])
    assert figure.layout.annotations[1].text == "−17.5"
    assert figure.layout.annotations[1].x == pytest.approx(20)  # beside the bar's right end
    assert list(figure.data[0].marker.pattern.shape) == ["", "/", "", ""]
    assert figure.layout.xaxis.range[0] <= 0
