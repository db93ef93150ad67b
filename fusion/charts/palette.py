"""Colours, symbols and words that every figure shares.

Modality colours: Paul Tol's "vibrant" blue and orange and "bright" purple, apart for colour-blind readers and apart
from the function colours of `fusion.classes`; each modality also has a symbol, so that no chart rests on colour alone.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fusion.classes import FUNCTIONS

MODALITIES = ("image", "signal", "fusion")
COLOURS = {"image": "#0077bb", "signal": "#ee7733", "fusion": "#aa3377"}
SYMBOLS = {"image": "square", "signal": "diamond", "fusion": "circle"}
GREY = "#8a8a8a"
# Of a paired difference: Paul Tol's "vibrant" teal and red, and a symbol each.
VERDICTS = {"gain": ("#009988", "triangle-right"), "loss": ("#cc3311", "triangle-left"), "open": (GREY, "circle")}
# Of a cell-hour: colour and pattern.
STATES = {"valid": ("#4b8f6f", ""), "suppressed": ("#c8b06a", "/"), "missing": ("#c9ced3", "x")}
FAINT = "rgba(138,138,138,0.22)"

_MODALITY_WORDS = {
    "image": {"en": "Image only", "zh": "仅影像"},
    "signal": {"en": "Signal only", "zh": "仅信令"},
    "fusion": {"en": "Fusion", "zh": "融合"},
}


def legend_below(plot_px: float) -> dict[str, Any]:
    """Return a horizontal legend close under the title of the x axis, for a plot area of so many pixels' height."""
    return {"orientation": "h", "y": -58 / plot_px, "x": 0, "yanchor": "top"}


def whole_ticks(most: float) -> dict[str, Any]:
    """Return the ticks of an axis of counts from 0 to `most`: whole numbers only, however few."""
    return {"tickformat": ",d", "dtick": 1} if most <= 12 else {"tickformat": ",d"}


def interval_bars(
    rows: pd.DataFrame, middle: str, low: str = "low", high: str = "high", thickness: float = 2, width: float = 5
) -> dict[str, Any]:
    """Return the bars of an interval around a mark, in per cent or points.

    Args:
        rows: shares of 1 in the columns named.
        middle, low, high: columns of the mark and of the interval's ends.
        thickness, width: of the bar and its caps, pixels.
    """
    return {
        "type": "data",
        "array": (rows[high] - rows[middle]) * 100,
        "arrayminus": (rows[middle] - rows[low]) * 100,
        "thickness": thickness,
        "width": width,
    }


def draw_zero(figure: go.Figure, right: str) -> None:
    """Draw the line that differences are read against, and say above it what lies to its right."""
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=0,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=right,
        showarrow=False,
        font={"color": GREY, "size": 12},
    )


def modality_name(modality: str, lang: str) -> str:
    """Return the word for `image`, `signal` or `fusion` in `en` or `zh`."""
    return _MODALITY_WORDS[modality][lang]


def class_names(lang: str) -> list[str]:
    """Return the nine functions' names in class order, in `en` or `zh`."""
    return [function.zh if lang == "zh" else function.en for function in FUNCTIONS]


def class_colours() -> list[str]:
    """Return the nine functions' colours in class order."""
    return [function.colour for function in FUNCTIONS]


def translucent(colour: str, alpha: float) -> str:
    """Return `#rrggbb` as `rgba(...)` with that opacity."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
