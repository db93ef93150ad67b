"""A city on disk: one study area in one folder, read without waiting and replaced as a whole or not at all.

`city.toml` describes it; `activity.parquet`, `imagery.tif` and `functions.parquet` hold it (docs/data-formats.md).
Readers never lock. A writer holds the city's lock, writes every file under a temporary name of its own, then renames
its plan, `commit.<token>.json`, into place: that rename is the commit. Whoever opens the city next finishes a commit
that it finds, so a process killed at any moment leaves the old city or the new one.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fusion.cityinfo import CityInfo, FlaggedDate, Measure, check_name, data_root, reference_root, repository_root
from fusion.commit import finish_commit, has_commit, hold_lock, lock_path, plan_name, sync_file
from fusion.errors import CityError
from fusion.fingerprint import fingerprint_file, fingerprint_text

__all__ = [
    "City",
    "CityInfo",
    "CityWriter",
    "FlaggedDate",
    "Measure",
    "check_name",
    "data_root",
    "delete_city",
    "finish_commit",
    "list_cities",
    "open_city",
    "reference_root",
    "repository_root",
    "write_city",
]

FILES = ("activity.parquet", "imagery.tif", "functions.parquet", "quality.json", "rejects.parquet")
_DATA = ("activity", "imagery", "functions")
REGIONS = "regions"  # the fingerprint that a city without a map has instead


@dataclass(frozen=True)
class City:
    """One study area: a folder and what its `city.toml` said when it was opened."""

    path: Path
    info: CityInfo

    @property
    def name(self) -> str:
        """The folder's name, which is the city's."""
        return self.info.name

    @property
    def activity(self) -> Path:
        """Counts by cell and hour."""
        return self.path / "activity.parquet"

    @property
    def imagery(self) -> Path:
        """Overhead imagery, a cloud-optimised GeoTIFF."""
        return self.path / "imagery.tif"

    @property
    def functions(self) -> Path:
        """Labelled function of cells."""
        return self.path / "functions.parquet"

    @property
    def quality(self) -> Path:
        """What ingest saw."""
        return self.path / "quality.json"

    @property
    def rejects(self) -> Path:
        """The rows that ingest did not take, with reasons."""
        return self.path / "rejects.parquet"

    @property
    def samples(self) -> Path:
        """SampleSets extracted from this city, a cache."""
        return self.path / "samples"

    @property
    def has_map(self) -> bool:
        """Whether its samples are cells of a map; False for regions without a place (URFC), which bring samples along.

        Those lie in `region_samples`, not in a cache: nothing could extract them again.
        """
        return not (self.info.fingerprints or {}).get(REGIONS)

    @property
    def region_samples(self) -> Path:
        """The SampleSet that a city without a map consists of."""
        return self.samples / f"{REGIONS}-{(self.info.fingerprints or {}).get(REGIONS, '')[:8]}"

    @property
    def can_train(self) -> bool:
        """Whether all is here that a model is trained on: signaling, imagery and functions, or ready regions."""
        return not self.has_map or (self.has_activity and self.has_imagery and self.has_functions)

    @property
    def runs(self) -> Path:
        """Trained runs of this city."""
        return self.path / "runs"

    @property
    def reference(self) -> Path:
        """Runs of this city that ship with the code, read-only."""
        return reference_root() / self.name

    @property
    def has_activity(self) -> bool:
        """Whether signaling was ingested."""
        return self.activity.is_file()

    @property
    def has_imagery(self) -> bool:
        """Whether imagery was ingested."""
        return self.imagery.is_file()

    @property
    def has_functions(self) -> bool:
        """Whether labels were ingested."""
        return self.functions.is_file()

    def fingerprint(self) -> str:
        """Hash of the values and pixels of this city, 16 hexadecimal digits."""
        prints = self.info.fingerprints or {}
        parts = {key: prints.get(key, "") for key in _DATA} | {key: prints[key] for key in (REGIONS,) if key in prints}
        return fingerprint_text(json.dumps(parts, sort_keys=True))

    def run_folders(self) -> list[Path]:
        """Return the folders of finished runs: the city's own, then those that ship."""
        found: list[Path] = []
        for root in (self.runs, self.reference):
            if root.is_dir():
                found += sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        return found


