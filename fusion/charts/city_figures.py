"""Table -> plotly Figure for the city itself and for one region: classes, hourly curves, probabilities.

Pure functions, as in `figures`. Hours come in UTC and are drawn in the city's own time zone; suppressed and missing
hours are gaps and marks, never zeros.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fusion.charts.palette import (
    COLOURS,
    GREY,
    MODALITIES,
    class_colours,
    class_names,
    modality_name,
    translucent,
)
from fusion.city import FlaggedDate
from fusion.classes import FUNCTIONS, IDS
from fusion.store import SUPPRESSED

FLAG = "#cc3311"
_DAY_MS = 86_400_000
_WORDS = {
    "cells": {"en": "Labelled cells", "zh": "已标注单元"},
    "valid": {"en": "valid", "zh": "有效"},
    "suppressed": {"en": "suppressed", "zh": "被抑制"},
    "missing": {"en": "missing", "zh": "缺失"},
    "true": {"en": "true", "zh": "真实"},
    "no_run": {"en": "no such run", "zh": "无此训练"},
}


def class_figure(counts: Mapping[str, int], lang: str = "en") -> go.Figure:
    """Draw the number of labelled cells by function, in the functions' own colours, all nine in class order.

    Args:
        counts: class id -> number of cells; an absent class is drawn as 0.
        lang: `en` or `zh`.
    """
    values = [int(counts.get(id_, 0)) for id_ in IDS]
    total = max(sum(values), 1)
    figure = go.Figure()
    figure.add_bar(
        x=values,
        y=class_names(lang),
        orientation="h",
        marker={"color": class_colours(), "line": {"width": 0}},
        text=[f"{value:,} · {value / total:.1%}" for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: <b>%{x:,}</b><extra></extra>",
    )
    figure.update_layout(
        xaxis={"title": _word("cells", lang), "range": [0, max(max(values), 1) * 1.28]},
        yaxis={"autorange": "reversed", "automargin": True},
        height=340,
        bargap=0.28,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=False,
    )
    return figure


def states_figure(coverage: Mapping[str, float], lang: str = "en") -> go.Figure:
    """Draw one bar of the shares of cell-hours that are valid, suppressed and missing.

    Args:
        coverage: as `fusion.store.coverage`.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    for state, colour, pattern in (
        ("valid", "#4b8f6f", ""),
        ("suppressed", "#c8b06a", "/"),
        ("missing", "#c9ced3", "x"),
    ):
        share = float(coverage[f"share_{state}"]) * 100
        figure.add_bar(
            x=[share],
            y=[""],
            orientation="h",
            name=f"{_word(state, lang)} {share:.1f} %",
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.8, "size": 7},
                "line": {"width": 0},
            },
            hovertemplate=f"{_word(state, lang)}: <b>%{{x:.1f}} %</b><extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        xaxis={"range": [0, 100], "visible": False, "fixedrange": True},
        yaxis={"visible": False, "fixedrange": True},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "x": 0, "traceorder": "normal"},
        height=78,
        bargap=0,
        margin={"l": 0, "r": 0, "t": 4, "b": 44},
    )
    return figure


