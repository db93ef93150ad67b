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

# 24 values a rhythm, in hundredths, hours 0 to 23: working day, then weekend day.
_PROFILES: dict[str, tuple[str, str]] = {
    "home": (
        "145 145 145 145 140 140 150 155 100 62 55 55 70 65 50 48 52 65 95 130 150 160 155 150",
        "145 145 145 145 145 145 145 145 135 115 100 95 105 105 92 88 90 95 110 130 145 155 150 150",
    ),
    "office": (
        "12 10 10 10 10 12 25 80 190 230 240 235 195 205 235 235 225 190 105 55 38 28 20 15",
        "11 10 10 10 10 10 14 22 38 46 48 46 42 42 44 44 40 34 26 22 20 17 14 12",
    ),
    "shift": (
        "175 115 80 72 72 80 125 190 175 115 82 78 80 82 120 195 175 115 82 75 75 80 120 185",
        "150 100 70 62 62 70 110 165 150 100 72 68 70 72 105 170 150 100 72 65 65 70 105 160",
    ),
    "pulse": (
        "25 20 20 22 40 160 70 55 190 75 60 210 80 60 195 75 65 230 90 65 210 80 55 120",
        "25 20 20 22 45 185 80 62 215 85 68 240 90 68 220 85 72 260 100 72 240 90 60 135",
    ),
    "evening": (
        "16 10 8 8 8 10 15 22 35 60 95 115 130 120 115 120 135 170 215 250 245 180 85 32",
        "20 12 9 8 8 10 16 28 55 105 170 210 225 220 230 245 260 280 305 320 290 210 100 40",
    ),
    "clock": (
        "90 88 88 88 88 90 95 105 125 140 138 122 105 105 110 108 102 100 98 98 96 94 92 90",
        "90 88 88 88 88 90 93 100 114 124 122 112 102 102 104 102 100 98 97 96 95 93 92 90",
    ),
    "dusk": (
        "12 8 8 15 70 210 270 220 120 65 45 38 35 35 38 50 80 150 245 275 210 110 45 20",
        "12 8 8 15 70 205 275 250 180 125 95 75 62 62 75 95 130 195 275 295 225 120 50 22",
    ),
    "night": (
        "250 230 190 130 75 35 18 15 15 16 18 22 28 28 28 28 32 45 75 120 175 225 260 270",
        "290 270 230 160 95 45 20 16 16 18 22 28 34 34 34 34 40 58 95 150 210 265 300 310",
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
        working, weekend = (np.array([int(v) / 100 for v in text.split()]) for text in _PROFILES[rhythm.id])
        for day in range(DAYS):
            course = weekend if day in WEEKEND_DAYS else working
            factor = _RESTRICTED[rhythm.id] if day in RESTRICTED_DAYS else 1.0
            back = 1.0 if rhythm.id == "home" else _RECOVERED[day]
            week[row, day] = course * factor * back
    return week.reshape(len(RHYTHMS), HOURS)


def background() -> Floats:
    """Return (192,): what any cell has a little of, the mean over all rhythms; also what filler ground follows."""
    return profiles().mean(axis=0)
