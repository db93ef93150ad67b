"""One miniature city for the serving tests."""

from pathlib import Path

import pytest

from fusion.city import City
from tests.miniature import build_miniature


@pytest.fixture(scope="session")
def miniature_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a whole city and one for each part that a city may lack; read-only."""
    root = tmp_path_factory.mktemp("served")
    build_miniature(root)
    build_miniature(root, "no-imagery", imagery=False)
    build_miniature(root, "no-activity", activity=False)
    return root


@pytest.fixture(scope="session")
def miniature(miniature_root: Path) -> City:
    from fusion.city import open_city

    return open_city("miniature", miniature_root)
