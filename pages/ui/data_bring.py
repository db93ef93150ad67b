"""Bring in data: what kind, into which city, from which files; a preview; then an ingest in the background."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from fusion.city import City, check_name, data_root
from fusion.errors import FusionError, InputError
from fusion.serving import ingest_jobs, uploads
from fusion.serving.ingest_jobs import FUNCTIONS, IMAGERY, MILAN, URFC, IngestRequest
from pages.ui import caches, data_files, data_functions, data_jobs, data_others, data_signaling, state
from pages.ui.language import t
from pages.views import ingest as view

KIND, CITY, NAME, START = "data_kind", "data_city", "data_city_name", "data_start"
NEW = ""


@dataclass(frozen=True)
class Prepared:
    """What would be ingested: files as paths of the server, options as words of the command line."""

    files: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    ready: bool = False


def show() -> None:
    """Draw the section."""
    root = data_root()
    uploads.sweep(root, ingest_jobs.busy_tokens(root))
    data_jobs.show(root)
    st.subheader(t("What, and into which city"))
    kind, city_name = _choose()
    st.subheader(t("Files"))
    pool, token = data_files.choose(root, kind)
    if not pool:
        return
    st.subheader(t("Preview"))
    prepared = Prepared()
    try:
        prepared = _prepare(kind, pool, root / city_name if city_name else None)
    except FusionError as error:
        st.error(t(str(error)), icon=":material/error:")
    _confirm(root, kind, city_name, prepared, token)


def _choose() -> tuple[str, str | None]:
    """Let the reader choose a kind and a city; None where the name cannot be a city's or none was given."""
    names = view.kinds(t)
    left, right = st.columns(2, gap="large")
    with left:
        kind = st.selectbox(
            t("Kind of data"),
            ingest_jobs.KINDS,
            format_func=names.__getitem__,
            key=KIND,
            persist_state="session",
        )
        st.caption(_about(kind))
    with right:
        chosen = state.city()
        there = [city.name for city in caches.cities()]
        # Real data seldom belong into the invented city that the reader looks at.
        real = chosen.name if chosen is not None and chosen.info.provenance == "real" else None
        choices = {NEW: t("a new city"), **{one: one for one in there}}
        name = st.selectbox(
            t("City"),
            list(choices),
            index=list(choices).index(real or NEW),
            format_func=choices.__getitem__,
            key=CITY,
            persist_state="session",
        )
        if name == NEW:
            name = st.text_input(
                t("Name of the new city"),
                key=NAME,
                max_chars=100,
                placeholder="zhengzhou-2021",
                persist_state="session",
                help=t("Lower-case letters, digits and dashes, such as zhengzhou-2021."),
            ).strip()
        if not name:
            return kind, None
        try:
            check_name(name)
        except InputError as error:
            st.error(t(str(error)), icon=":material/error:")
            return kind, None
        _say_what_changes(kind, next((city for city in caches.cities() if city.name == name), None))
    return kind, name


def _about(kind: str) -> str:
    return {
        ingest_jobs.SIGNALING: t(
            "Counts by hour and place: CSV, TSV, Excel, Parquet, zip or gzip; longitude and latitude, WKT, H3 or "
            "a grid."
        ),
        ingest_jobs.DEVICES: t(
            "One record a device and moment, with longitude and latitude or a cell tower. Devices are counted by cell "
            "and hour; their ids are never stored."
        ),
        MILAN: t("Raw 10-minute or hourly files without a header, with milano-grid.geojson beside them."),
        IMAGERY: t("GeoTIFFs with three or more bands, in any reference system; several files become one mosaic."),
        FUNCTIONS: t("Polygons or points with a class (GeoJSON, GeoPackage, zipped Shapefile), or a table of cells."),
        URFC: t("The contest's images and visit files, as one zip or as a folder on the server."),
    }[kind]


def _say_what_changes(kind: str, city: City | None) -> None:
    if city is None:
        return
    has = {IMAGERY: city.has_imagery, FUNCTIONS: city.has_functions}.get(kind, city.has_activity)
    what = {IMAGERY: t("imagery"), FUNCTIONS: t("functions")}.get(kind, t("signaling"))
    if city.info.provenance == "synthetic":
        st.warning(
            t("{city} is synthetic: real data would stand beside invented ones.", city=city.name),
            icon=":material/science:",
        )
    if has:
        st.caption(
            t(
                "{city} has {what} already: all of it is replaced once the ingest has ended well.",
                city=city.name,
                what=what,
            )
        )


def _prepare(kind: str, pool: list[uploads.Waiting], city_path: Path | None) -> Prepared:
    """Show the preview of what was chosen; return what would be ingested."""
    if kind in ingest_jobs.PRESETS:
        files, options, ready = data_signaling.prepare(kind, pool, city_path)
    elif kind == IMAGERY:
        files, options, ready = data_others.prepare_imagery(pool)
    elif kind == FUNCTIONS:
        files, options, ready = data_functions.prepare(pool)
    else:
        files, options, ready = data_others.prepare_urfc(pool)
    return Prepared(tuple(files), tuple(options), ready)


def _confirm(root: Path, kind: str, city_name: str | None, prepared: Prepared, token: str | None) -> None:
    if city_name is None:
        st.caption(t("Choose a city above, or name a new one."))
    asked = st.button(
        t("Ingest into {city}", city=city_name) if city_name else t("Ingest"),
        key=START,
        type="primary",
        icon=":material/database_upload:",
        disabled=city_name is None or not prepared.ready,
    )
    if not asked or city_name is None:
        return
    request = IngestRequest(
        kind,
        tuple(str(path.resolve()) for path in prepared.files),
        tuple(path.name for path in prepared.files),
        prepared.options,
        token,
    )
    try:
        with st.spinner(t("Starting")):
            ingest_jobs.start(root, city_name, request)
    except FusionError as error:
        st.error(t(str(error)), icon=":material/error:")
        return
    st.rerun()
