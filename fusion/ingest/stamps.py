"""The date and hour in a file's name, for exports of a file an hour or a day that have no time inside."""

import calendar
import re

_CLOCK = r"(?:[-_T\s./]*(?P<hour>[01]\d|2[0-3])(?:[-_:点时hH]?(?P<minute>[0-5]\d)(?:[-_:分]?[0-5]\d)?)?[点时hH]?)?"
_PADDED = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d{2})[-_./年]?(?P<month>0[1-9]|1[0-2])[-_./月]?(?P<day>0[1-9]|[12]\d|3[01])日?"
    + _CLOCK
    + r"(?!\d)"
)
_SPACED = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d{2})[-_.年](?P<month>1[0-2]|0?[1-9])[-_.月](?P<day>3[01]|[12]\d|0?[1-9])日?"
    r"(?:(?:[-_T\s./]|(?<=日))(?P<hour>2[0-3]|[01]?\d)(?P<minute>(?!))?[点时hH]?)?(?!\d)"
)


def find_stamp(label: str) -> str | None:
    """Read the date, and the hour if there is one, of a file's name.

    Args:
        label: the name, with the folders that it lies in, without its ending: `20210724/08`, `uv_2021072408`. Folders
            count only where the name itself has no date.

    Returns:
        `2021-07-24 08:00`, `2021-07-24`, or None: no date, or several that differ.
    """
    parts = label.split("/")
    for start in range(len(parts) - 1, -1, -1):
        tail = "/".join(parts[start:])
        for pattern in (_PADDED, _SPACED):
            found = {_spell(match) for match in pattern.finditer(tail) if _is_day(match)}
            if found:
                return _the_longer(found)
    return None


def _is_day(match: re.Match[str]) -> bool:
    return int(match["day"]) <= calendar.monthrange(int(match["year"]), int(match["month"]))[1]


def _spell(match: re.Match[str]) -> str:
    day = f"{match['year']}-{int(match['month']):02d}-{int(match['day']):02d}"
    return day if match["hour"] is None else f"{day} {int(match['hour']):02d}:{match['minute'] or '00'}"


def _the_longer(stamps: set[str]) -> str | None:
    """`20210724_2021072408` names a day and an hour of it; other pairs contradict each other."""
    longest = max(stamps, key=len)
    return longest if all(longest.startswith(stamp) for stamp in stamps) else None
