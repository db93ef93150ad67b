"""What a reader may say about a signaling export: what it does not tell, and columns that were not recognised."""

import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from fusion.geo.datum import DATUMS
from fusion.ingest.options import SignalingOptions, read_thresholds
from fusion.ingest.presets import preset
from fusion.serving import ingest_jobs
from fusion.serving.ingest_jobs import PRESETS
from fusion.serving.uploads import Waiting
from pages.ui import components
from pages.ui.language import t
from pages.views.data import datum_name

DATUM, ZONE, THRESHOLD, RESOLUTION, GRID, PROPERTY, TOWERS, TOWER_PROPERTY = (
    "data_datum", "data_zone", "data_threshold", "data_resolution", "data_grid", "data_grid_property", "data_towers",
    "data_tower_property",
)  # fmt: skip
PLACE, TIME, VALUES, LON, LAT, H3, WKT, GRID_ID, USER, TOWER = (
    "data_place", "data_time", "data_values", "data_lon", "data_lat", "data_h3", "data_wkt", "data_grid_id",
    "data_user", "data_tower",
)  # fmt: skip
ORIGIN, SQUARE, ORDER, ACROSS, FIRST, CORNER = (
    "data_origin", "data_square", "data_order", "data_across", "data_first", "data_corner",
)  # fmt: skip
SINGLE = "data_single_thresholds"
AUTO, POINT, CELL, TEXT, ID = "auto", "point", "h3", "wkt", "grid"
_NEW_RESOLUTION = 9


def asides(options: SignalingOptions) -> list[Path]:
    """Return the files that stand beside an export: its grid, its towers."""
    return [path for path in (options.grid, options.towers) if path is not None]


def ask_basics(kind: str, pool: Sequence[Waiting], city_path: Path | None) -> SignalingOptions:
    """Ask for what no file says of itself: datum, zone, threshold, resolution, and the tables beside the export."""
    known = preset(PRESETS[kind])
    st.markdown(f"**{t('What the files do not say')}**")
    # Milan's squares come with their grid, in WGS-84.
    datum = None if kind == ingest_jobs.MILAN else _datum()
    zones = {"": t("by itself ({zone})", zone=known.timezone)}
    zones |= {one: one for one in sorted(zoneinfo.available_timezones())}
    with st.container(horizontal=True):
        zone = st.selectbox(
            t("Time zone"),
            list(zones),
            format_func=zones.__getitem__,
            key=ZONE,
            width=260,
            persist_state="session",
            help=t("Of times without an offset; by itself: the city's, else the preset's."),
        )
        threshold = st.number_input(
            t("Suppress sums up to"),
            min_value=0,
            max_value=10_000,
            value=None,
            step=1,
            placeholder=str(known.min_count),
            key=f"{THRESHOLD}_{kind}",
            width=200,
            persist_state="session",
            help=t("A cell's sum above 0 and up to this one is hidden, after summing; 0 hides nothing."),
        )
        single = st.text_input(
            t("For single measures"),
            key=f"{SINGLE}_{kind}",
            placeholder="outflow=5",
            width=200,
            max_chars=400,
            persist_state="session",
            help=t("outflow=5; several with commas"),
        )
        new = city_path is None or not (city_path / "city.toml").is_file()
        resolution = st.selectbox(
            t("H3 resolution"),
            [6, 7, 8, 9, 10, 11],
            index=3,
            key=RESOLUTION,
            width=160,
            disabled=not new,
            persist_state="session",
            help=t("Of a new city; an existing one keeps its own. Cells of 9 are some 310 m apart."),
        )
    options = SignalingOptions(
        preset=PRESETS[kind],
        datum=datum,
        timezone=zone or None,
        min_count=None if threshold is None else int(threshold),
        min_counts=read_thresholds([text for text in single.split(",") if text.strip()])[1],
        resolution=resolution if new and resolution != _NEW_RESOLUTION else None,
    )
    return _ask_tables(kind, pool, options)


def _datum() -> str:
    return components.choose_one(
        t("Datum of the coordinates"),
        {datum: datum_name(datum) for datum in DATUMS},
        DATUM,
        "wgs84",
        titled=True,
        help=t("Chinese web maps use GCJ-02, Baidu BD-09: off by some 570 m and 1.3 km in Zhengzhou."),
    )


def _ask_tables(kind: str, pool: Sequence[Waiting], options: SignalingOptions) -> SignalingOptions:
    by_path = {one.path: one.name for one in pool if not one.is_folder}
    if kind == ingest_jobs.DEVICES:
        towers = _file(t("Table of cell towers"), by_path, TOWERS, None, t("id, longitude and latitude of each tower"))
        return replace(options, towers=towers, tower_property=_text(t("Its column of ids"), TOWER_PROPERTY, towers))
    shapes = {path: name for path, name in by_path.items() if path.suffix.lower() in (".geojson", ".json")}
    if not shapes:
        return options
    grid = _file(t("Grid (GeoJSON)"), shapes, GRID, next(iter(shapes)), t("the squares that the ids of the rows name"))
    return replace(options, grid=grid, grid_property=_text(t("Its property with the ids"), PROPERTY, grid))


