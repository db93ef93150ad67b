"""Table -> plotly Figure for what is compared on the same cells: declared contrasts, exploration, kinds of folds.

Pure functions, as in `figures`; the tables come from `fusion.serving.contrasts` and `fusion.serving.goals`.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.names import short_names, wrap_words
from fusion.charts.palette import (
    COLOURS,
    FAINT,
    GREY,
    SYMBOLS,
    VERDICTS,
    draw_zero,
    interval_bars,
    legend_below,
    modality_name,
)

_WORDS = {
    "difference": {"en": "Difference, points (95 %)", "zh": "差值，百分点（95 %）"},
    "accuracy": {"en": "Accuracy, % (95 % interval)", "zh": "准确率（%，95 % 区间）"},
    "cells": {"en": "cells", "zh": "个单元"},
    "fusion_right": {"en": "fusion is better →", "zh": "融合更好 →"},
    "first_right": {"en": "the first is better →", "zh": "前者更好 →"},
    "gain": {"en": "better", "zh": "更好"},
    "loss": {"en": "worse", "zh": "更差"},
    "open": {"en": "not proven after Holm", "zh": "Holm 校正后不显著"},
    "spatial": {"en": "spatial folds", "zh": "空间折"},
    "random": {"en": "random folds", "zh": "随机折"},
    "flatters": {"en": "random flatters by", "zh": "随机折虚高"},
    "points": {"en": "points", "zh": "个百分点"},
}


def contrast_figure(contrasts: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw the declared contrasts that were run as a forest: a minus b with its interval, against zero.

    Args:
        contrasts: columns a, b, en, zh, difference, low, high, p_holm, n and verdict (gain, loss or open, which say by
            the corrected p-value whether the difference is proven).
        lang: `en` or `zh`.
    """
    short = short_names([*contrasts["a"], *contrasts["b"]], separator="-")
    labels = [
        f"{wrap_words(text)}<br><span style='font-size:10px'>{short[a]}<br>− {short[b]}</span>"
        for text, a, b in zip(contrasts[lang], contrasts["a"], contrasts["b"], strict=True)
    ]
    figure = go.Figure()
    for verdict in ("gain", "loss", "open"):
        chosen = (contrasts["verdict"] == verdict).to_numpy()
        rows = contrasts[chosen]
        if rows.empty:
            continue
        colour, symbol = VERDICTS[verdict]
        figure.add_scatter(
            x=rows["difference"] * 100,
            y=[label for label, taken in zip(labels, chosen, strict=True) if taken],
            error_x=interval_bars(rows, "difference"),
            mode="markers",
            name=_word(verdict, lang),
            marker={"size": 11, "color": colour, "symbol": symbol},
            customdata=rows[["a", "b", "low", "high", "p_holm", "n"]]
            .assign(low=rows["low"] * 100, high=rows["high"] * 100)
            .to_numpy(),
            hovertemplate=(
                "%{customdata[0]}<br>− %{customdata[1]}<br><b>%{x:+.1f}</b> "
                "[%{customdata[2]:+.1f}, %{customdata[3]:+.1f}]<br>p (Holm) = %{customdata[4]:.3g}"
                f"<br>n = %{{customdata[5]:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
        )
    _against_zero(figure, labels, _word("first_right", lang), lang)
    figure.update_layout(height=150 + 68 * max(len(labels), 2))
    return figure


def paired_figure(paired: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw fusion minus unimodal accuracy on the same cells, with block-bootstrap intervals, against zero.

    Args:
        paired: columns fusion, unimodal, modality (of the unimodal), difference, low, high, n.
        lang: `en` or `zh`.
    """
    short = short_names([*paired["fusion"], *paired["unimodal"]], separator="-")
    labels = [
        f"{short[fusion]}<br>− {short[unimodal]}"
        for fusion, unimodal in zip(paired["fusion"], paired["unimodal"], strict=True)
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
            error_x=interval_bars(rows, "difference"),
            mode="markers",
            name=f"− {modality_name(modality, lang)}",
            marker={"size": 10, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=np.stack([rows["low"] * 100, rows["high"] * 100, rows["n"]], axis=1),
            hovertemplate=(
                "%{y}<br><b>%{x:+.1f}</b> [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]"
                f"<br>n = %{{customdata[2]:,.0f}} {_word('cells', lang)}<extra></extra>"
            ),
        )
    _against_zero(figure, labels, _word("fusion_right", lang), lang)
    figure.update_layout(height=140 + 46 * max(len(labels), 2))
    return figure


def flattery_figure(flattery: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw each experiment's accuracy on spatial and on random folds, with intervals, and what lies between.

    Args:
        flattery: columns experiment, spatial, spatial_low, spatial_high, random, random_low, random_high, difference,
            low, high.
        lang: `en` or `zh`.
    """
    short = short_names(flattery["experiment"])
    labels = [short[name] for name in flattery["experiment"]]
    figure = go.Figure()
    for label, row in zip(labels, flattery.to_dict("records"), strict=True):
        figure.add_scatter(
            x=[row["spatial"] * 100, row["random"] * 100],
            y=[label, label],
            mode="lines",
            line={"color": FAINT, "width": 8},
            showlegend=False,
            hoverinfo="skip",
        )
    for kind, (colour, symbol) in {"spatial": (COLOURS["image"], "square"), "random": (GREY, "circle-open")}.items():
        figure.add_scatter(
            x=flattery[kind] * 100,
            y=labels,
            error_x=interval_bars(flattery, kind, f"{kind}_low", f"{kind}_high"),
            mode="markers",
            name=_word(kind, lang),
            marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 2}},
            customdata=_hovers(flattery.to_dict("records"), kind, lang),
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": _word("accuracy", lang), "ticksuffix": " %"},
        yaxis=_lines(labels),
        legend=legend_below(48 * max(len(labels), 2)),
        height=140 + 48 * max(len(labels), 2),
        margin={"l": 8, "r": 16, "t": 12, "b": 8},
    )
    return figure


def _hovers(rows: Sequence[Mapping[Hashable, Any]], kind: str, lang: str) -> list[str]:
    return [
        f"{row['experiment']}, {_word(kind, lang)}<br><b>{row[kind] * 100:.1f} %</b> "
        f"[{row[f'{kind}_low'] * 100:.1f}, {row[f'{kind}_high'] * 100:.1f}]<br>{_word('flatters', lang)} "
        f"{row['difference'] * 100:+.1f} [{row['low'] * 100:+.1f}, {row['high'] * 100:+.1f}] {_word('points', lang)}"
        for row in rows
    ]


def _against_zero(figure: go.Figure, labels: Sequence[str], right: str, lang: str) -> None:
    draw_zero(figure, right)
    figure.update_layout(
        xaxis={"title": _word("difference", lang), "zeroline": False},
        yaxis=_lines(labels),
        legend=legend_below(48 * max(len(labels), 2)),
        margin={"l": 8, "r": 16, "t": 32, "b": 8},
    )


def _lines(labels: Sequence[str]) -> dict[str, Any]:
    """One line a row, the first on top."""
    return {
        "categoryorder": "array",
        "categoryarray": list(labels),
        "range": [len(labels) - 0.4, -0.6],
        "automargin": True,
    }


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
