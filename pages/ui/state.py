"""What a session has chosen, mirrored in the address bar so that a link opens the same view.

`st.session_state` holds the truth under the keys below; `restore()` runs before a page and takes what a link or the
back button brought, `save()` runs after it and writes the address bar again, because a click in the navigation drops
the query parameters.
"""

from datetime import UTC, datetime

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import streamlit as st

from fusion import store
from fusion.city import City
from fusion.errors import InputError
from fusion.geo import grid
from pages.ui import caches
from pages.ui.language import LANG, t

CITY = "city"  # name of the city
CELL = "cell"  # the one cell whose profile is shown, H3 index as int, or absent
REGION = "cells"  # the cells to work on (Predict), sorted tuple of ints
HOUR = "hour"  # start of the hour shown, UTC, pandas Timestamp, or absent

_WRITTEN = "_written"  # the query parameters as save() left them
_HOUR_FORMAT = "%Y-%m-%dT%HZ"
_LONGEST_LINK = 60  # tokens of a selection that still make a link one can send


def restore() -> None:
    """Take the address bar's city, cells and hour where they are not this session's own echo.

    Raises:
        InputError: the link names a cell or an hour that is not one; the rest of it is taken.
    """
    written = st.session_state.get(_WRITTEN, {})
    asked = {key: value for key, value in st.query_params.items() if written.get(key) != value}
    names = [city.name for city in caches.cities()]
    problem = None
    if asked.get(CITY) in names:
        set_city(asked[CITY])
    elif CITY in asked:
        problem = InputError(t("This link names the city {name}, which is not here.", name=asked[CITY]))
    if st.session_state.get(CITY) not in names:
        set_city(names[0] if names else None)
    try:
        if asked.get(CELL):
            set_cell(_unpack(asked[CELL])[0])
        if asked.get(REGION):
            set_region(_unpack(asked[REGION]))
        if asked.get(HOUR):
            set_hour(_read_hour(asked[HOUR]))
    except InputError as error:
        problem = error
    if problem:
        raise problem


def save() -> None:
    """Write the session's choices into the address bar."""
    chosen = {LANG: st.session_state.get(LANG), CITY: st.session_state.get(CITY)}
    if cell() is not None:
        chosen[CELL] = pack([cell()])
    tokens = pack(region())
    if tokens and tokens.count(".") < _LONGEST_LINK:
        chosen[REGION] = tokens
    if st.session_state.get(HOUR) is not None:
        chosen[HOUR] = st.session_state[HOUR].strftime(_HOUR_FORMAT)
    wanted = {key: value for key, value in chosen.items() if value}
    if dict(st.query_params) != wanted:
        st.query_params.from_dict(wanted)
    st.session_state[_WRITTEN] = wanted
    st.session_state["_lang_written"] = wanted.get(LANG)


def city() -> City | None:
    """Return the chosen city, or None where there is none at all."""
    name = st.session_state.get(CITY)
    return next((city for city in caches.cities() if city.name == name), None)


def set_city(name: str | None) -> None:
    """Choose a city; another city's cells and hour go."""
    if st.session_state.get(CITY) != name:
        for key in (CELL, REGION, HOUR):
            st.session_state.pop(key, None)
    st.session_state[CITY] = name


def cell() -> int | None:
    """Return the cell whose profile is shown."""
    return st.session_state.get(CELL)


def set_cell(chosen: int | None) -> None:
    """Choose the cell whose profile is shown."""
    st.session_state[CELL] = chosen


def region() -> tuple[int, ...]:
    """Return the cells to work on, ascending."""
    return st.session_state.get(REGION, ())


def set_region(chosen: "tuple[int, ...] | list[int] | np.ndarray") -> None:
    """Choose the cells to work on."""
    st.session_state[REGION] = tuple(sorted({int(one) for one in chosen}))


def hour(of: City) -> pd.Timestamp | None:
    """Return the chosen hour, or the city's first midday; None where it has no hours."""
    span = store.hours(of)
    if not len(span):
        return None
    chosen = st.session_state.get(HOUR)
    return chosen if chosen in span else span[min(12, len(span) - 1)]


def set_hour(chosen: pd.Timestamp) -> None:
    """Choose the hour shown."""
    st.session_state[HOUR] = chosen


def pack(cells: "tuple[int, ...] | list[int]") -> str:
    """Spell cells shortly: whole families as their parent, without H3's trailing filler, joined by dots."""
    return ".".join(text.rstrip("f") for text in grid.to_hex(np.array(h3.compact_cells(cells), dtype=np.uint64)))


def _unpack(text: str) -> list[int]:
    cells = grid.from_hex([token.ljust(15, "f") for token in text.split(".")]).tolist()
    chosen = city()
    if chosen is None:
        return cells
    finest = max(chosen.info.resolution, *(h3.get_resolution(cell) for cell in cells))
    return cells if len(cells) == 1 else list(h3.uncompact_cells(cells, finest))


def _read_hour(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(datetime.strptime(text, _HOUR_FORMAT).replace(tzinfo=UTC))
    except ValueError:
        raise InputError(t("This link names the hour {text}; hours look like 2021-07-24T04Z.", text=text)) from None
