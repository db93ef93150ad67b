"""The files of a URFC folder: which image and which visit file are one region, and what fits nowhere.

`train_image/001/000000_001.jpg` and `train_visit/000000_001.txt` are region 000000 of class 001 (facts §2); folders of
classes are allowed on both sides and needed on none. `test_image` and `test_visit` have no class.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusion.classes import FUNCTIONS
from fusion.errors import InputError

PARTS = ("train", "test")
KINDS = ("image", "visit")
ENDINGS = {"image": (".jpg", ".jpeg", ".png"), "visit": (".txt",)}
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
_NAME = re.compile(r"(?P<region>[0-9A-Za-z]+)(?:_(?P<code>[0-9]{3}))?")
_LABELS = {function.code: function.index for function in FUNCTIONS}
MOST_FILES = 1_000_000  # of an archive: the contest's larger round has 400,000 regions, of two files each
_LONGEST_ID = 15  # of a SampleSet


@dataclass(frozen=True)
class Region:
    """One region: `id` is unique, `number` what repeated regions share, `label` the class index or -1."""

    id: str
    number: str
    label: int
    image: Path
    visits: Path


@dataclass(frozen=True)
class Refused:
    """A file that was not taken: its path below the folder, the reason, and a word more."""

    file: str
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Found:
    """Regions by id, files refused, and how many files there are in all."""

    regions: list[Region]
    refused: list[Refused]
    files: int


def find_root(folder: Path) -> Path:
    """Return the folder that holds train_image and train_visit (or those of test): this one, or the only one in it.

    Raises:
        InputError: it is no folder, or neither has them.
    """
    if not folder.is_dir():
        raise InputError(f"{folder.name} is not a folder: give the one that holds train_image and train_visit")
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not _is_ignored(path)]
    for root in (folder, *(inside if len(inside) == 1 else ())):
        if any(all((root / f"{part}_{kind}").is_dir() for kind in KINDS) for part in PARTS):
            return root
    have = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise InputError(
        f"{folder.name} has no train_image and train_visit (nor test_image and test_visit) but {have}: "
        "give the folder that holds them"
    )


def find_regions(folder: Path) -> Found:
    """Pair the images and visit files below a root folder."""
    regions: list[Region] = []
    refused: list[Refused] = []
    files = 0
    for part in PARTS:
        named: dict[str, dict[str, tuple[Path, str, int]]] = {}
        for kind in KINDS:
            for path in _walk(folder / f"{part}_{kind}"):
                files += 1
                place = str(path.relative_to(folder))
                known = _identify(path, part, kind)
                if isinstance(known, str):
                    refused.append(Refused(place, known))
                elif kind in named.setdefault(known[0], {}):
                    refused.append(Refused(place, "repeated_name", f"as {named[known[0]][kind][0].name}"))
                else:
                    named[known[0]][kind] = (path, *known[1:])
        for id_, sides in named.items():
            if len(sides) == len(KINDS):
                image, number, label = sides["image"]
                regions.append(Region(id_, f"{part} {number}", label, image, sides["visit"][0]))
            else:
                (path, _, _), other = next(iter(sides.values())), "visit" if "image" in sides else "image"
                refused.append(Refused(str(path.relative_to(folder)), "no_partner", f"no {other} file of that name"))
    return Found(sorted(regions, key=lambda region: region.id), refused, files)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without what desktops leave behind."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if _is_ignored(path):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _is_ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _IGNORED


def _identify(path: Path, part: str, kind: str) -> tuple[str, str, int] | str:
    """Return id, number and label of a file, or the reason to refuse it."""
    if path.suffix.lower() not in ENDINGS[kind]:
        return "unknown_file"
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return "bad_name"
    number, code = match["region"], match["code"]
    if part == "test":
        return (path.stem, number, -1) if len(path.stem) <= _LONGEST_ID else "bad_name"
    folder = path.parent.name if path.parent.name in _LABELS else None
    if code and folder and code != folder:
        return "class_conflict"
    code = code or folder
    id_ = f"{number}_{code}"
    return (id_, number, _LABELS[code]) if code in _LABELS and len(id_) <= _LONGEST_ID else "bad_name"
