"""Activity map 信令活动: counts by cell and hour above the imagery, and the week of one cell."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from fusion import store
from fusion.charts import maps
from fusion.charts.hourly import profile_figure, totals_figure
from fusion.city import City
from fusion.geo import grid
from fusion.serving import addresses
from pages.ui import activity_downloads, caches, cell_card, components, hours, legend, state
from pages.ui.language import current, pick, t

_MAP_HEIGHT_PX = 560


def render() -> None:
    """Draw the page."""
    st.title(t("Activity map"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)
    if not city.has_map:
        components.no_map(city)
        return
    if not city.has_activity:
        _without_activity(city)
        return
    measure, view, resolution, opacity = _controls(city)
    if not city.has_imagery:
        st.caption(
            t("This city has no imagery, so the map is plain: bring some in with `python -m fusion ingest imagery`.")
        )
    # The clock of the fragment is set when the page runs as a whole: a change of play or speed asks for that.
    interval = hours.interval_s(city)
    st.fragment(_moving, run_every=interval)(city, measure, view, resolution, opacity, interval)


def _controls(city: City) -> tuple[str, str, int, float]:
    """Show what to draw; return measure, view, resolution and opacity."""
    own = city.info.resolution
    measures = {measure.id: pick(measure.en, measure.zh) for measure in city.info.measures}
    views = {"value": t("Count"), "usual": t("Against the usual hour")}
    rolls = {resolution: _cell_size(city, resolution) for resolution in range(own, max(own - 3, -1), -1)}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        measure = st.selectbox(
            t("Measure"),
            list(measures),
            format_func=measures.__getitem__,
            key=f"measure_{city.name}",
            persist_state="session",
            width=190,
        )
        # Folded away, so that on a phone the map comes before the second screen.
        with st.popover(t("Display"), icon=":material/tune:"):
            roll = _one_of(t("Cell size"), rolls, f"roll_{city.name}")
            opacity = st.slider(
                t("Opacity of the cells"), 0, 100, 60, 5, "%d%%", key="opacity", persist_state="session"
            )
            hours.speed_choice()
        view = _one_of(t("Show"), views, "view")
    return measure, view, roll, opacity / 100


def _one_of(label: str, choices: dict, key: str) -> Any:
    """A row of buttons of which one is always chosen, at first the first."""
    return st.segmented_control(
        label,
        list(choices),
        format_func=choices.__getitem__,
        default=next(iter(choices)),
        key=key,
        required=True,
        persist_state="session",
    )


def _cell_size(city: City, resolution: int) -> str:
    """Return how far apart the centres of that resolution's cells lie here."""
    west, south, east, north = city.info.bounds
    cell = grid.cells_at([(west + east) / 2], [(south + north) / 2], resolution)
    apart_m = math.sqrt(2 * float(grid.area_m2(cell)[0]) / math.sqrt(3))
    return f"{apart_m / 1000:.1f} km" if apart_m >= 950 else f"{round(apart_m, -1):.0f} m"


def _moving(city: City, measure: str, view: str, resolution: int, opacity: float, interval: float | None) -> None:
    """Draw everything that follows the hour: run again by itself, or by the clock while playing."""
    hours.advance(city)
    if hours.interval_s(city) != interval:
        st.rerun()
    with components.guard():
        hour = hours.hour_bar(city)
        if flag := hours.flag_of(city, hour):
            st.caption(f"⚑ {flag}")
        cell = _known_cell(city, measure)
        left, right = st.columns([7, 3], gap="medium")
        with left:
            _map(city, cell, hour, measure, view, resolution, opacity)
            legend.activity_legend(city, caches.scale(city, measure, resolution, view), measure, view)
            if view == "usual":
                st.caption(_usual_words(city, hour))
            own = None if resolution == city.info.resolution else resolution
            activity_downloads.show(city, len(caches.cells(city, own)), hour, measure, own)
        with right:
            cell_card.show(city, cell, hour, measure)
        _curves(city, cell, hour, measure)
    if interval is None:  # an address a step would fill the browser's history
        state.save()


def _known_cell(city: City, measure: str) -> int | None:
    """Return the chosen cell if the city has it; a link may bring one of elsewhere, which is said."""
    cell = state.cell()
    if cell is not None:
        with components.guard():
            _profile(city, cell, measure)
            return cell
    return None


def _profile(city: City, cell: int, measure: str) -> pd.DataFrame:
    resolution = grid.resolution_of(cell)
    return caches.profile(city, cell, measure, None if resolution == city.info.resolution else resolution)


