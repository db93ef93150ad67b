"""Visit files scanned with numpy: what is without fault all at once, every other file line by line.

A file is without fault if each line is a user, a tab and items, each item eight digits of a date, `&` and hours of two
digits, and no user says anything twice. Every check is local (a sign and its neighbours), so that one bad file leaves
the others of the batch alone.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fusion.extract.urfc_grammar import (
    DAYS,
    ENTRIES_READ,
    ENTRIES_TAKEN,
    HOURS,
    LINES_READ,
    TALLY,
    Visits,
    day_of,
    read_lines,
)

_LF, _TAB, _AMP, _COMMA, _BAR = (ord(sign) for sign in "\n\t&,|")
_CELLS = DAYS * HOURS
_LONGEST_USER = 64  # bytes; a file with longer ones is read line by line
_ONES = np.uint64(0x0101010101010101)
_ZEROS, _SIXES, _NIBBLES = _ONES * np.uint64(ord("0")), _ONES * np.uint64(6), _ONES * np.uint64(0xF0)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _tables() -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Day of the eight digits less 20180000, and hour of two bytes (the first one times 256), -1 for none."""
    days, hours = np.full(20000, -1, dtype=np.int16), np.full(1 << 16, -1, dtype=np.int8)
    for number in range(20181001, 20190332):
        days[number - 20180000] = max(day_of(str(number).encode()), -1)
    for hour in range(HOURS):
        tens, ones = f"{hour:02d}".encode()
        hours[tens << 8 | ones] = hour
    return days, hours


_DAYS, _HOURS = _tables()


