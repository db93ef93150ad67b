"""How figures are spelled: one way on every page."""

import math
from datetime import timedelta

import pandas as pd


def percent(share: float, digits: int = 1) -> str:
    """Spell a share of 1 as per cent, its sign on the number's line; an unknown one as a dash."""
    return "–" if share is None or math.isnan(share) else f"{share * 100:.{digits}f}\u00a0%"


def points(share: float) -> str:
    """Spell a difference of two shares in signed percentage points, with a true minus sign."""
    if share is None or math.isnan(share):
        return "–"
    return f"{share * 100:+.1f}".replace("-", "−")


def interval(low: float, high: float, signed: bool = False) -> str:
    """Spell an interval of shares in per cent (or signed points); a missing one as a dash."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    one = points if signed else (lambda share: f"{share * 100:.1f}")
    return f"[{one(low)}, {one(high)}]"


def p_value(value: float) -> str:
    """Spell a p-value; below 0.001 only as that."""
    return "–" if math.isnan(value) else ("< 0.001" if value < 0.001 else f"{value:.3f}")


def time_span(first_hour: str | None, hours: int, timezone: str) -> str:
    """Spell the local dates that a city's hours cover, such as 2021-07-24 – 2021-07-31; "" without hours."""
    if first_hour is None or not hours:
        return ""
    start = pd.Timestamp(first_hour).tz_convert(timezone)
    last = start + timedelta(hours=hours - 1)
    return f"{start:%Y-%m-%d}" if start.date() == last.date() else f"{start:%Y-%m-%d} – {last:%Y-%m-%d}"
