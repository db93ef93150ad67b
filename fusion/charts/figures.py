"""Table -> plotly Figure for the comparison of models: accuracy with ceilings, cost, what others reported.

Pure functions: a pandas table of `fusion.serving.comparison` in, a `plotly.graph_objects.Figure` out; nothing is
computed here that the table does not say. Shares are 0..1 in tables and per cent on axes. Text and grid colours are
left to the page's theme. What a model does class by class lies in `class_figures`, differences in `paired_figures`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.names import short_names
from fusion.charts.palette import (
    COLOURS,
    FAINT,
    GREY,
    MODALITIES,
    SYMBOLS,
    interval_bars,
    legend_below,
    modality_name,
    translucent,
)

_WORDS = {
    "accuracy": {"en": "Accuracy, % (95 % interval)", "zh": "准确率（%，95 % 区间）"},
    "score": {"en": "Accuracy on test cells", "zh": "测试单元上的准确率"},
    "elsewhere": {"en": "Accuracy reported elsewhere, on other data", "zh": "其他数据上已报道的准确率（不可比）"},
    "by_user": {"en": "this project's weekly report", "zh": "本课题周报"},
    "published": {"en": "published", "zh": "公开发表"},
    "spread": {"en": "worst to best seed", "zh": "最差至最好种子"},
    "seeds": {"en": "seeds", "zh": "个种子"},
    "cells": {"en": "cells", "zh": "个单元"},
    "parameters": {"en": "Parameters, millions", "zh": "参数量（百万）"},
    "multiply_adds": {"en": "Multiply-adds a cell, millions", "zh": "每单元乘加运算（百万）"},
}
_LABEL_LEVELS = 5  # seven ceilings at most: those that share a level lie far apart
_CEILING_WORDS = {
    "image": {"en": "image", "zh": "影像"},
    "image_near": {"en": "image + around", "zh": "影像＋周边"},
    "signal": {"en": "signal", "zh": "信令"},
    "signal_near": {"en": "signal + around", "zh": "信令＋周边"},
    "additive": {"en": "late rule", "zh": "后期规则"},
    "joint": {"en": "joint rule", "zh": "联合"},
    "oracle": {"en": "oracle", "zh": "理想上限"},
}


def accuracy_figure(accuracy: pd.DataFrame, ceilings: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw every experiment's accuracy with its interval beside the ceilings.

    Args:
        accuracy: columns experiment, modality, accuracy, low, high, n, seeds, seed_low, seed_high (the worst and best
            seed, a faint bar; NaN for one seed); one row a line, best first.
        ceilings: columns rule, accuracy; lines, dotted for a rule with neighbours. Empty without a known answer.
        lang: `en` or `zh`.
    """
    short = short_names(accuracy["experiment"])
    labels = [short[name] for name in accuracy["experiment"]]
    figure = go.Figure()
    _draw_seeds(figure, accuracy, labels, lang)
    for modality in MODALITIES:
        chosen = (accuracy["modality"] == modality).to_numpy()
        rows = accuracy[chosen]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["accuracy"] * 100,
            y=[label for label, taken in zip(labels, chosen, strict=True) if taken],
            error_x=interval_bars(rows, "accuracy"),
            mode="markers",
            name=modality_name(modality, lang),
            marker={"size": 11, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=rows[["experiment", "low", "high", "n", "seeds"]]
            .assign(low=rows["low"] * 100, high=rows["high"] * 100)
            .to_numpy(),
            hovertemplate=(
                "%{customdata[0]}<br><b>%{x:.1f} %</b> [%{customdata[1]:.1f}, %{customdata[2]:.1f}]"
                f"<br>n = %{{customdata[3]:,.0f}} {_word('cells', lang)}, %{{customdata[4]}} {_word('seeds', lang)}"
                "<extra></extra>"
            ),
        )
    _draw_ceilings(figure, ceilings, lang)
    figure.update_layout(
        xaxis={"title": _word("accuracy", lang), "range": _span(accuracy, ceilings), "ticksuffix": " %"},
        yaxis={
            "categoryorder": "array",
            "categoryarray": labels,
            "range": [len(labels) - 0.4, -0.6],
            "automargin": True,
            "title": None,
        },
        legend=legend_below(40 * max(len(labels), 3)),
        height=180 + 40 * max(len(labels), 3),
        margin={"l": 8, "r": 16, "t": 10 + 18 * _LABEL_LEVELS if len(ceilings) else 16, "b": 8},
        hovermode="closest",
    )
    return figure


