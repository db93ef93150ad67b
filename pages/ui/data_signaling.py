"""Preview and options of signaling exports: hourly counts, device records, Milan."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from fusion.errors import InputError
from fusion.ingest.options import SignalingOptions
from fusion.ingest.preview import Preview, preview_signaling
from fusion.serving.ingest_jobs import PRESETS, signaling_words
from fusion.serving.uploads import Waiting
from pages.ui import caches, components, data_options, language
from pages.ui.language import t
from pages.views import ingest as view


def prepare(kind: str, pool: Sequence[Waiting], city_path: Path | None) -> tuple[list[Path], tuple[str, ...], bool]:
    """Show what was recognised and what can be chosen; return files, options and whether they can be ingested.

    Raises:
        InputError: the files cannot be opened.
    """
    shown = st.container()  # the preview stands above the options, which it needs first
    basics = data_options.ask_basics(kind, pool, city_path)
    files = [one.path for one in pool if one.path not in data_options.asides(basics)]
    if not files:
        raise InputError(t("All files were chosen as tables beside the export: none is left to ingest."))
    first = _look(files, city_path, basics)
    options = data_options.ask_columns(kind, view.columns_of(first.files), basics)
    preview = first if options == basics else _look(files, city_path, options)
    with shown:
        _show(preview, kind)
    return files, signaling_words(options), preview.problem is None


def _look(files: Sequence[Path], city_path: Path | None, options: SignalingOptions) -> Preview:
    city_files = [city_path / "city.toml", city_path / "functions.parquet"] if city_path else []
    asides = data_options.asides(options)
    paths = tuple(str(path) for path in files)
    with st.spinner(t("Looking at the files")):
        found: Preview = caches.remember(
            _previewed, [*files, *asides, *city_files], paths, str(city_path) if city_path else None, options
        )
    return found


def _previewed(files: tuple[str, ...], city_path: str | None, options: SignalingOptions) -> Preview:
    return preview_signaling([Path(file) for file in files], Path(city_path) if city_path else None, options)


def _show(preview: Preview, kind: str) -> None:
    lang = language.current()
    if preview.problem:
        st.error(t(preview.problem), icon=":material/error:")
        st.caption(t("Choose what was not recognised below; the columns are listed there."))
    elif preview.rows_sampled:
        st.markdown(f"**{view.sample_words(preview, t)}**")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**{t('What was recognised')}** `{PRESETS[kind]}`")
        rows = view.role_rows(preview, t)
        st.markdown("\n".join(f"- {components.pair(role, f'**{_code(how)}**')}" for role, how in rows))
    with right:
        _show_datum(preview)
        if preview.would_reject:
            st.markdown(f"**{t('Would be rejected, of the sample')}**")
            st.dataframe(
                view.reject_rows(preview, lang),
                hide_index=True,
                width="stretch",
                column_config={
                    "reason": t("Reason"),
                    "rows": st.column_config.NumberColumn(t("Rows"), format="localized"),
                },
            )
    for line in preview.warnings:
        st.warning(t(line), icon=":material/warning:")
    _show_files(preview)


def _show_datum(preview: Preview) -> None:
    if preview.datum is None:
        return
    st.markdown(f"**{t('Datum')}**")
    said = view.datum_words(preview.datum, t)
    if preview.datum.guess not in (None, preview.datum.asked):
        st.warning(said, icon=":material/explore:")
    else:
        st.markdown(said)
    table = view.datum_rows(preview.datum, t)
    if len(table.columns) > 2:
        number = st.column_config.NumberColumn
        st.dataframe(
            table,
            hide_index=True,
            width="stretch",
            column_config={
                "datum": t("If they are"),
                "asked": t("Chosen"),
                "share_inside": number(t("Inside the city"), format="percent", step=0.001),
                "shift_m": number(t("Off the city's middle, m"), format="%.0f"),
                "share_labelled": number(t("In labelled cells"), format="percent", step=0.001),
                "regularity": number(t("In rows and columns"), format="percent", step=0.001),
            },
        )
    if said := view.extent_words(preview, t):
        st.caption(said)


def _show_files(preview: Preview) -> None:
    with st.expander(t("Tables in the files: {n:,}", n=preview.files_total)):
        st.dataframe(
            view.file_rows(preview, t),
            hide_index=True,
            width="stretch",
            height=min(38 + 35 * len(preview.files), 240),
            column_config={
                "name": t("Table"),
                "size": t("Size"),
                "written": t("Written as"),
                "columns": t("Columns"),
            },
        )
    with st.expander(t("The first rows"), expanded=True):
        table = view.sample_rows(preview)
        if table.empty:
            components.empty(t("No row."), t("The files hold a header only."))
        else:
            height = min(38 + 35 * len(table), 240)
            st.dataframe(table, hide_index=True, width="stretch", height=height, placeholder="–")


def _code(text: str) -> str:
    """Spell a text of the user's file so that Markdown takes nothing in it for its own."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|~$:" else letter for letter in text)
