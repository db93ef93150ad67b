"""The SampleSet folder: where the map ends and the tensors begin.

Arrays lie as memory-mapped .npy files beside `sampleset.json`. Letters: N samples, M places, T time steps, C channels,
P chip pixels a side, K = 2k + 1 cells a side of the neighbourhood.

| file | content |
|---|---|
| images.npy | uint8 (N,3,P,P), red, green, blue |
| series.npy | float32 (M,T,C), raw counts, 0 where not valid; on grid "square" (N,T,C,H,W) |
| state.npy | uint8, shape of series: 0 valid, 1 suppressed, 2 missing |
| neighbours.npy | int32 (N,K,K), rows of series on H3's axial grid, -1 outside; absent on grid "square" |
| labels.npy | int16 (N,), index into the classes, -1 = unlabelled (predicted, never trained) |
| ids.npy | '<U15' (N,), H3 index in hexadecimal, or a region's id |
| groups.npy | int64 (N,), the H3 parent, or what keeps repeated ids together |
| position.npy | float64 (N,2), x and y in metres in the imagery's projection |
"""

import dataclasses
import hashlib
import io
import json
import math
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.errors import SampleError

VERSION = 1
META_FILE = "sampleset.json"
LAYOUTS = ("days", "hours")
GRIDS = ("hex", "square")

_DTYPES: dict[str, np.dtype[Any]] = {
    "images": np.dtype(np.uint8),
    "series": np.dtype(np.float32),
    "state": np.dtype(np.uint8),
    "neighbours": np.dtype(np.int32),
    "labels": np.dtype(np.int16),
    "ids": np.dtype("<U15"),
    "groups": np.dtype(np.int64),
    "position": np.dtype(np.float64),
}


@dataclass(frozen=True)
class SampleMeta:
    """What `sampleset.json` holds.

    `steps` = T, `channels` = C, `channel_measure` the row of `measures` of each channel, `chip_px` = P, `chip_m` the
    chip's side on the ground, `k` the radius of the neighbourhood. `pixel_m` (width, height) and `origin` (x, y)
    are the imagery's pixel and upper left corner in metres, so that the pixels under a chip are known exactly; 0 = not
    known.
    `fingerprint` is computed when the set is written.
    """

    city: str
    provenance: str
    layout: str
    steps: int
    channels: int
    channel_measure: tuple[int, ...]
    measures: tuple[str, ...]
    timezone: str
    first_hour: str | None
    chip_px: int
    chip_m: float
    k: int
    grid: str
    resolution: int
    classes: tuple[str, ...]
    city_fingerprint: str
    channel_names: tuple[str, ...]
    pixel_m: tuple[float, float] = (0.0, 0.0)
    origin: tuple[float, float] = (0.0, 0.0)
    fingerprint: str = ""
    version: int = VERSION


class SampleSet:
    """One SampleSet folder, opened with memory-mapped arrays; use `SampleSet.load`."""

    def __init__(self, folder: Path, meta: SampleMeta, arrays: dict[str, NDArray[Any]]) -> None:
        self.folder = folder
        self.meta = meta
        self.images: NDArray[np.uint8] = arrays["images"]
        self.series: NDArray[np.float32] = arrays["series"]
        self.state: NDArray[np.uint8] = arrays["state"]
        self.neighbours: NDArray[np.int32] = arrays.get("neighbours", np.empty((len(self.images), 0, 0), np.int32))
        self.labels: NDArray[np.int16] = arrays["labels"]
        self.ids: NDArray[np.str_] = arrays["ids"]
        self.groups: NDArray[np.int64] = arrays["groups"]
        self.position: NDArray[np.float64] = arrays["position"]

    @classmethod
    def load(cls, folder: Path | str) -> "SampleSet":
        """Open a folder; images, series and state stay on disk, the small arrays come into memory.

        Raises:
            SampleError: a file is absent, truncated, of another version, or does not fit the others.
        """
        folder = Path(folder)
        meta = _read_meta(folder)
        arrays = {name: _read_array(folder, name) for name in _names(meta.grid)}
        _check(folder, meta, arrays)
        return cls(folder, meta, arrays)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Rows that have a label, ascending."""
        return np.flatnonzero(self.labels >= 0)

    def rows_of(self, ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Return the row of each id, in the order given.

        Raises:
            SampleError: an id is not in the set.
        """
        wanted = np.asarray(ids, dtype=str).ravel()
        if not len(wanted):
            return np.empty(0, dtype=np.int64)
        order = np.argsort(self.ids, kind="stable")
        at = np.searchsorted(self.ids, wanted, sorter=order).clip(max=max(len(self) - 1, 0))
        rows = order[at] if len(self) else np.full(len(wanted), -1)
        known = self.ids[rows] == wanted if len(self) else np.zeros(len(wanted), dtype=bool)
        if not known.all():
            raise SampleError(
                f"{(~known).sum()} of {len(wanted)} ids are not in the samples of {self.meta.city} (the first: "
                f"{wanted[np.argmin(known)]!r}): choose cells with imagery and activity"
            )
        return rows.astype(np.int64)


