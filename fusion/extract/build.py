"""A city's SampleSet: extracted once for each choice of options, then found in the city's cache."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
from filelock import FileLock
from numpy.typing import NDArray

from fusion import store
from fusion.city import City
from fusion.classes import IDS, by_id
from fusion.errors import CityError, ConfigError, SampleError
from fusion.extract.blocks import parent_groups, positions
from fusion.extract.chips import Imagery, cut_chips, open_imagery, whole_chips
from fusion.extract.cubes import fill_series, plan_time
from fusion.fingerprint import fingerprint_text
from fusion.geo import grid
from fusion.samples.sampleset import LAYOUTS, VERSION, SampleDraft, SampleMeta, SampleSet, new_sampleset
from fusion.states import MISSING

# Raise when the same city and options would give other arrays, so that cached sets are extracted again.
EXTRACT_VERSION = 1
Progress = Callable[[float, str], None]


def build_samples(
    city: City,
    layout: str = "days",
    chip_px: int = 96,
    chip_m: float = 384.0,
    k: int = 2,
    progress: Progress | None = None,
) -> SampleSet:
    """Return the city's samples: every cell with signaling and a whole chip inside the imagery, labelled or not.

    The set lies in `samples/<key>/`, the key made of the options and the city's data; it is extracted in a temporary
    folder and renamed, so a killed extraction leaves nothing that looks like a set. A second process that wants the
    same set waits for the first.

    Args:
        layout: "days" (24 steps, a channel a measure and day) or "hours" (a step an hour).
        chip_px: pixels a side of a chip.
        chip_m: metres a side of a chip, on the ground.
        k: radius of the neighbourhood in cells.
        progress: called with the fraction done and what is being done.

    Raises:
        ConfigError: an option is out of range.
        CityError: imagery or signaling is missing, cannot be read, or they do not overlap.

    A city without a map (URFC) has one set, of its own grid: that is returned whatever the options.
    """
    if layout not in LAYOUTS or chip_px < 1 or not chip_m > 0 or k < 0:
        raise ConfigError(
            f"samples with layout {layout!r}, {chip_px} px, {chip_m} m, k {k} cannot be cut: use days or hours, "
            "1 or more pixels, more than 0 m and k of 0 or more"
        )
    if not city.has_map:
        return _regions(city)
    if not city.has_activity:
        raise CityError(f"city {city.name} has no signaling: bring some in with `ingest signaling`")
    if not city.has_imagery:
        raise CityError(f"city {city.name} has no imagery: bring some in with `ingest imagery`")
    folder = city.samples / _key(city, layout, chip_px, chip_m, k)
    cached = _load(folder)
    if cached is not None:
        return cached
    try:
        city.samples.mkdir(exist_ok=True)
        with FileLock(city.samples / f".{folder.name}.lock"):
            cached = _load(folder)  # another process may have built it while this one waited
            if cached is None:
                for stray in city.samples.glob(f".{folder.name}.*.tmp"):  # of a process that was killed
                    _remove(stray)
                with new_sampleset(folder) as draft:
                    _extract(city, draft, layout, chip_px, chip_m, k, progress or (lambda fraction, text: None))
                cached = SampleSet.load(folder)
    except OSError as error:
        raise CityError(f"samples of city {city.name} cannot be written ({error}): free space or rights") from error
    return cached


def _extract(
    city: City, draft: SampleDraft, layout: str, chip_px: int, chip_m: float, k: int, progress: Progress
) -> None:
    places = store.cells(city)
    plan = plan_time(city, layout)
    shape = (len(places), plan.steps, len(plan.channel_names))
    series, state = draft.create("series", shape), draft.create("state", shape)
    progress(0.0, "series")
    fill_series(city, places, plan, series, state, lambda part: progress(0.3 * part, "series"))
    active = _active(state)
    with open_imagery(city) as imagery:
        position = positions(places, imagery.crs)
        chosen = np.flatnonzero(active & whole_chips(imagery, position, chip_m))
        if not len(chosen):
            raise CityError(_apart(city, imagery, position[active], chip_m))
        images = draft.create("images", (len(chosen), 3, chip_px, chip_px))
        cut_chips(imagery, position[chosen], chip_m, images, lambda part: progress(0.3 + 0.5 * part, "chips"))
        pixel_m, origin = imagery.pixel_m, imagery.origin
    cells = places[chosen]
    progress(0.8, "neighbourhoods")
    draft.put("neighbours", grid.neighbourhoods(cells, places, k))
    draft.put("labels", _labels(city, cells))
    draft.put("ids", grid.to_hex(cells))
    draft.put("groups", parent_groups(cells))
    draft.put("position", position[chosen])
    progress(0.95, "fingerprint")
    draft.commit(
        SampleMeta(
            city=city.name,
            provenance=city.info.provenance,
            layout=layout,
            steps=plan.steps,
            channels=len(plan.channel_names),
            channel_measure=plan.channel_measure,
            measures=tuple(measure.id for measure in city.info.measures),
            timezone=city.info.timezone,
            first_hour=city.info.first_hour,
            chip_px=chip_px,
            chip_m=float(chip_m),
            k=k,
            grid="hex",
            resolution=city.info.resolution,
            classes=IDS,
            city_fingerprint=city.fingerprint(),
            channel_names=plan.channel_names,
            pixel_m=pixel_m,
            origin=origin,
        ),
        _source(city, layout, chip_px, chip_m, k),
    )
    progress(1.0, "samples")


def _key(city: City, layout: str, chip_px: int, chip_m: float, k: int) -> str:
    return f"{layout}-{chip_px}px-{chip_m:g}m-k{k}-{fingerprint_text(_source(city, layout, chip_px, chip_m, k))[:8]}"


def _source(city: City, layout: str, chip_px: int, chip_m: float, k: int) -> str:
    """All that the arrays follow from: the city's values and pixels, how they are read, and the options."""
    info = city.info
    read = [info.timezone, info.first_hour, info.hours, info.resolution, [measure.id for measure in info.measures]]
    versions = [VERSION, EXTRACT_VERSION, list(IDS)]
    # A threshold that was raised since hides counts of the table; one that hides none changes nothing.
    hidden = store.hides_more(city)
    listed = [city.fingerprint(), read, versions, layout, chip_px, float(chip_m), k]
    return json.dumps([*listed, hidden] if hidden else listed)


