"""What one answer comes from -> plotly Figure: attention on the chip, hours, modalities. Pure functions.

Shares and probabilities are parts of 1 in the arguments, per cent and points in the figures.
"""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from fusion.analysis.findings import Shapley
from fusion.charts.palette import COLOURS, GREY, translucent

_GRID = "#e3e8ec"
# ColorBrewer's OrRd: pale for little, darker for more, so that the scale reads in one direction.
_HEAT = ["#fef0d9", "#fdcc8a", "#fc8d59", "#d7301f", "#7f0000"]
_RELIEF = 0.65  # how dark or bright the picture's strongest contrasts stand on the heat
_WORDS = {
    "attention": {"en": "% of attention", "zh": "注意力占比（%）"},
    "even": {"en": "if spread evenly", "zh": "若均匀分布"},
    "points": {"en": "points", "zh": "百分点"},
    "for": {"en": "for the answer", "zh": "支持该答案"},
    "against": {"en": "against it", "zh": "反对该答案"},
    "no_data": {"en": "no data", "zh": "无数据"},
    "hour": {"en": "hour of the day", "zh": "一天中的小时"},
    "step": {"en": "time step", "zh": "时间步"},
    "nothing": {"en": "neither", "zh": "两者皆无"},
    "image": {"en": "image", "zh": "影像"},
    "signal": {"en": "signaling", "zh": "信令"},
    "both": {"en": "answer", "zh": "答案"},
    "probability": {"en": "Probability of {name}, %", "zh": "“{name}”的概率（%）"},
}


def rollout_figure(chip: np.ndarray, patches: np.ndarray, lang: str = "en", height: int = 300) -> go.Figure:
    """Draw where the ViT looked as heat, a square a patch, with a scale of colour and the chip as a grey relief above.

    The relief leaves mean brightness as it is, so that a square has the colour that the scale has for it.

    Args:
        chip: (H,W,3) uint8, the ground that the patches divide, north up.
        patches: (G,G) share of attention of each patch.
        lang: `en` or `zh`.
        height: in pixels.
    """
    rows, columns = patches.shape
    even = 100 / patches.size
    figure = go.Figure()
    figure.add_heatmap(
        z=patches * 100,
        colorscale=_HEAT,
        # From nothing to at least twice the even share: attention that is all but even looks so.
        zmin=0,
        zmax=max(2 * even, 100 * float(patches.max())),
        colorbar={
            "orientation": "h",
            "y": 0,
            "yanchor": "top",
            "ypad": 4,
            "thickness": 10,
            "len": 1.0,
            "nticks": 5,
            "title": {"text": _word("attention", lang), "side": "bottom", "font": {"size": 11}},
            "tickfont": {"size": 11},
        },
        hovertemplate=f"<b>%{{z:.1f}} %</b><br>{_word('even', lang)}: {even:.1f} %<extra></extra>",
    )
    figure.add_layout_image(
        source=_relief(chip),
        xref="x", yref="y", x=-0.5, y=-0.5, sizex=columns, sizey=rows, sizing="stretch", layer="above",
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], constrain="domain", fixedrange=True)
    figure.update_yaxes(visible=False, range=[rows - 0.5, -0.5], scaleanchor="x", constrain="domain", fixedrange=True)
    figure.update_layout(height=height, margin={"l": 4, "r": 4, "t": 8, "b": 52})
    return figure


