"""Table -> plotly Figure for what a model does class by class: F1, confusion, calibration.

Pure functions, as in `figures`; the tables come from `fusion.serving.comparison`.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.names import short_names
from fusion.charts.palette import COLOURS, FAINT, GREY, class_names
from fusion.classes import IDS

_WORDS = {
    "predicted": {"en": "Predicted", "zh": "预测"},
    "true": {"en": "True", "zh": "真实"},
    "not_evaluable": {"en": "not evaluable", "zh": "不可评"},
    "confidence": {"en": "Mean confidence, %", "zh": "平均置信度 %"},
    "observed": {"en": "Share correct, %", "zh": "正确比例 %"},
    "before": {"en": "before scaling", "zh": "温度缩放前"},
    "after": {"en": "after scaling", "zh": "温度缩放后"},
    "perfect": {"en": "perfect calibration", "zh": "完全校准"},
    "cells": {"en": "cells", "zh": "个单元"},
    "never": {"en": "blank: never", "zh": "空白：从未出现"},
    "rounded": {"en": "0: below 0.5 on average; blank: never", "zh": "0：均值不足 0.5；空白：从未出现"},
}


def per_class_figure(per_class: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw F1 by experiment and function as a heat map; a class that is not evaluable is grey and says so.

    Args:
        per_class: columns experiment, function (class id), f1 (NaN = not evaluable), n_true.
        lang: `en` or `zh`.
    """
    experiments = list(dict.fromkeys(per_class["experiment"]))
    table = per_class.pivot(index="experiment", columns="function", values="f1").reindex(
        index=experiments, columns=list(IDS)
    )
    values = table.to_numpy(dtype=float)
    text = [["—" if np.isnan(value) else f"{value * 100:.0f}" for value in row] for row in values]
    missing = _word("not_evaluable", lang)
    hover = [
        [f"{name}<br>{missing if np.isnan(value) else f'F1 = {value * 100:.1f} %'}" for value in row]
        for name, row in zip(experiments, values, strict=True)
    ]
    short = short_names(experiments)
    names, lines = _class_names(lang), [short[name] for name in experiments]
    figure = go.Figure()
    figure.add_heatmap(
        z=np.where(np.isnan(values), 1.0, np.nan),
        x=names,
        y=lines,
        colorscale=[[0, FAINT], [1, FAINT]],
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
    figure.add_heatmap(
        z=values * 100,
        x=names,
        y=lines,
        text=text,
        customdata=hover,
        zmin=0,
        zmax=100,
        colorscale="Blues",
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{x}<br><b>%{customdata}</b><extra></extra>",
        hoverongaps=False,
    )
    for row, line in enumerate(lines):
        for column, name in enumerate(names):
            value = values[row, column]
            colour = GREY if np.isnan(value) else ("#ffffff" if value > 0.6 else "#1a1a1a")
            figure.add_annotation(
                x=name, y=line, text=text[row][column], showarrow=False, font={"color": colour, "size": 12}
            )
    figure.update_layout(
        xaxis={"side": "top", "automargin": True, "showgrid": False},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
        height=140 + 40 * max(len(experiments), 1),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return figure


def confusion_figure(confusion: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw a confusion matrix: colour = share of the true class's cells (row), number = count.

    Args:
        confusion: (9,9) counts, rows true and columns predicted, both in class order; means of several seeds.
        lang: `en` or `zh`.
    """
    counts = confusion.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), np.nan)
    names = _class_names(lang)
    figure = go.Figure()
    figure.add_heatmap(
        z=shares * 100,
        x=names,
        y=names,
        customdata=counts,
        zmin=0,
        zmax=100,
        colorscale="Blues",
        showscale=False,
        xgap=1,
        ygap=1,
        hovertemplate=(
            f"{_word('true', lang)}: %{{y}}<br>{_word('predicted', lang)}: %{{x}}"
            "<br><b>%{z:.1f} %</b> · %{customdata:,.0f}<extra></extra>"
        ),
        hoverongaps=False,
    )
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if counts[row, column] == 0:  # never, in no seed
                continue
            figure.add_annotation(
                x=other,
                y=name,
                text=f"{np.floor(counts[row, column] + 0.5):,.0f}",
                showarrow=False,
                font={"color": "#ffffff" if shares[row, column] > 0.6 else "#1a1a1a", "size": 11},
            )
    note = "rounded" if ((counts > 0) & (counts < 0.5)).any() else "never"
    title = f"{_word('predicted', lang)}<br><span style='font-size:12px;color:{GREY}'>{_word(note, lang)}</span>"
    figure.update_layout(
        xaxis={"title": title, "automargin": True, "showgrid": False},
        yaxis={"title": _word("true", lang), "autorange": "reversed", "automargin": True, "showgrid": False},
        height=520,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return figure


def reliability_figure(reliability: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw confidence against the share correct, before and after temperature scaling; larger marks have more cells.

    Args:
        reliability: columns stage (`before` or `after`), confidence, accuracy, count; one row a bin with cells.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name=_word("perfect", lang),
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    largest = float(reliability["count"].max()) if len(reliability) else 1.0
    styles = {"before": (GREY, "circle-open", "dot"), "after": (COLOURS["fusion"], "circle", "solid")}
    for stage, (colour, symbol, dash) in styles.items():
        rows = reliability[reliability["stage"] == stage]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["confidence"] * 100,
            y=rows["accuracy"] * 100,
            mode="lines+markers",
            name=_word(stage, lang),
            line={"color": colour, "dash": dash, "width": 2},
            # A bin of three cells says little: its mark is small.
            marker={"size": 4 + 11 * np.sqrt(rows["count"] / largest), "symbol": symbol, "color": colour},
            customdata=rows["count"],
            hovertemplate=(
                f"%{{x:.0f}} % → <b>%{{y:.0f}} %</b><br>n = %{{customdata:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
        )
    figure.update_layout(
        xaxis={"title": _word("confidence", lang), "range": [0, 102]},
        yaxis={"title": _word("observed", lang), "range": [0, 102]},
        legend={"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top"},
        height=400,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
    )
    return figure


def _class_names(lang: str) -> list[str]:
    """One word a class, for narrow columns."""
    return class_names(lang) if lang == "zh" else [id_.capitalize() for id_ in IDS]


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
