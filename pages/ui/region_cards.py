"""A card a region: how it looks, how its phones move, what each model says of it."""

from html import escape

import pandas as pd
import streamlit as st

from fusion.charts.city_figures import probabilities_figure
from fusion.charts.hourly import profile_figure
from fusion.city import City
from fusion.classes import by_id
from pages.ui import caches, components, explaining, language
from pages.ui.language import pick, t
from pages.views.formats import percent
from pages.views.predict import Answer

_CHIP_M = 384.0
_PLAIN = {"displayModeBar": False, "scrollZoom": False}
# Cells that the run learned from are marked loudest: a right answer there proves nothing.
_PART_COLOURS = {"train": "orange", "validation": "yellow", "test": "green"}


def part_name(part: str | None) -> str:
    """Say what a cell was to the run."""
    return {
        "train": t("trained on"),
        "validation": t("validation"),
        "test": t("test"),
        "buffer": t("buffer, unused"),
        "unlabelled": t("no label, unused"),
        "unknown": t("part unknown"),
        None: "–",
    }[part]


def class_name(id_: str | None) -> str:
    """Return a function's name in the session's language; a dash for none."""
    if id_ is None or pd.isna(id_):
        return "–"
    function = by_id(id_)
    return pick(function.en, function.zh)


def show(city: City, answer: Answer, row: int) -> None:
    """Draw the card of one row of the answer's table."""
    found = answer.table.loc[row]
    cell = int(found["id"], 16)
    with st.container(border=True, key=f"card_{found['id']}"):
        _head(found)
        chip, profile, bars = st.columns([1.1, 2, 3.2], vertical_alignment="top")
        with chip, components.guard():
            _chip(city, cell)
        with profile, components.guard():
            _profile(city, cell, found["id"])
        with bars:
            st.plotly_chart(
                probabilities_figure(
                    {side: values[row] for side, values in answer.probabilities.items()},
                    found["true"],
                    language.current(),
                ),
                key=f"bars_{found['id']}",
                config=_PLAIN,
                alt=t("Probabilities by image only, signal only and fusion"),
            )
        explaining.show(city, answer.question, str(found["id"]), class_name(found["predicted"]))


def _head(found: pd.Series) -> None:
    function = by_id(found["predicted"])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(
            f'<span style="display:inline-flex;align-items:center;gap:.45rem;font-weight:600;white-space:nowrap">'
            f'<span style="width:.9rem;height:.9rem;border-radius:3px;background:{function.colour}"></span>'
            f"{escape(class_name(found['predicted']))} {percent(found['confidence'])}</span>",
            width="content",
        )
        st.badge(part_name(found["part"]), color=_PART_COLOURS.get(found["part"], "gray"))
        if found["right"] is not None:
            right = bool(found["right"])
            st.badge(
                t("right") if right else t("wrong: {true}", true=class_name(found["true"])),
                icon=":material/check:" if right else ":material/close:",
                color="blue" if right else "red",
            )
        st.caption(f"`{found['id']}`", width="content")


def _chip(city: City, cell: int) -> None:
    picture = caches.chip(city, cell, _CHIP_M)
    if picture is not None:
        components.picture(picture, t("{n:.0f} m across", n=_CHIP_M))


def _profile(city: City, cell: int, name: str) -> None:
    about = city.info.measures[0]
    table = caches.profile(city, cell, about.id)
    st.plotly_chart(
        profile_figure(table, t(about.unit), city.info.timezone, city.info.flagged, language.current(), height=230),
        key=f"profile_{name}",
        config=_PLAIN,
        alt=t("Hourly counts of the cell"),
    )