class SampleDraft:
    """A SampleSet being written: `create` its arrays, fill them, then `commit`."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self.temporary = temporary
        self.committed = False

    def create(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return a writable memory-mapped array of zeros with the dtype that the file must have."""
        needed, free = _DTYPES[name].itemsize * math.prod(shape), shutil.disk_usage(self.temporary).free
        if needed > free:  # a mapped file that the disk cannot hold would end the process without a word
            raise SampleError(f"{name} need {needed >> 20} MiB, {free >> 20} MiB are free: free some disk space")
        array: NDArray[Any] = np.lib.format.open_memmap(
            self.temporary / f"{name}.npy", mode="w+", dtype=_DTYPES[name], shape=shape
        )
        return array

    def shorten(self, name: str, count: int) -> None:
        """Keep the first `count` rows of an array that `create` made longer than was needed."""
        path = self.temporary / f"{name}.npy"
        with path.open("rb+") as file:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            length = file.tell()
            header = io.BytesIO()
            about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape[1:])}
            np.lib.format.write_array_header_1_0(header, about)
            # numpy leaves room in a header for its first number to grow, so a smaller one takes no more.
            if version != (1, 0) or len(header.getvalue()) != length or count > shape[0]:
                raise SampleError(f"{path.name} of shape {shape} cannot be cut to {count} rows: extract it again")
            file.seek(0)
            file.write(header.getvalue())
            file.truncate(length + math.prod((count, *shape[1:])) * dtype.itemsize)

    def put(self, name: str, values: Any) -> None:
        """Write a whole array; its values must fit the dtype that the file must have."""
        if name not in _DTYPES:
            raise SampleError(f"a SampleSet has no array {name!r}: it has {', '.join(_DTYPES)}")
        np.save(self.temporary / f"{name}.npy", np.asarray(values).astype(_DTYPES[name]), allow_pickle=False)

    def commit(self, meta: SampleMeta, source: str | None = None) -> SampleMeta:
        """Check the arrays, fingerprint them and rename the folder into place.

        Args:
            meta: what the set is.
            source: all that the arrays follow from, as text: the fingerprint is then made of it, and the same on every
                machine, while the last bits of positions and chips follow the processor. None: of the arrays' bytes.

        Raises:
            SampleError: the arrays do not fit each other or `meta`.
        """
        arrays = {name: _read_array(self.temporary, name) for name in _names(meta.grid)}
        _check(self.folder, meta, arrays)
        meta = dataclasses.replace(meta, fingerprint=_fingerprint(meta, arrays if source is None else source))
        (self.temporary / META_FILE).write_text(
            json.dumps(dataclasses.asdict(meta), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if self.folder.exists():  # a rename cannot replace a folder that is not empty
            old = self.temporary.with_suffix(".old")
            self.folder.rename(old)
            self.temporary.rename(self.folder)
            shutil.rmtree(old)
        else:
            self.temporary.rename(self.folder)
        self.committed = True
        return meta


@contextmanager
def new_sampleset(folder: Path | str) -> Iterator[SampleDraft]:
    """Build a SampleSet in a temporary folder beside `folder`; without `commit` nothing of it remains."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir()
    draft = SampleDraft(folder, temporary)
    try:
        yield draft
    finally:
        if not draft.committed:
            shutil.rmtree(temporary, ignore_errors=True)


def write_sampleset(folder: Path | str, meta: SampleMeta, **arrays: Any) -> SampleSet:
    """Write arrays that are in memory as a SampleSet folder and open it.

    Args:
        arrays: images, series, state, neighbours (grid "hex" only), labels, ids, groups, position.

    Raises:
        SampleError: an array is absent, unknown, or does not fit the others.
    """
    with new_sampleset(folder) as draft:
        for name, values in arrays.items():
            draft.put(name, values)
        draft.commit(meta)
    return SampleSet.load(folder)


def _names(grid: str) -> tuple[str, ...]:
    return tuple(name for name in _DTYPES if grid == "hex" or name != "neighbours")


def _read_meta(folder: Path) -> SampleMeta:
    path = folder / META_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SampleError(f"{folder} is not a SampleSet (no {META_FILE}): extract the samples again") from None
    except (OSError, ValueError) as error:
        raise SampleError(f"{path} cannot be read ({error}): delete the folder and extract it again") from None
    if not isinstance(values, dict) or values.get("version") != VERSION:
        found = values.get("version") if isinstance(values, dict) else type(values).__name__
        raise SampleError(f"{path} has version {found!r}, this program reads {VERSION}: extract the samples again")
    fields = {field.name for field in dataclasses.fields(SampleMeta)}
    if fields != set(values):
        odd = ", ".join(sorted(fields ^ set(values)))
        raise SampleError(f"{path} has missing or unknown keys ({odd}): extract the samples again")
    frozen: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return SampleMeta(**frozen)


def _read_array(folder: Path, name: str) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    large = name in ("images", "series", "state")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except FileNotFoundError:
        raise SampleError(f"{path} is absent: delete the folder and extract the samples again") from None
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:120]
        raise SampleError(
            f"{path} is torn or not an array ({reason}): delete the folder and extract it again"
        ) from None
    if array.dtype != _DTYPES[name]:
        raise SampleError(f"{path} holds {array.dtype}, {_DTYPES[name]} is needed: extract the samples again")
    return array


def _check(folder: Path, meta: SampleMeta, arrays: dict[str, NDArray[Any]]) -> None:
    if meta.grid not in GRIDS or meta.layout not in LAYOUTS:
        raise SampleError(f"{folder} has grid {meta.grid!r}, layout {meta.layout!r}: use {GRIDS} and {LAYOUTS}")
    count, series, size = len(arrays["labels"]), arrays["series"].shape, 2 * meta.k + 1
    places = (series[0] if series else 0, meta.steps, meta.channels)
    expected: dict[str, tuple[int, ...]] = {
        "images": (count, 3, meta.chip_px, meta.chip_px),
        "series": places if meta.grid == "hex" else (count, *places[1:], *series[3:5]),
        "state": series,
        "neighbours": (count, size, size),
        "labels": (count,),
        "ids": (count,),
        "groups": (count,),
        "position": (count, 2),
    }
    for name, array in arrays.items():
        if array.shape != expected[name]:
            raise SampleError(f"{folder}: {name} has shape {array.shape}, {expected[name]} is needed: extract it again")
    if len(meta.channel_measure) != meta.channels or len(meta.channel_names) != meta.channels:
        raise SampleError(f"{folder}: {meta.channels} channels, but not as many names and measures: extract it again")
    if any(not 0 <= measure < len(meta.measures) for measure in meta.channel_measure):
        raise SampleError(f"{folder}: a channel points at no measure of {meta.measures}: extract it again")
    ranges = {"labels": len(meta.classes), "neighbours": series[0]}
    for name, end in ranges.items():
        if name in arrays and arrays[name].size and not -1 <= arrays[name].min() <= arrays[name].max() < end:
            raise SampleError(f"{folder}: {name} go beyond -1 to {end - 1}: delete the folder and extract it again")


def _fingerprint(meta: SampleMeta, arrays: dict[str, NDArray[Any]] | str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    values = {key: value for key, value in dataclasses.asdict(meta).items() if key != "fingerprint"}
    digest.update(json.dumps(values, sort_keys=True).encode())
    if isinstance(arrays, str):
        digest.update(arrays.encode())
        return digest.hexdigest()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        step = max(1, (1 << 24) // max(1, array[:1].nbytes))
        for start in range(0, len(array), step):
            digest.update(np.ascontiguousarray(array[start : start + step]).tobytes())
    return digest.hexdigest()
