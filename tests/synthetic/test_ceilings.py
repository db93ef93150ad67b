"""Ceilings against brute force and answers worked by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fusion.errors import CityError, InputError
from fusion.synthetic.ceilings import (
    RULES,
    Truth,
    best_additive_rule,
    ceilings,
    expected_ceilings,
    fit_additive,
    guess,
    load_truth,
)

XOR = np.array([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])


def test_xor_image_and_signal_are_chance_and_the_pair_is_certain():
    expected = expected_ceilings(XOR)
    assert (expected["image"], expected["signal"], expected["joint"]) == (0.5, 0.5, 1.0)


def test_best_additive_rule_gets_three_of_the_four_pairs_of_an_xor():
    # A sum of two scores can be an "and" or an "or", never an exclusive or: 75 %, not 50 %.
    assert expected_ceilings(XOR)["additive"] == pytest.approx(0.75)


def test_likelihood_gives_an_xor_no_additive_answer():
    s, t = fit_additive(XOR)
    score = s[:, :, None] + t[:, None, :]
    assert score[0] == pytest.approx(score[1], abs=1e-6)


def _two_functions_by_brute_force(joint):
    """Every rule of the form u(a) > w(r) is an order of the u and w; take the best over all orders."""
    _, looks, moves = joint.shape
    best = 0.0
    for order in itertools.permutations(range(looks + moves)):
        first = np.array(order[:looks])[:, None] > np.array(order[looks:])[None, :]
        best = max(best, np.where(first, joint[0], joint[1]).sum())
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 4)])
def test_additive_rule_equals_brute_force_for_two_functions(shape, seed):
    joint = np.random.default_rng(seed).dirichlet(np.full(2 * shape[0] * shape[1], 0.4)).reshape(2, *shape)
    found = expected_ceilings(joint)["additive"]
    assert found == pytest.approx(_two_functions_by_brute_force(joint))


@pytest.mark.parametrize("seed", range(4))
def test_additive_rule_equals_brute_force_for_three_functions(seed):
    joint = np.random.default_rng(seed).dirichlet(np.full(12, 0.4)).reshape(3, 2, 2)
    # Function 0 scores 0, and t(0) is 0 for all: six free scores on a grid that holds every order of their sums.
    levels = np.arange(-3, 4)
    s1a, s1b, s2a, s2b, t1, t2 = (g.ravel() for g in np.meshgrid(*[levels + i * 0.01 for i in range(6)]))
    value = 0.0
    for a, (one, two) in enumerate(((s1a, s2a), (s1b, s2b))):
        for r in range(2):
            scores = np.stack([np.zeros(len(one)), one + r * t1, two + r * t2])
            value = value + joint[:, a, r][scores.argmax(axis=0)]
    assert expected_ceilings(joint)["additive"] == pytest.approx(value.max())


def test_additive_rule_of_independent_latents_is_the_joint_rule():
    rng = np.random.default_rng(3)
    looks, moves = rng.dirichlet(np.ones(5), 4), rng.dirichlet(np.ones(6), 4)
    joint = 0.25 * looks[:, :, None] * moves[:, None, :]
    expected = expected_ceilings(joint)
    assert expected["additive"] == pytest.approx(expected["joint"])


def _truth(joint, affinity, function, appearance, rhythm, pairs, cells_per_site=3):
    site = np.repeat(np.arange(len(function)), cells_per_site).astype(np.int32)
    cells = np.arange(100, 100 + len(site), dtype=np.uint64)
    latents = (np.asarray(values, dtype=np.int32)[site] for values in (function, appearance, rhythm))
    return Truth(
        cells, site, *latents, joint, affinity, np.array(pairs, np.int32).reshape(-1, 2), best_additive_rule(joint)
    )


@pytest.fixture
def random_truth():
    rng = np.random.default_rng(8)
    joint = rng.dirichlet(np.full(3 * 4 * 5, 0.5)).reshape(3, 4, 5)
    function, appearance, rhythm = np.unravel_index(rng.choice(60, 300, p=joint.ravel()), (3, 4, 5))
    return _truth(joint, np.ones((3, 3)), function, appearance, rhythm, [])


def test_rules_on_cells_equal_a_count_by_hand(random_truth):
    table = ceilings(random_truth, random_truth.cells[50:400]).set_index("rule")["accuracy"]
    hits = dict.fromkeys(("image", "signal", "joint"), 0)
    for row in range(50, 400):
        a, r, f = (getattr(random_truth, name)[row] for name in ("appearance", "rhythm", "function"))
        chances = {
            "image": [random_truth.joint[g, a, :].sum() for g in range(3)],
            "signal": [random_truth.joint[g, :, r].sum() for g in range(3)],
            "joint": [random_truth.joint[g, a, r] for g in range(3)],
        }
        for rule, chance in chances.items():
            hits[rule] += chance.index(max(chance)) == f
    for rule, count in hits.items():
        assert table[rule] == pytest.approx(count / 350)


def test_rules_on_many_cells_come_near_what_is_expected(random_truth):
    table = ceilings(random_truth, random_truth.cells).set_index("rule")
    for rule, value in expected_ceilings(random_truth.joint).items():
        assert table.loc[rule, "low"] - 0.02 < value < table.loc[rule, "high"] + 0.02


def test_interval_resamples_sites_not_cells(random_truth):
    # Cells of a site share their answer: the interval is that of 300 sites, not of 900 cells.
    row = ceilings(random_truth, random_truth.cells, draws=4000).set_index("rule").loc["joint"]
    p = row["accuracy"]
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / 300), rel=0.12)


def test_oracle_without_affinity_is_the_joint_rule(random_truth):
    guesses = guess(random_truth)
    assert (guesses["oracle"] == guesses["joint"]).all()


def test_oracle_of_two_neighbours_is_exact():
    rng = np.random.default_rng(5)
    joint = rng.dirichlet(np.ones(3 * 2 * 2)).reshape(3, 2, 2)
    affinity = np.array([[2.0, 0.3, 0.5], [0.3, 1.5, 0.9], [0.5, 0.9, 1.2]])
    for a1, r1, a2, r2 in itertools.product(range(2), repeat=4):
        truth = _truth(joint, affinity, [0, 0], [a1, a2], [r1, r2], [[0, 1]])
        both = joint[:, a1, r1][:, None] * affinity * joint[:, a2, r2][None, :]
        assert guess(truth)["oracle"].tolist() == [both.sum(axis=1).argmax(), both.sum(axis=0).argmax()]


def test_cells_without_truth_are_named(random_truth):
    with pytest.raises(InputError, match="no truth"):
        ceilings(random_truth, [np.uint64(3)])
    with pytest.raises(InputError, match="no cells"):
        ceilings(random_truth, [])


def test_city_without_truth_says_so(tmp_path):
    with pytest.raises(CityError, match="only synthetic"):
        load_truth(tmp_path)


def test_truth_of_a_city_reads_back(tiny_city_root):
    truth = load_truth(tiny_city_root / "zhengzhou-demo")
    table = ceilings(truth, truth.cells)
    assert table["rule"].tolist() == list(RULES)
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    shuffled = replace(truth, joint=truth.joint)
    assert ceilings(shuffled, truth.cells[::-1])["accuracy"].tolist() == pytest.approx(table["accuracy"].tolist())
