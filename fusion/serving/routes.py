"""The server's own routes beside Streamlit's, under one prefix: tiles, the map's style, an hour of every cell.

They are plain `def`, so that the server runs them in threads of their own: a blocking `async def` would stall every
page. Whatever does not exist answers with a 4xx and one line of JSON; an unmatched path under `/tiles` or `/api` would
otherwise get the pages' HTML with status 200.
"""

import re
from collections.abc import Callable
from datetime import datetime

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fusion.city import open_city
from fusion.errors import CityError, FusionError, InputError
from fusion.serving import activity, tiles
from fusion.serving.addresses import activity_version, imagery_version, prefix

# An address with the current version never changes its answer; any other must be asked for again.
_KEEP = "private, max-age=604800, immutable"
_ASK_AGAIN = "private, no-cache"

_HOUR = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}(:00(:00)?)?Z$")


def build(base: str) -> list[BaseRoute]:
    """Return the routes, each under the server's base path: Streamlit does not put it before them.

    Args:
        base: `server.baseUrlPath` as configured: "", "fusion" or "/fusion/".
    """
    front = prefix(base)

    def style(request: Request) -> Response:
        city = open_city(request.path_params["city"])
        return JSONResponse(tiles.style(city, base), headers=_kept(request, imagery_version(city)))

    return [
        Route(f"{front}/tiles/{{city}}/style.json", _guarded(style)),
        Route(f"{front}/tiles/{{city}}/{{z}}/{{x}}/{{y}}.png", _guarded(_tile)),
        Route(f"{front}/api/{{city}}/activity", _guarded(_activity)),
        Route(f"{front}/api/{{city}}/missing", _guarded(_missing)),
        *(
            Route(f"{front}/{root}{rest}", _nothing, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
            for root in ("tiles", "api")
            for rest in ("", "/{rest:path}")
        ),
    ]


def _tile(request: Request) -> Response:
    city = open_city(request.path_params["city"])
    z, x, y = (_whole(request.path_params[axis], axis) for axis in "zxy")
    return Response(tiles.tile(city, z, x, y), media_type="image/png", headers=_kept(request, imagery_version(city)))


def _activity(request: Request) -> Response:
    city = open_city(request.path_params["city"])
    body = activity.activity_json(city, *_asked(request), request.query_params.get("view", "value"))
    return Response(body, media_type="application/json", headers=_kept(request, activity_version(city)))


def _missing(request: Request) -> Response:
    city = open_city(request.path_params["city"])
    body = activity.missing_json(city, *_asked(request))
    return Response(body, media_type="application/json", headers=_kept(request, activity_version(city)))


def _nothing(request: Request) -> Response:
    return JSONResponse({"error": f"nothing lies at {request.url.path}"}, status_code=404)


def _guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Turn what a user can mend into 400 or 404 with its line."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except FusionError as error:
            status = 404 if isinstance(error, CityError) else 400
            return JSONResponse({"error": str(error)}, status_code=status, headers={"Cache-Control": "no-store"})

    return endpoint


def _kept(request: Request, version: str) -> dict[str, str]:
    return {"Cache-Control": _KEEP if request.query_params.get("v") == version else _ASK_AGAIN}


def _asked(request: Request) -> tuple[pd.Timestamp, str, int | None]:
    """Hour, measure and resolution (None: the city's own)."""
    asked = request.query_params
    resolution = _whole(asked["resolution"], "resolution") if asked.get("resolution") else None
    return _hour(asked.get("hour", "")), asked.get("measure", ""), resolution


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{what} is {text!r}: a whole number is needed")
    return int(text)


def _hour(text: str) -> pd.Timestamp:
    if not _HOUR.match(text):
        raise InputError(f"hour is {text!r}: give it in UTC, such as 2021-07-24T04Z")
    try:
        return pd.Timestamp(datetime.strptime(text[:13], "%Y-%m-%dT%H"), tz="UTC")
    except ValueError:
        raise InputError(f"hour is {text!r}: there is no such hour") from None
