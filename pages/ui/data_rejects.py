"""The rows that ingest did not take: a table to look through, and files to take along."""

import streamlit as st

from fusion.city import City
from fusion.serving.releases import KINDS, encode_table, rejects_release
from pages.ui import caches, language
from pages.ui.language import t
from pages.views import data as view

PART, REASON = "data_rejects_part", "data_rejects_reason"
_MOST_SHOWN = 1000


def show(city: City) -> None:
    """Show the rejects with what they were rejected for."""
    st.subheader(t("Rejected rows"))
    table = caches.remember(rejects_release, (city.path / "city.toml", city.rejects), city)
    if table.empty:
        st.caption(t("Nothing was rejected."))
        return
    lang, names = language.current(), view.part_names(t)
    parts = {"": t("all"), **{one: names.get(one, one) for one in sorted(table["part"].unique())}}
    reasons = {"": t("all"), **{one: view.reason_name(one, lang) for one in table["reason"].value_counts().index}}
    with st.container(horizontal=True):
        part = st.selectbox(
            t("Kind of data"),
            list(parts),
            format_func=parts.__getitem__,
            key=f"{PART}_{city.name}",
            width=200,
        )
        reason = st.selectbox(
            t("Reason"),
            list(reasons),
            format_func=reasons.__getitem__,
            key=f"{REASON}_{city.name}",
            width=360,
        )
    chosen = table
    if part:
        chosen = chosen[chosen["part"] == part]
    if reason:
        chosen = chosen[chosen["reason"] == reason]
    shown = chosen.head(_MOST_SHOWN)
    st.dataframe(
        shown.assign(
            part=shown["part"].map(lambda one: names.get(one, one)),
            reason=shown["reason"].map(lambda one: view.reason_name(one, lang)),
        ),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(shown), 340),
        column_config={
            "part": t("Kind of data"),
            "file": t("File"),
            "row": st.column_config.NumberColumn(t("Row"), format="localized"),
            "reason": t("Reason"),
            "text": st.column_config.TextColumn(t("As it came"), width="large"),
        },
    )
    st.caption(
        t("{shown:,} of {all:,} rows shown.", shown=len(shown), all=len(chosen))
        + t(" ")
        + t("Numbers that could be a suppressed count are hidden; the row leads to the export, which has them.")
    )
    with st.container(horizontal=True):
        for kind, label in ((".csv", t("Download CSV")), (".parquet", t("Download Parquet"))):
            st.download_button(
                label,
                # Made when asked for: a million rows take seconds that most readers would wait for nothing.
                lambda kind=kind: encode_table(chosen, kind),
                file_name=f"{city.name}-rejects{kind}",
                mime=KINDS[kind],
                key=f"data_rejects{kind}",
                icon=":material/download:",
                on_click="ignore",
            )
