"""Table -> plotly Figure for the comparison of models: accuracy with ceilings, paired differences, cost.

Pure functions: a pandas table of `fusion.serving.comparison` in, a `plotly.graph_objects.Figure` out; nothing is
computed here that the table does not say. Shares are 0..1 in tables and per cent on axes. Text and grid colours are
left to the page's theme. What a model does class by class lies in `class_figures`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.palette import (
    COLOURS,
    FAINT,
    GREY,
    MODALITIES,
    SYMBOLS,
    modality_name,
)

_WORDS = {
    "accuracy": {"en": "Accuracy, % (95 % interval)", "zh": "准确率（%，95 % 区间）"},
    "score": {"en": "Accuracy on test cells", "zh": "测试单元上的准确率"},
    "reported": {"en": "reported by the user", "zh": "用户自报"},
    "difference": {"en": "Difference, points (95 % interval)", "zh": "准确率之差，百分点（95 % 区间）"},
    "none": {"en": "no difference", "zh": "无差异"},
    "cells": {"en": "cells", "zh": "个单元"},
    "seconds": {"en": "s of training a run", "zh": "秒（每次训练）"},
    "parameters": {"en": "Parameters, millions", "zh": "参数量（百万）"},
    "right": {"en": "right of the line: fusion is better", "zh": "线右侧：融合更好"},
}
_LABEL_LEVELS = 5  # seven ceilings at most: those that share a level lie far apart
_CEILING_WORDS = {
    "image": {"en": "image", "zh": "影像"},
    "image_near": {"en": "image + around", "zh": "影像＋周边"},
    "signal": {"en": "signal", "zh": "信令"},
    "signal_near": {"en": "signal + around", "zh": "信令＋周边"},
    "additive": {"en": "late rule", "zh": "后期相加"},
    "joint": {"en": "joint rule", "zh": "联合"},
    "oracle": {"en": "oracle", "zh": "先知"},
}


def accuracy_figure(
    accuracy: pd.DataFrame, ceilings: pd.DataFrame, reported: Sequence[Mapping[str, object]], lang: str = "en"
) -> go.Figure:
    """Draw every experiment's accuracy with its interval beside the ceilings and the user's own reported figures.

    Args:
        accuracy: columns experiment, modality, accuracy, low, high, n; one row a line, best first.
        ceilings: columns rule, accuracy; lines, dotted for a rule with neighbours. Empty without a known answer.
        reported: `name` and `accuracy` of each figure that was not measured here; hollow markers under a rule.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    labels = list(accuracy["experiment"])
    for modality in MODALITIES:
        rows = accuracy[accuracy["modality"] == modality]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["accuracy"] * 100,
            y=rows["experiment"],
            error_x={
                "type": "data",
                "array": (rows["high"] - rows["accuracy"]) * 100,
                "arrayminus": (rows["accuracy"] - rows["low"]) * 100,
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            name=modality_name(modality, lang),
            marker={"size": 11, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=np.stack([rows["low"] * 100, rows["high"] * 100, rows["n"]], axis=1),
            hovertemplate=(
                "%{y}<br><b>%{x:.1f} %</b> [%{customdata[0]:.1f}, %{customdata[1]:.1f}]"
                f"<br>n = %{{customdata[2]:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
        )
    own = [str(row["name"]).replace(" + ", "<br>+ ") for row in reported]  # long, and a phone is narrow
    if reported:
        figure.add_scatter(
            x=[float(str(row["accuracy"])) * 100 for row in reported],
            y=own,
            mode="markers",
            name=_word("reported", lang),
            marker={"size": 11, "color": GREY, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate=f"%{{y}}<br><b>%{{x:.1f}} %</b> {_word('reported', lang)}<extra></extra>",
        )
    _draw_ceilings(figure, ceilings, lang)
    order = [*labels, *own]
    if reported and labels:
        figure.add_hline(y=len(labels) - 0.5, line={"color": FAINT, "width": 2})
    figure.update_layout(
        xaxis={"title": _word("accuracy", lang), "range": _span(accuracy, ceilings, reported), "ticksuffix": " %"},
        yaxis={
            "categoryorder": "array",
            "categoryarray": order,
            "range": [len(order) - 0.4, -0.6],
            "automargin": True,
            "title": None,
        },
        legend={"orientation": "h", "y": -0.16 - 0.6 / max(len(order), 1), "x": 0, "yanchor": "top"},
        height=170 + 44 * max(len(order), 3),
        margin={"l": 8, "r": 16, "t": 10 + 18 * _LABEL_LEVELS if len(ceilings) else 16, "b": 8},
        hovermode="closest",
    )
    return figure


def paired_figure(paired: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw fusion minus unimodal accuracy on the same cells, with block-bootstrap intervals, against zero.

    Args:
        paired: columns fusion, unimodal, modality (of the unimodal), difference, low, high, n.
        lang: `en` or `zh`.
    """
    labels = [
        f"{fusion}<br>− {unimodal}" for fusion, unimodal in zip(paired["fusion"], paired["unimodal"], strict=True)
    ]
    figure = go.Figure()
    for modality in ("image", "signal"):
        chosen = (paired["modality"] == modality).to_numpy()
        rows = paired[chosen]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["difference"] * 100,
            y=[label for label, taken in zip(labels, chosen, strict=True) if taken],
            error_x={
                "type": "data",
                "array": (rows["high"] - rows["difference"]) * 100,
                "arrayminus": (rows["difference"] - rows["low"]) * 100,
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            name=f"− {modality_name(modality, lang)}",
            marker={"size": 10, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=np.stack([rows["low"] * 100, rows["high"] * 100, rows["n"]], axis=1),
            hovertemplate=(
                "%{y}<br><b>%{x:+.1f}</b> [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]"
                f"<br>n = %{{customdata[2]:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=0,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=_word("right", lang) + " →",
        showarrow=False,
        font={"color": GREY, "size": 12},
    )
    figure.update_layout(
        xaxis={"title": _word("difference", lang), "zeroline": False},
        yaxis={
            "categoryorder": "array",
            "categoryarray": labels,
            "range": [len(labels) - 0.4, -0.6],
            "automargin": True,
        },
        legend={"orientation": "h", "y": -0.2 - 0.6 / max(len(labels), 1), "x": 0, "yanchor": "top"},
        height=140 + 52 * max(len(labels), 2),
        margin={"l": 8, "r": 16, "t": 32, "b": 8},
    )
    return figure


def cost_figure(accuracy: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw accuracy against the number of parameters, which every machine agrees on; seconds of training on hover.

    Args:
        accuracy: as `accuracy_figure`, with train_s (mean seconds a run) and parameters.
        lang: `en` or `zh`.
    """
    known = accuracy.dropna(subset=["train_s", "parameters"])
    millions = known["parameters"] / 1e6
    largest = float(millions.max()) if len(known) else 1.0
    places = _label_places(known["experiment"], millions.to_numpy(dtype=float), known["accuracy"].to_numpy(dtype=float))
    figure = go.Figure()
    for modality in MODALITIES:
        rows = known["modality"] == modality
        if not rows.any():
            continue
        figure.add_scatter(
            x=millions[rows],
            y=known["accuracy"][rows] * 100,
            mode="markers+text",
            name=modality_name(modality, lang),
            text=known["experiment"][rows],
            textposition=[places[name] for name in known["experiment"][rows]],
            textfont={"size": 11},
            cliponaxis=False,
            marker={"size": 14, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=known["train_s"][rows],
            hovertemplate=(
                f"%{{text}}<br><b>%{{y:.1f}} %</b> · %{{x:.2f}} M<br>%{{customdata:,.0f}} {_word('seconds', lang)}"
                "<extra></extra>"
            ),
        )
    figure.update_layout(
        xaxis={"title": _word("parameters", lang), "range": [-0.06 * largest, 1.08 * largest]},
        yaxis={"title": _word("score", lang), "ticksuffix": " %"},
        legend={"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top", "itemsizing": "constant"},
        height=420,
        margin={"l": 8, "r": 16, "t": 24, "b": 8},
    )
    return figure


def _label_places(names: pd.Series, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    """Put each mark's name towards the middle, and above or below where the next mark is farther."""
    places = {}
    for row, name in enumerate(names):
        gaps = y[np.abs(x - x[row]) <= 0.3 * x.max()] - y[row]
        above, below = gaps[gaps > 0].min(initial=np.inf), -gaps[gaps < 0].max(initial=-np.inf)
        level = "top" if above >= below else "bottom"
        places[str(name)] = f"{level} {'left' if x[row] > x.max() / 2 else 'right'}"
    return places


def _draw_ceilings(figure: go.Figure, ceilings: pd.DataFrame, lang: str) -> None:
    """Dashed lines with labels above the plot, staggered so that close ones stay readable; dotted with neighbours."""
    ordered = ceilings.sort_values("accuracy")
    for number, (rule, accuracy) in enumerate(zip(ordered["rule"], ordered["accuracy"] * 100, strict=True)):
        dash = "dot" if rule.endswith("_near") else "dash"
        figure.add_vline(x=accuracy, line={"color": GREY, "dash": dash, "width": 1.5})
        figure.add_annotation(
            x=accuracy,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=2 + 18 * (number % _LABEL_LEVELS),
            text=f"{_CEILING_WORDS[rule][lang]} {accuracy:.1f}",
            showarrow=False,
            font={"color": GREY, "size": 12},
        )


def _span(accuracy: pd.DataFrame, ceilings: pd.DataFrame, reported: Sequence[Mapping[str, object]]) -> list[float]:
    """Axis range in per cent: everything drawn, to the next ten, never below 0 or above 100."""
    values = [*accuracy["low"], *accuracy["high"], *ceilings["accuracy"]]
    values += [float(str(row["accuracy"])) for row in reported]
    values = [value for value in values if not np.isnan(value)] or [0.0, 1.0]
    return [max(0.0, np.floor(min(values) * 10 - 0.2) * 10), min(102.0, np.ceil(max(values) * 10 + 0.2) * 10)]


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
