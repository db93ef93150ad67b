"""From the classes of a land-use file or of points of interest to the nine functions."""

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fusion.classes import FUNCTIONS, IDS
from fusion.errors import InputError
from fusion.ingest.numerals import WHOLE

UNMAPPED = -1
_LINE = "write lines such as 'R2' = 'residential'"


@dataclass(frozen=True)
class Mapping:
    """A table from classes to functions.

    Attributes:
        name: what messages call it.
        table: class, or the first levels of one (`科教文化服务;学校`), to a function's index; `UNMAPPED` takes it out.
        beginnings: the same for classes that begin with a text (`1412*` in the file), the longest first.
    """

    name: str
    table: dict[str, int]
    beginnings: tuple[tuple[str, int], ...] = ()

    def find(self, value: str) -> int:
        """Return the function's index for one class, `UNMAPPED` for none.

        Levels are parted by `;`: the deepest that the table has decides. Of several classes in one value, parted by
        `|`, the first that is mapped does.
        """
        if value in self.table:
            return self.table[value]
        for one in value.replace("；", ";").split("|"):
            found = self._find_one(one)
            if found != UNMAPPED:
                return found
        return UNMAPPED

    def _find_one(self, value: str) -> int:
        levels = [level.strip() for level in value.split(";")]
        whole = ";".join(levels)
        for depth in range(len(levels), 0, -1):
            if (key := ";".join(levels[:depth])) in self.table:
                return self.table[key]
        return next((function for beginning, function in self.beginnings if whole.startswith(beginning)), UNMAPPED)


def load_mapping(which: str | Path | None) -> Mapping:
    """Read a mapping.

    Args:
        which: a TOML file, the name of one that ships (`shipped_mappings`), or None: the values are class ids or the
            codes of the URFC contest (001 to 009).

    Raises:
        InputError: there is no such file or name, or it is no table from classes to functions.
    """
    if which is None:
        return Mapping("class ids", {key: f.index for f in FUNCTIONS for key in (f.id, f.code)})
    path = Path(which)
    if str(which) in shipped_mappings() and not path.is_file():
        name = f"mapping {which}"
        text = (resources.files("fusion.ingest") / "mappings" / f"{which}.toml").read_text(encoding="utf-8")
    else:
        name, text = f"mapping {path.name}", _read(path)
    return _parse(name, text)


def shipped_mappings() -> list[str]:
    """Return the names of the mappings that come with the program."""
    folder = resources.files("fusion.ingest") / "mappings"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        names = ", ".join(shipped_mappings())
        raise InputError(f"mapping {path.name}: there is no such file: check the path, or use one of {names}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"mapping {path.name} is not TOML ({error}): {_LINE}") from None


def _parse(name: str, text: str) -> Mapping:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML ({error}): {_LINE}") from None
    if len(table) == 1 and isinstance(next(iter(table.values())), dict):
        table = next(iter(table.values()))
    if not table:
        raise InputError(f"{name} is empty: {_LINE}")
    exact: dict[str, int] = {}
    beginnings: dict[str, int] = {}
    for value, function in table.items():
        if function != "" and function not in IDS:
            raise InputError(f"{name}: {value!r} goes to {function!r}, which is no class: use one of {', '.join(IDS)}")
        index = IDS.index(function) if function else UNMAPPED
        if value.endswith("*"):
            beginnings[value[:-1]] = index
        else:
            # As the classes of files are compared: a column of floats spells 101 as 101.0.
            exact[re.sub(WHOLE, r"\1", value.strip())] = index
    return Mapping(name, exact, tuple(sorted(beginnings.items(), key=lambda item: -len(item[0]))))
