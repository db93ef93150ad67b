"""What a city's `city.toml` says, and where cities lie."""

import os
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import tomli_w

from fusion.errors import CityError, InputError

RESERVED = ("reference", "incoming")  # folders of the data folder that are no cities


@dataclass(frozen=True)
class Measure:
    """One column of counts; a value of `min_count` and below was suppressed (0: nothing was)."""

    id: str
    unit: str
    en: str
    zh: str
    min_count: int = 0


@dataclass(frozen=True)
class FlaggedDate:
    """A local date (ISO) that differs from the rest, and why."""

    date: str
    en: str
    zh: str


@dataclass(frozen=True)
class CityInfo:
    """What `city.toml` says.

    `bounds` is `(west, south, east, north)` in degrees, WGS-84; `first_hour` the UTC start of the first of `hours`
    hours, ISO with a Z, None before any signaling came; `fingerprints` the hash of each data file's values.
    """

    name: str
    title_en: str
    title_zh: str
    bounds: tuple[float, float, float, float]
    resolution: int
    timezone: str
    provenance: str
    first_hour: str | None = None
    hours: int = 0
    measures: tuple[Measure, ...] = ()
    sources: tuple[str, ...] = ()
    flagged: tuple[FlaggedDate, ...] = ()
    fingerprints: dict[str, str] | None = None

    def measure(self, measure_id: str) -> Measure:
        """Return a measure by id; InputError names those that exist."""
        for measure in self.measures:
            if measure.id == measure_id:
                return measure
        have = ", ".join(measure.id for measure in self.measures) or "none yet"
        raise InputError(f"city {self.name} has no measure {measure_id!r}: it has {have}")

    def to_toml(self) -> str:
        """Spell the description as TOML."""
        table = {key: value for key, value in asdict(self).items() if value is not None}
        table["fingerprints"] = self.fingerprints or {}
        return tomli_w.dumps(table)

    @classmethod
    def from_toml(cls, text: str, where: str) -> "CityInfo":
        """Read a description; CityError names what is wrong and where."""
        try:
            table = tomllib.loads(text)
            unknown = set(table) - {field.name for field in fields(cls)}
            if unknown:
                raise KeyError(f"unknown key {sorted(unknown)[0]}")
            table["bounds"] = tuple(table["bounds"])
            table["measures"] = tuple(Measure(**row) for row in table.get("measures", ()))
            table["flagged"] = tuple(FlaggedDate(**row) for row in table.get("flagged", ()))
            table["sources"] = tuple(table.get("sources", ()))
            info = cls(**table)
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise CityError(f"{where}: not a city description ({error}): mend it or ingest the city again") from None
        return info


def repository_root() -> Path:
    """Return the folder that holds the package: the root of a checkout."""
    return Path(__file__).resolve().parents[1]


def data_root() -> Path:
    """Return the folder of the cities: `FUSION_DATA`, else `data/` beside the code."""
    given = os.environ.get("FUSION_DATA")
    return Path(given) if given else repository_root() / "data"


def reference_root() -> Path:
    """Return the folder of the results that ship; beside the code even when `FUSION_DATA` points elsewhere."""
    return repository_root() / "data" / "reference"


def check_name(name: str) -> str:
    """Return `name` if it can be a city's folder.

    Raises:
        InputError: it has anything but lower-case ASCII letters, digits and inner dashes, or is reserved.
    """
    plain = name.replace("-", "a")
    if not (plain.isascii() and plain.isalnum() and name == name.lower() and name.strip("-") == name):
        raise InputError(
            f"{name!r} cannot name a city: use lower-case letters, digits and dashes, such as zhengzhou-2021"
        )
    if name in RESERVED or len(name) > 64:
        raise InputError(f"{name!r} cannot name a city: {'it is reserved' if name in RESERVED else 'over 64 letters'}")
    return name
