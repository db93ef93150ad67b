"""URFC's images and raw visit files -> a city without a map, whose SampleSet lies in `samples/`.

User hashes serve to count a user once an hour within a region, and go no further: no file of the city has one, and no
feature is made of one (facts §2: scores above some 80 % rest on users that recur across regions).
"""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.city import REGIONS, City, CityInfo, CityWriter, FlaggedDate, Measure, write_city
from fusion.classes import IDS
from fusion.errors import InputError, SampleError
from fusion.extract.urfc_batches import Batch, read_batches
from fusion.extract.urfc_files import MOST_FILES, Found, find_regions, find_root
from fusion.extract.urfc_grammar import (
    FIRST_DATE,
    HOURS,
    LINE_REASONS,
    REASON_OF,
    WEEKDAYS,
    WEEKS,
)
from fusion.extract.urfc_groups import group_regions
from fusion.extract.urfc_images import SIZE_PX
from fusion.extract.urfc_missing import missing_hours
from fusion.extract.urfc_report import Taken, report_regions
from fusion.fingerprint import fingerprint_arrays, fingerprint_text
from fusion.ingest.archives import list_members, unpack
from fusion.ingest.frame import add_source, clear_lines, new_info
from fusion.ingest.quality import write_quality, write_rejects
from fusion.samples.sampleset import SampleDraft, SampleMeta, SampleSet, new_sampleset

Progress = Callable[[float, str], None]

MEASURE = Measure("people", "people", "People", "人数")
_TIMEZONE = "Asia/Shanghai"
_READING = 0.9  # of the progress


@dataclass(frozen=True)
class UrfcOptions:
    """How to read a URFC folder.

    Attributes:
        resize: bring images of another size to 100 x 100 px instead of refusing them.
        drop_blank: refuse regions whose image is one colour; else they are kept and counted.
        jobs: threads; None: one a processor.
    """

    resize: bool = False
    drop_blank: bool = False
    jobs: int | None = None


def ingest_urfc(
    source: Path, city_path: Path, options: UrfcOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Make a city without a map of a URFC folder, or replace one.

    The series are users seen by hour, (N,26,1,7,24): week, measure, weekday, hour, from Monday 1 October 2018. A
    region is taken with an image of 100 x 100 px and a visit file that has at least one entry. Hours that the data
    lack everywhere are missing, not zero. `groups` keep regions of one number, and of one image or visit file,
    together.

    Args:
        source: a folder, or a zip archive of one, that holds train_image and train_visit, or test_image and
            test_visit, or all four.
        city_path: the city's folder.
        options: how to read them.
        progress: is told the share done, 0 to 1, and what is being done.

    Returns:
        The quality report (docs/data-formats.md), as written to `quality.json`.

    Raises:
        InputError: the source is not URFC's, or no region remains; the city stays as it was.
        CityError: the city has a map or cannot be written; it stays as it was.
        SampleError: the disk cannot hold the samples; the city stays as it was.
        CityLockedError: another writer holds the city.
    """
    options, tell = options or UrfcOptions(), progress or (lambda share, text: None)
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"--jobs {options.jobs}: at least 1 is needed")
    tell(0.0, "looking at the files")
    source = Path(source)
    with write_city(city_path, has_map=False) as writer, clear_lines(city_path.name):
        root = find_root(source if source.suffix.lower() != ".zip" else _unpack(source, writer.new_folder("urfc")))
        found = find_regions(root)
        samples = city_path / "samples"
        _clean(samples, keep=None)
        try:
            with duckdb.connect() as connection, new_sampleset(samples / REGIONS) as draft:
                return _take(source.name, root, found, writer, draft, connection, options, tell)
        finally:
            with contextlib.suppress(OSError):
                samples.rmdir()  # of a city that was not made: only if nothing is in it


def _unpack(archive: Path, scratch: Path) -> Path:
    for member in list_members(archive, scratch, MOST_FILES):
        target = scratch.joinpath(*PurePosixPath(member.name.replace("\\", "/")).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        unpack(member, target)
    return scratch


def _take(
    name: str,
    folder: Path,
    found: Found,
    writer: CityWriter,
    draft: SampleDraft,
    connection: duckdb.DuckDBPyConnection,
    options: UrfcOptions,
    tell: Progress,
) -> dict[str, Any]:
    connection.execute('CREATE TABLE refused (file VARCHAR, "row" BIGINT, reason VARCHAR, text VARCHAR)')
    _list(connection, [(one.file, 0, one.reason, one.text) for one in found.refused])
    by_reason = Counter(one.reason for one in found.refused)
    series, images, taken = _fill(folder, found, draft, connection, by_reason, options, tell)
    count = len(taken.labels)
    if not count:
        why = ", ".join(f"{number} {reason}" for reason, number in by_reason.items()) or "there are no files"
        raise InputError(f"{name}: no region can be taken of {found.files} files ({why})")
    tell(_READING, "missing hours")
    missing = missing_hours(taken.totals, count)
    state = draft.create("state", (count, *series.shape[1:]))
    for start in range(0, count, 4096):
        state[start : start + 4096] = missing.state.reshape(WEEKS, 1, WEEKDAYS, HOURS)
    groups = group_regions(taken.numbers, taken.image_digests, taken.visit_digests, taken.blank)
    draft.put("labels", taken.labels)
    draft.put("ids", taken.ids)
    draft.put("groups", groups)
    draft.put("position", np.zeros((count, 2)))
    del series, images, state
    for name in ("series", "images"):
        draft.shorten(name, count)
    info = _describe(writer, name, taken, groups, missing.state, missing.dates)
    tell(0.93, "samples")
    city = City(writer.path, info)
    draft.folder = city.region_samples
    meta = _meta(city)
    source = json.dumps([meta.city_fingerprint, "urfc"])
    if not _same_set(draft.folder, meta):  # the very same set is left alone: the city reads it
        draft.commit(meta, source)
    report = report_regions(name, found.files, taken, by_reason, groups, missing)
    report = write_quality(writer, "signaling", report)
    write_rejects(writer, "urfc", connection.table("refused"), connection)
    tell(0.98, "committing")
    writer.commit(info)
    _clean(city.samples, keep=city.region_samples)
    tell(1.0, "done")
    return report


def _fill(
    folder: Path,
    found: Found,
    draft: SampleDraft,
    connection: duckdb.DuckDBPyConnection,
    by_reason: Counter[str],
    options: UrfcOptions,
    tell: Progress,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], Taken]:
    """Read all regions into the draft's series and images, in the order of their ids; the rows fill up from the top."""
    most = len(found.regions)
    series = draft.create("series", (most, WEEKS, 1, WEEKDAYS, HOURS))
    images = draft.create("images", (most, 3, SIZE_PX, SIZE_PX))
    taken = Taken()
    done = 0
    for batch in read_batches(folder, found.regions, options.resize, options.drop_blank, options.jobs):
        start, number = len(taken.ids), len(batch.regions)
        series[start : start + number] = batch.counts.reshape(number, WEEKS, 1, WEEKDAYS, HOURS)
        images[start : start + number] = batch.images
        taken.add(batch)
        by_reason.update(one.reason for one in batch.refused)
        _list(connection, [(one.file, 0, one.reason, one.text) for one in batch.refused])
        _list(connection, _lines(batch))
        done += batch.read
        tell(_READING * done / most, f"{done:,} of {most:,} regions")
    return series, images, taken


def _lines(batch: Batch) -> Iterable[tuple[str, int, str, str]]:
    # No word of the line itself: it may hold a user's hash.
    for file, line, reason, number in batch.rejects.tolist():
        name = REASON_OF[reason]
        yield batch.files[file], line, name, "" if name in LINE_REASONS else f"{number} of its entries"


def _list(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple[str, int, str, str]]) -> None:
    table = pd.DataFrame(rows, columns=["file", "row", "reason", "text"])
    if len(table):
        connection.register("more", table)
        connection.execute('INSERT INTO refused SELECT file, "row", reason, text FROM more').fetchall()
        connection.unregister("more")


