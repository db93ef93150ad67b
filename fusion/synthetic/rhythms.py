"""How the phones of each rhythm move: expected counts by local hour, relative to a typical hour of the place.

All profiles are invented. The week is 24 to 31 July 2021 (Saturday to Saturday): after the flood of 20 July counts
come back during the first days, and on 30 and 31 July restrictions keep people at home (facts: docs/methods.md).
"""

import numpy as np

from fusion.synthetic.exact import Floats
from fusion.synthetic.tables import RHYTHMS

HOURS = 192
DAYS = HOURS // 24
WEEKEND_DAYS = (0, 1, 7)  # 24, 25 and 31 July
RESTRICTED_DAYS = (6, 7)  # 30 and 31 July
# Share of the usual out-of-home counts that is there again, by day, after the flood: invented.
_RECOVERED = (0.80, 0.85, 0.91, 0.95, 0.98, 1.0, 1.0, 1.0)

# 24 values a rhythm, hours 0 to 23: working day, then weekend day.
_PROFILES: dict[str, tuple[str, str]] = {
    "home": (
        "1.45 1.45 1.45 1.45 1.40 1.40 1.50 1.55 1.00 0.62 0.55 0.55 0.70 0.65 0.50 0.48 0.52 0.65 0.95 1.30 1.50 1.60 1.55 1.50",
        "1.45 1.45 1.45 1.45 1.45 1.45 1.45 1.45 1.35 1.15 1.00 0.95 1.05 1.05 0.92 0.88 0.90 0.95 1.10 1.30 1.45 1.55 1.50 1.50",
    ),
    "office": (
        "0.12 0.10 0.10 0.10 0.10 0.12 0.25 0.80 1.90 2.30 2.40 2.35 1.95 2.05 2.35 2.35 2.25 1.90 1.05 0.55 0.38 0.28 0.20 0.15",
        "0.11 0.10 0.10 0.10 0.10 0.10 0.14 0.22 0.38 0.46 0.48 0.46 0.42 0.42 0.44 0.44 0.40 0.34 0.26 0.22 0.20 0.17 0.14 0.12",
    ),
    "shift": (
        "1.75 1.15 0.80 0.72 0.72 0.80 1.25 1.90 1.75 1.15 0.82 0.78 0.80 0.82 1.20 1.95 1.75 1.15 0.82 0.75 0.75 0.80 1.20 1.85",
        "1.50 1.00 0.70 0.62 0.62 0.70 1.10 1.65 1.50 1.00 0.72 0.68 0.70 0.72 1.05 1.70 1.50 1.00 0.72 0.65 0.65 0.70 1.05 1.60",
    ),
    "pulse": (
        "0.25 0.20 0.20 0.22 0.40 1.60 0.70 0.55 1.90 0.75 0.60 2.10 0.80 0.60 1.95 0.75 0.65 2.30 0.90 0.65 2.10 0.80 0.55 1.20",
        "0.25 0.20 0.20 0.22 0.45 1.85 0.80 0.62 2.15 0.85 0.68 2.40 0.90 0.68 2.20 0.85 0.72 2.60 1.00 0.72 2.40 0.90 0.60 1.35",
    ),
    "evening": (
        "0.16 0.10 0.08 0.08 0.08 0.10 0.15 0.22 0.35 0.60 0.95 1.15 1.30 1.20 1.15 1.20 1.35 1.70 2.15 2.50 2.45 1.80 0.85 0.32",
        "0.20 0.12 0.09 0.08 0.08 0.10 0.16 0.28 0.55 1.05 1.70 2.10 2.25 2.20 2.30 2.45 2.60 2.80 3.05 3.20 2.90 2.10 1.00 0.40",
    ),
    "clock": (
        "0.90 0.88 0.88 0.88 0.88 0.90 0.95 1.05 1.25 1.40 1.38 1.22 1.05 1.05 1.10 1.08 1.02 1.00 0.98 0.98 0.96 0.94 0.92 0.90",
        "0.90 0.88 0.88 0.88 0.88 0.90 0.93 1.00 1.14 1.24 1.22 1.12 1.02 1.02 1.04 1.02 1.00 0.98 0.97 0.96 0.95 0.93 0.92 0.90",
    ),
    "dusk": (
        "0.12 0.08 0.08 0.15 0.70 2.10 2.70 2.20 1.20 0.65 0.45 0.38 0.35 0.35 0.38 0.50 0.80 1.50 2.45 2.75 2.10 1.10 0.45 0.20",
        "0.12 0.08 0.08 0.15 0.70 2.05 2.75 2.50 1.80 1.25 0.95 0.75 0.62 0.62 0.75 0.95 1.30 1.95 2.75 2.95 2.25 1.20 0.50 0.22",
    ),
    "night": (
        "2.50 2.30 1.90 1.30 0.75 0.35 0.18 0.15 0.15 0.16 0.18 0.22 0.28 0.28 0.28 0.28 0.32 0.45 0.75 1.20 1.75 2.25 2.60 2.70",
        "2.90 2.70 2.30 1.60 0.95 0.45 0.20 0.16 0.16 0.18 0.22 0.28 0.34 0.34 0.34 0.34 0.40 0.58 0.95 1.50 2.10 2.65 3.00 3.10",
    ),
}
# Restrictions: factor of counts on those days. Who is at home stays there, who goes out does so less.
_RESTRICTED: dict[str, float] = {
    "home": 1.12,
    "office": 0.78,
    "shift": 0.88,
    "pulse": 0.62,
    "evening": 0.60,
    "clock": 0.92,
    "dusk": 0.66,
    "night": 0.64,
}


def profiles() -> Floats:
    """Return (8,192): the expected course of each rhythm over the week, before any nuisance."""
    week = np.zeros((len(RHYTHMS), DAYS, 24))
    for row, rhythm in enumerate(RHYTHMS):
        working, weekend = (np.array([float(v) for v in text.split()]) for text in _PROFILES[rhythm.id])
        for day in range(DAYS):
            course = weekend if day in WEEKEND_DAYS else working
            factor = _RESTRICTED[rhythm.id] if day in RESTRICTED_DAYS else 1.0
            back = 1.0 if rhythm.id == "home" else _RECOVERED[day]
            week[row, day] = course * factor * back
    return week.reshape(len(RHYTHMS), HOURS)


def background() -> Floats:
    """Return (192,): what any cell has a little of, the mean over all rhythms; also what filler ground follows."""
    return profiles().mean(axis=0)
