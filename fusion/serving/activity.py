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
_EMPTY_FILL = [*rgb(MISSING_COLOUR), 12]
_VALID_LINE = [255, 255, 255, 55]
_SUPPRESSED_LINE = [255, 255, 255, 110]
_MISSING_LINE = [*rgb(MISSING_COLOUR), 230]


def activity_json(
    city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None, view: str = "value"
) -> bytes:
    """Return a JSON list with one record a cell: `hex`, `value`, `state`, `label`, `fill`, `line`.

    `value` is the count, or its ratio to the usual hour, null where there is none; `state` 0 valid, 1 suppressed, 2
    missing; `label` the figure as text in no language; `fill` and `line` bytes of red, green, blue and opacity.

    Raises:
        InputError: the city has no such hour, measure, resolution or view.
        CityError: the city has no signaling.
    """
    tables = tuple(stamp(path) for path in (city.path / "city.toml", city.activity, city.functions))
    return _activity_json(tables, hour, measure, resolution, view)


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
    fills = [[*rgb(colour), 255] for colour in scale.colours]
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
            fill, line = fills[step], _VALID_LINE
        elif state == store.SUPPRESSED:
            fill, line, label = _SUPPRESSED_FILL, _SUPPRESSED_LINE, f"≤ {threshold}" if threshold else "•"
        elif state == store.MISSING:
            fill, line, label = _EMPTY_FILL, _MISSING_LINE, "—"
        else:  # a figure with no usual one to compare it with
            fill, line, label = _EMPTY_FILL, _VALID_LINE, label.split(" ")[0]
        result.append(
            {
                "hex": hex_,
                "value": round(value, 6) if drawn else None,
                "state": state,
                "label": label,
                "fill": fill,
                "line": line,
            }
        )
    return result
