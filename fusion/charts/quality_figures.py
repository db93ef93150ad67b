"""Quality report -> plotly Figure: what was rejected, what is there hour by hour, which days differ, where parts lie.

Pure functions over the entries of `quality.json` (docs/data-formats.md).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.hourly import FLAG, finish_hours, wall_clock
from fusion.charts.palette import GREY, STATES, whole_ticks
from fusion.city import FlaggedDate

PARTS = {"imagery": "#0077bb", "signaling": "#ee7733", "functions": "#aa3377"}
_DASHES = {"imagery": "solid", "signaling": "dash", "functions": "dot"}
_BLUE = "#1f5a7a"
_GRID = "#e3e8ec"
_WORDS = {
    "valid": {"en": "valid", "zh": "有效"},
    "suppressed": {"en": "suppressed", "zh": "被抑制"},
    "missing": {"en": "missing", "zh": "缺失"},
    "cells": {"en": "Cells", "zh": "单元数"},
    "share": {"en": "Share of the hours that a cell reports", "zh": "单元有报告的小时占比"},
    "rows": {"en": "Rows rejected", "zh": "拒收行数"},
    "score": {"en": "Distance from the usual day, robust deviations", "zh": "与平常日的距离（稳健标准差）"},
    "ratio": {"en": "of the usual day", "zh": "为平常日的"},
    "unusual": {"en": "unusual", "zh": "异常"},
    "usual": {"en": "like the others", "zh": "与其他日相近"},
    "flagged": {"en": "flagged", "zh": "已标记"},
    "limit": {"en": "limit", "zh": "界限"},
    "signaling": {"en": "Signaling", "zh": "信令"},
    "imagery": {"en": "Imagery", "zh": "影像"},
    "functions": {"en": "Functions", "zh": "功能"},
    "longitude": {"en": "Longitude", "zh": "经度"},
    "latitude": {"en": "Latitude", "zh": "纬度"},
}
_LONGEST_NAMED = 31  # days that still get a name each
_UNSEEN = 0.02  # share of the axis below which a bar cannot be told from none


def reasons_figure(counts: Mapping[str, int], lang: str = "en", axis: str | None = None) -> go.Figure:
    """Draw how many rows were rejected for which reason, the most frequent first.

    Args:
        counts: reason in words -> rows.
        lang: `en` or `zh`.
        axis: title of the axis, where they are not rows.
    """
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    most = max((count for _, count in ordered), default=1)
    figure = go.Figure()
    figure.add_bar(
        x=[count for _, count in ordered],
        y=[name for name, _ in ordered],
        orientation="h",
        marker={"color": "#b5484b", "line": {"width": 0}},
        text=[f"{count:,}" for _, count in ordered],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: <b>%{x:,}</b><extra></extra>",
    )
    figure.update_layout(
        xaxis={
            "title": axis or _word("rows", lang),
            "range": [0, most * 1.25],
            "gridcolor": _GRID,
            **whole_ticks(most),
        },
        yaxis={"autorange": "reversed", "automargin": True},
        height=90 + 34 * max(len(ordered), 1),
        bargap=0.35,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=False,
    )
    return figure


def hours_figure(
    by_hour: Mapping[str, Sequence[Any]],
    timezone: str,
    flagged: Sequence[FlaggedDate] = (),
    lang: str = "en",
    height: int = 260,
) -> go.Figure:
    """Draw, hour by hour, how many cells are valid, suppressed and missing.

    Args:
        by_hour: lists of one length: `hour` (UTC, ISO 8601), `valid`, `suppressed`, `missing` (cells).
        timezone: IANA name of the city's time zone.
        flagged: dates to shade.
        lang: `en` or `zh`.
        height: in pixels.
    """
    local = wall_clock(pd.Series(pd.to_datetime(list(by_hour["hour"]), utc=True)), timezone)
    # A stack of steps, not of bars: thousands of hours are drawn as fast as two hundred.
    edges = pd.concat([local, local.iloc[-1:] + pd.Timedelta(hours=1)])
    figure = go.Figure()
    for state, (colour, _) in STATES.items():
        counts = list(by_hour[state])
        figure.add_scatter(
            x=edges,
            y=[*counts, *counts[-1:]],
            mode="lines",
            line={"width": 0, "shape": "hv", "color": colour},
            fillcolor=colour,
            stackgroup="states",
            name=_word(state, lang),
            hovertemplate=f"{_word(state, lang)}: <b>%{{y:,}}</b><extra></extra>",
        )
    finish_hours(figure, local, _word("cells", lang), flagged, lang, height, None)
    figure.update_layout(hovermode="x unified", legend_traceorder="normal")
    return figure


def cells_figure(histogram: Sequence[int], lang: str = "en", height: int = 240) -> go.Figure:
    """Draw how many cells report which share of the hours.

    Args:
        histogram: cells by share, in equal steps from 0 to 1.
        lang: `en` or `zh`.
        height: in pixels.
    """
    edges = np.linspace(0, 100, len(histogram) + 1)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=list(histogram),
        width=np.diff(edges) * 0.9,
        customdata=[f"{low:.0f}–{high:.0f} %" for low, high in itertools.pairwise(edges)],
        marker={"color": _BLUE, "line": {"width": 0}},
        text=[f"{count:,}" if count else "" for count in histogram],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{customdata}: <b>%{y:,}</b><extra></extra>",
    )
    figure.update_layout(
        xaxis={"title": _word("share", lang), "range": [0, 100], "dtick": 20, "ticksuffix": " %"},
        yaxis={
            "title": None,
            "range": [0, max(max(histogram, default=1), 1) * 1.18],
            "gridcolor": _GRID,
            **whole_ticks(max(histogram, default=1)),
        },
        height=height,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        showlegend=False,
    )
    _unit_above(figure, _word("cells", lang))
    return figure


def days_figure(
    days: Sequence[Mapping[str, Any]],
    limit: float,
    flagged: Sequence[FlaggedDate] = (),
    lang: str = "en",
    height: int = 260,
) -> go.Figure:
    """Draw how far each day is from the usual one, with the limit and the flagged dates beside it.

    Args:
        days: `date` (local, ISO), `score` (None: too few days to compare), `ratio`, `unusual`.
        limit: score from which a day is called unusual.
        flagged: dates of the city's description.
        lang: `en` or `zh`.
        height: in pixels.
    """
    why = {flag.date: flag.zh if lang == "zh" else flag.en for flag in flagged}
    top = max([limit * 1.2, *(day["score"] * 1.12 for day in days if day["score"] is not None)])
    figure = go.Figure()
    for unusual, colour, pattern in ((False, _BLUE, ""), (True, "#c8772b", "/")):
        chosen = [day for day in days if bool(day["unusual"]) == unusual and day["score"] is not None]
        if not chosen:
            continue
        figure.add_bar(
            x=[day["date"] for day in chosen],
            y=[day["score"] for day in chosen],
            name=_word("unusual" if unusual else "usual", lang),
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "#ffffff", "size": 7},
                "line": {"width": 0},
            },
            # A bar of no height would pass for a day without data.
            text=[f"{day['score']:.1f}" if day["score"] < _UNSEEN * top else "" for day in chosen],
            textposition="outside",
            textangle=0,
            cliponaxis=False,
            customdata=[
                [f"{day['ratio'] * 100:.0f} %" if day["ratio"] is not None else "–", why.get(day["date"], "")]
                for day in chosen
            ],
            hovertemplate=(
                f"%{{x|%Y-%m-%d}}: <b>%{{y:.1f}}</b><br>{_word('ratio', lang)} %{{customdata[0]}}"
                "<br>%{customdata[1]}<extra></extra>"
            ),
        )
    for day in days:
        if reason := why.get(day["date"]):
            named = day["score"] is not None and day["score"] < _UNSEEN * top
            figure.add_annotation(
                x=day["date"], y=min(top, (day["score"] or 0.0)), text="⚑", showarrow=False, yanchor="bottom",
                font={"color": FLAG, "size": 14}, hovertext=reason, yshift=16 if named else 0,
            )  # fmt: skip
    figure.add_hline(y=limit, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=1, xref="paper", y=limit, text=f"{_word('limit', lang)} {limit:g}", showarrow=False, xanchor="right",
        yanchor="bottom", font={"color": GREY, "size": 12},
    )  # fmt: skip
    dates = [day["date"] for day in days]
    ticks: dict[str, Any] = {"tickformat": "%Y-%m-%d"}
    if len(dates) <= _LONGEST_NAMED:
        every = -(-len(dates) // 11)
        ticks = {
            "tickvals": dates[::every],
            "ticktext": [f"{int(date[5:7])}/{int(date[8:])}" for date in dates[::every]],
        }
    figure.update_layout(
        xaxis={"type": "date", **ticks},
        yaxis={"range": [0, top * 1.1], "gridcolor": _GRID},
        height=height,
        bargap=0.3,
        margin={"l": 8, "r": 8, "t": 30, "b": 8},
        legend={"orientation": "h", "y": -0.14, "yanchor": "top", "x": 0},
        showlegend=True,
    )
    _unit_above(figure, _word("score", lang))
    return figure


def extents_figure(extents: Mapping[str, Sequence[float]], lang: str = "en", height: int = 300) -> go.Figure:
    """Draw the boxes of signaling, imagery and functions over each other, true to shape.

    Args:
        extents: part -> (west, south, east, north), degrees, WGS-84.
        lang: `en` or `zh`.
        height: in pixels.
    """
    figure = go.Figure()
    for part in ("imagery", "signaling", "functions"):
        box = extents.get(part)
        if box is None:
            continue
        west, south, east, north = box
        figure.add_scatter(
            x=[west, east, east, west, west],
            y=[south, south, north, north, south],
            mode="lines",
            line={"color": PARTS[part], "width": 2.5, "dash": _DASHES[part]},
            name=_word(part, lang),
            hovertemplate=f"{_word(part, lang)}<br>%{{x:.5f}}, %{{y:.5f}}<extra></extra>",
        )
    boxes = np.array(list(extents.values()), dtype=float).reshape(-1, 4)
    middle = float(boxes[:, [1, 3]].mean()) if len(boxes) else 0.0
    figure.update_layout(
        xaxis={"title": _word("longitude", lang), "gridcolor": _GRID, "tickformat": ".2f", "nticks": 6},
        yaxis={
            "title": _word("latitude", lang),
            "gridcolor": _GRID,
            "tickformat": ".2f",
            "nticks": 6,
            # A degree of longitude is shorter than one of latitude.
            "scaleanchor": "x",
            "scaleratio": 1 / max(np.cos(np.radians(middle)), 0.05),
        },
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        showlegend=True,
    )
    return figure


def _unit_above(figure: go.Figure, text: str) -> None:
    """Name the vertical axis above it, where Chinese need not lie on its side."""
    figure.add_annotation(
        text=text, x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", showarrow=False, yshift=4,
        font={"color": GREY, "size": 12},
    )  # fmt: skip


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
