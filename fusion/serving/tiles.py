"""A city's imagery for the browser: map tiles, a MapLibre style over them, and the chip of one cell."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as warp_points
from rasterio.windows import Window

from fusion.city import City
from fusion.errors import CityError, InputError
from fusion.geo import grid
from fusion.serving.addresses import Stamp, stamp, tile_template

TILE_PX = 256
DEEPEST = 22
BACKGROUND = "#e8ecef"


@lru_cache(maxsize=1)
def _blank() -> bytes:
    return _png(np.zeros((TILE_PX, TILE_PX, 4), dtype=np.uint8))


def tile(city: City, z: int, x: int, y: int) -> bytes:
    """Return a 256 px PNG tile of the imagery in the web's Mercator grid, transparent where there is none.

    Raises:
        InputError: the grid has no such tile.
        CityError: the city has no imagery, or it cannot be read.
    """
    if not (0 <= z <= DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z):
        raise InputError(f"there is no tile {z}/{x}/{y}: zoom goes from 0 to {DEEPEST}, x and y from 0 to 2^zoom - 1")
    if not city.has_imagery:
        raise CityError(f"city {city.name} has no imagery: bring some in with `ingest imagery`")
    return _tile(stamp(city.imagery), z, x, y)


@lru_cache(maxsize=512)
def _tile(imagery: Stamp, z: int, x: int, y: int) -> bytes:
    # Imported late: half of this module's start-up time, and pages that show a chip only do not need it.
    from rio_tiler.errors import RioTilerError, TileOutsideBounds
    from rio_tiler.io import Reader

    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), Reader(imagery.path) as reader:
            image = reader.tile(x, y, z, tilesize=TILE_PX, indexes=(1, 2, 3), resampling_method="bilinear")
    except TileOutsideBounds:
        return _blank()
    except (RasterioError, CRSError, RioTilerError) as error:
        raise _unreadable(imagery.path, error) from None
    rgb, mask = np.asarray(image.array.data), image.mask
    if not mask.any():
        return _blank()
    pixels = rgb if mask.all() else np.concatenate([rgb, mask[np.newaxis]])
    return _png(np.moveaxis(pixels, 0, -1).astype(np.uint8))


def style(city: City, base: str) -> dict[str, Any]:
    """Return a MapLibre style: the imagery over a plain background, the background alone where there is none.

    It names no font and no sprite, so that the map asks no other host for anything.

    Args:
        city: whose imagery.
        base: the server's base path.
    """
    layers: list[dict[str, Any]] = [
        {"id": "background", "type": "background", "paint": {"background-color": BACKGROUND}}
    ]
    sources = {}
    if city.has_imagery:
        bounds, deepest = _extent(stamp(city.imagery))
        sources["imagery"] = {
            "type": "raster",
            "tiles": [tile_template(base, city)],
            "tileSize": TILE_PX,
            "bounds": list(bounds),
            "minzoom": 0,
            "maxzoom": deepest,
        }
        # Slightly greyed, so that the colours of the cells above stay those of the legend.
        paint = {"raster-fade-duration": 0, "raster-saturation": -0.35}
        layers.append({"id": "imagery", "type": "raster", "source": "imagery", "paint": paint})
    return {"version": 8, "name": city.name, "sources": sources, "layers": layers}


@lru_cache(maxsize=64)
def _extent(imagery: Stamp) -> tuple[tuple[float, float, float, float], int]:
    """Bounds in degrees and the deepest zoom that has pixels of its own."""
    from rio_tiler.io import Reader

    try:
        with Reader(imagery.path) as reader:
            west, south, east, north = reader.get_geographic_bounds(rasterio.CRS.from_epsg(4326))
            return (west, south, east, north), int(reader.maxzoom)
    except (RasterioError, CRSError) as error:
        raise _unreadable(imagery.path, error) from None


def chip(city: City, lon: float, lat: float, edge_m: float, size_px: int = 256) -> NDArray[np.uint8] | None:
    """Cut a square of ground out of the imagery for looking at.

    Args:
        city: whose imagery; in metres, as ingest writes it.
        lon, lat: centre in degrees, WGS-84.
        edge_m: edge of the square on the ground, metres.
        size_px: edge of the picture.

    Returns:
        (size_px, size_px, 3) uint8, black outside the imagery; None where the centre lies outside.

    Raises:
        CityError: the city has no imagery, or it cannot be read.
    """
    if not city.has_imagery:
        raise CityError(f"city {city.name} has no imagery: bring some in with `ingest imagery`")
    try:
        with rasterio.open(city.imagery) as source:
            xs, ys = warp_points("EPSG:4326", source.crs, [lon], [lat])
            column, row = ~source.transform @ (xs[0], ys[0])
            if not (0 <= column < source.width and 0 <= row < source.height):
                return None
            pixels = edge_m / source.res[0]
            window = Window(column - pixels / 2, row - pixels / 2, pixels, pixels)
            picture = source.read(
                (1, 2, 3),
                window=window,
                out_shape=(3, size_px, size_px),
                boundless=True,
                fill_value=0,
                resampling=rasterio.enums.Resampling.bilinear,
            )
    except (RasterioError, CRSError) as error:
        raise _unreadable(city.imagery, error) from None
    return np.moveaxis(picture, 0, -1)


def chip_of_cell(city: City, cell: int, edge_m: float, size_px: int = 320) -> NDArray[np.uint8] | None:
    """Cut the chip around a cell, with the cell's outline drawn on it.

    Args and Raises: as `chip`.
    """
    lon, lat = (float(axis[0]) for axis in grid.centres([cell]))
    picture = chip(city, lon, lat, edge_m, size_px)
    if picture is None:
        return None
    ring = np.array(grid.boundaries([cell])[0])
    crs = grid.utm_crs(lon, lat)
    (centre_x,), (centre_y,) = grid.project([lon], [lat], crs)
    x, y = grid.project(ring[:, 0], ring[:, 1], crs)
    corners = np.stack([x - centre_x, centre_y - y], axis=1) * (size_px / edge_m) + size_px / 2
    image = Image.fromarray(picture)
    pencil = ImageDraw.Draw(image)
    closed = [tuple(corner) for corner in (*corners.tolist(), corners[0].tolist())]
    for width, colour in ((5, (255, 255, 255)), (2, (20, 30, 40))):
        pencil.line(closed, fill=colour, width=width, joint="curve")
    return np.asarray(image)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _unreadable(path: str | Path, error: Exception) -> CityError:
    return CityError(f"{path}: imagery cannot be read ({str(error).splitlines()[0]}): ingest it again")
