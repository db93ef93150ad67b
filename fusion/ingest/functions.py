"""Labelled functions into a city: from polygons, from points of interest, or from a table of cells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.city import CityInfo, CityWriter, write_city
from fusion.classes import IDS
from fusion.errors import InputError
from fusion.geo.datum import DATUMS, to_wgs84
from fusion.geo.grid import boundaries, check_resolution
from fusion.ingest.frame import DEFAULT_RESOLUTION, add_source, check_overlap, clear_lines, new_info, provenance
from fusion.ingest.functions_cells import Decision, common_resolution, decide_by_count, decide_by_share
from fusion.ingest.functions_files import Features, read_features
from fusion.ingest.functions_polygons import decide_by_area, polygons_extent
from fusion.ingest.mapping import UNMAPPED, load_mapping
from fusion.ingest.options import FunctionOptions
from fusion.ingest.places import places_at_points
from fusion.ingest.quality import write_quality, write_rejects
from fusion.ingest.tables import quote
from fusion.ingest.times import check_timezone

__all__ = ["FunctionOptions", "ingest_functions"]

Progress = Callable[[float, str], None]

# What the report counts, by kind.
_UNITS = {"polygons": "polygons", "points": "points", "cells": "rows"}
_MOST_UNMAPPED = 200


def ingest_functions(
    file: Path, city_path: Path, options: FunctionOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's labelled functions by those of a file; make the city if there is none.

    Of polygons a cell takes the class that covers most of it, of points the one that most of its points have, of a
    table of cells the one with the largest share; it keeps that share of its area, of its points, or of the table.

    Args:
        file: GeoJSON, GeoPackage or Shapefile of polygons or points, in any reference system, or a table with
            longitude and latitude, H3 cells or well-known text.
        city_path: the city's folder.
        options: which columns, classes and datum.
        progress: is told the share done, 0 to 1, and what is being done.

    Returns:
        The quality report, whose part `functions` is new.

    Raises:
        InputError: the file, a column or the mapping cannot be used, or nothing of it meets the city.
        CityError: the city cannot be written; it stays as it was.
        CityLockedError: another writer holds the city.
    """
    options = options or FunctionOptions()
    tell = progress or (lambda share, text: None)
    _check_options(options)
    mapping = load_mapping(options.mapping)
    with write_city(city_path) as writer, clear_lines(city_path.name):
        tell(0.0, "reading")
        features = read_features(Path(file), options, writer.new_folder("functions"))
        distinct = {value: mapping.find(value) for value in features.value.unique()}
        label = features.value.map(distinct).to_numpy(dtype=np.int64)
        unmapped = features.value[label == UNMAPPED].value_counts()
        if len(features) and (label == UNMAPPED).all():
            raise InputError(
                f"functions {_name(features)}: no value of {features.field!r} is mapped to a class "
                f"({', '.join(list(unmapped.index)[:8])}): give --mapping, a TOML file such as "
                f"'{unmapped.index[0]}' = 'residential' (classes: {', '.join(IDS)})"
            )
        tell(0.1, "deciding")
        decision = _decide(features, label, writer.info, options, tell)
        return _write(writer, features, label, unmapped, decision, options, tell)


def _check_options(options: FunctionOptions) -> None:
    if options.datum not in DATUMS:
        raise InputError(f"unknown datum {options.datum!r}: use one of {', '.join(DATUMS)}")
    if options.timezone:
        check_timezone(options.timezone)
    if options.resolution is not None:
        check_resolution(options.resolution)


def _name(features: Features) -> str:
    return features.names[0] if len(features.names) == 1 else f"{features.names[0]} and {len(features.names) - 1} more"


def _decide(
    features: Features, label: NDArray[np.int64], info: CityInfo | None, options: FunctionOptions, tell: Progress
) -> Decision:
    name = f"functions {_name(features)}"
    bounds = info.bounds if info else None
    resolution = _resolution(features, info, options)
    if features.kind == "points":
        assert features.lon is not None
        assert features.lat is not None
        return decide_by_count(features.lon, features.lat, label, options.datum, resolution, bounds)
    if features.kind == "cells":
        assert features.cell is not None
        return decide_by_share(features.cell, label, features.share, options.datum, resolution, bounds)
    assert features.geometry is not None
    geometry = _on_wgs84(features.geometry, options.datum, _name(features))
    if info:
        check_overlap(name, polygons_extent(geometry, _name(features)), f"city {info.name}", info.bounds)
    return decide_by_area(
        geometry, label, resolution, bounds, _name(features), lambda done, text: tell(0.1 + 0.7 * done, text)
    )