def reported_figure(rows: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw figures that others reported on other data: a hollow mark each, a bar where a range is told.

    Args:
        rows: columns name, low, high, user (whether it is this project's own), source; low = high for one figure.
        lang: `en` or `zh`.
    """
    labels = [_two_lines(str(name)) for name in rows["name"]]
    figure = go.Figure()
    for label, row in zip(labels, rows.to_dict("records"), strict=True):
        if row["low"] < row["high"]:
            figure.add_scatter(
                x=[row["low"] * 100, row["high"] * 100],
                y=[label, label],
                mode="lines",
                line={"color": translucent(GREY, 0.45), "width": 10},
                showlegend=False,
                hoverinfo="skip",
            )
    for user, word, symbol in ((True, "by_user", "circle-open"), (False, "published", "diamond-open")):
        chosen = (rows["user"] == user).to_numpy()
        part = rows[chosen]
        if part.empty:
            continue
        # a range has a mark at either end, so that it is not taken for an interval around something measured
        ranges = part[part["high"] > part["low"]]
        ends = pd.concat([part.assign(x=part["low"]), ranges.assign(x=ranges["high"])])
        texts = [
            f"{low * 100:.4g} %" if low == high else f"{low * 100:.4g}–{high * 100:.4g} %"
            for low, high in zip(ends["low"], ends["high"], strict=True)
        ]
        figure.add_scatter(
            x=ends["x"] * 100,
            y=[labels[rows.index.get_loc(index)] for index in ends.index],
            mode="markers",
            name=_word(word, lang),
            marker={"size": 10, "color": GREY, "symbol": symbol, "line": {"width": 2}},
            customdata=np.stack([ends["name"], texts], axis=1),
            hovertemplate=f"%{{customdata[0]}}<br><b>%{{customdata[1]}}</b><br>{_word(word, lang)}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": _word("elsewhere", lang), "ticksuffix": " %", "range": [35, 100]},
        yaxis={
            "categoryorder": "array",
            "categoryarray": labels,
            "range": [len(labels) - 0.4, -0.6],
            "automargin": True,
        },
        legend=legend_below(36 * max(len(labels), 3)),
        height=150 + 36 * max(len(labels), 3),
        margin={"l": 8, "r": 16, "t": 12, "b": 8},
    )
    return figure


def cost_figure(accuracy: pd.DataFrame, cost: str, lang: str = "en") -> go.Figure:
    """Draw accuracy against a cost that every machine agrees on; a number a mark, since names of a dozen would meet.

    Args:
        accuracy: experiment, modality, accuracy, low, high, rank (the number that stands at the mark) and the costs;
            rows that do not know `cost` are left out.
        cost: "multiply_adds" (of a cell) or "parameters".
        lang: `en` or `zh`.
    """
    known = accuracy.dropna(subset=[cost])
    ticks = _log_ticks(known[cost] / 1e6)
    sides = _free_sides(np.log10(known[cost]), known["accuracy"] * 100)
    figure = go.Figure()
    for modality in MODALITIES:
        rows = known[known["modality"] == modality]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows[cost] / 1e6,
            y=rows["accuracy"] * 100,
            mode="markers+text",
            name=modality_name(modality, lang),
            text=[f" {rank} " for rank in rows["rank"]],
            textposition=sides[rows.index].tolist(),
            textfont={"size": 12},
            error_y=interval_bars(rows, "accuracy", thickness=1, width=3),
            cliponaxis=False,
            marker={"size": 11, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=rows[["experiment", "low", "high"]].assign(low=rows["low"] * 100, high=rows["high"] * 100),
            hovertemplate=(
                "%{customdata[0]}<br><b>%{y:.1f} %</b> [%{customdata[1]:.1f}, %{customdata[2]:.1f}] · %{x:,.2f} M"
                "<extra></extra>"
            ),
        )
    figure.update_layout(
        xaxis={
            "title": _word(cost, lang),
            "type": "log",
            "tickvals": ticks,
            "ticktext": [f"{tick:g}" for tick in ticks],
        },
        yaxis={"title": _word("score", lang), "ticksuffix": " %"},
        legend={"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top", "itemsizing": "constant"},
        height=420,
        margin={"l": 8, "r": 16, "t": 24, "b": 8},
    )
    return figure


def _free_sides(x: pd.Series, y: pd.Series) -> pd.Series:
    """Return on which side of each mark its number stands: marks that lie close together take different ones."""
    sides = ("middle right", "middle left", "top right", "bottom left", "bottom right", "top left")
    near_x, near_y = 0.06 * max(float(np.ptp(x)), 0.1), 0.1 * max(float(np.ptp(y)), 1.0)
    taken: list[int] = []
    for place in range(len(x)):
        close = [
            side
            for other, side in enumerate(taken)
            if abs(x.iloc[other] - x.iloc[place]) < near_x and abs(y.iloc[other] - y.iloc[place]) < near_y
        ]
        taken.append(next((side for side in range(len(sides)) if side not in close), 0))
    return pd.Series([sides[side] for side in taken], index=x.index)


def _log_ticks(values: pd.Series) -> list[float]:
    """1, 2 and 5 times powers of ten around the values: plotly's own ticks leave the powers out."""
    if values.empty:
        return []
    powers = range(int(np.floor(np.log10(values.min()))) - 1, int(np.ceil(np.log10(values.max()))) + 1)
    ticks = [round(step * 10.0**power, 12) for power in powers for step in (1, 2, 5)]
    return [tick for tick in ticks if values.min() / 2.5 <= tick <= values.max() * 2.5]


def _draw_seeds(figure: go.Figure, accuracy: pd.DataFrame, labels: Sequence[str], lang: str) -> None:
    """A faint bar from the worst to the best seed, behind the interval of the mean; one legend entry for all."""
    shown = False
    for label, low, high in zip(labels, accuracy["seed_low"], accuracy["seed_high"], strict=True):
        if np.isnan(low):
            continue
        figure.add_scatter(
            x=[low * 100, high * 100],
            y=[label, label],
            mode="lines",
            line={"color": FAINT, "width": 12},
            name=_word("spread", lang),
            legendgroup="seeds",
            showlegend=not shown,
            hoverinfo="skip",
        )
        shown = True


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


def _span(accuracy: pd.DataFrame, ceilings: pd.DataFrame) -> list[float]:
    """Axis range in per cent: everything drawn, to the next ten, never below 0 or above 100."""
    values = [*accuracy["low"], *accuracy["high"], *accuracy["accuracy"], *ceilings["accuracy"]]
    values = [value for value in values if not np.isnan(value)] or [0.0, 1.0]
    return [max(0.0, np.floor(min(values) * 10 - 0.2) * 10), min(102.0, np.ceil(max(values) * 10 + 0.2) * 10)]


def _two_lines(name: str) -> str:
    """Long names of models break before what is added: a phone is narrow."""
    return name.replace(" + ", "<br>+ ").replace(", one", ",<br>one").replace("，单", "，<br>单")


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