def _describe(
    writer: CityWriter,
    folder: str,
    taken: Taken,
    groups: NDArray[np.int64],
    state: NDArray[np.uint8],
    dates: tuple[str, ...],
) -> CityInfo:
    first = datetime.combine(FIRST_DATE, datetime.min.time(), timezone(timedelta(hours=8))).astimezone(UTC)
    content = [taken.ids, taken.labels, taken.image_digests, taken.count_digests]
    digest = fingerprint_text(json.dumps([*content, fingerprint_arrays(groups, state)]))
    base = writer.info or new_info(writer.path.name, (0.0, 0.0, 0.0, 0.0), 0, _TIMEZONE)
    return replace(
        base,
        bounds=(0.0, 0.0, 0.0, 0.0),
        resolution=0,
        timezone=_TIMEZONE,
        provenance="real",
        first_hour=f"{first:%Y-%m-%dT%H:%M:%SZ}",
        hours=WEEKS * WEEKDAYS * HOURS,
        measures=(MEASURE,),
        sources=add_source(base, "urfc", [folder]),
        flagged=tuple(
            FlaggedDate(date, "hours after 00 are missing in every region", "所有区域 0 点之后的小时均缺失")
            for date in dates
        ),
        fingerprints={REGIONS: digest},
    )


def _meta(city: City) -> SampleMeta:
    return SampleMeta(
        city=city.name,
        provenance=city.info.provenance,
        layout="days",
        steps=WEEKS,
        channels=1,
        channel_measure=(0,),
        measures=(MEASURE.id,),
        timezone=_TIMEZONE,
        first_hour=city.info.first_hour,
        chip_px=SIZE_PX,
        chip_m=0.0,  # not published
        k=0,
        grid="square",
        resolution=0,
        classes=IDS,
        city_fingerprint=city.fingerprint(),
        channel_names=(MEASURE.id,),
    )


def _same_set(folder: Path, meta: SampleMeta) -> bool:
    try:
        return replace(SampleSet.load(folder).meta, fingerprint="") == meta
    except SampleError:
        return False


def _clean(samples: Path, keep: Path | None) -> None:
    """Remove what a killed ingest left, and with `keep` every other set too."""
    if not samples.is_dir():
        return
    for path in samples.iterdir():
        torn = path.name.startswith(f".{REGIONS}.")
        if torn or (keep is not None and path.is_dir() and path != keep):
            shutil.rmtree(path, ignore_errors=True)
