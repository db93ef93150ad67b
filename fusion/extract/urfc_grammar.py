"""What a URFC visit file may say: the calendar, the reasons of refusal, and the plain reading of one file.

A line is a user: `userhash<TAB>20181221&09|10|11,20181222&10|11`, date & hours, `|` between hours, `,` between dates
(facts §2). An *entry* is one hour of one date. What is counted is the number of users seen in an hour: a user who
names an hour twice, in one line or in several of the same hash, is counted once.

This reading, line by line, says what the faster ones must return: `urfc_numba` and `urfc_numpy` give the same numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

FIRST_DATE = date(2018, 10, 1)  # a Monday
WEEKS, WEEKDAYS, HOURS = 26, 7, 24
DAYS = WEEKS * WEEKDAYS  # 182: to 31 March 2019

# A tally is (11,) int64: lines read, lines refused by reason, entries read, taken and refused by reason.
LINE_REASONS = ("blank_line", "no_tab", "no_user", "no_entry")
ENTRY_REASONS = ("bad_date", "outside_dates", "bad_hour", "repeated")
LINES_READ, BLANK_LINE, NO_TAB, NO_USER, NO_ENTRY = range(5)
ENTRIES_READ, ENTRIES_TAKEN, BAD_DATE, OUTSIDE_DATES, BAD_HOUR, REPEATED = range(5, 11)
TALLY = 11
REASON_OF = {
    **dict(zip((BLANK_LINE, NO_TAB, NO_USER, NO_ENTRY), LINE_REASONS, strict=True)),
    **dict(zip((BAD_DATE, OUTSIDE_DATES, BAD_HOUR, REPEATED), ENTRY_REASONS, strict=True)),
}
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Visits:
    """What F visit files say.

    counts: (F,182,24) int32, users seen in each hour of each date.
    tally: (F,11) int64, see `TALLY`; entries taken = the sum of the file's counts.
    rejects: (R,4) int64: file, line from 1, index of the reason in a tally, how many entries (1 for a line); sorted.
    """

    counts: NDArray[np.int32]
    tally: NDArray[np.int64]
    rejects: NDArray[np.int64]


def day_of(text: bytes) -> int:
    """Return the day from 0 to 181 that eight digits name, or minus the index of the reason why there is none."""
    if len(text) != 8 or any(digit not in b"0123456789" for digit in text):
        return -BAD_DATE
    try:
        day = (date(int(text[:4]), int(text[4:6]), int(text[6:])) - FIRST_DATE).days
    except ValueError:
        return -BAD_DATE
    return day if 0 <= day < DAYS else -OUTSIDE_DATES


HOUR_OF = {f"{hour:02d}".encode(): hour for hour in range(HOURS)}


def read_lines(data: bytes) -> Visits:
    """Read one file line by line."""
    counts = np.zeros((1, DAYS, HOURS), dtype=np.int32)
    tally = np.zeros((1, TALLY), dtype=np.int64)
    rejects: list[tuple[int, int, int, int]] = []
    seen: dict[bytes, set[tuple[int, int]]] = {}
    for number, line in enumerate(_lines(data), start=1):
        refused = _read_line(line, seen, counts[0], tally[0])
        rejects += [(0, number, reason, refused[reason]) for reason in sorted(refused)]
    return Visits(counts, tally, np.array(rejects, dtype=np.int64).reshape(-1, 4))


def _lines(data: bytes) -> Iterator[bytes]:
    lines = data.removeprefix(BOM).split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return (line.removesuffix(b"\r") for line in lines)


def _read_line(
    line: bytes, seen: dict[bytes, set[tuple[int, int]]], counts: NDArray[np.int32], tally: NDArray[np.int64]
) -> dict[int, int]:
    """Count one line; return how many entries were refused by reason, or the one reason of the line."""
    tally[LINES_READ] += 1
    user, tab, visits = line.partition(b"\t")
    if not line or not tab or not user:
        reason = BLANK_LINE if not line else NO_USER if tab else NO_TAB
        tally[reason] += 1
        return {reason: 1}
    own = seen.setdefault(user, set())
    refused: dict[int, int] = {}
    read = 0
    for item in visits.split(b","):
        date_text, _, hours = item.partition(b"&")
        day = day_of(date_text)
        for text in hours.split(b"|"):
            read += 1
            hour = HOUR_OF.get(text)
            reason = -day if day < 0 else BAD_HOUR if hour is None else REPEATED if (day, hour) in own else 0
            if reason or hour is None:
                refused[reason] = refused.get(reason, 0) + 1
            else:
                own.add((day, hour))
                counts[day, hour] += 1
    tally[ENTRIES_READ] += read
    tally[ENTRIES_TAKEN] += read - sum(refused.values())
    for reason, number in refused.items():
        tally[reason] += number
    if read == sum(number for reason, number in refused.items() if reason != REPEATED):
        tally[NO_ENTRY] += 1
        refused[NO_ENTRY] = 1
    return refused
