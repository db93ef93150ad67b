"""Features of a vector file: GeoJSON, GeoPackage or Shapefile, in longitude and latitude."""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import pyogrio

from fusion.errors import InputError
from fusion.ingest.descriptions import refuse_description

# Formats whose files hold their data themselves.
DRIVERS = ("GeoJSON", "GeoJSONSeq", "GPKG", "ESRI Shapefile", "FlatGeobuf")


def read_polygons(path: Path, what: str, layer: str | None = None) -> geopandas.GeoDataFrame:
    """Read the features of a file, in longitude and latitude of its datum.

    Args:
        path: the file; a Shapefile may be in a .zip.
        what: what the user calls it, for messages.
        layer: which of its layers, where it has several.

    Raises:
        InputError: there is no such file, it is no vector file, has no features or no reference system, or the layer
            is not there or not named.
    """
    with opened_vector(path, what):
        table = _read(path, _pick_layer(path, what, layer))
    if not isinstance(table, geopandas.GeoDataFrame) or not len(table):
        raise InputError(f"{what} {path.name} has no features: give a file of polygons")
    if table.crs is None:
        raise InputError(f"{what} {path.name} has no coordinate reference system: save it with one (EPSG:4326)")
    return table.to_crs(4326)


@contextmanager
def opened_vector(path: Path, what: str) -> Iterator[None]:
    """Let a file be read by pyogrio if it holds its data itself; what GDAL finds wrong with it becomes one line.

    Args:
        path: the file.
        what: what the user calls it, for messages.

    Raises:
        InputError: there is no such file, it leads to others, is of another kind, or cannot be read.
    """
    name = f"{what} {path.name}".strip()
    if not path.is_file():
        raise InputError(f"{name}: there is no such file: check the path")
    refuse_description(path, name, (b"<",), "give GeoJSON, GeoPackage or Shapefile")
    try:
        with warnings.catch_warnings():
            # GDAL warns of rings that are wound or closed unusually; what is wrong with a geometry is judged later.
            warnings.simplefilter("ignore")
            if (driver := _driver_of(path)) not in DRIVERS:
                raise InputError(f"{name} is of kind {driver}: give GeoJSON, GeoPackage or Shapefile")
            yield
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError, ValueError) as error:
        first = str(error).splitlines()[0].replace(str(path), path.name)
        raise InputError(f"{name} cannot be read ({first}): give GeoJSON, GeoPackage or Shapefile") from None


def _driver_of(path: Path) -> str:
    """GDAL's name of what reads a file."""
    layers = pyogrio.list_layers(path)
    return str(pyogrio.read_info(path, layer=layers[0][0] if len(layers) else None)["driver"])


def _pick_layer(path: Path, what: str, wanted: str | None) -> str | None:
    names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    have = ", ".join(names)
    if wanted is not None and wanted not in names:
        raise InputError(f"{what} {path.name} has no layer {wanted!r}: it has {have or 'none'}; name one with --layer")
    if wanted is None and len(names) > 1:
        raise InputError(f"{what} {path.name} has several layers: name one with --layer: {have}")
    return wanted


def _read(path: Path, layer: str | None) -> geopandas.GeoDataFrame:
    # A Shapefile that does not say how its texts are spelled has GBK in China, lately UTF-8; GDAL would take Latin-1.
    for encoding in ("UTF-8", "GB18030") if _hides_encoding(path) else (None,):
        try:
            # A geometry that cannot even be built becomes None, and its feature a reject.
            return geopandas.read_file(path, engine="pyogrio", layer=layer, encoding=encoding, on_invalid="ignore")
        except UnicodeDecodeError:
            if encoding != "UTF-8":
                raise
    raise AssertionError("unreachable")


def _hides_encoding(path: Path) -> bool:
    """Tell whether this is a Shapefile without the .cpg file that names its encoding."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            endings = {name[-4:].lower() for name in archive.namelist()}
        return ".shp" in endings and ".cpg" not in endings
    return path.suffix.lower() == ".shp" and not any(path.with_suffix(end).is_file() for end in (".cpg", ".CPG"))


def pick_column(columns: list[str], wanted: str | None, default: str | None, where: str, option: str) -> str:
    """Return the attribute that an option names, else the default, else the only one.

    Raises:
        InputError: there is no such attribute, or several and none named.
    """
    name = wanted or default
    have = ", ".join(columns) or "none"
    if name is None and len(columns) == 1:
        return columns[0]
    if name is None:
        raise InputError(f"{where}: say with {option} which property to take: it has {have}")
    if name not in columns:
        raise InputError(f"{where}: no property {name!r}: it has {have}; name one with {option}")
    return name
