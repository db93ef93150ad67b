"""What a session has chosen, mirrored in the address bar so that a link opens the same view.

`st.session_state` holds the truth under the keys below. `incoming()` and `restore()` run before a page and take what a
link or the back button brought; `save()` runs after it and writes the address bar again, because a click in the
navigation drops the query parameters.
"""

import time
from datetime import UTC, datetime

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import streamlit as st

from fusion import store
from fusion.city import City
from fusion.errors import InputError
from fusion.geo import grid
from fusion.serving.addresses import HOUR_FORMAT
from pages.ui import caches
from pages.ui.language import LANG, t

CITY = "city"  # name of the city
CELL = "cell"  # the one cell whose profile is shown, H3 index as int, or absent
REGION = "cells"  # the cells to work on (Predict), sorted tuple of ints
PART = "part"  # part of the Data page that is shown: report, ingest or disk
HOUR = "hour"  # start of the hour shown, UTC, pandas Timestamp, or absent

PAGE = "_page"  # url path of the page shown last
VISIT = "_visit"  # how often a page was entered: part of the keys that must not outlive a visit

_WRITTEN = "_written"  # the query parameters as save() left them
_REPLACED = "_replaced"  # what they were before, and when that ended
_ECHO_S = 4.0  # a rerun that the browser sent before it heard of the new parameters still brings the old ones
_MOST_CELLS = 500_000  # that a link may stand for: a coarse token stands for all its children
_LONGEST_LINK = 60  # tokens of a selection that still make a link one can send


def enter(page: str) -> None:
    """Note which page is shown."""
    if st.session_state.get(PAGE) != page:
        st.session_state[PAGE] = page
        st.session_state[VISIT] = st.session_state.get(VISIT, 0) + 1


def visit() -> int:
    """Return a number that changes whenever another page is entered."""
    return st.session_state.get(VISIT, 0)


def incoming() -> dict[str, str]:
    """Return what the address bar brings that is not this session's own echo."""
    here = dict(st.query_params.items())
    now = time.monotonic()
    replaced = [(end, old) for end, old in st.session_state.get(_REPLACED, []) if now - end < _ECHO_S]
    st.session_state[_REPLACED] = replaced
    if any(old == here for _, old in replaced):
        return {}
    written = st.session_state.get(_WRITTEN, {})
    return {key: value for key, value in here.items() if written.get(key) != value}


def restore(asked: dict[str, str]) -> None:
    """Take a link's city, cells and hour.

    Args:
        asked: as `incoming()` returned it.

    Raises:
        InputError: the link names a city, a cell or an hour that is not one; the rest of it is taken.
    """
    cities = caches.cities()
    names = [city.name for city in cities]
    problem = None
    if asked.get(PART):
        st.session_state[PART] = asked[PART]
    if asked.get(CITY) in names:
        set_city(asked[CITY])
    elif CITY in asked:
        problem = InputError(t("This link names the city {name}, which is not here.", name=asked[CITY]))
    if st.session_state.get(CITY) not in names:
        # Open with a city that has everything to show, if there is one.
        whole = [city.name for city in cities if city.has_activity and city.has_imagery and city.has_functions]
        set_city(next(iter(whole + names), None))
    for key, take in (
        (CELL, lambda text: set_cell(unpack(text)[0])),
        (REGION, lambda text: set_region(_region_of(text))),
        (HOUR, lambda text: set_hour(_hour_of(text))),
    ):
        try:
            if asked.get(key):
                take(asked[key])
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
        chosen[HOUR] = st.session_state[HOUR].strftime(HOUR_FORMAT)
    if st.session_state.get(PAGE) == "data":
        chosen[PART] = st.session_state.get(PART)
    wanted = {key: value for key, value in chosen.items() if value}
    before = dict(st.query_params.items())
    if before != wanted:
        st.session_state.setdefault(_REPLACED, []).append((time.monotonic(), before))
        st.query_params.from_dict(wanted)
    st.session_state[_WRITTEN] = wanted


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


def unpack(text: str) -> list[int]:
    """Read what `pack` spelled, parents as parents.

    Raises:
        InputError: a token is not a cell.
    """
    return grid.from_hex([token.ljust(15, "f") for token in text.split(".")]).tolist()


def expand(cells: list[int], resolution: int) -> list[int]:
    """Return the cells of that resolution that parents stand for; finer cells stay as they are.

    Raises:
        InputError: a coarse cell stands for more cells than a city has.
    """
    if sum(7 ** max(resolution - h3.get_resolution(cell), 0) for cell in cells) > _MOST_CELLS:
        raise InputError(t("This link names more cells than a city has."))
    coarse = [cell for cell in cells if h3.get_resolution(cell) <= resolution]
    fine = [cell for cell in cells if h3.get_resolution(cell) > resolution]
    return [*h3.uncompact_cells(coarse, resolution), *fine]


def _region_of(text: str) -> list[int]:
    chosen = city()
    return expand(unpack(text), chosen.info.resolution) if chosen else []


def _hour_of(text: str) -> pd.Timestamp:
    try:
        hour = pd.Timestamp(datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC))
    except ValueError:
        raise InputError(t("This link names the hour {text}; hours look like 2021-07-24T04Z.", text=text)) from None
    of = city()
    if of is not None and of.has_activity and hour not in store.hours(of):
        raise InputError(t("This link names the hour {text}, which {name} does not have.", text=text, name=of.name))
    return hour