def open_city(name_or_path: str | Path, root: Path | None = None) -> City:
    """Open a city, finishing a commit that a killed writer left.

    Args:
        name_or_path: a name under `root`, or the folder itself.
        root: the folder of the cities; `data_root()` by default.

    Raises:
        CityError: there is no such city, or its description cannot be read.
        InputError: the name cannot be a city's.
    """
    path = name_or_path if isinstance(name_or_path, Path) else (root or data_root()) / check_name(name_or_path)
    finish_commit(path)
    try:
        text = (path / "city.toml").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        have = ", ".join(city.name for city in list_cities(path.parent)) or "none"
        raise CityError(
            f"no city {path.name!r} in {path.parent.name}/: have {have}; make one with `demo` or `ingest`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CityError(f"{path.name}/city.toml cannot be read ({error}): mend it or ingest the city again") from None
    info = CityInfo.from_toml(text, f"{path.name}/city.toml")
    if info.name != path.name:
        info = replace(info, name=path.name)
    return City(path, info)


def list_cities(root: Path | None = None) -> list[City]:
    """Return the cities of a folder by name; folders that are not cities, or are torn, are passed over."""
    root = root or data_root()
    if not root.is_dir():
        return []
    found = []
    for path in sorted(root.iterdir()):
        if path.is_dir() and ((path / "city.toml").is_file() or has_commit(path)):
            try:
                found.append(open_city(path))
            except CityError:
                continue
    return found


def delete_city(city: City) -> None:
    """Remove a city and all that lies in its folder.

    Raises:
        CityLockedError: something is writing to it.
    """
    with hold_lock(city.path, 0):
        # The description goes first: from here on the folder is no city, whatever happens to the rest.
        (city.path / "city.toml").unlink(missing_ok=True)
        shutil.rmtree(city.path, ignore_errors=True)
    lock_path(city.path).unlink(missing_ok=True)


class CityWriter:
    """The open transaction of `write_city`: files written under temporary names, then one commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.committed = False
        self._token = uuid.uuid4().hex[:8]
        self._names: list[str] = []

    @property
    def info(self) -> CityInfo | None:
        """The description on disk, None for a city that does not exist yet."""
        return open_city(self.path).info if (self.path / "city.toml").is_file() else None

    def new(self, name: str) -> Path:
        """Return the temporary path under which to write the city's file `name`."""
        if name not in self._names:
            self._names.append(name)
        return self._temporary(name)

    def current(self, name: str) -> Path | None:
        """Return where the city's file `name` lies as it will be after the commit; None where there will be none."""
        if name in self._names and self._temporary(name).is_file():
            return self._temporary(name)
        standing = self.path / name
        return standing if standing.is_file() else None

    def new_folder(self, name: str) -> Path:
        """Return a folder for scratch files; it goes when the transaction ends, committed or not."""
        folder = self._temporary(name)
        folder.mkdir(exist_ok=True)
        return folder

    def commit(self, info: CityInfo, known: dict[str, str] | None = None) -> City:
        """Put every new file and the description in place, as one step.

        Args:
            info: the new description; its fingerprints are computed here for the files written.
            known: fingerprints (`imagery` and the like) that the writer computed itself on reading a file back.

        Raises:
            CityError: the files cannot be written, for instance on a full disk; the old city stays.
        """
        prints = dict(info.fingerprints or {})
        for kind, name in zip(_DATA, FILES[:3], strict=True):
            if name in self._names:
                prints[kind] = (known or {}).get(kind) or fingerprint_file(self._temporary(name))
        info = replace(info, name=self.path.name, fingerprints=prints)
        try:
            self.new("city.toml").write_text(info.to_toml(), encoding="utf-8")
            for name in self._names:
                sync_file(self._temporary(name))
            plan = {"files": {name: self._temporary(name).name for name in self._names}}
            place = plan_name(self._token)
            draft = self._temporary(place)
            draft.write_text(json.dumps(plan), encoding="utf-8")
            sync_file(draft)
            draft.replace(self.path / place)
        except OSError as error:
            raise CityError(f"city {self.path.name} was not changed: writing failed ({error})") from error
        self.committed = True
        finish_commit(self.path)
        return City(self.path, info)

    def discard(self) -> None:
        """Remove the temporary files of this transaction and of any that was killed before its commit."""
        for stray in self.path.glob("*.new"):
            if stray.is_dir():
                shutil.rmtree(stray, ignore_errors=True)
            else:
                stray.unlink(missing_ok=True)

    def _temporary(self, name: str) -> Path:
        # The token keeps a reader that still finishes an older commit away from a file that is being written.
        # GDAL and others choose a driver by the ending, so the name keeps its own in front of `.new`.
        return self.path / f"{name}.{self._token}.new"


def _check_kind(path: Path, has_map: bool) -> None:
    if not (path / "city.toml").is_file():
        return
    found = open_city(path)
    if has_map and not found.has_map:
        raise CityError(f"city {path.name} holds regions without a map (URFC): name another city for data with places")
    if not has_map and (found.has_activity or found.has_imagery or found.has_functions):
        raise CityError(f"city {path.name} has a map, and regions of URFC have no place on it: name another city")


@contextmanager
def write_city(path: Path, wait_s: float = 0.0, has_map: bool = True) -> Iterator[CityWriter]:
    """Hold a city's lock for one transaction; without `commit()` the city stays as it was.

    Args:
        path: the city's folder; made if absent.
        wait_s: how long to wait for another writer, in seconds.
        has_map: what is to be written: data on a map, or regions without a place (URFC). A city is one or the other.

    Raises:
        CityError: the city that is there is of the other kind.
        CityLockedError: another writer holds the city.
    """
    check_name(path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(path, wait_s):
        existed = path.is_dir()
        path.mkdir(exist_ok=True)
        finish_commit(path)
        writer = CityWriter(path)
        writer.discard()
        _check_kind(path, has_map)
        try:
            yield writer
        finally:
            # A commit that could not be finished still needs its files; after one that was, only scratch is left.
            if not has_commit(path):
                writer.discard()
            if not writer.committed and not existed and not any(path.iterdir()):
                path.rmdir()
