"""The hour bar: a slider over a city's hours, steps, play and speed."""

import time

import pandas as pd
import streamlit as st

from fusion import store
from fusion.city import City
from pages.ui import components, state
from pages.ui.language import pick, t

SPEEDS_S = {"slow": 2.0, "normal": 1.0, "fast": 0.5}

_PLAYING = "playing"  # name of the city whose hours are playing, or absent
_LAST_STEP = "last_step"  # monotonic seconds
_SPEED = "speed"
_SLIDER = "hour_slider"

_DAYS_ZH = "一二三四五六日"
_DAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def interval_s(city: City) -> float | None:
    """Return the seconds from one hour to the next while this city plays, None while it rests."""
    if st.session_state.get(_PLAYING) != city.name:
        return None
    return SPEEDS_S[st.session_state.get(_SPEED) or "normal"]


def hour_text(city: City, hour: pd.Timestamp) -> str:
    """Return an hour in the city's time zone and the session's language, with a flag where its date has one."""
    local = hour.tz_convert(city.info.timezone)
    english = f"{_DAYS_EN[local.day_of_week]} {local.day} {local:%b %Y, %H:%M}"
    chinese = f"{local.year}年{local.month}月{local.day}日 周{_DAYS_ZH[local.day_of_week]} {local:%H:%M}"
    return pick(english, chinese) + (" ⚑" if flag_of(city, hour) else "")


def flag_of(city: City, hour: pd.Timestamp) -> str:
    """Return why the hour's local date differs from the rest, "" if it does not."""
    date = f"{hour.tz_convert(city.info.timezone):%Y-%m-%d}"
    return "; ".join(pick(flag.en, flag.zh) for flag in city.info.flagged if flag.date == date)


def advance(city: City) -> None:
    """While playing, go on to the next hour once its time has come; stop at the last."""
    interval = interval_s(city)
    if interval is None:
        return
    now = time.monotonic()
    # A click within the map runs this too: only the clock makes a step.
    if now - st.session_state.get(_LAST_STEP, 0.0) < 0.7 * interval:
        return
    span = store.hours(city)
    row = span.get_loc(state.hour(city))
    if row + 1 >= len(span):
        st.session_state.pop(_PLAYING, None)
        return
    state.set_hour(span[row + 1])
    st.session_state[_LAST_STEP] = now


def hour_bar(city: City) -> pd.Timestamp:
    """Show the bar and return the chosen hour, UTC."""
    span = store.hours(city)
    hour = state.hour(city)
    row = span.get_loc(hour)
    playing = interval_s(city) is not None
    buttons, slider = st.columns([2, 6], gap="medium", vertical_alignment="bottom")
    with buttons, st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.button(
            t("Pause") if playing else t("Play"),
            icon=":material/pause:" if playing else ":material/play_arrow:",
            key="play",
            type="primary",
            on_click=_toggle,
            args=(city, len(span)),
        )
        for key, icon, step, hint in (
            ("hour_back", ":material/chevron_left:", -1, t("Previous hour")),
            ("hour_on", ":material/chevron_right:", 1, t("Next hour")),
        ):
            st.button(
                "",
                icon=icon,
                key=key,
                help=hint,
                disabled=not 0 <= row + step < len(span),
                on_click=_go,
                args=(city, row + step),
            )
    texts = [hour_text(city, one) for one in span]
    if len(set(texts)) < len(texts):  # clocks were put back: the browser answers with the text of an hour
        texts = [f"{text} ({one.tz_convert(city.info.timezone):%Z})" for text, one in zip(texts, span, strict=True)]
    st.session_state[_SLIDER] = row
    slider.select_slider(
        t("Hour"),
        range(len(span)),
        format_func=texts.__getitem__,
        key=_SLIDER,
        on_change=_slide,
        args=(city,),
        label_visibility="collapsed",
    )
    return hour


def speed_choice() -> None:
    """Show how fast the hours play."""
    speeds = {"slow": t("slow"), "normal": t("normal"), "fast": t("fast")}
    components.choose_one(t("Speed of playing"), speeds, _SPEED, "normal", titled=True)


def _toggle(city: City, hours: int) -> None:
    if st.session_state.get(_PLAYING) == city.name:
        st.session_state.pop(_PLAYING)
        return
    st.session_state[_PLAYING] = city.name
    st.session_state[_LAST_STEP] = time.monotonic()
    span = store.hours(city)
    if span.get_loc(state.hour(city)) == hours - 1:  # at the end: from the beginning
        state.set_hour(span[0])


def _go(city: City, row: int) -> None:
    state.set_hour(store.hours(city)[row])


def _slide(city: City) -> None:
    _go(city, st.session_state[_SLIDER])
