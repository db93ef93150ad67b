"""One hour of every cell as records for deck.gl's H3HexagonLayer, coloured.

Every answer of one resolution holds every cell in one fixed order, because a selection in deck.gl is a row number.
"""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from fusion import store
from fusion.city import City, open_city
from fusion.geo import grid
from fusion.serving.addresses import Stamp, stamp
from fusion.serving.scale import MISSING_COLOUR, SUPPRESSED_COLOUR, rgb, scale_of

# Red, green, blue, opacity. A cell without a figure shows the imagery through, and still answers to a click.
_SUPPRESSED_FILL = [*rgb(SUPPRESSED_COLOUR), 150]
_EMPTY_FILL = [*rgb(MISSING_COLOUR), 20]


def activity_json(
    city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None, view: str = "value"
) -> bytes:
    """Return a JSON list with one record a cell: `hex`, `value`, `state`, `label`, `fill`.

    `value` is the count, or its ratio to the usual hour, null where there is none; `state` 0 valid, 1 suppressed, 2
    missing; `label` the figure as text in no language; `fill` bytes of red, green, blue and opacity.

    Raises:
        InputError: the city has no such hour, measure, resolution or view.
        CityError: the city has no signaling.
    """
    return _activity_json(_stamps(city), hour, measure, resolution, view)


def missing_json(city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None) -> bytes:
    """Return a JSON list with one record, `hex`, for each cell that the hour misses.

    Raises:
        InputError, CityError: as `activity_json`.
    """
    return _missing_json(_stamps(city), hour, measure, resolution)


def _stamps(city: City) -> tuple[Stamp, ...]:
    return tuple(stamp(path) for path in (city.path / "city.toml", city.activity, city.functions))


@lru_cache(maxsize=128)
def _missing_json(tables: tuple[Stamp, ...], hour: pd.Timestamp, measure: str, resolution: int | None) -> bytes:
    table = store.snapshot(open_city(Path(tables[0].path).parent), hour, measure, resolution)
    gaps = grid.to_hex(table["cell"][table["state"] == store.MISSING])
    return json.dumps([{"hex": hex_} for hex_ in gaps], separators=(",", ":")).encode()


@lru_cache(maxsize=128)
def _activity_json(
    tables: tuple[Stamp, ...], hour: pd.Timestamp, measure: str, resolution: int | None, view: str
) -> bytes:
    city = open_city(Path(tables[0].path).parent)
    return json.dumps(records(city, hour, measure, resolution, view), separators=(",", ":")).encode()


def records(city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None, view: str = "value") -> list:
    """Return the records that `activity_json` spells."""
    scale = scale_of(city, measure, resolution, view)
    if view == "usual":
        table = store.usual(city, hour, measure, resolution)
        values = table["ratio"].to_numpy()
        texts = [f"{value:,.6g}" for value in table["value"]]
        labels = [f"{text} (×{ratio:.2f})" for text, ratio in zip(texts, values, strict=True)]
    else:
        table = store.snapshot(city, hour, measure, resolution)
        values = table["value"].to_numpy()
        labels = [f"{value:,.6g}" for value in values]
    states = table["state"].to_numpy()
    known = np.isfinite(values)
    threshold = city.info.measure(measure).min_count
    fills = [[*rgb(colour), alpha] for colour, alpha in zip(scale.colours, scale.alphas, strict=True)]
    steps = scale.steps(np.where(known, values, 0))
    result = []
    for hex_, value, state, label, step, drawn in zip(
        grid.to_hex(table["cell"]),
        values.tolist(),
        states.tolist(),
        labels,
        steps.tolist(),
        known.tolist(),
        strict=True,
    ):
        if drawn:
            fill = fills[step]
        elif state == store.SUPPRESSED:
            fill, label = _SUPPRESSED_FILL, f"≤ {threshold}" if threshold else "•"
        elif state == store.MISSING:
            fill, label = _EMPTY_FILL, "—"
        else:  # a figure with no usual one to compare it with
            fill, label = _EMPTY_FILL, label.split(" ")[0]
        shown = round(value, 6) if drawn else None
        result.append({"hex": hex_, "value": shown, "state": state, "label": label, "fill": fill})
    return result
