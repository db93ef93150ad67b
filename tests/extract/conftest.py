"""A miniature city with a known answer: pixels that encode their place, counts that encode cell and hour."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
from rasterio import Affine

from fusion.city import City, CityInfo, Measure, write_city
from fusion.geo import grid

CENTRE = (113.65, 34.76)  # longitude, latitude
FIRST = "2021-07-23T16:00:00Z"  # midnight of the 24th in Zhengzhou
MEASURES = (Measure("people", "people", "People", "人数", 0), Measure("inflow", "people", "Inflow", "流入", 0))


def mini_cells() -> grid.Cells:
    """Return the 61 resolution-9 cells within four steps of the centre."""
    return grid.disk(int(grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0]), 4)


def utm_centre() -> tuple[float, float]:
    """Return the city's centre in UTM 49 N, metres."""
    x, y = grid.project(np.array([CENTRE[0]]), np.array([CENTRE[1]]), grid.utm_crs(*CENTRE))
    return float(x[0]), float(y[0])


def activity_table(first: str = FIRST, hours: int = 48) -> pd.DataFrame:
    """Return a row a cell and hour: people = 100 x row of the cell + hour, inflow = hour."""
    cells = mini_cells()
    hour = pd.date_range(first, periods=hours, freq="h").astype("datetime64[us, UTC]")
    table = pd.DataFrame({"cell": np.tile(cells, hours), "hour": np.repeat(hour, len(cells))})
    index = np.repeat(np.arange(hours), len(cells))
    table["people"] = (100.0 * np.tile(np.arange(len(cells)), hours) + index).astype("float32")
    table["people_suppressed"] = False
    table["inflow"] = index.astype("float32")
    table["inflow_suppressed"] = False
    return table


def write_image(
    path: Path, centre: tuple[float, float], size_px: int, pixel_m: float, crs: pyproj.CRS, nodata: int | None = None
) -> None:
    """Write a square image: red encodes the column, green the row, blue is a checkerboard of 0 and 200."""
    column = np.arange(size_px)
    red = np.broadcast_to(1 + column * 254 // size_px, (size_px, size_px))
    pixels = np.stack([red, red.T, (column + column[:, None]) % 2 * 200]).astype(np.uint8)
    half = size_px * pixel_m / 2
    transform = Affine(pixel_m, 0, centre[0] - half, 0, -pixel_m, centre[1] + half)
    if nodata is not None:
        pixels[:, : size_px // 2] = nodata
    with rasterio.open(
        path, "w", driver="GTiff", width=size_px, height=size_px, count=3, dtype="uint8", crs=crs.to_wkt(),
        transform=transform, nodata=nodata,
    ) as image:  # fmt: skip
        image.write(pixels)


@pytest.fixture
def make_city(tmp_path: Path) -> Callable[..., City]:
    """Write a city: `edit` changes the activity table, `image` the options of `write_image` (None: no imagery)."""

    def make(
        edit: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        image: dict | None = {},  # noqa: B006
        functions: bool = True,
        first: str = FIRST,
        hours: int = 48,
        timezone: str = "Asia/Shanghai",
        activity: bool = True,
        name: str = "mini",
    ) -> City:
        cells = mini_cells()
        with write_city(tmp_path / name) as writer:
            if activity:
                table = edit(activity_table(first, hours)).sort_values(["hour", "cell"])
                table.to_parquet(writer.new("activity.parquet"), index=False)
            if image is not None:
                options = {"centre": utm_centre(), "size_px": 1000, "pixel_m": 4.0, "crs": grid.utm_crs(*CENTRE)}
                write_image(writer.new("imagery.tif"), **{**options, **image})
            if functions:
                labelled = pd.DataFrame(
                    {"cell": cells[:3], "function": ["school", "park", "hospital"], "source": "test"}
                ).assign(share=np.float32(1))
                labelled.to_parquet(writer.new("functions.parquet"), index=False)
            return writer.commit(
                CityInfo(name, "Mini", "迷你", (113.6, 34.7, 113.7, 34.8), 9, timezone, "synthetic",
                         first_hour=first, hours=hours, measures=MEASURES)
            )  # fmt: skip

    return make