def totals_figure(
    totals: pd.DataFrame,
    unit: str,
    timezone: str,
    flagged: Sequence[FlaggedDate] = (),
    lang: str = "en",
    hour: pd.Timestamp | None = None,
) -> go.Figure:
    """Draw the whole city's count by hour, local time; flagged dates are shaded, hours without data are gaps.

    Args:
        totals: columns hour (UTC), total.
        unit: of the measure, on the axis.
        timezone: IANA name of the city's time zone.
        flagged: dates to shade.
        lang: `en` or `zh`.
        hour: an instant to mark with a line, UTC.
    """
    local = _local(totals["hour"], timezone)
    figure = go.Figure()
    figure.add_scatter(
        x=local,
        y=totals["total"],
        mode="lines",
        line={"color": COLOURS["signal"], "width": 2},
        fill="tozeroy",
        fillcolor=translucent(COLOURS["signal"], 0.12),
        connectgaps=False,
        hovertemplate="%{x|%m-%d %H:%M}<br><b>%{y:,.0f}</b><extra></extra>",
    )
    _shade(figure, local, flagged, lang)
    _mark(figure, hour, timezone)
    _hour_axes(figure, local, unit, 260)
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
    """Draw one cell's count by hour, local time: gaps where missing, hollow marks on the axis where suppressed.

    Args:
        profile: columns hour (UTC), value (NaN unless valid), state (0 valid, 1 suppressed, 2 missing).
        unit: of the measure, on the axis.
        timezone: IANA name of the city's time zone.
        flagged: dates to shade.
        lang: `en` or `zh`.
        height: in pixels.
        hour: an instant to mark with a line, UTC.
    """
    local = _local(profile["hour"], timezone)
    hidden = (profile["state"] == SUPPRESSED).to_numpy()
    figure = go.Figure()
    figure.add_scatter(
        x=local,
        y=profile["value"],
        mode="lines+markers",
        line={"color": COLOURS["signal"], "width": 2},
        # Markers keep an hour visible whose neighbours on both sides are missing.
        marker={"size": 3, "color": COLOURS["signal"]},
        connectgaps=False,
        name=unit,
        hovertemplate="%{x|%m-%d %H:%M}<br><b>%{y:,.0f}</b><extra></extra>",
        showlegend=False,
    )
    if hidden.any():
        figure.add_scatter(
            x=local[hidden],
            y=np.zeros(int(hidden.sum())),
            mode="markers",
            marker={"size": 6, "symbol": "x-thin", "line": {"color": GREY, "width": 1.5}},
            name=_word("suppressed", lang),
            hovertemplate=f"%{{x|%m-%d %H:%M}}<br>{_word('suppressed', lang)}<extra></extra>",
        )
    _shade(figure, local, flagged, lang)
    _mark(figure, hour, timezone)
    _hour_axes(figure, local, unit, height)
    figure.update_layout(
        showlegend=bool(hidden.any()),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    return figure


def probabilities_figure(
    probabilities: Mapping[str, Sequence[float] | None], true: str | None = None, lang: str = "en"
) -> go.Figure:
    """Draw one region's nine probabilities by image only, signal only and fusion, side by side.

    Args:
        probabilities: modality -> nine probabilities in class order, or None where no such run exists.
        true: class id of the region's known function; its name is marked.
        lang: `en` or `zh`.
    """
    names = [
        f"<b>{name} ✓</b>" if function.id == true else name
        for function, name in zip(FUNCTIONS, class_names(lang), strict=True)
    ]
    figure = make_subplots(
        rows=1,
        cols=3,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[modality_name(modality, lang) for modality in MODALITIES],
    )
    for column, modality in enumerate(MODALITIES, start=1):
        values = probabilities.get(modality)
        if values is None:
            figure.add_annotation(
                text=_word("no_run", lang), x=50, y=names[4], showarrow=False, font={"color": GREY}, row=1, col=column
            )
        shown = np.asarray(values if values is not None else [np.nan] * len(IDS), dtype=float) * 100
        top = int(np.argmax(shown)) if values is not None else -1
        figure.add_bar(
            x=shown,
            y=names,
            orientation="h",
            marker={
                "color": [
                    colour if row == top else translucent(colour, 0.45) for row, colour in enumerate(class_colours())
                ]
            },
            text=["" if np.isnan(value) or value < 5 else f"{value:.0f}" for value in shown],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: <b>%{x:.1f} %</b><extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
    figure.update_xaxes(range=[0, 118], tickvals=[0, 50, 100], ticksuffix=" %", showgrid=True)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(height=290, bargap=0.3, margin={"l": 8, "r": 8, "t": 28, "b": 8})
    return figure


def _local(hours: pd.Series, timezone: str) -> pd.Series:
    """Local wall-clock time without a zone, which plotly draws as it stands."""
    return pd.to_datetime(hours, utc=True).dt.tz_convert(timezone).dt.tz_localize(None)


def _shade(figure: go.Figure, local: pd.Series, flagged: Sequence[FlaggedDate], lang: str) -> None:
    days = set(local.dt.strftime("%Y-%m-%d"))
    for flag in flagged:
        if flag.date not in days:
            continue
        start = pd.Timestamp(flag.date)
        figure.add_vrect(
            x0=start,
            x1=start + pd.Timedelta(days=1),
            fillcolor=translucent(FLAG, 0.10),
            line_width=0,
            layer="below",
            annotation={
                "text": "⚑",
                "font": {"color": FLAG, "size": 13},
                "hovertext": flag.zh if lang == "zh" else flag.en,
            },
            annotation_position="top left",
        )


def _mark(figure: go.Figure, hour: pd.Timestamp | None, timezone: str) -> None:
    if hour is not None:
        moment = pd.Timestamp(hour).tz_convert(timezone).tz_localize(None)
        figure.add_vline(x=moment, line={"color": GREY, "dash": "dot", "width": 1.5})


def _hour_axes(figure: go.Figure, local: pd.Series, unit: str, height: int) -> None:
    figure.update_layout(
        xaxis={
            "tickformat": "%m-%d",
            "dtick": _DAY_MS * (2 if height < 250 else 1) if len(local) <= 24 * 14 else None,
            "tickangle": 0,
            "tickfont": {"size": 11},
            "title": None,
        },
        yaxis={"title": unit, "rangemode": "tozero", "automargin": True},
        height=height,
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        hovermode="x",
        showlegend=False,
    )


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
