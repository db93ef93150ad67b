"""Pages through the main script, as a reader opens them: a city, a language, a page."""

from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
LANGUAGES = ("en", "zh")


def open_page(page: str, city: str, lang: str = "en") -> AppTest:
    """Open a page on a city of `FUSION_DATA`, with empty caches; they outlive an AppTest otherwise."""
    st.cache_data.clear()
    st.cache_resource.clear()
    app = AppTest.from_file(str(MAIN), default_timeout=120)
    app.query_params["lang"] = lang
    app.query_params["city"] = city
    # Overview is the main page; another can be named before the first run, since its address is its file's name.
    return app.run() if page == "overview" else go(app, page)


def go(app: AppTest, page: str) -> AppTest:
    """Change to another page of the same session."""
    return app.switch_page(f"{page}.py").run()


def texts(app: AppTest) -> str:
    """Return all that the page says, one element a line; no-break spaces are plain ones here."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "warning", "error", "metric")
    found = []
    for kind in kinds:
        for element in app.get(kind):
            found += [str(getattr(element, "label", "") or ""), str(getattr(element, "value", "") or "")]
    return "\n".join(found).replace("\u00a0", " ")


def assert_whole(app: AppTest) -> None:
    """Neither a traceback nor an error line on the page."""
    assert not app.exception, [element.message for element in app.exception]
    assert not app.error, [element.value for element in app.error]
