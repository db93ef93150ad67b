"""Table -> plotly Figure for one axis of the ablation: accuracy, difference to the reference row, what merging saves.

Pure functions, as in `figures`; the tables come from `fusion.serving.ablation`. Rows carry their own names in both
languages (`label_en`, `label_zh`), which say what changes along the axis.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fusion.charts.palette import (
    COLOURS,
    FAINT,
    GREY,
    MODALITIES,
    SYMBOLS,
    draw_zero,
    interval_bars,
    modality_name,
    translucent,
)

FEWER = " *"  # behind the name of a row with fewer runs than the fullest of its axis

_WORDS = {
    "accuracy": {"en": "Accuracy, % (95 % interval)", "zh": "准确率（%，95 % 区间）"},
    "difference": {
        "en": "Difference to the reference, points (95 %)",
        "zh": "与参照之差，百分点（95 % 区间）",
    },
    "score": {"en": "Accuracy on test cells, %", "zh": "测试单元上的准确率（%）"},
    "saved": {"en": "Multiply-adds saved, %", "zh": "节省的乘加运算（%）"},
    "cells": {"en": "cells", "zh": "个单元"},
    "runs": {"en": "runs", "zh": "次训练"},
    "reference": {"en": "reference", "zh": "参照"},
    "better": {"en": "better", "zh": "更好"},
    "worse": {"en": "worse", "zh": "更差"},
    "open": {"en": "interval holds 0", "zh": "区间含 0"},
    "right": {"en": "right of the line: better →", "zh": "线右侧：更好 →"},
    "millions": {"en": "million multiply-adds a cell", "zh": "百万次乘加/单元"},
}
_CEILING_WORDS = {
    "image": {"en": "image ceiling", "zh": "影像上限"},
    "signal": {"en": "signal ceiling", "zh": "信令上限"},
    "additive": {"en": "late rule's ceiling", "zh": "后期规则上限"},
    "joint": {"en": "joint ceiling", "zh": "联合上限"},
    "oracle": {"en": "oracle", "zh": "理想上限"},
}
_LEVELS = 4  # rows of names above the plot: those that share one lie far apart
_MARGIN = {"l": 8, "r": 16, "t": 12 + 18 * _LEVELS, "b": 8}  # one for both charts, so that their rows stand level
# Paul Tol's "vibrant" teal and red; a verdict has a symbol too, so that nothing rests on colour alone.
_VERDICTS = {"better": ("#009988", "triangle-right"), "worse": ("#cc3311", "triangle-left"), "open": (GREY, "circle")}


def axis_figure(rows: pd.DataFrame, references: pd.DataFrame, ceilings: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw the rows of one axis from top to bottom, with intervals, against unimodal rows and ceilings.

    Args:
        rows: columns label_en, label_zh, experiment, modality, accuracy, low, high, n, runs, fewer, ordered; in the
            order of the axis. A thin line joins the rows where `ordered` says that the axis is a scale.
        references: experiment, modality, accuracy: unimodal rows, a line each in the modality's colour.
        ceilings: rule, accuracy; grey lines. Empty without a known answer.
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    labels = row_labels(rows, lang)
    if len(rows) > 1 and bool(rows["ordered"].all()):
        figure.add_scatter(
            x=rows["accuracy"] * 100,
            y=labels,
            mode="lines",
            line={"color": FAINT, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    for modality in MODALITIES:
        chosen = (rows["modality"] == modality).to_numpy()
        if not chosen.any():
            continue
        part = rows[chosen]
        figure.add_scatter(
            x=part["accuracy"] * 100,
            y=[label for label, taken in zip(labels, chosen, strict=True) if taken],
            error_x=interval_bars(part, "accuracy"),
            mode="markers",
            name=modality_name(modality, lang),
            marker={"size": 11, "color": COLOURS[modality], "symbol": SYMBOLS[modality]},
            customdata=np.stack(
                [part["low"] * 100, part["high"] * 100, part["n"], part["experiment"], part["runs"]], axis=1
            ),
            hovertemplate=(
                "%{customdata[3]}<br><b>%{x:.1f} %</b> [%{customdata[0]:.1f}, %{customdata[1]:.1f}]"
                f"<br>n = %{{customdata[2]:,.0f}} {_word('cells', lang)}, %{{customdata[4]}} {_word('runs', lang)}"
                "<extra></extra>"
            ),
        )
    lines = [
        (float(accuracy), str(experiment), COLOURS[str(modality)], "dot")
        for experiment, modality, accuracy in zip(
            references["experiment"], references["modality"], references["accuracy"], strict=True
        )
    ]
    lines += [
        (float(accuracy), _CEILING_WORDS[str(rule)][lang], GREY, "dash")
        for rule, accuracy in zip(ceilings["rule"], ceilings["accuracy"], strict=True)
    ]
    _draw_lines(figure, lines)
    drawn = [*rows["low"], *rows["high"], *rows["accuracy"], *(line[0] for line in lines)]
    figure.update_layout(
        xaxis={"title": _word("accuracy", lang), "range": _span(drawn), "ticksuffix": " %"},
        yaxis=_categories(labels),
        showlegend=True,  # as the chart beside it has, or their rows would not stand level
        legend={"orientation": "h", "y": -0.2 - 0.7 / max(len(labels), 1), "x": 0, "yanchor": "top"},
        height=_height(labels),
        margin=_MARGIN,
        hovermode="closest",
    )
    return figure


def difference_figure(rows: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw each row's accuracy minus that of its reference row on the same cells, with paired intervals, against zero.

    Args:
        rows: as `axis_figure`, with reference (name of the row that it is measured against; its own for that row),
            difference, difference_low, difference_high (NaN: not comparable), verdict (better, worse, open or none).
        lang: `en` or `zh`.
    """
    figure = go.Figure()
    labels = np.array(row_labels(rows, lang), dtype=object)
    own = (rows["reference"] == rows["experiment"]).to_numpy()
    draw_zero(figure, _word("right", lang))
    if own.any():
        figure.add_scatter(
            x=np.zeros(int(own.sum())),
            y=labels[own],
            mode="markers",
            name=_word("reference", lang),
            marker={"size": 11, "color": GREY, "symbol": "diamond-open", "line": {"width": 2}},
            hovertemplate=f"%{{y}}: {_word('reference', lang)}<extra></extra>",
        )
    for verdict, (colour, symbol) in _VERDICTS.items():
        chosen = ((rows["verdict"] == verdict) & rows["difference"].notna()).to_numpy() & ~own
        if not chosen.any():
            continue
        part = rows[chosen]
        figure.add_scatter(
            x=part["difference"] * 100,
            y=labels[chosen],
            error_x=interval_bars(part, "difference", "difference_low", "difference_high"),
            mode="markers",
            name=_word(verdict, lang),
            marker={"size": 11, "color": colour, "symbol": symbol},
            customdata=np.stack(
                [part["difference_low"] * 100, part["difference_high"] * 100, part["reference"]], axis=1
            ),
            hovertemplate=(
                "%{y}<br><b>%{x:+.1f}</b> [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]<br>− %{customdata[2]}"
                "<extra></extra>"
            ),
        )
    figure.update_layout(
        xaxis={"title": _word("difference", lang), "zeroline": False},
        yaxis=_categories(list(labels)),
        showlegend=True,
        legend={"orientation": "h", "y": -0.2 - 0.7 / max(len(labels), 1), "x": 0, "yanchor": "top"},
        height=_height(list(labels)),
        margin=_MARGIN,
        hovermode="closest",
    )
    return figure


