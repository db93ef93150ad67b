"""Rasters as they come: which bands are colours, what kind of numbers they hold, where they lie on the ground."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import pyproj.exceptions
import rasterio
import rasterio.errors
import rasterio.warp
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from fusion.errors import InputError
from fusion.geo.grid import Bounds
from fusion.ingest.descriptions import refuse_description

Bands = tuple[int, int, int]

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# Bytes are taken as they are; all others are stretched between percentiles.
BYTES = "uint8"
_DTYPES = (BYTES, "uint16", "int16", "uint32", "int32", "float32", "float64")


# GDAL's own errors come through where rasterio has no name for them; its errors of reference systems stand apart.
GDAL_ERRORS = (rasterio.errors.RasterioError, rasterio.errors.CRSError, CPLE_BaseError)
_LATITUDES = 91.0  # the margin of a map of the world may reach a little past the pole
# Pixels of a city: a few thousand kilometres of 10 m; and what any file may be brought to, however few it has.
_MOST_PIXELS = 250_000**2
_FREE_PIXELS = 100_000_000
_MOST_TIMES = 50  # seven pixels across for one that the files have: finer shows nothing more

# Pixels only: other drivers read descriptions (VRT, WMS, STAC, tile indexes) that lead to other files and hosts.
DRIVERS = ("GTiff", "JPEG", "PNG", "JP2OpenJPEG", "HFA", "ENVI")


@dataclass(frozen=True)
class Source:
    """One georeferenced file.

    Attributes:
        path: the file.
        bands: those of red, green and blue, from 1.
        dtype: numpy's name of what they hold.
        crs: its reference system, its own or that of a .prj file beside it.
        extent: its box in degrees, WGS-84.
        pixels: width times height.
    """

    path: Path
    bands: Bands
    dtype: str
    crs: rasterio.CRS
    extent: Bounds
    pixels: int

    @property
    def is_deep(self) -> bool:
        """Whether its values have to be stretched to become bytes."""
        return self.dtype != BYTES


@dataclass(frozen=True)
class Grid:
    """The pixels of a city's imagery: `crs`, `transform`, `width`, `height`."""

    crs: pyproj.CRS
    transform: Affine
    width: int
    height: int


@dataclass(frozen=True)
class Placed:
    """A source on a grid: `box` is its extent in the grid's coordinates, `pixel_m` how fine it is."""

    source: Source
    box: Bounds
    pixel_m: float