def _regions(city: City) -> SampleSet:
    try:
        return SampleSet.load(city.region_samples)
    except SampleError as error:
        raise CityError(f"city {city.name}: its regions cannot be read ({error}): run `ingest urfc` again") from None


def _load(folder: Path) -> SampleSet | None:
    """Open a cached set; one that is torn counts as none and is extracted again."""
    if not folder.is_dir():
        return None
    try:
        return SampleSet.load(folder)
    except SampleError:
        return None


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _active(state: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which places (M,) report anything at all, be it suppressed."""
    found = np.zeros(len(state), dtype=bool)
    for start in range(0, len(state), 4096):
        found[start : start + 4096] = (state[start : start + 4096] != MISSING).any(axis=(1, 2))
    return found


def _labels(city: City, cells: grid.Cells) -> NDArray[np.int16]:
    """Return the class index of each cell, -1 where it has no function; the largest share where it has several."""
    labels = np.full(len(cells), -1, dtype=np.int16)
    table = store.functions(city).sort_values("share", kind="stable")
    if not len(table) or not len(cells):
        return labels
    known = table["cell"].to_numpy(dtype=np.uint64)
    at = np.searchsorted(cells, known).clip(max=len(cells) - 1)
    there = cells[at] == known
    indices = {name: by_id(name).index for name in table["function"].unique()}
    labels[at[there]] = table["function"].map(indices).to_numpy(dtype=np.int16)[there]
    return labels


def _apart(city: City, imagery: Imagery, position: NDArray[np.float64], chip_m: float) -> str:
    """Say where imagery and signaling lie, when no cell has a whole chip."""
    if not len(position):
        return f"city {city.name} has signaling without a single count: ingest it again"
    (left, top), (width, height), (px, py) = imagery.origin, imagery.size, imagery.pixel_m
    boxes = (
        (left, top - height * py, left + width * px, top),
        (*position.min(axis=0), *position.max(axis=0)),
    )
    back = pyproj.Transformer.from_crs(imagery.crs, 4326, always_xy=True)
    spans = []
    for west, south, east, north in boxes:
        lon, lat = back.transform([west, east], [south, north])
        spans.append(f"{lon[0]:.3f} to {lon[1]:.3f} E, {lat[0]:.3f} to {lat[1]:.3f} N")
    return (
        f"city {city.name}: no cell has a whole chip of {chip_m:g} m inside the imagery ({spans[0]}; signaling "
        f"{spans[1]}): ingest imagery of the same place, or check the datum of the signaling"
    )
