"""Preview and options of imagery and of URFC files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fusion.classes import FUNCTIONS
from fusion.errors import InputError
from fusion.serving import previews
from fusion.serving.uploads import Waiting
from pages.ui import caches, components
from pages.ui.language import pick, t

BANDS, STRETCH, PIXEL, RESIZE, DROP = (
    "data_bands", "data_stretch", "data_pixel", "data_resize", "data_drop_blank",
)  # fmt: skip

Found = tuple[list[Path], tuple[str, ...], bool]


def prepare_imagery(pool: Sequence[Waiting]) -> Found:
    """Show what the rasters are; return the files, their options and whether they can be ingested."""
    files = flat(pool, (".tif", ".tiff"))
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
    for file, problem in bad[["file", "problem"]].itertuples(index=False):
        st.error(components.pair(file, t(problem)), icon=":material/error:")
    return files, _imagery_words(int(table["bands"].max()) if "bands" in table else 3), bad.empty


def _imagery_words(bands: int) -> tuple[str, ...]:
    """Ask how the rasters are to be read; return words of the command line."""
    words: list[str] = []
    with st.expander(t("Bands, brightness and size of a pixel")), st.container(horizontal=True):
        if bands > 3:
            chosen = st.multiselect(
                t("Bands of red, green and blue, in this order"),
                range(1, bands + 1),
                key=BANDS,
                max_selections=3,
                width=360,
                placeholder=t("by their colour, else the first three"),
            )
            if len(chosen) == 3:
                words += ["--bands", ",".join(map(str, chosen))]
        low, high = st.slider(
            t("Percentiles between which more than 8 bits are stretched"), 0.0, 100.0, (2.0, 98.0), 0.5, key=STRETCH
        )
        if (low, high) != (2.0, 98.0):
            words += ["--stretch", f"{low:g},{high:g}"]
        pixel_m = st.number_input(
            t("Edge of a pixel, m"),
            min_value=0.01,
            max_value=10_000.0,
            value=None,
            key=PIXEL,
            width=200,
            placeholder=t("as in the finest file"),
        )
        if pixel_m is not None:
            words += ["--pixel-m", f"{pixel_m:g}"]
    return tuple(words)


def _sides() -> dict[str, str]:
    return {"west": t("West"), "south": t("South"), "east": t("East"), "north": t("North")}


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


def flat(pool: Sequence[Waiting], endings: tuple[str, ...] | None = None) -> list[Path]:
    """Return the chosen files, of folders those in them."""
    paths: list[Path] = []
    for one in pool:
        paths += sorted(path for path in one.path.iterdir() if path.is_file()) if one.is_folder else [one.path]
    return [path for path in dict.fromkeys(paths) if endings is None or path.suffix.lower() in endings]
