"""Preview and options of imagery, functions and URFC files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fusion.classes import FUNCTIONS, IDS
from fusion.errors import InputError
from fusion.serving import previews
from fusion.serving.previews import FunctionsPreview
from fusion.serving.uploads import Waiting
from pages.ui import caches
from pages.ui.language import pick, t

FIELD, MAPPING, RESIZE, DROP = "data_field", "data_mapping", "data_resize", "data_drop_blank"
_ASIDE = (".toml", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".xml")

Found = tuple[list[Path], tuple[str, ...], bool]


def prepare_imagery(pool: Sequence[Waiting]) -> Found:
    """Show what the rasters are; return the files, their options and whether they can be ingested."""
    files = _flat(pool, (".tif", ".tiff"))
    if not files:
        raise InputError(t("No GeoTIFF (.tif) among the files: choose some."))
    table: pd.DataFrame = caches.remember(previews.preview_imagery, files, tuple(files))
    number = st.column_config.NumberColumn
    st.dataframe(
        table.loc[:, (table != "").any()] if "problem" in table else table,
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(table), 300),
        column_config={
            "file": t("File"),
            "width": number(t("Width, px"), format="localized"),
            "height": number(t("Height, px"), format="localized"),
            "bands": t("Bands"),
            "type": t("Type"),
            "crs": t("Reference system"),
            "pixel": number(t("Pixel (in its units)"), format="%.6g"),
            **{side: number(name, format="%.4f") for side, name in _sides().items()},
            "problem": t("Problem"),
        },
    )
    bad = table[table["problem"] != ""]
    for row in bad.to_dict("records"):
        st.error(f"{row['file']}: {row['problem']}", icon=":material/error:")
    return files, (), bad.empty


def _sides() -> dict[str, str]:
    return {"west": t("West"), "south": t("South"), "east": t("East"), "north": t("North")}


def prepare_functions(pool: Sequence[Waiting]) -> Found:
    """Show what a file of functions holds; let the reader choose the column of the class and how it is mapped."""
    files = [path for path in _flat(pool, None) if path.suffix.lower() not in _ASIDE]
    if not files:
        raise InputError(t("No file of polygons, points or cells among the files: choose one."))
    file = files[0]
    if len(files) > 1:
        file = st.selectbox(t("File"), files, format_func=lambda path: path.name, width=360)
    preview: FunctionsPreview = caches.remember(previews.preview_functions, [file], file)
    about = [preview.kind or t("table"), preview.crs or t("no reference system")]
    if preview.features >= 0:
        about.append(t("{n:,} features", n=preview.features))
    st.markdown("  ·  ".join(about))
    with st.container(horizontal=True):
        field = st.selectbox(
            t("Column with the class"),
            preview.columns,
            index=preview.columns.index(likely) if (likely := _likely(preview)) else None,
            key=FIELD,
            placeholder=t("choose one"),
            width=260,
        )
        tables = [one.path for one in pool if one.path.suffix.lower() == ".toml"]
        mapping = st.selectbox(
            t("Mapping to the nine functions"),
            [None, *tables],
            format_func=lambda path: t("none: class ids or codes 001 to 009") if path is None else path.name,
            index=1 if tables else 0,
            key=MAPPING,
            width=380,
            help=t("A TOML file beside the data: value in the file = class id."),
        )
    if field and mapping is None and field in preview.values:
        _show_values(preview.values[field])
    with st.expander(t("The first rows"), expanded=True):
        st.dataframe(preview.sample, hide_index=True, width="stretch")
    options: tuple[str, ...] = ("--field", field) if field else ()
    if mapping is not None:
        options += ("--mapping", str(mapping.resolve()))
    return [file], options, field is not None


def _likely(preview: FunctionsPreview) -> str | None:
    """Return the column whose values are most often classes; None where none is."""
    known = {*IDS, *(function.code for function in FUNCTIONS)}
    shares = {
        name: sum(count for value, count in found.items() if value in known) / max(sum(found.values()), 1)
        for name, found in preview.values.items()
    }
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] > 0.5 else None


def _show_values(values: dict[str, int]) -> None:
    names = {key: pick(function.en, function.zh) for function in FUNCTIONS for key in (function.id, function.code)}
    table = pd.DataFrame(
        [{"value": value, "rows": count, "function": names.get(value)} for value, count in values.items()]
    )
    unknown = int(table.loc[table["function"].isna(), "rows"].sum())
    st.dataframe(
        table,
        hide_index=True,
        width="content",
        height=min(38 + 35 * len(table), 250),
        placeholder=t("unknown"),
        column_config={"value": t("Value"), "rows": t("Rows"), "function": t("Function")},
    )
    if unknown:
        st.warning(
            t("{n:,} rows have a value that is no class: they would be rejected. Add a mapping.", n=unknown),
            icon=":material/warning:",
        )


def prepare_urfc(pool: Sequence[Waiting]) -> Found:
    """Show how many images and visit files of which class there are."""
    one = next((one for one in pool if one.is_folder or one.path.suffix.lower() == ".zip"), None)
    if one is None:
        raise InputError(t("Choose one zip archive, or one folder on the server."))
    if len(pool) > 1:
        st.caption(t("Only {name} is taken.", name=one.name))
    table: pd.DataFrame = caches.remember(previews.preview_urfc, [one.path], one.path)
    st.markdown(
        t(
            "{images:,} images and {visits:,} visit files.",
            images=int(table["images"].sum()),
            visits=int(table["visits"].sum()),
        )
    )
    names = {function.code: pick(function.en, function.zh) for function in FUNCTIONS}
    st.dataframe(
        table.assign(**{"class": table["class"].map(lambda code: f"{code} {names.get(code, '')}".strip())}),
        hide_index=True,
        width="content",
        height=min(38 + 35 * len(table), 380),
        column_config={
            "folder": t("Folder"),
            "class": t("Class"),
            "images": t("Images"),
            "visits": t("Visit files"),
        },
    )
    with st.container(horizontal=True):
        resize = st.toggle(t("Bring images of another size to 100 x 100 px"), key=RESIZE)
        drop = st.toggle(t("Refuse regions whose image is one colour"), key=DROP)
    options = (("--resize",) if resize else ()) + (("--drop-blank",) if drop else ())
    return [one.path], options, True


def _flat(pool: Sequence[Waiting], endings: tuple[str, ...] | None) -> list[Path]:
    """Return the chosen files, of folders those in them."""
    paths: list[Path] = []
    for one in pool:
        paths += sorted(path for path in one.path.iterdir() if path.is_file()) if one.is_folder else [one.path]
    return [path for path in dict.fromkeys(paths) if endings is None or path.suffix.lower() in endings]