def _map(
    city: City, cell: int | None, hour: pd.Timestamp, measure: str, view: str, resolution: int, opacity: float
) -> None:
    base = st.get_option("server.baseUrlPath")
    own = None if resolution == city.info.resolution else resolution
    unit = t(city.info.measure(measure).unit)
    deck = maps.activity_deck(
        addresses.activity_address(base, city, hour, measure, own, view),
        addresses.style_address(base, city),
        _opening(city),
        opacity,
        [cell] if cell is not None else [],
        f"<b>{{label}}</b> {unit}<br/><span style='opacity:.75'>{{hex}}</span>",
        addresses.missing_address(base, city, hour, measure, own),
    )
    key = f"map_{city.name}_{state.visit()}"
    st.pydeck_chart(
        deck, height=_MAP_HEIGHT_PX, key=key, on_select=lambda: _click(key), alt=t("Map of the hour, cell by cell")
    )


def _click(key: str) -> None:
    """Take the clicked cell. A click on the zoom buttons counts as one beside the cells: that must not let it go."""
    cell = maps.clicked_cell(st.session_state[key].selection.objects)
    if cell is not None:
        state.set_cell(cell)


def _opening(city: City) -> maps.View:
    """Return where the map opens: fixed for a visit, since a changed opening moves the reader's view."""
    key = f"opening_{city.name}_{state.visit()}"
    if key not in st.session_state:
        # A page cannot ask how wide its map is; a phone says that it is one.
        phone = "Mobi" in (st.context.headers.get("User-Agent") or "")
        view = maps.view_of_bounds(city.info.bounds, 330 if phone else 640, _MAP_HEIGHT_PX - 40)
        if state.cell() is not None:
            (lon,), (lat,) = grid.centres([state.cell()])
            view = maps.View(float(lon), float(lat), max(view.zoom, 13.0))
        st.session_state[key] = view
    return st.session_state[key]


def _usual_words(city: City, hour: pd.Timestamp) -> str:
    """Say of how many days the usual hour is the mean."""
    days = len(store.usual_hours(city, hour))
    if hour.tz_convert(city.info.timezone).day_of_week >= 5:
        said = t("Usual: the mean of the same hour on the other weekend days that are not flagged; here {n}.", n=days)
    else:
        said = t("Usual: the mean of the same hour on the other working days that are not flagged; here {n}.", n=days)
    return said if days > 1 else said + t(" ") + t("So few say little of what is usual.")


def _curves(city: City, cell: int | None, hour: pd.Timestamp, measure: str) -> None:
    """Show the week of the chosen cell and of the whole city."""
    info = city.info
    unit, lang = t(info.measure(measure).unit), current()
    if cell is not None:
        (name,) = grid.to_hex([cell])
        profile = _profile(city, cell, measure)
        st.subheader(t("Cell {cell}, {hours} hours", cell=name, hours=info.hours))
        st.plotly_chart(
            profile_figure(profile, unit, info.timezone, info.flagged, lang, hour=hour), key="profile", config=_PLAIN
        )
        components.table_under(city, _named(profile, city), f"{name}-{measure}")
    totals = caches.totals(city, measure)
    st.subheader(t("Whole city"))
    st.plotly_chart(
        totals_figure(totals, unit, info.timezone, info.flagged, lang, hour=hour), key="totals", config=_PLAIN
    )
    components.table_under(city, _named(totals, city), f"total-{measure}")


_PLAIN = {"displayModeBar": False, "scrollZoom": False}


def _named(table: pd.DataFrame, city: City) -> pd.DataFrame:
    """Spell hours in local time and states as words."""
    result = table.assign(hour=table["hour"].dt.tz_convert(city.info.timezone).dt.strftime("%Y-%m-%d %H:%M"))
    if "state" in result:
        words = {store.VALID: "", store.SUPPRESSED: t("suppressed"), store.MISSING: t("missing")}
        result["state"] = result["state"].map(words)
    return result


def _without_activity(city: City) -> None:
    components.empty(
        t("This city has no signaling yet."),
        t("Bring some in with `python -m fusion ingest signaling FILES --city {city}`.", city=city.name),
        wants_data=True,
    )
    if city.has_imagery:
        base = st.get_option("server.baseUrlPath")
        deck = maps.activity_deck(None, addresses.style_address(base, city), _opening(city))
        st.pydeck_chart(deck, height=_MAP_HEIGHT_PX, key=f"map_{city.name}_{state.visit()}")


if __name__ == "__main__":
    render()
