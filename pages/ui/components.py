"""Pieces that several pages show."""

import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from fusion.city import City
from fusion.errors import FusionError
from fusion.serving.releases import encode_table
from pages.ui import caches, state
from pages.ui.language import pick, t

_CITY_WIDGET = "city_choice"

Key = TypeVar("Key")

_STYLE = """
<style>
  .block-container {padding: 2.6rem 2.4rem 3rem; max-width: 1500px;}
  @media (max-width: 640px) {
    .block-container {padding: 3rem 0.9rem 2rem;}
    [data-testid="stButtonGroup"] [role="radiogroup"] {flex-wrap: wrap;}
    [data-testid="stMultiSelect"] div {max-height: none;}
  }
  h1 {padding: 0 0 0.2rem;}
</style>
"""


def apply_style() -> None:
    """Set what the theme cannot: tighter margins; on a phone, choices that wrap and boxes that show all they hold."""
    st.html(_STYLE)


@contextmanager
def guard() -> Iterator[None]:
    """Show an error that the user can mend as one clear line instead of a traceback."""
    try:
        yield
    except FusionError as error:
        st.error(t(str(error)), icon=":material/error:")


def title_of(city: City) -> str:
    """Return the city's title in the session's language."""
    return pick(city.info.title_en, city.info.title_zh)


def city_switcher() -> None:
    """Show the cities to choose from; nothing where there is none."""
    cities = {city.name: city for city in caches.cities()}
    chosen = state.city()
    if chosen is None:
        return
    titles = {name: title_of(city) for name, city in cities.items()}
    # The browser answers with the text of an option: two cities of one title must not read alike.
    taken = list(titles.values())
    options = {name: f"{title} · {name}" if taken.count(title) > 1 else title for name, title in titles.items()}
    st.session_state[_CITY_WIDGET] = chosen.name
    st.selectbox(t("City"), list(options), format_func=options.__getitem__, key=_CITY_WIDGET, on_change=_switch_city)


def _switch_city() -> None:
    state.set_city(st.session_state[_CITY_WIDGET])


def picture(pixels: np.ndarray, caption: str) -> None:
    """Show (H,W,3) uint8 inside the page itself.

    Streamlit drops a picture's file as soon as a rerun leaves it behind, often before the browser has asked for it.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    st.image(f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", caption=caption, width="stretch")


def synthetic_banner(city: City) -> None:
    """Say above a page's figures that the city is synthetic; nothing for a real one."""
    if city.info.provenance == "synthetic":
        note = t(
            "Ring roads and main stations lie roughly where they are; all else, people and labels too, is invented. "
            "No figure describes the real city."
        )
        st.markdown(f":orange-badge[:material/science: {t('synthetic')}] :gray[{note}]")


def synthetic_badge(city: City) -> None:
    """Mark one figure or chart as synthetic; nothing for a real city."""
    if city.info.provenance == "synthetic":
        st.badge(t("synthetic"), icon=":material/science:", color="orange")


def require_city() -> City | None:
    """Return the chosen city; where there is none, show how to make one and return None."""
    chosen = state.city()
    if chosen is None:
        empty(
            t("There is no city yet."),
            t("Make the demo city with `python -m fusion demo`, or bring in your own with `python -m fusion ingest`."),
            wants_data=True,
        )
    return chosen


def empty(what: str, next_step: str, wants_data: bool = False) -> None:
    """Show that something is not there, and what to do about it; with the way to the Data page where it wants data."""
    with st.container(border=True):
        st.markdown(f"**{what}**")
        st.caption(next_step)
        if wants_data:
            bring_in_link(t("Bring in data"))


def bring_in_link(label: str) -> None:
    """Link to where the Data page brings data in."""
    st.page_link("data.py", label=label, icon=":material/database_upload:", query_params={"part": "ingest"})


def choose_one(
    label: str,
    names: Mapping[Key, str],
    key: str,
    default: Key | None = None,
    titled: bool = False,
    help: str | None = None,
) -> Key:
    """Show choices side by side and return the chosen one; a session keeps it.

    Args:
        label: what is chosen; read out where it is not shown.
        names: choice -> how it is called.
        key: of the widget.
        default: chosen at first; None: the first.
        titled: whether to show the label above.
        help: told at the label.
    """
    first = next(iter(names)) if default is None else default
    chosen = st.segmented_control(
        label,
        list(names),
        format_func=names.__getitem__,
        default=first,
        required=True,
        key=key,
        label_visibility="visible" if titled else "collapsed",
        persist_state="session",
        help=help,
    )
    return chosen if chosen in names else first


def no_map(city: City) -> None:
    """Say that a city consists of regions without a place, and where to go instead."""
    empty(
        t("This city has no map: its regions have no place."),
        t(
            "Train and compare models on them on Ablation and Compare; `python -m fusion predict --city {city}` "
            "writes their functions.",
            city=city.name,
        ),
    )


def table_under(city: City | None, table: pd.DataFrame, name: str, column_config: dict | None = None) -> None:
    """Offer the exact figures of the chart above, folded away, with a download that says whose they are.

    Args:
        city: whose figures these are: the file begins with its name, each row too and says whether it is synthetic.
        table: as shown.
        name: of the file, without city and ending; also of the widgets.
        column_config: as of `st.dataframe`.
    """
    file = table
    if city is not None:
        name = f"{city.name}-{name}"
        whose = pd.DataFrame({"city": city.name, "provenance": city.info.provenance}, index=table.index)
        file = pd.concat([whose, table.drop(columns=["city", "provenance"], errors="ignore")], axis=1)
    with st.expander(t("Table")):
        st.dataframe(table, hide_index=True, width="stretch", column_config=column_config)
        st.download_button(
            t("Download CSV"),
            encode_table(file, ".csv"),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"download_{name}",
            icon=":material/download:",
            on_click="ignore",
        )


def pair(what: str, how: str) -> str:
    """Return a line "what: how" with the language's own colon."""
    return t("{what}: {how}", what=what, how=how)


def stale_notice(reasons: "tuple[str, ...] | list[str]", what: str) -> None:
    """Say that results no longer match what is here; `reasons` as of `fusion.training.runs.stale_reasons`."""
    texts = {
        "data": t("the city's data changed since"),
        "model": t("the program's models changed since"),
    }
    if reasons:
        because = t("; ").join(texts.get(reason, reason) for reason in reasons)
        st.warning(t("{what}: out of date, {because}.", what=what, because=because), icon=":material/history:")
