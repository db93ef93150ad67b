"""Table -> plotly Figure for the city itself and for one region: classes, coverage, probabilities.

Pure functions, as in `figures`; curves by hour are in `hourly`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fusion.charts.palette import (
    GREY,
    MODALITIES,
    STATES,
    class_colours,
    class_names,
    translucent,
    whole_ticks,
)
from fusion.classes import FUNCTIONS, IDS

_WORDS = {
    "cells": {"en": "Labelled cells", "zh": "已标注单元"},
    "predicted": {"en": "Predicted cells", "zh": "预测单元"},
    "valid": {"en": "valid", "zh": "有效"},
    "suppressed": {"en": "suppressed", "zh": "被抑制"},
    "missing": {"en": "missing", "zh": "缺失"},
    "states": {"en": "Share of cell-hours", "zh": "单元·小时占比"},
    "image": {"en": "Image, %", "zh": "影像（%）"},
    "signal": {"en": "Signal, %", "zh": "信令（%）"},
    "fusion": {"en": "Fusion, %", "zh": "融合（%）"},
    "no_run": {"en": "no such run", "zh": "无此训练"},
}


def class_figure(counts: Mapping[str, int], lang: str = "en", predicted: bool = False, height: int = 340) -> go.Figure:
    """Draw a number of cells by function, in the functions' own colours, all nine in class order.

    Args:
        counts: class id -> number of cells; an absent class is drawn as 0.
        lang: `en` or `zh`.
        predicted: whether they are predicted or labelled, on the axis.
        height: in pixels.
    """
    values = [int(counts.get(id_, 0)) for id_ in IDS]
    total = max(sum(values), 1)
    figure = go.Figure()
    figure.add_bar(
        x=values,
        y=class_names(lang),
        orientation="h",
        marker={"color": class_colours(), "line": {"width": 0}},
        text=[f"{value:,}" if predicted else f"{value:,} · {value / total * 100:.1f} %" for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: <b>%{x:,}</b><extra></extra>",
    )
    figure.update_layout(
        xaxis={
            "title": _word("predicted" if predicted else "cells", lang),
            "range": [0, max(max(values), 1) * 1.4],
            **whole_ticks(max(values)),
        },
        yaxis={"autorange": "reversed", "automargin": True},
        height=height,
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
    for state, (colour, pattern) in STATES.items():
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
        height=98,
        bargap=0,
        margin={"l": 0, "r": 0, "t": 24, "b": 44},
    )
    figure.add_annotation(
        text=_word("states", lang), x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        showarrow=False, yshift=2, font={"color": GREY, "size": 12},
    )  # fmt: skip
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
        subplot_titles=[_word(modality, lang) for modality in MODALITIES],
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
    figure.update_xaxes(range=[0, 118], tickvals=[0, 50, 100], showgrid=True)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(height=290, bargap=0.3, margin={"l": 8, "r": 8, "t": 28, "b": 8})
    return figure


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
