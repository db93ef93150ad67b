"""A city small enough to know every figure of: 37 cells, four days, an image of stripes.

The count of cell number i (ascending) at hour h is `10 * (i + 1) + h`, but for a suppressed cell, a missing hour and a
missing row, named below. All days have the same counts but the last, which has twice as many.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin

from fusion.city import City, CityInfo, FlaggedDate, Measure, write_city
from fusion.geo import grid

NAME = "miniature"
TIMEZONE = "Asia/Shanghai"
FIRST_HOUR = "2021-07-27T16:00:00Z"  # midnight of Wednesday 28 July in Zhengzhou
HOURS = 96
MIN_COUNT = 15
CENTRE = (113.65, 34.75)

SUPPRESSED_CELL = 0  # its counts up to 15 are suppressed at every hour
MISSING_HOUR = 30  # nothing from any cell
MISSING_CELL = 5  # no row of this cell in the first 24 hours

_PIXEL_M = 16.0


def cells() -> np.ndarray:
    """Return the 37 cells, ascending."""
    return grid.disk(int(grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0]), 3)


def counts() -> pd.DataFrame:
    """Return activity.parquet's rows."""
    hours = pd.date_range(FIRST_HOUR, periods=HOURS, freq="h")
    rows = []
    for number, cell in enumerate(cells()):
        for step, hour in enumerate(hours):
            if step == MISSING_HOUR or (number == MISSING_CELL and step < 24):
                continue
            value = (10.0 * (number + 1) + step % 24) * (2 if step >= 72 else 1)
            hidden = number == SUPPRESSED_CELL
            rows.append((cell, hour, np.nan if hidden else value, hidden))
    table = pd.DataFrame(rows, columns=["cell", "hour", "people", "people_suppressed"])
    table["cell"] = table["cell"].astype("uint64")
    table["hour"] = table["hour"].astype("datetime64[us, UTC]")
    table["people"] = table["people"].astype("float32")
    return table.sort_values(["hour", "cell"], ignore_index=True)


def build_miniature(
    root: Path, name: str = NAME, *, activity: bool = True, imagery: bool = True, functions: bool = True
) -> City:
    """Write the city, or one that lacks a part, under `root`."""
    lon, lat = grid.centres(cells())
    crs = grid.utm_crs(*CENTRE)
    x, y = grid.project(lon, lat, crs)
    with write_city(root / name) as writer:
        if activity:
            counts().to_parquet(writer.new("activity.parquet"), index=False)
        if imagery:
            _write_image(writer.new("imagery.tif"), x, y, crs)
        if functions:
            labels = pd.DataFrame({"cell": cells()[:9]})
            ids = ["residential", "school", "industrial", "station", "airport", "park", "shopping"]
            labels["function"] = [*ids, "administrative", "hospital"]
            labels["share"] = np.linspace(0.5, 0.9, 9, dtype="float32")
            labels["source"] = "made up"
            labels.to_parquet(writer.new("functions.parquet"), index=False)
        return writer.commit(
            CityInfo(
                name=name,
                title_en="Miniature",
                title_zh="小样",
                bounds=(float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())),
                resolution=9,
                timezone=TIMEZONE,
                provenance="synthetic",
                first_hour=FIRST_HOUR if activity else None,
                hours=HOURS if activity else 0,
                measures=(Measure("people", "people/h", "People", "人数", MIN_COUNT),) if activity else (),
                sources=("made up for tests",),
                flagged=(FlaggedDate("2021-07-31", "testing begins", "开始检测"),),
            )
        )


def _write_image(path: Path, x: np.ndarray, y: np.ndarray, crs: object) -> None:
    left, top = x.min() - 800, y.max() + 800
    width, height = (int((side.max() - side.min() + 1600) / _PIXEL_M) for side in (x, y))
    rows, columns = np.mgrid[:height, :width]
    pixels = np.zeros((3, height, width), dtype="uint8")
    pixels[0] = 60 + 80 * (rows // 16 % 2)
    pixels[1] = 110
    pixels[2] = 60 + 80 * (columns // 16 % 2)
    options = {"width": width, "height": height, "count": 3, "dtype": "uint8", "crs": str(crs), "tiled": True}
    with rasterio.open(
        path, "w", driver="GTiff", blockxsize=256, blockysize=256,
        transform=from_origin(left, top, _PIXEL_M, _PIXEL_M), **options,
    ) as target:  # fmt: skip
        target.write(pixels)
