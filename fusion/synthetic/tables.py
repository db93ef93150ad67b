"""The frozen tables of the demo city: which function looks and moves how.

P(a, r | f) = (1 - kappa) P(a | f) P(r | f) + kappa I(a, r | f) for the functions of an interaction group, and the
product alone for the others. A group is a pair of functions that share two appearances and two rhythms, half each, and
are told apart only by which appearance goes with which rhythm (an exclusive or). The two appearances (and rhythms) of a
group also occur, unequally, with functions outside it, so that each of them means something on its own.

All of it is invented. The tables were fixed before any network was trained on the city; they are not to be tuned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.classes import IDS
from fusion.synthetic.parameters import Parameters

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Latent:
    """A type of appearance or of rhythm, in words."""

    id: str
    en: str
    zh: str


APPEARANCES: tuple[Latent, ...] = (
    Latent("slabs", "slab blocks in rows", "行列式板楼"),
    Latent("podium", "dense podiums with towers", "密集裙楼与塔楼"),
    Latent("courts", "courtyard buildings with a track field", "围合院落与田径场"),
    Latent("roofs", "large flat roofs and yards", "大跨平屋顶与堆场"),
    Latent("rails", "rail yard and platforms", "铁路站场与站台"),
    Latent("runway", "runway and apron", "跑道与停机坪"),
    Latent("green", "trees, meadows and water", "林地、草坪与水面"),
    Latent("formal", "formal axis, lawns and a symmetric building", "中轴对称建筑与草坪"),
)
RHYTHMS: tuple[Latent, ...] = (
    Latent("home", "at home by night, double peak", "夜间居家双峰"),
    Latent("office", "daytime of working days", "工作日白天"),
    Latent("shift", "three shifts", "三班倒三峰"),
    Latent("pulse", "pulses of arrivals", "到发脉冲"),
    Latent("evening", "afternoon and evening, more at weekends", "午后与傍晚，周末更高"),
    Latent("clock", "round the clock, busier in the morning", "全天候，上午略高"),
    Latent("dusk", "dawn and dusk", "清晨与黄昏"),
    Latent("night", "late evening to small hours", "深夜至凌晨"),
)

PRIOR: dict[str, float] = {
    "residential": 0.170,
    "school": 0.130,
    "industrial": 0.110,
    "station": 0.065,
    "airport": 0.045,
    "park": 0.100,
    "shopping": 0.125,
    "administrative": 0.125,
    "hospital": 0.130,
}
_LOOKS: dict[str, dict[str, float]] = {
    "residential": {"slabs": 0.76, "podium": 0.12, "courts": 0.12},
    "school": {"courts": 0.62, "formal": 0.38},
    "industrial": {"roofs": 0.70, "rails": 0.20, "slabs": 0.10},
    "station": {"rails": 0.85, "roofs": 0.15},
    "airport": {"runway": 0.85, "roofs": 0.15},
    "park": {"green": 0.62, "formal": 0.20, "runway": 0.18},
    "shopping": {"podium": 0.62, "green": 0.38},
    "administrative": {"podium": 0.38, "green": 0.62},
    "hospital": {"courts": 0.38, "formal": 0.62},
}
_MOVES: dict[str, dict[str, float]] = {
    "residential": {"home": 0.80, "dusk": 0.10, "clock": 0.10},
    "school": {"office": 0.62, "clock": 0.38},
    "industrial": {"shift": 0.80, "night": 0.10, "office": 0.10},
    "station": {"pulse": 0.85, "night": 0.15},
    "airport": {"pulse": 0.70, "clock": 0.30},
    "park": {"dusk": 0.80, "evening": 0.20},
    "shopping": {"evening": 0.62, "night": 0.38},
    "administrative": {"evening": 0.38, "night": 0.62},
    "hospital": {"office": 0.38, "clock": 0.62},
}
_INTERACTION: dict[str, tuple[tuple[str, str], ...]] = {
    "school": (("courts", "office"), ("formal", "clock")),
    "hospital": (("courts", "clock"), ("formal", "office")),
    "shopping": (("podium", "evening"), ("green", "night")),
    "administrative": (("podium", "night"), ("green", "evening")),
}
# Which functions like to lie side by side (1) or not (-1); pairs not named are indifferent.
_LIKING: dict[tuple[str, str], float] = {
    ("residential", "school"): 1.0,
    ("residential", "hospital"): -1.0,
    ("hospital", "administrative"): 1.0,
    ("school", "administrative"): -1.0,
    ("residential", "shopping"): 1.0,
    ("residential", "administrative"): -1.0,
    ("industrial", "station"): 1.0,
    ("industrial", "park"): -1.0,
    ("station", "shopping"): 1.0,
    ("airport", "industrial"): 1.0,
    ("park", "school"): 1.0,
    ("park", "hospital"): -1.0,
}


@dataclass(frozen=True)
class Tables:
    """`prior` (9,) P(f); `given` (9,8,8) P(a, r | f); `affinity` (9,9): neighbours' odds against chance."""

    prior: Floats
    given: Floats
    affinity: Floats

    @property
    def joint(self) -> Floats:
        """P(f, a, r), shape (9,8,8)."""
        return self.prior[:, None, None] * self.given


def build_tables(parameters: Parameters) -> Tables:
    """Return the tables of a city."""
    looks = _marginal(_LOOKS, APPEARANCES, parameters.table_noise)
    moves = _marginal(_MOVES, RHYTHMS, parameters.table_noise)
    given = looks[:, :, None] * moves[:, None, :]
    a_index = {latent.id: i for i, latent in enumerate(APPEARANCES)}
    r_index = {latent.id: i for i, latent in enumerate(RHYTHMS)}
    for name, pairs in _INTERACTION.items():
        interaction = np.zeros((len(APPEARANCES), len(RHYTHMS)))
        for appearance, rhythm in pairs:
            interaction[a_index[appearance], r_index[rhythm]] = 1.0 / len(pairs)
        row = IDS.index(name)
        given[row] = (1.0 - parameters.kappa) * given[row] + parameters.kappa * interaction
    prior = np.array([PRIOR[name] for name in IDS])
    return Tables(prior, given, _affinity(prior, parameters.affinity))


def _marginal(spec: dict[str, dict[str, float]], latents: tuple[Latent, ...], noise: float) -> Floats:
    table = np.array([[spec[name].get(latent.id, 0.0) for latent in latents] for name in IDS])
    return (1.0 - noise) * table + noise / len(latents)


def _affinity(prior: Floats, strength: float) -> Floats:
    """Likings as factors of mean 1 under the prior, so that on a tree of sites the prior would stay the marginal."""
    liking = np.zeros((len(IDS), len(IDS)))
    for (one, other), value in _LIKING.items():
        i, j = IDS.index(one), IDS.index(other)
        liking[i, j] = liking[j, i] = value
    mean = liking @ prior
    return 1.0 + strength * (liking - mean[:, None] - mean[None, :] + prior @ mean)