def _relief(chip: np.ndarray) -> str:
    """Return the chip as a picture of white and black, the more opaque the farther from its mean brightness."""
    light = np.asarray(Image.fromarray(chip).convert("L"), dtype=float)
    away = (light - light.mean()) / max(2.5 * light.std(), 1.0)
    pixels = np.zeros((*light.shape, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(away > 0, 255, 0)[..., None]
    pixels[..., 3] = np.round(255 * _RELIEF * np.clip(np.abs(away), 0, 1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def hours_figure(hours: pd.DataFrame, clock: bool, lang: str = "en", height: int = 300) -> go.Figure:
    """Draw how much each hour spoke for the answer, in signed points of its probability.

    Args:
        hours: columns step, local (start, or NaT) and support (NaN without data).
        clock: whether a step is an hour of the day.
        lang: `en` or `zh`.
        height: in pixels.
    """
    x: Any = hours["step"] if hours["local"].isna().any() else hours["local"]
    points = hours["support"].to_numpy(dtype=float) * 100
    where = "%{x}:00" if clock else ("%{x}" if hours["local"].isna().any() else "%{x|%m-%d %H:%M}")
    figure = go.Figure()
    for name, colour, shown in (("for", COLOURS["signal"], points >= 0), ("against", GREY, points < 0)):
        figure.add_bar(
            x=x,
            y=np.where(shown, points, np.nan),
            name=_word(name, lang),
            marker={"color": colour, "line": {"width": 0}, "pattern": {"shape": "/" if name == "against" else ""}},
            hovertemplate=f"{where}<br><b>%{{y:+.2f}}</b> {_word('points', lang)}<extra></extra>",
        )
    gaps = np.isnan(points)
    if gaps.any():
        figure.add_scatter(
            x=x[gaps],
            y=np.zeros(int(gaps.sum())),
            mode="markers",
            name=_word("no_data", lang),
            marker={"symbol": "x-thin", "size": 7, "line": {"color": GREY, "width": 1.3}},
            hovertemplate=f"{where}<br>{_word('no_data', lang)}<extra></extra>",
        )
    # Above the axis, as on the curves by hour. A scale of less than a point would make a mountain of nothing.
    reach = max(1.0, 1.15 * float(np.nanmax(np.abs(points), initial=0.0)))
    below = min(0.0, float(np.nanmin(points, initial=0.0)))
    figure.add_annotation(
        text=_word("points", lang), x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        showarrow=False, yshift=4, font={"color": GREY, "size": 12},
    )  # fmt: skip
    title = _word("hour" if clock else "step", lang) if hours["local"].isna().any() else None
    figure.update_xaxes(title={"text": title, "font": {"size": 12}}, showgrid=False)
    if clock:
        figure.update_xaxes(tickvals=list(range(0, 24, 3)), range=[-0.7, 23.7])
    figure.update_yaxes(
        range=[min(1.15 * below, -0.2 * reach), reach], gridcolor=_GRID, zerolinecolor=GREY, automargin=True
    )
    figure.update_layout(
        height=height,
        barmode="relative",
        bargap=0.25,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    return figure


def shapley_figure(shapley: Shapley, name: str, lang: str = "en", height: int = 300) -> go.Figure:
    """Draw the way from what the model says without either modality to its answer, each one's Shapley value a step.

    Args:
        shapley: of one answer.
        name: the predicted function's, in the language.
        lang: `en` or `zh`.
        height: in pixels.
    """
    after_image = shapley.nothing + shapley.image
    bars = (
        ("nothing", 0.0, shapley.nothing, GREY, f"{shapley.nothing * 100:.1f} %"),
        ("image", shapley.nothing, shapley.image, COLOURS["image"], _points(shapley.image)),
        ("signal", after_image, shapley.signal, COLOURS["signal"], _points(shapley.signal)),
        ("both", 0.0, shapley.both, COLOURS["fusion"], f"{shapley.both * 100:.1f} %"),
    )
    figure = go.Figure()
    names = [_word(key, lang) for key, *_ in bars]
    figure.add_bar(
        x=[100 * length for _, _, length, _, _ in bars],
        base=[100 * start for _, start, _, _, _ in bars],
        y=names,
        orientation="h",
        marker={
            "color": [colour if key != "nothing" else translucent(colour, 0.6) for key, _, _, colour, _ in bars],
            "pattern": {"shape": ["/" if length < 0 else "" for _, _, length, _, _ in bars]},
            "line": {"width": 0},
        },
        customdata=[text for *_, text in bars],
        hovertemplate="%{y}: <b>%{customdata}</b><extra></extra>",
    )
    ends = [max(start, start + length) * 100 for _, start, length, _, _ in bars]
    for label, end, (*_, text) in zip(names, ends, bars, strict=True):
        figure.add_annotation(x=end, y=label, text=text, showarrow=False, xanchor="left", xshift=4)
    for step, level in enumerate((shapley.nothing, after_image, shapley.both)):
        # from the bar where a level ends to the next one, which lies below it: bars stand at 3, 2, 1, 0
        figure.add_shape(
            type="line", x0=100 * level, x1=100 * level, y0=2 - step - 0.35, y1=3 - step + 0.35,
            line={"color": GREY, "width": 1, "dash": "dot"},
        )  # fmt: skip
    low = min(0.0, 100 * after_image)
    figure.update_xaxes(
        title={"text": _word("probability", lang).format(name=name), "font": {"size": 12}},
        range=[1.1 * low, max(100.0, *ends) * 1.18], tickvals=[0, 25, 50, 75, 100], gridcolor=_GRID,
    )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    figure.update_layout(height=height, bargap=0.35, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False)
    return figure


def _points(share: float) -> str:
    return f"{share * 100:+.1f}".replace("-", "−")


def _word(key: str, lang: str) -> str:
    return _WORDS[key][lang]
