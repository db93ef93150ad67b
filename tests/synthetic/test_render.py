"""The picture: tiles fit together, shadows fall right, looks can be told apart."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.synthetic.latents import draw_latents
from fusion.synthetic.materials import NAMES, M
from fusion.synthetic.parameters import TINY
from fusion.synthetic.plan import build_plan
from fusion.synthetic.render import Scene, _shadows, build_frames, render_image, render_tile
from fusion.synthetic.streets import LOOKS, build_streets
from fusion.synthetic.tables import build_tables

SMALL = replace(TINY, width_m=3_200, height_m=2_800)


@pytest.fixture(scope="module")
def scene():
    plan = build_plan(SMALL, 3)
    latents = draw_latents(plan, build_tables(SMALL), 3)
    look = np.where(plan.site >= 0, latents.appearance[plan.site], 8 + plan.filler).astype(np.uint8)
    return Scene(plan, build_streets(plan, look, 3), build_frames(plan, 1.0, 3), 1.0, 3)


@pytest.fixture(scope="module")
def image(scene):
    return render_image(scene.plan, scene.streets, SMALL, 3, lambda share: None)


def test_tiles_do_not_depend_on_where_they_are_cut(scene, image):
    part = render_tile(scene, 301, 97, 250, 333)
    assert (part == image[:, 301:551, 97:430]).all()


def test_every_parcel_point_finds_its_own_parcel(scene):
    net = scene.streets
    rng = np.random.default_rng(0)
    part = rng.uniform(0.01, 0.99, (2, len(net.u0))).astype(np.float32)
    u, v = net.u0 + part[0] * (net.u1 - net.u0), net.v0 + part[1] * (net.v1 - net.v0)
    assert (net.parcels_at(u, v) == np.arange(len(u))).all()


def test_cell_centres_lie_in_parcels_of_their_own_site(scene):
    plan, net = scene.plan, scene.streets
    parcel = net.parcels_at(*net.bend(plan.x.astype(np.float32), plan.y.astype(np.float32)))
    assert (net.site[parcel] == plan.site).mean() > 0.9


def test_shadow_falls_to_the_north_west_as_long_as_the_house_is_high():
    height = np.zeros((60, 60), dtype=np.float32)
    height[40, 40] = 46.0
    dark = _shadows(height, 42, 42)
    rows, columns = np.nonzero(dark)
    # 46 m at 4.6 m a step: ten steps of (0.8, 0.6) pixels; the last one's edge grazes by the metre of tolerance.
    assert rows.min() == 40 - round(0.8 * 10)
    assert columns.min() == 40 - round(0.6 * 10)
    assert rows.max() < 40
    assert columns.max() < 41
    assert not dark[40, 40]


def test_picture_uses_its_range_without_clipping(image):
    assert 75 < image.mean() < 150
    assert ((image == 0) | (image == 255)).mean() < 0.001
    assert image.std() > 25


def test_hue_and_light_differ_from_site_to_site(scene):
    gain = scene.frames.gain[: scene.plan.sites]
    assert gain.std() > 0.02
    plain = build_frames(scene.plan, 0.0, 3)
    assert (plain.gain == 1).all()
    assert (plain.sine == 0).all()
    assert (plain.scale == 1).all()


def test_every_look_has_a_painter_and_every_surface_a_name():
    from fusion.synthetic.looks import PAINTERS

    assert set(LOOKS) == set(PAINTERS)
    assert NAMES[M.lake] == "lake"
    with pytest.raises(AttributeError):
        _ = M.lava