def savings_figure(rows: pd.DataFrame, lang: str = "en") -> go.Figure:
    """Draw accuracy against the share of multiply-adds that a row saves over its reference row.

    Args:
        rows: as `axis_figure`, with multiply_adds (a cell) and saved (share of the reference's; NaN: not known).
        lang: `en` or `zh`.
    """
    known = rows.dropna(subset=["saved"])
    colour = COLOURS["fusion"]
    figure = go.Figure()
    figure.add_scatter(
        x=known["saved"] * 100,
        y=known["accuracy"] * 100,
        error_y={**interval_bars(known, "accuracy"), "color": colour},
        mode="markers+lines+text",
        text=row_labels(known, lang),
        textposition="top right",
        line={"color": translucent(colour, 0.3), "width": 2},
        marker={"size": 12, "color": colour, "symbol": SYMBOLS["fusion"]},
        cliponaxis=False,
        customdata=np.stack([known["low"] * 100, known["high"] * 100, known["multiply_adds"] / 1e6], axis=1),
        hovertemplate=(
            "%{text}<br><b>%{y:.1f} %</b> [%{customdata[0]:.1f}, %{customdata[1]:.1f}]"
            f"<br>%{{customdata[2]:,.1f}} {_word('millions', lang)} (−%{{x:.0f}} %)<extra></extra>"
        ),
    )
    widest = float(known["saved"].max()) * 100 if len(known) else 1.0
    figure.update_layout(
        # Room on the right for the last row's name.
        xaxis={"title": _word("saved", lang), "range": [-0.08 * max(widest, 10), 1.35 * max(widest, 10)]},
        yaxis={"title": _word("score", lang)},
        showlegend=False,
        height=360,
        margin={"l": 8, "r": 16, "t": 24, "b": 8},
    )
    return figure


def row_labels(rows: pd.DataFrame, lang: str) -> list[str]:
    """Return the rows' names in a language; those with fewer runs than the fullest are marked with a star."""
    names = rows["label_zh" if lang == "zh" else "label_en"]
    broken = names.str.replace(": ", ":<br>", regex=False).str.replace("：", "：<br>", regex=False)  # a phone is narrow
    return [f"{name}{FEWER if fewer else ''}" for name, fewer in zip(broken, rows["fewer"], strict=True)]


def _draw_lines(figure: go.Figure, lines: list[tuple[float, str, str, str]]) -> None:
    """Draw labelled upright lines; names stand above the plot on several levels, leaning inwards at its right end."""
    for number, (accuracy, name, colour, dash) in enumerate(sorted(lines)):
        figure.add_vline(x=accuracy * 100, line={"color": colour, "dash": dash, "width": 1.5})
        figure.add_annotation(
            x=accuracy * 100,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if number >= len(lines) / 2 else "left",
            yshift=2 + 18 * (number % _LEVELS),
            text=f"{name} {accuracy * 100:.1f}",
            showarrow=False,
            font={"color": colour, "size": 12},
        )


def _categories(labels: list[str]) -> dict[str, object]:
    return {
        "categoryorder": "array",
        "categoryarray": labels,
        "range": [len(labels) - 0.4, -0.6],
        "automargin": True,
        "title": None,
    }


def _height(labels: list[str]) -> int:
    return 130 + _MARGIN["t"] + 40 * max(len(labels), 2)


def _span(values: list[float]) -> list[float]:
    """Return an axis range in per cent around all that is drawn, to the next five, within 0 and 102."""
    known = [value for value in values if not np.isnan(value)] or [0.0, 1.0]
    return [max(0.0, np.floor(min(known) * 20 - 0.3) * 5), min(102.0, np.ceil(max(known) * 20 + 0.3) * 5)]


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
