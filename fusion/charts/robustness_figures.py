"""Table -> plotly Figure for what lies behind the accuracies: similarity of the two streams by level, damaged inputs.

Pure functions, as in `figures`; the tables come from `fusion.serving.ablation`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.names import short_names
from fusion.charts.palette import GREY, interval_bars

# Paul Tol's "bright" scheme without grey: six lines that colour-blind readers tell apart; symbol and dash differ too.
LINES = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")
_MARKS = ("circle", "square", "diamond", "triangle-up", "x", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

_WORDS = {
    "level": {"en": "Level, from the input upwards", "zh": "层级（自下而上）"},
    "cka": {"en": "Linear CKA (range over runs)", "zh": "线性 CKA（各次训练的范围）"},
    "overlap": {"en": "Overlap of weight subspaces (range over runs)", "zh": "权重子空间重叠（各次训练的范围）"},
    "accuracy": {"en": "Accuracy, % (95 % interval)", "zh": "准确率（%，95 % 区间）"},
    "chance": {"en": "unrelated (chance)", "zh": "毫不相关（偶然）"},
    "runs": {"en": "runs", "zh": "次训练"},
    "cells": {"en": "cells", "zh": "个单元"},
    "none": {"en": "undamaged", "zh": "完整输入"},
    "image-absent": {"en": "no image", "zh": "缺影像"},
    "signal-absent": {"en": "no signaling", "zh": "缺信令"},
}
_BARS = {"none": (GREY, ""), "image-absent": ("#0077bb", "/"), "signal-absent": ("#ee7733", "x")}


def similarity_figure(similarity: pd.DataFrame, measure: str, lang: str = "en") -> go.Figure:
    """Draw how alike the two streams are, level by level, a line an experiment; whiskers span the runs.

    Args:
        similarity: experiment, level, runs, and `measure`, `measure`_low, `measure`_high, `measure`_chance, 0 to 1;
            chance is drawn as one line, the mean over the experiments.
        measure: "cka" or "overlap".
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    known = similarity.dropna(subset=[measure])
    names = list(dict.fromkeys(known["experiment"]))
    for number, name in enumerate(names):
        rows = known[known["experiment"] == name].sort_values("level")
        figure.add_scatter(
            # Beside each other, or whiskers of several experiments hide one another.
            x=rows["level"] + 0.06 * (number - (len(names) - 1) / 2),
            y=rows[measure],
            error_y={
                "type": "data",
                "array": rows[f"{measure}_high"] - rows[measure],
                "arrayminus": rows[measure] - rows[f"{measure}_low"],
                "thickness": 1.5,
                "width": 4,
            },
            name=name,
            customdata=np.stack([rows[f"{measure}_low"], rows[f"{measure}_high"], rows["runs"], rows["level"]], axis=1),
            hovertemplate=(
                f"{name}<br>%{{customdata[3]}}: <b>%{{y:.3f}}</b> [%{{customdata[0]:.3f}}, %{{customdata[1]:.3f}}]"
                f"<br>%{{customdata[2]}} {_word('runs', lang)}<extra></extra>"
            ),
            **_line(number),
        )
    chance = known.groupby("level")[f"{measure}_chance"].mean().dropna()
    if len(chance):
        figure.add_scatter(
            x=chance.index,
            y=chance,
            name=_word("chance", lang),
            mode="lines+markers",
            line={"color": GREY, "dash": "dot", "width": 1.5},
            marker={"color": GREY, "symbol": "line-ew-open", "size": 12},
            hovertemplate=f"{_word('chance', lang)}<br>%{{x}}: %{{y:.3f}}<extra></extra>",
        )
    levels = sorted(known["level"].unique())
    figure.update_layout(
        xaxis={"title": _word("level", lang), "tickvals": levels, "ticktext": [f"{level:.0f}" for level in levels]},
        yaxis={"title": _word(measure, lang), "range": [-0.02, 1.05]},
        **_below(len(names), 340),
    )
    return figure


