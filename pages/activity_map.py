"""Activity map 信令活动: counts by cell and hour above the imagery."""

import streamlit as st

from pages.ui import components
from pages.ui.language import t


def render() -> None:
    """Draw the page."""
    st.title(t("Activity map"))
    city = components.require_city()
    if city is None:
        return
    components.synthetic_banner(city)


if __name__ == "__main__":
    render()
