"""Data 数据: what came in and how good it is, bring in more, what lies on disk."""

import streamlit as st

from pages.ui import components, data_bring, data_disk, data_report, state
from pages.ui.language import t

REPORT, BRING, DISK = "report", "ingest", "disk"
PARTS = (REPORT, BRING, DISK)


def render() -> None:
    """Draw the page."""
    st.title(t("Data"))
    names = {REPORT: t("Quality report"), BRING: t("Bring in data"), DISK: t("Cities on disk")}
    if st.session_state.get(state.PART) not in PARTS:
        st.session_state[state.PART] = REPORT
    part = st.segmented_control(
        t("Part of the page"),
        PARTS,
        format_func=names.__getitem__,
        key=state.PART,
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    if part == BRING:
        data_bring.show()
        return
    if part == DISK:
        data_disk.show()
        return
    city = components.require_city()
    if city is None:
        return
    st.markdown(f"**{components.title_of(city)}** `{city.name}`")
    components.synthetic_banner(city)
    data_report.show(city)


if __name__ == "__main__":
    render()
