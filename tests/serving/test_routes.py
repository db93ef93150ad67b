"""The server's own routes, asked over HTTP: answers, errors, headers, base path."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fusion.city import open_city
from fusion.serving import addresses, routes
from tests.miniature import build_miniature

HOUR = "2021-07-28T04Z"


@pytest.fixture
def client(miniature_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Our routes in front of one that answers HTML to everything, as Streamlit's does."""
    monkeypatch.setenv("FUSION_DATA", str(miniature_root))
    pages = Route("/{rest:path}", lambda request: HTMLResponse("<html>"), methods=["GET", "POST"])
    with TestClient(Starlette(routes=[*routes.build(""), pages]), raise_server_exceptions=False) as client:
        yield client


def test_an_hour_is_answered(client: TestClient) -> None:
    answer = client.get(f"/api/miniature/activity?hour={HOUR}&measure=people&resolution=9")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()) == 37
    assert set(answer.json()[0]) == {"hex", "value", "state", "label", "fill"}


def test_a_tile_and_the_style_are_answered(client: TestClient) -> None:
    tile, style = client.get("/tiles/miniature/9/0/0.png"), client.get("/tiles/miniature/style.json")

    assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
    assert style.json()["sources"]["imagery"]["tiles"][0].startswith("/tiles/miniature/")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/nowhere/activity?hour=2021-07-28T04Z&measure=people", 404),
        ("/api/Not_A_Name/activity?hour=2021-07-28T04Z&measure=people", 400),
        ("/api/..%2F..%2Fetc/activity?hour=2021-07-28T04Z&measure=people", 404),
        ("/api/miniature/activity", 400),
        ("/api/miniature/activity?hour=noon&measure=people", 400),
        ("/api/miniature/activity?hour=2021-13-99T04Z&measure=people", 400),
        ("/api/miniature/activity?hour=2031-07-28T04Z&measure=people", 400),
        ("/api/miniature/activity?hour=2021-07-28T04Z&measure=1;drop", 400),
        ("/api/miniature/activity?hour=2021-07-28T04Z&measure=people&resolution=12", 400),
        ("/api/miniature/activity?hour=2021-07-28T04Z&measure=people&resolution=x", 400),
        ("/api/miniature/activity?hour=2021-07-28T04Z&measure=people&view=x", 400),
        ("/api/no-activity/activity?hour=2021-07-28T04Z&measure=people", 400),
        ("/api/miniature/missing?hour=never&measure=people", 400),
        ("/tiles/nowhere/style.json", 404),
        ("/tiles/nowhere/1/0/0.png", 404),
        ("/tiles/no-imagery/1/0/0.png", 404),
        ("/tiles/miniature/1/5/0.png", 400),
        ("/tiles/miniature/99/0/0.png", 400),
        ("/tiles/miniature/a/b/c.png", 400),
        ("/tiles/miniature/1/0/99999999999999999999.png", 400),
        ("/tiles/miniature/1/0/0.jpg", 404),
        ("/tiles", 404),
        ("/api", 404),
        ("/api/", 404),
        ("/api/miniature", 404),
        ("/tiles/miniature/", 404),
    ],
)
def test_what_is_not_there_gets_one_line_of_json(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert "\n" not in answer.json()["error"]


def test_pages_are_left_to_streamlit(client: TestClient) -> None:
    assert client.get("/activity_map").text == "<html>"
    assert client.get("/tilesheet").text == "<html>"


def test_an_address_with_its_version_may_be_kept_and_another_not(client: TestClient, miniature_root: Path) -> None:
    city = open_city("miniature", miniature_root)
    import pandas as pd

    current = addresses.activity_address("", city, pd.Timestamp(HOUR.replace("Z", ":00Z")), "people")

    kept, asked = client.get(current), client.get(current.split("&v=")[0])

    assert kept.headers["cache-control"].startswith("private, max-age=")
    assert asked.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("base", ["fusion", "/fusion", "/fusion/", "fusion/"])
def test_routes_lie_under_the_base_path_and_nowhere_else(
    base: str, miniature_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSION_DATA", str(miniature_root))
    with TestClient(Starlette(routes=routes.build(base))) as client:
        style = client.get("/fusion/tiles/miniature/style.json")

        assert style.json()["sources"]["imagery"]["tiles"][0].startswith("/fusion/tiles/miniature/")
        assert client.get("/tiles/miniature/style.json").status_code == 404
        assert client.get("/fusion/tiles/nonsense/x").headers["content-type"] == "application/json"


def test_a_city_that_was_ingested_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = build_miniature(tmp_path, imagery=False, functions=False)
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    path = f"/api/miniature/activity?hour={HOUR}&measure=people"
    before_version = addresses.activity_version(city)
    with TestClient(Starlette(routes=routes.build(""))) as client:
        before = client.get(path).json()
        import pandas as pd

        from fusion.city import write_city

        rows = pd.read_parquet(city.activity)
        rows["people"] *= 3
        with write_city(city.path) as writer:
            rows.to_parquet(writer.new("activity.parquet"), index=False)
            writer.commit(city.info)
        after = client.get(path).json()

    assert after[9]["value"] == 3 * before[9]["value"]
    assert addresses.activity_version(city) != before_version