def damage_figure(robustness: pd.DataFrame, condition: str, unit: str, share: bool, lang: str = "en") -> go.Figure:
    """Draw accuracy under one kind of damage by its strength, a line an experiment, from the clean row on.

    Args:
        robustness: experiment, condition, strength, accuracy, low, high, n; condition "none" is the clean row.
        condition: which to draw.
        unit: title of the axis of strength.
        share: strength is a share of 1 and drawn in per cent.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    names = list(dict.fromkeys(robustness.loc[robustness["condition"] == condition, "experiment"]))
    factor = 100.0 if share else 1.0
    for number, name in enumerate(names):
        own = robustness[robustness["experiment"] == name]
        rows = own[own["condition"].isin(["none", condition])].sort_values("strength")
        figure.add_scatter(
            x=rows["strength"] * factor,
            y=rows["accuracy"] * 100,
            error_y=interval_bars(rows, "accuracy", thickness=1.5, width=4),
            name=name,
            customdata=np.stack([rows["low"] * 100, rows["high"] * 100, rows["n"]], axis=1),
            hovertemplate=(
                f"{name}<br>%{{x}}: <b>%{{y:.1f}} %</b> [%{{customdata[0]:.1f}}, %{{customdata[1]:.1f}}]"
                f"<br>n = %{{customdata[2]:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
            **_line(number),
        )
    figure.update_layout(
        xaxis={"title": unit},
        yaxis={"title": _word("accuracy", lang), "rangemode": "tozero"},
        **_below(len(names), 360),
    )
    return figure


def missing_figure(robustness: pd.DataFrame, experiments: Sequence[str], lang: str = "en") -> go.Figure:
    """Draw accuracy with both modalities, without the image and without the signaling, side by side an experiment.

    Args:
        robustness: as `damage_figure`, with the conditions none, image-absent and signal-absent.
        experiments: which to draw, from top to bottom.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    short = short_names(experiments)
    names = [short[name] for name in experiments]
    for condition, (colour, shape) in _BARS.items():
        rows = robustness[robustness["condition"] == condition].set_index("experiment").reindex(list(experiments))
        if rows["accuracy"].isna().all():
            continue
        figure.add_bar(
            x=rows["accuracy"] * 100,
            y=names,
            orientation="h",
            name=_word(condition, lang),
            marker={
                "color": colour,
                "pattern": {"shape": shape, "fgcolor": "#ffffff", "fillmode": "overlay", "size": 6},
            },
            error_x=interval_bars(rows, "accuracy", thickness=1.5, width=4),
            customdata=np.stack([rows["low"] * 100, rows["high"] * 100], axis=1),
            hovertemplate=(
                f"%{{y}}<br>{_word(condition, lang)}: <b>%{{x:.1f}} %</b> "
                "[%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>"
            ),
        )
    figure.update_layout(
        barmode="group",
        xaxis={"title": _word("accuracy", lang), "rangemode": "tozero", "ticksuffix": " %"},
        yaxis={"autorange": "reversed", "automargin": True},
        legend={"orientation": "h", "y": -0.14 - 0.5 / max(len(names), 1), "x": 0, "yanchor": "top"},
        height=150 + 78 * max(len(names), 1),
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
    )
    return figure


def _line(number: int) -> dict[str, object]:
    """Return colour, dash and symbol of the n-th line; after six the colours come again with the next dash."""
    turn, which = divmod(number, len(LINES))
    return {
        "mode": "lines+markers",
        "line": {"color": LINES[which], "dash": _DASHES[(which + turn) % len(_DASHES)], "width": 2},
        "marker": {"size": 9, "symbol": _MARKS[(which + turn) % len(_MARKS)], "color": LINES[which]},
    }


def _below(names: int, plot: int) -> dict[str, object]:
    """Return a layout with the legend below the plot, a line a name, since names are long and phones narrow."""
    return {
        "legend": {"orientation": "h", "y": -0.24, "x": 0, "yanchor": "top"},
        "height": plot + 24 * max(names, 1),
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        "hovermode": "closest",
        "showlegend": True,
    }


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
