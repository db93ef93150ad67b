"""Preview and options of known functions: polygons, points or a table of cells."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fusion.classes import FUNCTIONS
from fusion.errors import InputError
from fusion.geo.datum import DATUMS
from fusion.ingest.mapping import UNMAPPED, load_mapping, shipped_mappings
from fusion.serving import previews
from fusion.serving.previews import FunctionsPreview
from fusion.serving.uploads import Waiting
from pages.ui import caches, components
from pages.ui.data_others import flat
from pages.ui.language import pick, t
from pages.views.data import datum_name

FILE, LAYER, FIELD, MAPPING, DATUM = (
    "data_functions_file", "data_layer", "data_field", "data_mapping", "data_functions_datum",
)  # fmt: skip
PLACES = {"lon": "data_functions_lon", "lat": "data_functions_lat", "h3": "data_functions_h3",
          "wkt": "data_functions_wkt", "share": "data_functions_share"}  # fmt: skip
_BESIDE = (".toml", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".xml")


def prepare(pool: Sequence[Waiting]) -> tuple[list[Path], tuple[str, ...], bool]:
    """Show what the file holds; let the reader choose the column of the class and how it is mapped.

    Returns:
        `(files, options, ready)`: options as words of the command line, and whether they can be ingested.

    Raises:
        InputError: there is no such file among those chosen, or it cannot be read.
    """
    files = [path for path in flat(pool) if path.suffix.lower() not in _BESIDE]
    if not files:
        raise InputError(t("No file of polygons, points or cells among the files: choose one."))
    file = files[0]
    if len(files) > 1:
        file = st.selectbox(t("File"), files, format_func=lambda path: path.name, key=FILE, width=360)
    preview: FunctionsPreview = caches.remember(previews.preview_functions, [file], file, None)
    words: list[str] = []
    if len(preview.layers) > 1:
        layer = st.selectbox(t("Layer"), preview.layers, key=LAYER, width=360)
        words += ["--layer", layer]
        preview = caches.remember(previews.preview_functions, [file], file, layer)
    about = [preview.kind or t("table"), preview.crs or t("no reference system")]
    if preview.features >= 0:
        about.append(t("{n:,} features", n=preview.features))
    st.markdown("  ·  ".join(about))
    field, mapping = _ask_class(preview, [path for path in flat(pool) if path.suffix.lower() == ".toml"])
    if field:
        words += ["--field", field]
        if mapping is not None:
            words += ["--mapping", str(mapping)]
        if field in preview.values:
            _show_values(preview.values[field], mapping)
    words += _ask_places(preview)
    with st.expander(t("The first rows"), expanded=True):
        st.dataframe(preview.sample, hide_index=True, width="stretch", placeholder="–")
    return [file], tuple(words), field is not None


def _ask_class(preview: FunctionsPreview, tables: list[Path]) -> tuple[str | None, str | Path | None]:
    likely = _likely(preview)
    ships = {"euluc": t("land-use codes of EULUC-China"), "amap": t("Amap's categories of places")}
    choices: dict[str | Path, str] = {"": t("none: class ids or codes 001 to 009")}
    choices |= {path.resolve(): path.name for path in tables}
    choices |= {name: ships.get(name, name) for name in shipped_mappings()}
    with st.container(horizontal=True):
        field = st.selectbox(
            t("Column with the class"),
            preview.columns,
            index=None if likely is None else preview.columns.index(likely),
            key=FIELD,
            placeholder=t("choose one"),
            width=260,
        )
        mapping = st.selectbox(
            t("Mapping to the nine functions"),
            list(choices),
            format_func=choices.__getitem__,
            index=1 if tables else 0,
            key=MAPPING,
            width=380,
            help=t("A TOML file beside the data: value in the file = class id."),
        )
    return field, mapping or None


def _ask_places(preview: FunctionsPreview) -> list[str]:
    """Ask for the datum, and for the columns of the places where the file has no geometry."""
    datum = components.choose_one(
        t("Datum of the coordinates"),
        {datum: datum_name(datum) for datum in DATUMS},
        DATUM,
        "wgs84",
        titled=True,
        help=t("A file may say EPSG:4326 and hold GCJ-02: Amap's and Tencent's places do."),
    )
    words = [] if datum == "wgs84" else ["--datum", datum]
    if preview.kind:
        return words
    names = {
        "lon": t("Longitude"),
        "lat": t("Latitude"),
        "h3": t("H3 cell"),
        "wkt": t("WKT"),
        "share": t("Share of the cell"),
    }
    with st.expander(t("Columns and places: only where they were not recognised")), st.container(horizontal=True):
        for option, name in names.items():
            column = st.selectbox(
                name, preview.columns, index=None, key=PLACES[option], placeholder=t("by itself"), width=200
            )
            words += [] if column is None else [f"--{option}", column]
    return words


def _likely(preview: FunctionsPreview) -> str | None:
    """Return the column whose values are most often classes; None where none is."""
    known = {key for function in FUNCTIONS for key in (function.id, function.code)}
    shares = {
        name: sum(count for value, count in found.items() if value in known) / max(sum(found.values()), 1)
        for name, found in preview.values.items()
    }
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] > 0.5 else None


def _show_values(values: dict[str, int], mapping: str | Path | None) -> None:
    """Show which function each value becomes, as far as the first rows tell."""
    found = load_mapping(mapping)
    rows = []
    for value, count in values.items():
        index = found.find(value)
        name = None if index == UNMAPPED else pick(FUNCTIONS[index].en, FUNCTIONS[index].zh)
        rows.append({"value": value, "rows": count, "function": name})
    table = pd.DataFrame(rows, columns=["value", "rows", "function"])
    st.dataframe(
        table,
        hide_index=True,
        width="content",
        height=min(38 + 35 * len(table), 250),
        placeholder="–",
        column_config={"value": t("Value"), "rows": t("Rows"), "function": t("Function")},
    )
    unknown = int(table.loc[table["function"].isna(), "rows"].sum())
    if unknown:
        st.warning(
            t("{n:,} rows have a value without a counterpart among the nine: they would be left out.", n=unknown),
            icon=":material/warning:",
        )
