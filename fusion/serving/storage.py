"""What a city takes on disk, and what of it may be deleted from a page."""

import os
import shutil
from pathlib import Path

from fusion.city import City, delete_city
from fusion.errors import CityError
from fusion.serving import background, ingest_jobs, jobs

PARTS = ("activity", "imagery", "functions", "samples", "runs", "jobs", "other")


def disk_use(city: City) -> dict[str, int]:
    """Return the bytes that each of `PARTS` of a city takes, and their `total`."""
    use = dict.fromkeys(PARTS, 0)
    for folder, _, files in os.walk(city.path):
        for name in files:
            path = Path(folder) / name
            try:
                use[_part(path.relative_to(city.path))] += path.lstat().st_size
            except OSError:  # renamed or deleted at this moment
                continue
    return use | {"total": sum(use.values())}


def samples_are_a_cache(city: City) -> bool:
    """Tell whether a city's samples can be extracted again from its imagery and signaling."""
    return city.has_imagery and city.has_activity


def delete_samples(city: City) -> int:
    """Delete the extracted samples of a city, which the next training makes again; return the bytes set free.

    Raises:
        CityError: the samples are all that the city has, or something works with them.
    """
    if not samples_are_a_cache(city):
        raise CityError(f"the samples of {city.name} cannot be made again: they are its data, not a cache")
    _refuse_where_busy(city)
    use = disk_use(city)["samples"]
    shutil.rmtree(city.samples, ignore_errors=True)
    return use


def delete_whole(city: City) -> None:
    """Delete a city with its samples, runs and trainings.

    Raises:
        CityError: something works with it.
        CityLockedError: something writes to it.
    """
    _refuse_where_busy(city)
    delete_city(city)


def _refuse_where_busy(city: City) -> None:
    root = city.path.parent
    ingests = [job for job in ingest_jobs.list_jobs(root) if job.city == city.name]
    for what, running in (("a data import", ingests), ("a training", jobs.list_jobs(city))):
        if any(background.status(job).active for job in running):
            raise CityError(f"{what} of {city.name} is running: wait for its end, or cancel it first")


def _part(path: Path) -> str:
    first = path.parts[0]
    if first in ("samples", "runs", "jobs"):
        return first
    return {"activity.parquet": "activity", "imagery.tif": "imagery", "functions.parquet": "functions"}.get(
        first, "other"
    )