def ask_columns(kind: str, columns: Sequence[str], options: SignalingOptions) -> SignalingOptions:
    """Offer the columns of the files for each role; untouched, the options stay as they are."""
    if kind == ingest_jobs.MILAN:
        return options
    with st.expander(t("Columns and places: only where they were not recognised")):
        time = st.multiselect(
            t("Time (two columns: date and hour)"), columns, key=TIME, max_selections=2, persist_state="session"
        )
        options = replace(options, time="+".join(time) or None)
        if kind == ingest_jobs.DEVICES:
            user = _column(t("Device id"), columns, USER)
            tower = st.multiselect(
                t("Cell tower (two columns: area and cell)"),
                columns,
                key=TOWER,
                max_selections=2,
                persist_state="session",
            )
            options = replace(options, user=user, tower="+".join(tower) or None)
        else:
            values = st.multiselect(t("Counts"), columns, key=VALUES, persist_state="session")
            options = replace(options, values=tuple(values))
        return _ask_place(columns, options)


def _ask_place(columns: Sequence[str], options: SignalingOptions) -> SignalingOptions:
    names = {
        AUTO: t("by itself"),
        POINT: t("longitude and latitude"),
        CELL: t("H3 cell"),
        TEXT: t("WKT"),
        ID: t("grid id"),
    }
    kind = components.choose_one(t("Place"), names, PLACE, AUTO, titled=True)
    with st.container(horizontal=True):
        if kind == POINT:
            return replace(options, lon=_column(t("Longitude"), columns, LON), lat=_column(t("Latitude"), columns, LAT))
        if kind == CELL:
            return replace(options, h3=_column(t("H3 cell"), columns, H3))
        if kind == TEXT:
            return replace(options, wkt=_column(t("WKT"), columns, WKT))
        if kind == ID:
            chosen = st.multiselect(
                t("Grid id (two columns: row and column)"),
                columns,
                key=GRID_ID,
                max_selections=2,
                persist_state="session",
            )
            options = replace(options, grid_id="+".join(chosen) or None)
    return _ask_lattice(options) if kind == ID and options.grid is None else options


def _ask_lattice(options: SignalingOptions) -> SignalingOptions:
    """Ask for a regular grid by its corner and size, where no GeoJSON of it is there."""
    st.caption(t("Without a GeoJSON of the grid: its corner and the size of a square."))
    with st.container(horizontal=True):
        origin = _text(t("Corner: longitude,latitude"), ORIGIN, True, "113.40,34.60")
        square = _text(t("Size of a square"), SQUARE, True, "500m")
        corner = st.selectbox(
            t("That corner is"),
            ["sw", "nw"],
            format_func={"sw": t("south-west"), "nw": t("north-west")}.__getitem__,
            key=CORNER,
            width=150,
            persist_state="session",
        )
        order = st.selectbox(
            t("An id reads"),
            ["row_col", "col_row"],
            format_func={"row_col": t("row, column"), "col_row": t("column, row")}.__getitem__,
            key=ORDER,
            width=150,
            persist_state="session",
        )
        across = _number(t("Squares in a row"), ACROSS, 1, t("where an id is one number"))
        first = _number(t("First number"), FIRST, 0, None)
    return replace(
        options,
        grid_origin=origin,
        grid_size=square,
        grid_corner=corner,
        grid_order=order,
        grid_columns=across,
        grid_first=first,
    )


def _file(label: str, names: dict[Path, str], key: str, default: Path | None, help_: str) -> Path | None:
    shown: dict[Path | None, str] = {None: t("none"), **names}
    return st.selectbox(
        label,
        list(shown),
        index=list(shown).index(default),
        format_func=shown.__getitem__,
        key=key,
        help=help_,
        width=360,
    )


def _column(label: str, columns: Sequence[str], key: str) -> str | None:
    return st.selectbox(
        label, columns, index=None, key=key, placeholder=t("by itself"), width=240, persist_state="session"
    )


def _text(label: str, key: str, wanted: object, example: str | None = None) -> str | None:
    if not wanted:
        return None
    said = st.text_input(
        label, key=key, placeholder=example or t("by itself"), width=240, max_chars=200, persist_state="session"
    )
    return said.strip() or None


def _number(label: str, key: str, least: int, help_: str | None) -> int | None:
    value = st.number_input(
        label,
        min_value=least,
        max_value=1_000_000,
        value=None,
        step=1,
        key=key,
        width=150,
        placeholder=t("by itself"),
        help=help_,
        persist_state="session",
    )
    return None if value is None else int(value)
