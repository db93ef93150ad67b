"""Fixtures that every test may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real inputs beside a developer's checkout; tests that read them skip where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real inputs are not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_city_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the tiny synthetic city; treat as read-only, or copy it."""
    from fusion.synthetic.demo import build_demo
    from fusion.synthetic.parameters import TINY

    root = tmp_path_factory.mktemp("data")
    build_demo(root, parameters=TINY)
    return root