@contextmanager
def open_raster(path: Path) -> Iterator[rasterio.DatasetReader]:
    """Open a file; what GDAL finds wrong with it, now or while it is read, becomes one line.

    Raises:
        InputError: there is no such file, it is no raster, or it is broken.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: there is no such file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty: download it again")
    refuse_description(path, path.name, (b"<", b"{"), "give a GeoTIFF")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            image = rasterio.open(path)
    except GDAL_ERRORS as error:
        raise InputError(f"{path.name} cannot be read as an image ({_why(error, path)}): give a GeoTIFF") from None
    with image:
        if image.driver not in DRIVERS:
            raise InputError(f"{path.name} is of kind {image.driver}: give a GeoTIFF")
        yield image


@contextmanager
def broken_file(path: Path) -> Iterator[None]:
    """Turn a failing read of one file into one line."""
    try:
        yield
    except GDAL_ERRORS as error:
        why = _why(error.__cause__ or error, path)
        raise InputError(f"{path.name} is broken: its pixels cannot be read ({why}): get the file again") from None


def look_at(path: Path, bands: Bands | None = None) -> Source:
    """Check that a file is imagery with a place on the ground.

    Args:
        path: a GeoTIFF, or another image that GDAL knows and that has a position.
        bands: the bands of red, green and blue, from 1; None: those that say so, else the first three.

    Raises:
        InputError: no reference system, no position, bands that are not there, or pixels of another kind.
    """
    with open_raster(path) as image:
        crs = image.crs or _neighbouring_crs(path)
        if crs is None:
            raise InputError(
                f"{path.name} has no coordinate reference system: save it with one (gdal_edit -a_srs EPSG:...)"
            )
        if image.transform.is_identity:
            raise InputError(f"{path.name} has no position on the ground: save it as a georeferenced GeoTIFF")
        chosen = _pick_bands(image, path.name, bands)
        found = {image.dtypes[band - 1] for band in chosen}
        if len(found) > 1 or not found <= set(_DTYPES):
            raise InputError(
                f"{path.name} has pixels of {', '.join(sorted(found))}: convert them to one of {', '.join(_DTYPES)} "
                "(gdal_translate -ot)"
            )
        return Source(path, chosen, found.pop(), crs, extent_of(image, path, crs), image.width * image.height)


def extent_of(image: rasterio.DatasetReader, path: Path, crs: rasterio.CRS) -> Bounds:
    """Return an image's box in degrees, WGS-84.

    Args:
        image: the open file.
        path: its path, for messages.
        crs: its reference system.

    Raises:
        InputError: its coordinates are none of that system, or the system has no place on the ground.
    """
    left, bottom, right, top = rasterio.transform.array_bounds(image.height, image.width, image.transform)
    # South-up and mirrored images have their top below their bottom, or their right on the left.
    west, south, east, north = min(left, right), min(bottom, top), max(left, right), max(bottom, top)
    if image.transform.is_degenerate:
        raise InputError(f"{path.name} has pixels without a size: save it as a georeferenced GeoTIFF")
    if crs.is_geographic and max(-south, north) > _LATITUDES:
        raise InputError(
            f"{path.name} reaches from latitude {south:.3f} to {north:.3f}, which no place has: its longitude and "
            "latitude look swapped; save it with longitude as x, or with the reference system that it has"
        )
    try:
        extent = rasterio.warp.transform_bounds(crs, 4326, west, south, east, north)
    except GDAL_ERRORS as error:
        known = crs.is_geographic or crs.is_projected
        why = _why(error, path) if known else "it is a local one, whose place on the ground is not told"
        raise InputError(
            f"{path.name}: its reference system cannot be brought to WGS-84 ({why}): save it with an EPSG code"
        ) from None
    if not np.isfinite(extent).all():
        raise InputError(f"{path.name} lies outside its own reference system: check its georeference")
    return extent


def _why(error: BaseException, path: Path) -> str:
    """What GDAL says, on one line that does not go on for ever and names no folder."""
    return " ".join(str(error).replace(str(path), path.name).split())[:200]


def _pick_bands(image: rasterio.DatasetReader, name: str, wanted: Bands | None) -> Bands:
    kinds = list(image.colorinterp)
    usable = [band for band, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    if wanted is not None:
        missing = [str(band) for band in wanted if band not in usable]
        if missing:
            raise InputError(
                f"{name} has no band {', '.join(missing)} of colour: it has {', '.join(map(str, usable))}; "
                "name three of them with --bands (red,green,blue)"
            )
        return wanted
    if len(usable) < 3:
        hint = "expand its palette (gdal_translate -expand rgb)" if ColorInterp.palette in kinds else "or --bands 1,1,1"
        raise InputError(f"{name} has {len(usable)} band(s) of colour: red, green and blue are needed, {hint}")
    if all(colour in kinds for colour in _COLOURS):
        usable = [kinds.index(colour) + 1 for colour in _COLOURS]
    return usable[0], usable[1], usable[2]


def _neighbouring_crs(path: Path) -> rasterio.CRS | None:
    """Read the .prj file beside an image that cannot hold a reference system itself: JPEG or PNG with a world file."""
    beside = path.with_suffix(".prj")
    if not beside.is_file():
        return None
    try:
        return rasterio.CRS.from_user_input(pyproj.CRS.from_user_input(beside.read_text(encoding="utf-8-sig").strip()))
    except (pyproj.exceptions.CRSError, rasterio.errors.CRSError, UnicodeDecodeError):
        raise InputError(f"{beside.name} holds no coordinate reference system: write WKT or an EPSG code") from None


def lay_grid(sources: list[Source], crs: pyproj.CRS, pixel_m: float | None) -> tuple[Grid, list[Placed]]:
    """Lay one grid of pixels under all files, as fine as the finest of them.

    Args:
        sources: the files.
        crs: reference system of the grid, in metres.
        pixel_m: edge of a pixel; None for the finest file's own.

    Returns:
        The grid, and each file in its coordinates.
    """
    placed, own = [], []
    for source in sources:
        transform, width, height = _on_system(source, rasterio.CRS.from_user_input(crs))
        box = rasterio.transform.array_bounds(height, width, transform)
        placed.append(Placed(source, box, min(transform.a, -transform.e)))
        own.append(transform)
    finest = min(own, key=lambda transform: transform.a * -transform.e)
    boxes = [one.box for one in placed]
    natural = _grid_around(boxes, crs, finest, finest.a, -finest.e)
    grid = _grid_around(boxes, crs, finest, pixel_m, pixel_m) if pixel_m else natural
    _check_size(grid, natural, sources)
    return grid, placed


def _on_system(source: Source, target: rasterio.CRS) -> tuple[Affine, int, int]:
    """Return the transform, width and height of a file in a reference system, north-up."""
    with open_raster(source.path) as image:
        if source.crs == target and is_north_up(image.transform):
            return image.transform, image.width, image.height
        try:
            # GDAL follows the image's own transform: the bounds of a turned one are not its corners.
            with WarpedVRT(image, src_crs=source.crs, crs=target) as vrt:
                return _north_up(vrt.transform, vrt.width, vrt.height), vrt.width, vrt.height
        except GDAL_ERRORS as error:
            why = _why(error, source.path)
            raise InputError(
                f"{source.path.name} cannot be laid beside the others ({why}): check its georeference"
            ) from None


def _north_up(transform: Affine, width: int, height: int) -> Affine:
    """Lay the same box out from its north-west corner: GDAL keeps a mirrored image's transform as it is."""
    west, south, east, north = rasterio.transform.array_bounds(height, width, transform)
    return Affine(abs(transform.a), 0.0, min(west, east), 0.0, -abs(transform.e), max(south, north))


