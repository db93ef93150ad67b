"""How accurate a rule can be on the demo city, given what it may look at.

- `image`: the best guess from a site's appearance; `signal`: from its rhythm;
- `additive`: the best rule of the form argmax over f of s_f(appearance) + t_f(rhythm), which is what adding up two
  streams' scores (late fusion with a linear end) can express;
- `joint`: the best guess from the pair;
- `oracle`: from the pair and the pairs of the sites next to it, through the affinity of neighbours;
- `image_near`, `signal_near` (only when asked for): as `image` and `signal`, with the neighbours' appearances (or
  rhythms) as the oracle has them: what a single modality could learn from beyond its own site.

All take the latents as known, which no network does. So they bound what can be expected, up to two leaks: a network
also sees a little of the neighbours (chips overlap them, ConvLSTM reads them), which is what `oracle` allows for, and
on a few hundred test sites the realised accuracy of a rule scatters about its expectation, as the intervals show.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusion.errors import CityError, InputError

Floats = NDArray[np.float64]
RULES = ("image", "signal", "additive", "joint", "oracle")
NEAR_RULES = ("image_near", "signal_near")
_DRAWS = 1000


@dataclass(frozen=True)
class Truth:
    """What is true of a synthetic city.

    `cells` (N,) sorted uint64 with `site`, `function`, `appearance`, `rhythm` (N,); `joint` (F,A,R) P(f, a, r);
    `affinity` (F,F); `pairs` (P,2) sites side by side; `additive` (A,R) the best additive rule's guess.
    """

    cells: NDArray[np.uint64]
    site: NDArray[np.int32]
    function: NDArray[np.int32]
    appearance: NDArray[np.int32]
    rhythm: NDArray[np.int32]
    joint: Floats
    affinity: Floats
    pairs: NDArray[np.int32]
    additive: NDArray[np.int32]


def load_truth(city_path: Path) -> Truth:
    """Read `truth.parquet` and `truth.json` of a synthetic city.

    Raises:
        CityError: the city has no truth (a real one never has) or it cannot be read.
    """
    try:
        notes = json.loads((city_path / "truth.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(city_path / "truth.parquet").sort_values("cell")
    except FileNotFoundError:
        raise CityError(f"city {city_path.name} has no truth.json and truth.parquet: only synthetic ones do") from None
    except (OSError, ValueError) as error:
        raise CityError(f"{city_path.name}: its truth cannot be read ({error}): build the demo again") from None
    names = {name: index for index, name in enumerate(notes["functions"])}
    return Truth(
        table["cell"].to_numpy(np.uint64),
        table["site"].to_numpy(np.int32),
        table["function"].map(names).to_numpy(np.int32),
        table["appearance"].to_numpy(np.int32),
        table["rhythm"].to_numpy(np.int32),
        np.array(notes["prior"])[:, None, None] * np.array(notes["given"]),
        np.array(notes["affinity"]),
        np.array(notes["pairs"], dtype=np.int32).reshape(-1, 2),
        np.array(notes["additive_rule"], dtype=np.int32),
    )


def ceilings(
    truth: Truth, cells: ArrayLike, draws: int = _DRAWS, seed: int = 0, rules: tuple[str, ...] = RULES
) -> pd.DataFrame:
    """Return each rule's accuracy on some cells, with a 95 % interval from resampling their sites.

    Args:
        truth: of the city.
        cells: (n,) labelled cells, for instance a fold's test cells.
        draws, seed: of the bootstrap.
        rules: which; NEAR_RULES may be added.

    Returns:
        A row for each rule: rule, accuracy, low, high (shares of 1).

    Raises:
        InputError: a cell is not among the labelled cells of the city, or there is none.
    """
    wanted = np.asarray(cells, dtype=np.uint64)
    if not len(wanted):
        raise InputError("ceilings of no cells: give the test cells of a fold")
    rows = np.searchsorted(truth.cells, wanted).clip(max=len(truth.cells) - 1)
    if not (truth.cells[rows] == wanted).all():
        stray = int(wanted[np.flatnonzero(truth.cells[rows] != wanted)[0]])
        raise InputError(f"cell {stray:x} has no truth in this city: give labelled cells of it")
    site, true = truth.site[rows], truth.function[rows]
    guesses = guess(truth)
    names, block = np.unique(site, return_inverse=True)
    weight = np.bincount(block)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=draws)
    table = []
    for rule in rules:
        right = guesses[rule][site] == true
        hits = np.bincount(block, weights=right)
        spread = (times @ hits) / (times @ weight)
        low, high = np.quantile(spread, [0.025, 0.975])
        table.append((rule, float(right.mean()), float(low), float(high)))
    return pd.DataFrame(table, columns=["rule", "accuracy", "low", "high"])


def guess(truth: Truth) -> dict[str, NDArray[np.int64]]:
    """Return what each of RULES and NEAR_RULES says of every site, (S,) function indices."""
    sites = int(truth.site.max()) + 1
    appearance, rhythm = np.zeros(sites, dtype=np.int64), np.zeros(sites, dtype=np.int64)
    appearance[truth.site], rhythm[truth.site] = truth.appearance, truth.rhythm
    seen = {
        "image": truth.joint.sum(axis=2)[:, appearance].T,
        "signal": truth.joint.sum(axis=1)[:, rhythm].T,
        "joint": truth.joint[:, appearance, rhythm].T,
    }
    return {
        **{rule: likely.argmax(axis=1) for rule, likely in seen.items()},
        "additive": truth.additive[appearance, rhythm].astype(np.int64),
        "oracle": _with_neighbours(truth, seen["joint"]),
        "image_near": _with_neighbours(truth, seen["image"]),
        "signal_near": _with_neighbours(truth, seen["signal"]),
    }


def _with_neighbours(truth: Truth, likely: Floats) -> NDArray[np.int64]:
    """Guess from (S,F) likelihoods of each site and one message from each of its neighbours.

    Exact for a site whose neighbours touch nothing else (one step of belief propagation), near enough elsewhere.
    """
    known = likely / likely.sum(axis=1, keepdims=True)
    message = np.log(known @ truth.affinity)
    total = np.log(np.maximum(known, 1e-300))
    for one, other in (truth.pairs.T, truth.pairs.T[::-1]):
        np.add.at(total, one, message[other])
    return total.argmax(axis=1)


def expected_ceilings(joint: Floats, additive: NDArray[np.int32] | None = None) -> dict[str, float]:
    """Return the expected accuracy of image, signal, additive and joint, exactly from P(f, a, r).

    The oracle's has no closed form; see docs/methods.md for what it is on the demo city.

    Args:
        joint: (F,A,R) probabilities.
        additive: (A,R) the additive rule, found afresh if not given.
    """
    rule = best_additive_rule(joint) if additive is None else additive
    return {
        "image": float(joint.sum(axis=2).max(axis=0).sum()),
        "signal": float(joint.sum(axis=1).max(axis=0).sum()),
        "additive": float(np.take_along_axis(joint, rule[None], axis=0).sum()),
        "joint": float(joint.max(axis=0).sum()),
    }


def best_additive_rule(joint: Floats, restarts: int = 40, seed: int = 0) -> NDArray[np.int32]:
    """Find the most accurate rule argmax over f of s_f(a) + t_f(r).

    Starts from the likelihood's optimum (a convex problem) and from disturbed copies of it; then moves one score at a
    time to its best place, which is exact for that score, until nothing gains. The whole search is a heuristic: what it
    finds can be attained, so it is a lower bound of the true best.

    Args:
        joint: (F,A,R) probabilities.
        restarts: how many starts.

    Returns:
        (A,R) the function that the rule names.
    """
    rng = np.random.default_rng(seed)
    s0, t0 = fit_additive(joint)
    best_value, best = -1.0, np.zeros(joint.shape[1:], dtype=np.int32)
    for start in range(restarts):
        spread = (0.0, 0.3, 1.0, 3.0)[start % 4]
        s, t = s0 + spread * rng.normal(size=s0.shape), t0 + spread * rng.normal(size=t0.shape)
        value = _climb(joint, s, t, rng)
        if value > best_value + 1e-12:
            best_value, best = value, (s[:, :, None] + t[:, None, :]).argmax(axis=0).astype(np.int32)
    return best


def fit_additive(joint: Floats, steps: int = 2000, rate: float = 2.0) -> tuple[Floats, Floats]:
    """Fit s (F,A) and t (F,R) by maximum likelihood: what cross-entropy gives late fusion in the limit."""
    functions, looks, moves = joint.shape
    s, t = np.zeros((functions, looks)), np.zeros((functions, moves))
    speed_s, speed_t = np.zeros_like(s), np.zeros_like(t)
    here = joint.sum(axis=0)
    for _ in range(steps):
        score = s[:, :, None] + t[:, None, :]
        chance = np.exp(score - score.max(axis=0))
        slope = joint - chance / chance.sum(axis=0) * here
        speed_s, speed_t = 0.9 * speed_s + slope.sum(axis=2), 0.9 * speed_t + slope.sum(axis=1)
        s, t = s + rate * speed_s, t + rate * speed_t
    return s, t


def _climb(joint: Floats, s: Floats, t: Floats, rng: np.random.Generator, sweeps: int = 30) -> float:
    """Improve s and t in place, one score at a time; return the accuracy reached."""
    sides: Sequence[tuple[Floats, Floats, Floats]] = ((s, t, joint), (t, s, joint.transpose(0, 2, 1)))
    value = _accuracy(joint, s, t)
    for _ in range(sweeps):
        before = value
        for own, other, table in sides:
            for f in rng.permutation(own.shape[0]):
                for a in rng.permutation(own.shape[1]):
                    rivals = own[:, a][:, None] + other
                    rivals[f] = -np.inf
                    best_rival = rivals.argmax(axis=0)
                    columns = np.arange(other.shape[1])
                    needed = rivals.max(axis=0) - other[f]
                    gain = table[f, a] - table[best_rival, a, columns]
                    order = np.argsort(needed)
                    reached = np.concatenate([[0.0], np.cumsum(gain[order])])
                    n = int(rng.choice(np.flatnonzero(reached > reached.max() - 1e-12)))
                    steps = needed[order]
                    places = np.concatenate([[steps[0] - 1], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1]])
                    own[f, a] = places[n]
        value = _accuracy(joint, s, t)
        if value <= before + 1e-9:
            break
    return value


def _accuracy(joint: Floats, s: Floats, t: Floats) -> float:
    rule = (s[:, :, None] + t[:, None, :]).argmax(axis=0)
    return float(np.take_along_axis(joint, rule[None], axis=0).sum())
