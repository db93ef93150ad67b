"""Build a synthetic city: plan, latents, picture, counts, truth, all in one commit."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from fusion.city import City, CityInfo, CityWriter, FlaggedDate, Measure, open_city, write_city
from fusion.classes import IDS
from fusion.commit import has_commit
from fusion.errors import CityError
from fusion.ingest.quality import write_quality
from fusion.synthetic.ceilings import best_additive_rule, expected_ceilings
from fusion.synthetic.counts import Counts, draw_counts
from fusion.synthetic.latents import Latents, draw_latents
from fusion.synthetic.parameters import DEMO, Parameters
from fusion.synthetic.plan import Plan, build_plan
from fusion.synthetic.render import render_image
from fusion.synthetic.rhythms import HOURS
from fusion.synthetic.streets import build_streets
from fusion.synthetic.tables import APPEARANCES, RHYTHMS, Tables, build_tables

# Raise when rows or pixels of a seed change: a city of an older version is then built anew.
SYNTHETIC_VERSION = 1
FIRST_HOUR = "2021-07-23T16:00:00Z"  # 24 July 2021, 00:00 at Zhengzhou
TIMEZONE = "Asia/Shanghai"
Progress = Callable[[float, str], None]

SOURCES = (
    "All imagery and counts are synthetic: drawn by fusion.synthetic from a seed, nothing was observed.",
    "Approximately true, rounded by hand from public knowledge: the places of Zhengzhou and Zhengzhou East stations, "
    "the courses of the second, third and fourth ring roads, main railways, rivers and lakes.",
    "Invented: every other street, all buildings, the function, look and rhythm of every site, all airfields and all "
    "further stations in the box.",
    "The week of 24 to 31 July 2021, its weekends, the days after the flood of 20 July and the restrictions of 30 and "
    "31 July are taken from docs/methods.md; how strongly they show in the counts is invented.",
)
FLAGGED = (
    FlaggedDate("2021-07-30", "Covid cases reported", "出现新冠病例"),
    FlaggedDate("2021-07-31", "Citywide Covid testing", "全市核酸检测"),
)


def build_demo(
    root: Path,
    name: str = "zhengzhou-demo",
    seed: int = 0,
    force: bool = False,
    parameters: Parameters | None = None,
    progress: Progress | None = None,
) -> City:
    """Build a synthetic city, or return it if it is there already.

    Args:
        root: the folder of the cities.
        name: the city's folder.
        seed: the same seed and parameters give the same rows and pixels.
        force: replace a city of that name whatever it is.
        parameters: `DEMO` by default.
        progress: told the share done, 0 to 1, and what is being done.

    Raises:
        CityError: a city of that name exists and is not this one, and `force` is not set.
        CityLockedError: something else is writing to it.
    """
    wanted = parameters or DEMO
    say = progress or (lambda share, text: None)
    path = Path(root) / name
    if not force and (found := _standing(path, seed, wanted)):
        say(1.0, "the demo city is there already")
        return found
    with write_city(path) as writer:
        say(0.0, "planning streets and sites")
        tables = build_tables(wanted)
        plan = build_plan(wanted, seed)
        latents = draw_latents(plan, tables, seed)
        looks = np.where(plan.site >= 0, latents.appearance[plan.site], len(APPEARANCES) + plan.filler)
        streets = build_streets(plan, looks.astype(np.uint8), seed)
        say(0.03, "drawing the picture")
        image = render_image(plan, streets, wanted, seed, lambda share: say(0.03 + 0.72 * share, "drawing the picture"))
        say(0.75, "writing the picture")
        _write_imagery(writer.new("imagery.tif"), plan, image)
        del image
        say(0.88, "drawing the counts")
        counts = draw_counts(plan, latents, wanted, seed)
        _write_table(writer.new("activity.parquet"), _activity(plan, counts))
        _write_table(writer.new("functions.parquet"), _functions(plan, latents))
        _write_table(writer.new("truth.parquet"), _truth_table(plan, latents))
        _write_json(writer.new("truth.json"), _truth_notes(plan, tables, wanted, seed))
        say(0.93, "checking the counts")
        info = _info(name, plan, wanted)
        _quality(writer, plan, counts, info)
        say(0.95, "taking fingerprints")
        city = writer.commit(info)
    say(1.0, "done")
    return city


def _standing(path: Path, seed: int, wanted: Parameters) -> City | None:
    """Return the city if it is the wanted one, None if there is none."""
    if not (path / "city.toml").is_file() and not has_commit(path):
        return None
    city = open_city(path)
    try:
        notes = json.loads((path / "truth.json").read_text(encoding="utf-8"))
        same = (notes["seed"], notes["parameters"]) == (seed, wanted.to_dict())
        current = notes["version"] == SYNTHETIC_VERSION
    except (OSError, ValueError, KeyError, TypeError):
        same = current = False
    complete = city.has_activity and city.has_imagery and city.has_functions
    if same and current and complete:
        return city
    what = "an older version of it" if same and not current else "another city (other data, seed or parameters)"
    raise CityError(f"{path.name} exists and is {what}: give --force to replace it, or another --city name")


def _write_imagery(path: Path, plan: Plan, image: NDArray[np.uint8]) -> None:
    box = plan.box
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "width": box.columns, "height": box.rows,
        "crs": rasterio.CRS.from_epsg(box.crs.to_epsg()),
        "transform": from_origin(box.left, box.top, box.pixel_m, box.pixel_m),
        "photometric": "RGB", "interleave": "pixel", "tiled": True, "blockxsize": 512, "blockysize": 512,
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as plain:
            plain.write(image)
        with memory.open() as plain:
            rasterio.shutil.copy(
                plain, path, driver="COG", compress="DEFLATE", level=6, predictor="YES", blocksize=512,
                overview_resampling="AVERAGE", num_threads="2",
            )  # fmt: skip


def _activity(plan: Plan, counts: Counts) -> pd.DataFrame:
    hours = pd.date_range(FIRST_HOUR, periods=HOURS, freq="h", unit="us")
    hour, cell = np.nonzero(counts.state.T != 2)
    suppressed = counts.state[cell, hour] == 1
    people = pd.Series(counts.people[cell, hour].astype(np.float32), dtype="Float32").mask(suppressed)
    return pd.DataFrame(
        {"cell": plan.cells[cell], "hour": hours[hour], "people": people, "people_suppressed": suppressed}
    )


def _functions(plan: Plan, latents: Latents) -> pd.DataFrame:
    inside = plan.site >= 0
    names = np.array(IDS, dtype=object)[latents.function[plan.site[inside]]]
    share = np.ones(len(names), dtype=np.float32)
    return pd.DataFrame({"cell": plan.cells[inside], "function": names, "share": share, "source": "synthetic"})


def _truth_table(plan: Plan, latents: Latents) -> pd.DataFrame:
    inside = plan.site >= 0
    site = plan.site[inside]
    return pd.DataFrame(
        {
            "cell": plan.cells[inside],
            "site": site,
            "function": np.array(IDS, dtype=object)[latents.function[site]],
            "appearance": latents.appearance[site].astype(np.int8),
            "rhythm": latents.rhythm[site].astype(np.int8),
        }
    )


def _truth_notes(plan: Plan, tables: Tables, parameters: Parameters, seed: int) -> dict:
    rule = best_additive_rule(tables.joint)
    return {
        "version": SYNTHETIC_VERSION,
        "seed": seed,
        "parameters": parameters.to_dict(),
        "kappa": parameters.kappa,
        "functions": list(IDS),
        "appearances": [vars(latent) for latent in APPEARANCES],
        "rhythms": [vars(latent) for latent in RHYTHMS],
        "prior": tables.prior.tolist(),
        "given": tables.given.tolist(),
        "affinity": tables.affinity.tolist(),
        "pairs": plan.pairs.tolist(),
        "additive_rule": rule.tolist(),
        "expected": expected_ceilings(tables.joint, rule),
        "station_sites": list(plan.station_sites),
    }


def _quality(writer: CityWriter, plan: Plan, counts: Counts, info: CityInfo) -> None:
    """Write the report that ingest would have written of these rows, of this picture and of these functions."""
    cells, hours = counts.state.shape
    valid, suppressed, missing = (int((counts.state == state).sum()) for state in range(3))
    span = pd.date_range(FIRST_HOUR, periods=HOURS, freq="h")
    gone = span[(counts.state == 2).all(axis=0)].strftime("%Y-%m-%dT%H:%M:%SZ").tolist()
    box = plan.box
    report = {
        "rows_read": valid + suppressed,
        "rows_taken": valid + suppressed,
        "rows_rejected": 0,
        "rejected_by_reason": {},
        "files": [],
        "warnings": [],
        "preset": "synthetic",
        "datum": "wgs84",
        "timezone": TIMEZONE,
        "resolution": info.resolution,
        "min_count": info.measures[0].min_count,
        "measures": ["people"],
        "first_hour": FIRST_HOUR,
        "hours": hours,
        "missing_hours": len(gone),
        "missing_hours_listed": gone,
        "cells": cells,
        "share_suppressed": suppressed / (valid + suppressed),
        "share_missing": missing / counts.state.size,
        "extents": {name: list(box.bounds()) for name in ("signaling", "imagery", "functions")},
    }
    imagery = {
        "files": [],
        "crs": f"EPSG:{box.crs.to_epsg()}",
        "pixel_m": float(box.pixel_m),
        "width": box.columns,
        "height": box.rows,
        "share_valid": 1.0,
        "warnings": [],
    }
    functions = {"files": [], "cells": int((plan.site >= 0).sum()), "warnings": []}
    write_quality(writer, "signaling", report, info, {"imagery": imagery, "functions": functions})


def _write_table(path: Path, table: pd.DataFrame) -> None:
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path, compression="zstd")


def _write_json(path: Path, table: dict) -> None:
    path.write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")


def _info(name: str, plan: Plan, parameters: Parameters) -> CityInfo:
    return CityInfo(
        name=name,
        title_en="Zhengzhou (synthetic demo)",
        title_zh="郑州（合成演示城市）",
        bounds=plan.box.bounds(),
        resolution=parameters.resolution,
        timezone=TIMEZONE,
        provenance="synthetic",
        first_hour=FIRST_HOUR,
        hours=HOURS,
        measures=(Measure("people", "people", "People present", "在场人数", parameters.min_count),),
        sources=SOURCES,
        flagged=FLAGGED,
    )
