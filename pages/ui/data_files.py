"""The files to bring in: uploaded by the reader, or lying ready in a folder of the server."""

from pathlib import Path

import streamlit as st

from fusion.errors import FusionError
from fusion.serving import ingest_jobs, uploads
from fusion.serving.uploads import Waiting
from pages.ui import components, language
from pages.ui.language import t
from pages.views import ingest as view

SOURCE, TOKEN, ROUND, CHOSEN, CLEAR = "data_source", "data_token", "data_round", "data_incoming", "data_clear"
_PROBLEM = "data_upload_problem"
UPLOAD, SERVER = "upload", "server"
_TYPES = {
    ingest_jobs.IMAGERY: ["tif", "tiff"],
    ingest_jobs.FUNCTIONS: [
        "geojson", "json", "gpkg", "zip", "shp", "shx", "dbf", "prj", "cpg", "csv", "tsv", "txt", "parquet", "xlsx",
        "gz", "toml",
    ],
    ingest_jobs.URFC: ["zip"],
}  # fmt: skip


def choose(root: Path, kind: str) -> tuple[list[Waiting], str | None]:
    """Let the reader choose files; return them, and the token of the upload that they belong to."""
    names = {UPLOAD: t("Upload"), SERVER: t("On the server")}
    source = components.choose_one(t("Where the files are"), names, SOURCE)
    if source == SERVER:
        return _on_server(root), None
    return _uploaded(root, kind)


def _uploaded(root: Path, kind: str) -> tuple[list[Waiting], str | None]:
    turn = st.session_state.setdefault(ROUND, 0)
    token = st.session_state.get(TOKEN)
    if token is not None and token in ingest_jobs.busy_tokens(root):
        st.caption(t("The uploaded files are being ingested; where that fails they stay here for another try."))
        return [], token
    files = st.file_uploader(
        t("Files to upload"),
        type=_TYPES.get(kind),
        accept_multiple_files=True,
        # Another key with every batch: the browser's copies leave the server's memory once they are on its disk.
        key=f"data_upload_{turn}",
        help=t(
            "They lie on the server until they are ingested, at most a day. A file passes through the server's memory: "
            "put what is larger than the limit into {folder}/ of its data folder.",
            folder=uploads.INCOMING,
        ),
    )
    if language.current() == "zh":  # Streamlit's own words on the box are English, whatever the page's language
        limit_gb = st.get_option("server.maxUploadSize") / 1000  # as the box says it
        st.caption(t("Choose files by Upload, or drag them in: {n} GB each at most.", n=f"{limit_gb:.3g}"))
    if files:
        _store(root, list(files))
        st.session_state[ROUND] = turn + 1
        st.rerun()
    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(problem, icon=":material/error:")
    here = uploads.waiting(root, token) if token else []
    if not here:
        return [], None
    _list(here)
    if st.button(t("Remove these files"), key=CLEAR, icon=":material/delete:"):
        uploads.discard(root, token)
        st.session_state.pop(TOKEN, None)
        st.rerun()
    return here, token


def _store(root: Path, files: list) -> None:
    try:
        token = st.session_state.get(TOKEN)
        if token is None or not uploads.waiting(root, token):
            token = uploads.new_upload(root)
        st.session_state[TOKEN] = token
        with st.spinner(t("Storing")):
            for file in files:
                uploads.store(root, token, file.name, file, file.size)
    except FusionError as error:
        st.session_state[_PROBLEM] = t(str(error))


def _on_server(root: Path) -> list[Waiting]:
    listed = uploads.incoming(root)
    if not listed:
        components.empty(
            t("Nothing lies ready on the server."),
            t("Put files or folders into {folder}/ of the data folder; they are listed here.", folder=uploads.INCOMING),
        )
        return []
    by_name = {one.name: one for one in listed}
    chosen = st.multiselect(
        t("Files and folders in {folder}/", folder=uploads.INCOMING),
        list(by_name),
        format_func=lambda name: f"{name} ({view.size(by_name[name].size_bytes)})" if name in by_name else name,
        key=CHOSEN,
        help=t("A folder stands for all files in it."),
        persist_state="session",
    )
    return [by_name[name] for name in chosen if name in by_name]


def _list(files: list[Waiting]) -> None:
    st.dataframe(
        {t("File"): [one.name for one in files], t("Size"): [view.size(one.size_bytes) for one in files]},
        hide_index=True,
        width="content",
        height=min(38 + 35 * len(files), 215),
    )
