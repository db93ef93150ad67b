"""The tables are frozen: these tests say what they are, so that a change cannot pass unseen."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from fusion.classes import IDS
from fusion.errors import InputError
from fusion.synthetic.ceilings import best_additive_rule, expected_ceilings
from fusion.synthetic.parameters import DEMO, PRESETS, Parameters, preset
from fusion.synthetic.tables import APPEARANCES, RHYTHMS, build_tables


def test_tables_are_those_that_were_frozen():
    tables = build_tables(DEMO)
    parts = (tables.prior, tables.given, tables.affinity)
    digest = hashlib.sha256(b"".join(np.rint(part * 1e9).astype("<i8").tobytes() for part in parts)).hexdigest()
    assert digest[:16] == "3c4bd6fb53525e0c"


def test_tables_are_probabilities():
    tables = build_tables(DEMO)
    assert tables.prior.sum() == pytest.approx(1)
    assert tables.given.sum(axis=(1, 2)) == pytest.approx(np.ones(9))
    assert tables.given.min() >= 0
    assert (tables.affinity > 0).all()
    assert tables.affinity == pytest.approx(tables.affinity.T)


def test_affinity_keeps_the_prior_on_average():
    tables = build_tables(DEMO)
    assert tables.affinity @ tables.prior == pytest.approx(np.ones(9))


def test_ceilings_have_clear_gaps():
    expected = expected_ceilings(build_tables(DEMO).joint)
    steps = [expected[rule] for rule in ("image", "signal", "additive", "joint")]
    # Worked out once from the frozen tables; docs/methods.md quotes them.
    assert steps == pytest.approx([0.5549, 0.6123, 0.8191, 0.9090], abs=5e-5)
    assert steps[2] - steps[1] > 0.07
    assert steps[3] - steps[2] > 0.07


def test_partners_share_their_marginals_but_not_their_pairs():
    pure = build_tables(replace(DEMO, kappa=1.0, table_noise=0.0))
    for one, other in (("school", "hospital"), ("shopping", "administrative")):
        a, b = pure.given[IDS.index(one)], pure.given[IDS.index(other)]
        assert a.sum(axis=1) == pytest.approx(b.sum(axis=1))
        assert a.sum(axis=0) == pytest.approx(b.sum(axis=0))
        assert (a * b).sum() == 0


def test_every_type_says_something_on_its_own():
    tables = build_tables(DEMO)
    for axis in (2, 1):
        seen = tables.joint.sum(axis=axis)
        posterior = seen / seen.sum(axis=0)
        divergence = (posterior * np.log(np.maximum(posterior, 1e-12) / tables.prior[:, None])).sum(axis=0)
        assert divergence.min() > 0.5


def test_without_interaction_adding_up_loses_nothing():
    joint = build_tables(preset("late-suffices")).joint
    expected = expected_ceilings(joint, best_additive_rule(joint, restarts=4))
    assert expected["additive"] == pytest.approx(expected["joint"], abs=1e-9)


def test_hopeless_city_leaves_the_commonest_class():
    expected = expected_ceilings(build_tables(preset("hopeless")).joint)
    assert set(np.round(list(expected.values()), 9)) == {0.17}


def test_easy_is_easier_and_hard_harder():
    joint = {name: expected_ceilings(build_tables(PRESETS[name]).joint)["joint"] for name in ("easy", "demo", "hard")}
    assert joint["easy"] > joint["demo"] > joint["hard"]


def test_names_are_unique_and_in_both_languages():
    for latents in (APPEARANCES, RHYTHMS):
        assert len({latent.id for latent in latents}) == 8
        assert all(latent.en and latent.zh for latent in latents)


def test_unknown_preset_and_parameter_are_named():
    with pytest.raises(InputError, match="medium"):
        preset("medium")
    with pytest.raises(InputError, match="kapa"):
        Parameters.from_dict({"kapa": 1})
    assert Parameters.from_dict(DEMO.to_dict()) == DEMO