def _grid_around(boxes: list[Bounds], crs: pyproj.CRS, finest: Affine, x_m: float, y_m: float) -> Grid:
    # On the finest file's own pixels: where nothing has to be turned, nothing is blurred.
    left = finest.c - np.ceil((finest.c - min(box[0] for box in boxes)) / x_m - 1e-6) * x_m
    top = finest.f + np.ceil((max(box[3] for box in boxes) - finest.f) / y_m - 1e-6) * y_m
    width = int(np.ceil((max(box[2] for box in boxes) - left) / x_m - 1e-6))
    height = int(np.ceil((top - min(box[1] for box in boxes)) / y_m - 1e-6))
    return Grid(crs, Affine(x_m, 0.0, left, 0.0, -y_m, top), max(width, 1), max(height, 1))


def _check_size(grid: Grid, natural: Grid, sources: list[Source]) -> None:
    """Refuse pixels that no disk holds, or far finer than the files are: drawing them would not end."""
    most = min(_MOST_PIXELS, max(_FREE_PIXELS, _MOST_TIMES * natural.width * natural.height))
    count = grid.width * grid.height
    if count <= most:
        return
    finest = float(np.sqrt(grid.transform.a * -grid.transform.e * count / most)) * 1.01
    step = 10.0 ** (np.floor(np.log10(finest)) - 1)
    names = sources[0].path.name if len(sources) == 1 else f"{len(sources)} files"
    raise InputError(
        f"{names}: {grid.width} x {grid.height} pixels of {grid.transform.a:g} m are more than the {most} that pay: "
        f"take --pixel-m {np.ceil(finest / step) * step:g} or more, and only files of one city"
    )


def is_north_up(transform: Affine) -> bool:
    """Tell whether rows run from west to east and columns from north to south, neither turned nor flipped."""
    return bool(transform.is_rectilinear and transform.a > 0 and transform.e < 0)
