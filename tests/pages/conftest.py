"""Pages through Streamlit's AppTest, always by way of the main script: links between pages need its navigation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.miniature import build_miniature

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def _no_answers_from_the_last_test() -> None:
    st.cache_data.clear()


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder that the pages read."""
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def open_page(data_root: Path) -> Open:
    """Return a function that opens a page as a browser does: `open_page("activity_map", lang="zh", city=...)`."""

    def _open(page: str | None = None, **query: str) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=60)
        app.query_params.update({"lang": "en"} | query)
        if page is not None:
            app.switch_page(f"{page}.py")
        app.run()
        assert not app.exception, [error.message for error in app.exception]
        return app

    return _open


@pytest.fixture
def miniature_city(data_root: Path):
    """The miniature city, in the data folder that the pages read."""
    return build_miniature(data_root)