def scan_buffer(buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Visits:
    """As `fusion.extract.urfc_numba.scan_buffer`, with the same answer."""
    files = len(starts)
    whole = np.ones(files, dtype=bool)
    # Windows around signs may reach over either end of the buffer: zeros there, which fail every check.
    padded = np.concatenate([np.zeros(16, np.uint8), buffer[: ends[-1] + 1], np.zeros(16, np.uint8)])
    starts, ends = starts + 16, ends + 16
    counts, lines = _count(padded, starts, ends, whole)
    tally = np.zeros((files, TALLY), dtype=np.int64)
    tally[:, LINES_READ] = lines
    tally[:, ENTRIES_READ] = tally[:, ENTRIES_TAKEN] = counts.sum(axis=(1, 2))
    rejects = []
    for file in np.flatnonzero(~whole):
        plain = read_lines(padded[starts[file] : ends[file]].tobytes())
        counts[file], tally[file] = plain.counts[0], plain.tally[0]
        plain.rejects[:, 0] = file
        rejects.append(plain.rejects)
    return Visits(counts, tally, np.concatenate([np.empty((0, 4), np.int64), *rejects]))


def _count(
    b: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], whole: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Count the files; clear `whole` where the figures of a file cannot be relied on."""

    def fail(places: NDArray[np.int64]) -> None:
        whole[np.searchsorted(starts, places, side="right") - 1] = False

    line, of_file = _lines(b, starts, ends)
    before = np.flatnonzero((b == _TAB) | (b == _COMMA))  # the sign before each item
    tab = before[b[before] == _TAB]
    tabs = np.searchsorted(tab, np.append(line, len(b)))
    single = np.diff(tabs) == 1
    own_tab = tab[tabs[:-1].clip(max=max(len(tab) - 1, 0))] if len(tab) else np.full(len(line), -1)
    fail(line[~single | (own_tab <= line)])
    fail(before[b[before + 9] != _AMP])
    sign = np.flatnonzero((b == _AMP) | (b == _BAR))  # the sign before each hour
    first = b[sign] == _AMP
    item = sign[first]  # an item lies around its `&`
    opening = b[item - 9]
    day = _days(b, item)
    fail(item[(day < 0) | ((opening != _TAB) & (opening != _COMMA))])
    hour = _HOURS[(b[sign + 1].astype(np.uint16) << 8) | b[sign + 2]]
    after = b[sign + 3]
    fail(sign[(hour < 0) | ((after != _BAR) & (after != _COMMA) & (after != _LF))])
    file = _owners(item, starts)
    of_item = np.cumsum(first) - 1
    if not whole.all():
        # The figures of a bad file are thrown away, but its signs must not count elsewhere: those before its first `&`.
        right = (of_item >= 0) & (hour >= 0)
        right &= (day[of_item] >= 0) & (sign < ends[file][of_item]) if len(item) else False
        hour, of_item, sign = hour[right], of_item[right], sign[right]
    counts = np.bincount((file * _CELLS + day * HOURS)[of_item] + hour, minlength=len(starts) * _CELLS)
    own = (_owners(item, line) * _CELLS + day * HOURS)[of_item] + hour
    if not (own[1:] > own[:-1]).all():  # what comes in order has no repetition
        order = np.argsort(own, kind="stable")
        fail(sign[order[1:][np.diff(own[order]) == 0]])
    fail(line[_repeated_users(b, line, own_tab, of_file, whole)])
    shaped = counts.reshape(len(starts), DAYS, HOURS).astype(np.int32)
    return shaped, np.bincount(of_file, minlength=len(starts))


def _owners(places: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of the stretches that begin at `begins` each place lies in; both ascend."""
    ends = np.searchsorted(places, begins[1:])
    return np.repeat(np.arange(len(begins)), np.diff(ends, prepend=0, append=len(places)))


def _lines(
    b: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each line begins, and its file."""
    newline = np.flatnonzero(b == _LF)
    begins = np.unique(np.concatenate([starts, newline + 1]))
    begins = begins[begins >= starts[0]]
    of_file = _owners(begins, starts)
    kept = begins < ends[of_file]
    return begins[kept], of_file[kept]


def _days(b: NDArray[np.uint8], item: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the day of the eight digits before each `&`, -1 for none."""
    word = sliding_window_view(b, 8)[item - 8].view("<u8").ravel()
    digits = ((word & _NIBBLES) == _ZEROS) & ((((word & ~_NIBBLES) + _SIXES) & _NIBBLES) == 0)
    word = word - _ZEROS
    pairs = (word * np.uint64(10) + (word >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    fours = pairs * np.uint64(100) + (pairs >> np.uint64(16))
    number = ((fours & np.uint64(0xFFFF)) * np.uint64(10000) + (fours >> np.uint64(32) & np.uint64(0xFFFF))).view(
        np.int64
    )
    number -= 20180000
    fits = digits & (number >= 0) & (number < len(_DAYS))
    return np.where(fits, _DAYS[np.where(fits, number, 0)], -1).astype(np.int64)


def _repeated_users(
    b: NDArray[np.uint8],
    line: NDArray[np.int64],
    tab: NDArray[np.int64],
    of_file: NDArray[np.int64],
    whole: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return lines of files whose users may repeat: two of one hash, or users too long to tell."""
    length = tab - line
    suspect: list[NDArray[Any]] = [np.flatnonzero(whole[of_file] & (length > _LONGEST_USER))]
    for size in np.unique(length[whole[of_file] & (length > 0) & (length <= _LONGEST_USER)]):
        rows = np.flatnonzero(whole[of_file] & (length == size))
        words = np.zeros((len(rows), -(-int(size) // 8) * 8), dtype=np.uint8)
        words[:, :size] = sliding_window_view(b, int(size))[line[rows]]
        mixed = of_file[rows].astype(np.uint64)
        for column in words.view(np.uint64).T:
            mixed = (mixed ^ column) * _MIX
            mixed ^= mixed >> np.uint64(32)
        order = np.argsort(mixed, kind="stable")
        suspect.append(rows[order[1:][mixed[order][1:] == mixed[order][:-1]]])
    return np.concatenate(suspect)
