"""Legends of the maps, as HTML beside them."""

from html import escape
from itertools import pairwise

import streamlit as st

from fusion.city import City
from fusion.classes import FUNCTIONS
from fusion.serving.scale import SUPPRESSED_COLOUR, Scale
from pages.ui.language import pick, t

_STYLE = """
<style>
  .legend {display: flex; flex-wrap: wrap; gap: 0.25rem 0.9rem; align-items: center; font-size: 0.83rem;
           line-height: 1.5; color: #1d2730;}
  .legend .title {font-weight: 600; margin-right: 0.2rem;}
  .legend .item {display: inline-flex; align-items: center; gap: 0.35rem; white-space: nowrap;}
  .legend .swatch {width: 1.05rem; height: 0.8rem; border-radius: 2px; box-sizing: border-box; flex: none;
                   border: 1px solid rgba(0, 0, 0, 0.18);}
  .legend .steps {display: inline-flex; width: min(100%, 29rem);}
  .legend .step {flex: 1; text-align: center; font-variant-numeric: tabular-nums; font-size: 0.78rem;}
  @media (max-width: 640px) {.legend .step {font-size: 0.66rem;}}
  .legend .step .bar {height: 0.75rem; border-top: 1px solid rgba(0,0,0,.18); border-bottom: 1px solid rgba(0,0,0,.18);}
  .legend .step:first-child .bar {border-left: 1px solid rgba(0,0,0,.18); border-radius: 2px 0 0 2px;}
  .legend .step:last-child .bar {border-right: 1px solid rgba(0,0,0,.18); border-radius: 0 2px 2px 0;}
</style>
"""


def activity_legend(city: City, scale: Scale, measure: str, view: str) -> None:
    """Show the steps of the activity map with their unit, and how cells without a figure are drawn."""
    about = city.info.measure(measure)
    if view == "usual":
        title = t("{measure} against the usual hour", measure=pick(about.en, about.zh))
        texts = ["< ⅓", "⅓–½", "½–0.8", t("as usual"), "1.25–2×", "2–3×", "> 3×"]
        empty = t("no usual hour to compare with")
    else:
        title = f"{pick(about.en, about.zh)} ({t(about.unit)})"
        texts = _ranges(scale)
        empty = ""
    items = [f'<span class="title">{escape(title)}</span>', _steps(scale.colours, texts)]
    if about.min_count:
        withheld = t("suppressed (≤ {count}, withheld by the source)", count=about.min_count)
        items.append(_item(f"background:{SUPPRESSED_COLOUR}", withheld))
    ring = "background:transparent;border:1.5px solid #1d2730;border-radius:50%;width:.8rem"
    items.append(_item(ring, t("missing (not reported)")))
    if empty:
        items.append(_item("background:transparent", empty))
    if city.info.flagged:
        items.append(f'<span class="item">⚑ {escape(t("unusual date"))}</span>')
    _show(items)


def class_legend(note: str = "") -> None:
    """Show the nine functions with their colours; `note` says what else the map means."""
    items = [_item(f"background:{function.colour}", pick(function.en, function.zh)) for function in FUNCTIONS]
    if note:
        items.append(f'<span class="item">{escape(note)}</span>')
    _show(items)


def swatch_legend(items: list[tuple[str, str]]) -> None:
    """Show `(colour, text)` pairs; a colour is any CSS background."""
    _show([_item(f"background:{colour}", text) for colour, text in items])


def _ranges(scale: Scale) -> list[str]:
    edges = [f"{edge:,.6g}" for edge in scale.edges]
    if not edges:
        return [t("all")]
    return [f"< {edges[0]}", *(f"{low}–{high}" for low, high in pairwise(edges)), f"≥ {edges[-1]}"]


def _steps(colours: tuple[str, ...], texts: list[str]) -> str:
    steps = "".join(
        f'<span class="step"><div class="bar" style="background:{colour}"></div>{escape(text)}</span>'
        for colour, text in zip(colours, texts, strict=True)
    )
    return f'<span class="steps">{steps}</span>'


def _item(css: str, text: str) -> str:
    return f'<span class="item"><span class="swatch" style="{css}"></span>{escape(text)}</span>'


def _show(items: list[str]) -> None:
    st.html(f'{_STYLE}<div class="legend">{"".join(items)}</div>')
