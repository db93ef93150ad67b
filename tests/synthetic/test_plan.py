"""Sites and latents of the whole demo city (0.3 s to plan; nothing is drawn)."""

import numpy as np
import pytest
from scipy import stats

from fusion.classes import IDS
from fusion.geo import grid
from fusion.synthetic.latents import draw_latents
from fusion.synthetic.parameters import DEMO
from fusion.synthetic.plan import build_plan
from fusion.synthetic.tables import APPEARANCES, build_tables
from fusion.synthetic.terrain import STATIONS


@pytest.fixture(scope="module")
def tables():
    return build_tables(DEMO)


@pytest.fixture(scope="module", params=[0, 1])
def city(request, tables):
    plan = build_plan(DEMO, request.param)
    return plan, draw_latents(plan, tables, request.param)


def test_size_is_that_of_the_design(city):
    plan, _ = city
    assert 5800 < len(plan.cells) < 6400
    assert 4700 < (plan.site >= 0).sum() < 5200
    assert 4.5 < (plan.site >= 0).sum() / plan.sites < 6
    assert plan.box.crs.to_epsg() == 32649
    assert (np.diff(plan.cells.astype(np.int64)) > 0).all()


def test_every_chip_lies_within_the_picture(city):
    plan, _ = city
    for at, length in ((plan.x, plan.box.width_m), (plan.y, plan.box.height_m)):
        assert at.min() > 192
        assert at.max() < length - 192


def test_a_cell_is_of_a_site_or_filler_and_never_both(city):
    plan, _ = city
    assert ((plan.site >= 0) ^ (plan.filler >= 0)).all()


def test_sites_are_contiguous(city):
    plan, _ = city
    for site in range(plan.sites):
        mine = set(np.flatnonzero(plan.site == site).tolist())
        reached, front = set(), [next(iter(mine))]
        while front:
            cell = front.pop()
            if cell in mine and cell not in reached:
                reached.add(cell)
                front += plan.near[cell].tolist()
        assert reached == mine


def test_pairs_are_the_sites_that_touch(city):
    plan, _ = city
    index = {int(cell): row for row, cell in enumerate(plan.cells)}
    touching = set()
    for row in range(0, len(plan.cells), 97):
        for other in grid.ring(int(plan.cells[row]), 1):
            one, two = plan.site[row], plan.site[index.get(int(other), row)]
            if one >= 0 and two >= 0 and one != two:
                touching.add((int(min(one, two)), int(max(one, two))))
    assert touching <= {tuple(pair) for pair in plan.pairs.tolist()}


def test_every_function_has_sites_in_ten_parents(city):
    plan, latents = city
    parents = grid.parents(plan.cells)
    function = np.where(plan.site >= 0, latents.function[plan.site], -1)
    assert min(len(np.unique(parents[function == index])) for index in range(9)) >= 10


def test_functions_hold_the_shares_of_the_prior(city, tables):
    plan, latents = city
    assert np.abs(np.bincount(latents.function, minlength=9) - tables.prior * plan.sites).max() <= 2
    cells = np.bincount(latents.function[plan.site[plan.site >= 0]], minlength=9)
    assert 3 < cells.max() / cells.min() < 5


def test_pairs_of_latents_follow_their_table(city, tables):
    _, latents = city
    for index in range(9):
        mine = latents.function == index
        got = np.zeros((8, 8))
        np.add.at(got, (latents.appearance[mine], latents.rhythm[mine]), 1)
        # A systematic sample is off by less than one; the two real stations add one each.
        assert np.abs(got - tables.given[index] * mine.sum()).max() < 3


def test_size_of_a_site_says_nothing_about_its_function(city):
    plan, latents = city
    size = np.bincount(plan.site[plan.site >= 0])
    assert stats.kruskal(*(size[latents.function == index] for index in range(9))).pvalue > 0.001


def test_place_of_a_site_says_nothing_about_its_function(city):
    plan, latents = city
    inside = plan.site >= 0
    count = np.bincount(plan.site[inside])
    for at in (plan.x, plan.y):
        middle = np.bincount(plan.site[inside], at[inside]) / count
        assert stats.kruskal(*(middle[latents.function == index] for index in range(9))).pvalue > 0.001


def test_neighbours_like_each_other_as_the_affinity_says(city, tables):
    plan, latents = city
    one, other = latents.function[plan.pairs].T
    met = np.zeros((9, 9))
    np.add.at(met, (one, other), 1)
    met = met + met.T
    chance = met.sum(axis=1)[:, None] * met.sum(axis=0) / met.sum()
    residential, school, hospital = (IDS.index(name) for name in ("residential", "school", "hospital"))
    assert met[residential, school] > 1.2 * chance[residential, school]
    assert met[residential, hospital] < 0.8 * chance[residential, hospital]
    upper = np.triu_indices(9, 1)
    assert np.corrcoef((met / chance)[upper], tables.affinity[upper])[0, 1] > 0.8


def test_real_stations_are_stations(city):
    plan, latents = city
    lon, lat = np.array(list(STATIONS.values())).T
    for cell in grid.cells_at(lon, lat, 9):
        site = plan.site[np.searchsorted(plan.cells, cell)]
        assert IDS[latents.function[site]] == "station"
        assert APPEARANCES[latents.appearance[site]].id == "rails"


def test_same_seed_same_city_and_other_seed_another(tables):
    one, again, other = (build_plan(DEMO, seed) for seed in (4, 4, 5))
    assert (one.site == again.site).all()
    assert (draw_latents(one, tables, 4).rhythm == draw_latents(again, tables, 4).rhythm).all()
    assert (one.site != other.site).any()