def _resolution(features: Features, info: CityInfo | None, options: FunctionOptions) -> int:
    if info is not None:
        if options.resolution not in (None, info.resolution):
            raise InputError(
                f"--resolution {options.resolution}: city {info.name} has resolution {info.resolution}: use that one, "
                "or another city"
            )
        return info.resolution
    if options.resolution is not None:
        return options.resolution
    if features.cell is not None:
        return common_resolution(features.cell, f"functions {_name(features)}")
    return DEFAULT_RESOLUTION


def _on_wgs84(geometry: NDArray[np.object_], datum: str, name: str) -> NDArray[np.object_]:
    if datum == "wgs84":
        return geometry
    west, south, east, north = polygons_extent(geometry, name)
    # Refuses a Chinese datum elsewhere, as for every other input.
    places_at_points(np.array([(west + east) / 2]), np.array([(south + north) / 2]), np.array([1]), datum, 9, None)

    def shift(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_wgs84(points[:, 0], points[:, 1], datum))

    return np.asarray(shapely.transform(shapely.force_2d(geometry), shift))


def _write(
    writer: CityWriter,
    features: Features,
    label: NDArray[np.int64],
    unmapped: pd.Series,
    decision: Decision,
    options: FunctionOptions,
    tell: Progress,
) -> dict[str, Any]:
    name, info, chosen = _name(features), writer.info, decision.chosen
    reason = np.where((label == UNMAPPED) & (decision.reason != "bad_geometry"), "unmapped", decision.reason)
    rejects = _rejects(features, reason)
    counts = {str(why): int(count) for why, count in rejects["reason"].value_counts().items()}
    if not len(chosen):
        raise InputError(
            f"functions {name}: nothing of it covers a cell of the city ({counts}): check the file, the datum and "
            "the city"
        )
    tell(0.8, "writing")
    _write_cells(writer.new("functions.parquet"), chosen, name)
    with duckdb.connect() as connection:
        connection.register("rejects", rejects)
        write_rejects(writer, "functions", connection.sql("SELECT file, row, reason, text FROM rejects"), connection)
    read, unit = len(features) + len(features.malformed), _UNITS[features.kind]
    by_class = np.bincount(chosen["label"].to_numpy(dtype=np.int64), minlength=len(IDS)).tolist()
    report = {
        "files": features.names,
        "kind": features.kind,
        "field": features.field,
        "mapping": None if options.mapping is None else Path(options.mapping).name,
        "datum": options.datum,
        f"{unit}_read": read,
        f"{unit}_taken": read - len(rejects),
        f"{unit}_rejected": len(rejects),
        "rejected_by_reason": counts,
        **decision.more,
        "unmapped": {str(value): int(count) for value, count in unmapped.head(_MOST_UNMAPPED).items()},
        "cells": len(chosen),
        "cells_by_class": {id_: count for id_, count in zip(IDS, by_class, strict=True) if count},
        "warnings": list(features.notes),
        "extents": {"functions": decision.extent},
    }
    report = write_quality(writer, "functions", report)
    tell(0.9, "committing")
    writer.commit(_described(info, writer, features, chosen, options))
    tell(1.0, "done")
    return report


def _described(
    info: CityInfo | None, writer: CityWriter, features: Features, chosen: pd.DataFrame, options: FunctionOptions
) -> CityInfo:
    if info is None:
        corners = np.array([corner for ring in boundaries(chosen["cell"]) for corner in ring])
        (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        resolution = _resolution(features, None, options)
        info = new_info(writer.path.name, (west, south, east, north), resolution, options.timezone)
    return replace(
        info, provenance=provenance(writer, "functions.parquet"), sources=add_source(info, "functions", features.names)
    )


def _write_cells(path: Path, chosen: pd.DataFrame, name: str) -> None:
    rows = pd.DataFrame(
        {
            "cell": chosen["cell"].astype("uint64"),
            "function": [IDS[int(index)] for index in chosen["label"]],
            "share": chosen["share"].astype("float32"),
            "source": name,
        }
    )
    with duckdb.connect() as connection:
        connection.register("labelled", rows)
        connection.execute(
            f"COPY (SELECT * FROM labelled ORDER BY cell) TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()


def _rejects(features: Features, reason: NDArray[np.object_]) -> pd.DataFrame:
    rows = np.flatnonzero([why is not None for why in reason])
    judged = pd.DataFrame(
        {
            "file": pd.Series(features.file[rows], dtype="str"),
            "row": features.row[rows],
            "reason": pd.Series(reason[rows], dtype="str"),
            "text": pd.Series(features.texts(rows), dtype="str"),
        }
    )
    if not len(features.malformed):
        return judged
    lost = features.malformed.assign(reason="malformed")[["file", "row", "reason", "text"]]
    return pd.concat([judged, lost.astype(judged.dtypes.to_dict())], ignore_index=True)
