"""Counts by hour -> plotly Figure: the whole city's and one cell's. Pure functions.

Hours come in UTC and are drawn as the city's own wall clock. Suppressed and missing hours are marks and gaps, never
zeros. Weekends are shaded grey and flagged dates red, with their reason under the pointer.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.palette import COLOURS, GREY, translucent
from fusion.city import FlaggedDate
from fusion.states import MISSING, SUPPRESSED

FLAG = "#cc3311"
_WEEKEND = "rgba(110,125,140,0.10)"
_EDGES = {"weekend": "rgba(110,125,140,0.45)", "flagged": translucent(FLAG, 0.45)}
_NOW = "#1d2730"
_DAYS = {"en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), "zh": tuple("周" + day for day in "一二三四五六日")}
_WORDS = {
    "suppressed": {"en": "suppressed", "zh": "被抑制"},
    "missing": {"en": "missing", "zh": "缺失"},
    "weekend": {"en": "weekend", "zh": "周末"},
    "flagged": {"en": "⚑ flagged date", "zh": "⚑ 已标记日期"},
}
_LEGEND_PX = 30
_LONGEST_DAILY = 15  # days that still get a tick each


def totals_figure(
    totals: pd.DataFrame,
    unit: str,
    timezone: str,
    flagged: Sequence[FlaggedDate] = (),
    lang: str = "en",
    height: int = 230,
    hour: pd.Timestamp | None = None,
) -> go.Figure:
    """Draw the whole city's count by hour; hours without data are gaps.

    Args:
        totals: columns `hour` (UTC), `total` (NaN where no cell reports).
        unit: of the measure, on the axis.
        timezone: IANA name of the city's time zone.
        flagged: dates to shade.
        lang: `en` or `zh`.
        height: in pixels, without the legend.
        hour: an instant to mark with a line, UTC.
    """
    local = wall_clock(totals["hour"], timezone)
    figure = go.Figure()
    _draw_curve(figure, local, totals["total"], GREY_BLUE)
    _mark_gaps(figure, local, totals["total"].isna().to_numpy(), lang)
    finish_hours(figure, local, unit, flagged, lang, height, _instant(hour, timezone))
    return figure


def profile_figure(
    profile: pd.DataFrame,
    unit: str,
    timezone: str,
    flagged: Sequence[FlaggedDate] = (),
    lang: str = "en",
    height: int = 260,
    hour: pd.Timestamp | None = None,
) -> go.Figure:
    """Draw one cell's count by hour: hollow marks on the axis where suppressed, a grey strip where missing.

    Args:
        profile: columns `hour` (UTC), `value` (NaN unless valid), `state` (0 valid, 1 suppressed, 2 missing).
        unit, timezone, flagged, lang, height, hour: as of `totals_figure`.
    """
    local = wall_clock(profile["hour"], timezone)
    state = profile["state"].to_numpy()
    figure = go.Figure()
    _draw_curve(figure, local, profile["value"], COLOURS["signal"])
    hidden = state == SUPPRESSED
    if hidden.any():
        word = _WORDS["suppressed"][lang]
        figure.add_scatter(
            x=local[hidden],
            y=np.zeros(int(hidden.sum())),
            mode="markers",
            marker={"size": 6, "symbol": "circle-open", "color": GREY, "line": {"width": 1.3}},
            cliponaxis=False,
            name=word,
            hovertemplate=f"%{{x|%m-%d %H:%M}}<br>{word}<extra></extra>",
        )
    _mark_gaps(figure, local, state == MISSING, lang)
    finish_hours(figure, local, unit, flagged, lang, height, _instant(hour, timezone))
    return figure


GREY_BLUE = "#1f5a7a"


def _draw_curve(figure: go.Figure, local: pd.Series, values: pd.Series, colour: str) -> None:
    figure.add_scatter(
        x=local,
        y=values,
        mode="lines+markers",
        line={"color": colour, "width": 1.8},
        # Markers keep an hour visible whose neighbours on both sides are missing.
        marker={"size": 3, "color": colour},
        connectgaps=False,
        hovertemplate="%{x|%m-%d %H:%M}<br><b>%{y:,.6~g}</b><extra></extra>",
        showlegend=False,
    )


def _mark_gaps(figure: go.Figure, local: pd.Series, gaps: np.ndarray, lang: str) -> None:
    """Draw a strip on the axis along each run of missing hours."""
    if not gaps.any():
        return
    edges = np.flatnonzero(np.diff(np.r_[0, gaps.astype(int), 0]))
    x: list = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        x += [local.iloc[start], local.iloc[stop - 1] + timedelta(hours=1), None]
    figure.add_scatter(
        x=x,
        y=[0 if moment is not None else None for moment in x],
        mode="lines",
        line={"color": translucent(GREY, 0.55), "width": 7},
        cliponaxis=False,
        name=_WORDS["missing"][lang],
        hovertemplate=f"%{{x|%m-%d %H:%M}}<br>{_WORDS['missing'][lang]}<extra></extra>",
    )


def finish_hours(
    figure: go.Figure,
    local: pd.Series,
    unit: str,
    flagged: Sequence[FlaggedDate],
    lang: str,
    height: int,
    now: pd.Timestamp | None,
) -> None:
    days = pd.date_range(local.iloc[0].normalize(), local.iloc[-1].normalize(), freq="D")
    why = {flag.date: flag.zh if lang == "zh" else flag.en for flag in flagged}
    first, last = local.iloc[0], local.iloc[-1] + timedelta(hours=1)
    shades: dict[str, str] = {}
    for day in days:
        reason = why.get(f"{day:%Y-%m-%d}")
        if reason is None and day.day_of_week < 5:
            continue
        shade = "flagged" if reason else "weekend"
        shades[shade] = translucent(FLAG, 0.10) if reason else _WEEKEND
        figure.add_vrect(
            x0=day,
            x1=day + timedelta(days=1),
            fillcolor=shades[shade],
            line_width=0,
            layer="below",
        )
        if reason:
            figure.add_annotation(
                x=max(day, first), y=1, xref="x", yref="paper", xanchor="left", yanchor="top", showarrow=False,
                text="⚑", font={"color": FLAG, "size": 13}, hovertext=reason, xshift=2,
            )  # fmt: skip
    for shade in sorted(shades, reverse=True):
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=_WORDS[shade][lang],
            marker={
                "symbol": "square",
                "size": 12,
                "color": shades[shade],
                "line": {"width": 1, "color": _EDGES[shade]},
            },
            hoverinfo="skip",
        )
    if now is not None:
        figure.add_vline(x=now, line={"color": _NOW, "width": 1.5})
    ticks: dict[str, Any] = {"tickformat": "%Y-%m-%d"}
    if len(days) <= _LONGEST_DAILY:
        marks = pd.date_range(days[0], local.iloc[-1], freq="D" if len(days) > 2 else "6h")
        texts = [
            f"{mark:%H:%M}" if mark.hour else f"{mark.month}/{mark.day}<br>{_DAYS[lang][mark.day_of_week]}"
            for mark in marks
        ]
        ticks = {"tickvals": list(marks), "ticktext": texts}
    # Above the axis, where 人 need not lie on its side.
    figure.add_annotation(
        text=unit, x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False, yshift=4,
        font={"color": GREY, "size": 12},
    )  # fmt: skip
    figure.update_layout(
        xaxis={"range": [first, last], "title": None, "ticklabelmode": "period", "gridcolor": "#e3e8ec", **ticks},
        yaxis={
            "rangemode": "tozero",
            "automargin": True,
            "gridcolor": "#e3e8ec",
            "exponentformat": "none",
            "separatethousands": True,
        },
        height=height + _LEGEND_PX,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        hovermode="x",
        showlegend=True,  # one entry alone would not be shown
        # Under the names of the days: beside the unit there is no room for four entries.
        legend={"orientation": "h", "y": -46 / max(height - 80, 60), "yanchor": "top", "x": 0, "itemclick": False},
    )


def wall_clock(hours: pd.Series, timezone: str) -> pd.Series:
    """Wall-clock time without a zone, which plotly draws as it stands."""
    return pd.to_datetime(hours, utc=True).dt.tz_convert(timezone).dt.tz_localize(None)


def _instant(hour: pd.Timestamp | None, timezone: str) -> pd.Timestamp | None:
    return None if hour is None else hour.tz_convert(timezone).tz_localize(None)
