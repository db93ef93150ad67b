"""Warnings and errors of the library in Chinese.

The library says them in English and knows nothing of pages, so they are told by their words: `texts/library/*.toml`
hold each as a template, with `{name}` where something is filled in, and the Chinese for it.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from fusion.ingest.quality import REASONS

_TEXTS = Path(__file__).parent / "texts" / "library"
_PLACE = re.compile(r"\{(\w+)\}")
_REASONS = dict(REASONS.values())
_COUNTED = re.compile("([0-9]+) ({})(?:, |$)".format("|".join(map(re.escape, sorted(_REASONS, key=len, reverse=True)))))


@dataclass(frozen=True)
class Template:
    """A sentence: how it is found, and how it is said in Chinese."""

    found: re.Pattern[str]
    chinese: str


def read_texts(folder: Path) -> dict[str, str]:
    """Return the English texts of a folder's TOML files with their Chinese ones."""
    texts: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        texts |= tomllib.loads(path.read_text(encoding="utf-8"))
    return texts


@cache
def sentences() -> dict[str, str]:
    """Return every template with its Chinese."""
    return read_texts(_TEXTS)


@lru_cache(maxsize=1024)  # a page says its lines at every rerun, and one that none fits tries every template
def chinese(line: str) -> str:
    """Return a line in Chinese, and what fills it where that is a sentence, too; as it is where none fits."""
    for template in _templates():
        if found := template.found.fullmatch(line):
            # One word is a name of the data.
            values = {name: chinese(value) if " " in value else value for name, value in found.groupdict().items()}
            return template.chinese.format(**values)
    return _counted(line)


def _counted(line: str) -> str:
    """Return a list of rows by reason, such as "3 outside the city, 1 no device id"; anything else as it is."""
    found = list(_COUNTED.finditer(line))
    if "".join(one.group() for one in found) != line:
        return line
    return "、".join(f"{_REASONS[one[2]]} {one[1]} 行" for one in found)


@cache
def _templates() -> tuple[Template, ...]:
    """The templates, those with most words of their own first: `{file}: {reason}` would fit many a sentence."""
    ordered = sorted(sentences().items(), key=lambda pair: -len(_PLACE.sub("", pair[0])))
    return tuple(Template(_pattern(english), said) for english, said in ordered)


def _pattern(english: str) -> re.Pattern[str]:
    parts, end, seen = [], 0, set[str]()
    for place in _PLACE.finditer(english):
        name = place.group(1)
        parts.append(re.escape(english[end : place.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
        seen.add(name)
        end = place.end()
    return re.compile("".join(parts) + re.escape(english[end:]), re.DOTALL)
