"""Choosing regions: clicks on a map, a ring around a cell, a polygon, a list, all."""

import streamlit as st

from fusion.charts import maps
from fusion.city import City
from fusion.errors import FusionError, InputError
from fusion.geo import grid
from fusion.serving import addresses, regions
from pages.ui import caches, components, legend, state
from pages.ui.language import t

HOW, RING_CELL, RING_K, LIST = "predict_how", "predict_ring_cell", "predict_ring_k", "predict_list"
POLYGON, ADD = "predict_polygon", "predict_add"
_TURN, _NOTE = "_predict_turn", "_predict_note"
_TINT = "#f2c14e"
_MAP_HEIGHT_PX = 480


def show_map(city: City) -> None:
    """Draw the cells to click on, the chosen ones filled."""
    key = f"predict_pick_{city.name}_{state.visit()}"
    deck = maps.picking_deck(
        caches.cells(city),
        addresses.style_address(st.get_option("server.baseUrlPath"), city),
        _opening(city),
        state.region(),
        _TINT,
        st.session_state.get(_TURN, 0),
    )
    st.pydeck_chart(
        deck, height=_MAP_HEIGHT_PX, key=key, on_select=lambda: _click(key), alt=t("Map to choose regions on")
    )
    legend.swatch_legend([(_TINT, t("chosen")), ("transparent", t("can be chosen"))])


def show_controls(city: City) -> None:
    """Show the ways to choose, what is chosen, and the button that lets it all go."""
    ways = {
        "click": t("Click"),
        "ring": t("Ring"),
        "polygon": t("Polygon"),
        "list": t("List"),
        "all": t("All"),
    }
    how = components.choose_one(t("Choose regions by"), ways, HOW, "click", titled=True)
    {"click": _by_click, "ring": _by_ring, "polygon": _by_polygon, "list": _by_list, "all": _by_all}[how](city)
    kind, text = st.session_state.pop(_NOTE, (None, ""))
    if kind == "error":
        st.error(text, icon=":material/error:")
    elif kind:
        st.caption(text)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(t("**{n:,}** of {all:,} cells chosen", n=len(state.region()), all=len(caches.cells(city))))
        st.button(
            t("Clear"),
            key="predict_clear",
            icon=":material/backspace:",
            type="tertiary",
            disabled=not state.region(),
            on_click=_take,
            args=((), False),
        )


def _by_click(city: City) -> None:
    st.caption(t("Click cells on the map; a second click lets a cell go."))


def _by_ring(city: City) -> None:
    start = state.cell() or (state.region()[-1] if state.region() else None)
    if RING_CELL not in st.session_state and start is not None:
        st.session_state[RING_CELL] = grid.to_hex([start])[0]
    st.text_input(
        t("Cell in the middle (H3)"),
        key=RING_CELL,
        placeholder="8940e1b2d2bffff",
        help=t("The cell clicked last is filled in; any H3 index of the city will do."),
    )
    st.slider(t("Steps around it"), 0, 15, 3, key=RING_K, persist_state="session")
    _adding()
    st.button(t("Choose the ring"), key="predict_ring", on_click=_choose_ring, args=(city,))


def _by_polygon(city: City) -> None:
    st.file_uploader(
        t("GeoJSON with polygons, WGS-84"),
        type=["geojson", "json"],
        key=POLYGON,
        max_upload_size=20,
        help=t("District boundaries work too: a cell is taken if its centre lies inside."),
    )
    _adding()
    st.button(
        t("Choose the cells inside"),
        key="predict_inside",
        on_click=_choose_inside,
        args=(city,),
        disabled=st.session_state.get(POLYGON) is None,
    )


def _by_list(city: City) -> None:
    st.text_area(
        t("H3 cells, one a line or parted by commas"),
        key=LIST,
        height=110,
        placeholder="8940e1b2d2bffff",
        persist_state="session",
    )
    _adding()
    st.button(t("Choose these cells"), key="predict_listed", on_click=_choose_listed, args=(city,))


def _by_all(city: City) -> None:
    cells = caches.cells(city)
    st.button(t("Choose all {n:,} cells", n=len(cells)), key="predict_all", on_click=_take, args=(cells, False))


def _adding() -> None:
    st.toggle(t("Add to what is chosen"), key=ADD, persist_state="session")


def _choose_ring(city: City) -> None:
    text = str(st.session_state.get(RING_CELL, "")).strip()
    try:
        if not text:
            raise InputError(t("Name the cell in the middle, or click one on the map first."))
        centre = int(grid.from_hex([text])[0])
        if grid.resolution_of(centre) != city.info.resolution:
            raise InputError(t("{cell} is not of the city's resolution {n}.", cell=text, n=city.info.resolution))
        found = regions.ring_cells(centre, st.session_state[RING_K], caches.cells(city))
        if not len(found):
            raise InputError(
                t("No cell of the city lies within {k} steps of {cell}.", k=st.session_state[RING_K], cell=text)
            )
    except FusionError as error:
        st.session_state[_NOTE] = ("error", str(error))
        return
    _take(found, st.session_state.get(ADD, False))


def _choose_inside(city: City) -> None:
    file = st.session_state.get(POLYGON)
    if file is None:
        return
    try:
        found = regions.cells_within(regions.read_polygons(file.getvalue(), file.name), caches.cells(city))
        if not len(found):
            raise InputError(t("{name}: no cell of this city lies inside.", name=file.name))
    except FusionError as error:
        st.session_state[_NOTE] = ("error", str(error))
        return
    _take(found, st.session_state.get(ADD, False))
    st.session_state[_NOTE] = ("note", t("{name}: {n:,} cells inside.", name=file.name, n=len(found)))


def _choose_listed(city: City) -> None:
    try:
        found, outside = regions.read_cells(
            str(st.session_state.get(LIST, "")), caches.cells(city), city.info.resolution
        )
    except FusionError as error:
        st.session_state[_NOTE] = ("error", str(error))
        return
    if outside:
        listed = ", ".join(outside[:5]) + (" …" if len(outside) > 5 else "")
        st.session_state[_NOTE] = ("note", t("Not in this city, left out: {cells}", cells=listed))
    _take(found, st.session_state.get(ADD, False))


def _take(cells: "tuple[int, ...] | list[int] | object", add: bool) -> None:
    new = {int(cell) for cell in cells}  # type: ignore[attr-defined]
    state.set_region([*(state.region() if add else ()), *new])


def _click(key: str) -> None:
    """Turn the clicked cell on or off."""
    cell = maps.clicked_cell(st.session_state[key].selection.objects)
    if cell is None:
        return
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
    state.set_region(set(state.region()) ^ {cell})
    st.session_state[RING_CELL] = grid.to_hex([cell])[0]


def _opening(city: City) -> maps.View:
    """Where the map opens, fixed for a visit: the chosen cells if a link brought some, else the city."""
    key = f"predict_opening_{city.name}_{state.visit()}"
    if key not in st.session_state:
        bounds = city.info.bounds
        if state.region():
            lon, lat = grid.centres(state.region())
            bounds = (lon.min() - 0.01, lat.min() - 0.01, lon.max() + 0.01, lat.max() + 0.01)
        st.session_state[key] = maps.view_of_bounds(bounds)
    return st.session_state[key]
