"""Visit files scanned by compiled code, one pass over the bytes without the interpreter's lock; needs numba.

Where numba is not installed, importing this module fails.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fusion.extract.urfc_grammar import (
    BAD_DATE,
    BAD_HOUR,
    BLANK_LINE,
    DAYS,
    ENTRIES_READ,
    ENTRIES_TAKEN,
    HOURS,
    LINES_READ,
    NO_ENTRY,
    NO_TAB,
    NO_USER,
    OUTSIDE_DATES,
    REPEATED,
    TALLY,
    Visits,
    day_of,
)

_LF, _CR, _TAB, _AMP, _COMMA, _BAR = (ord(sign) for sign in "\n\r\t&,|")
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_LFS, _TABS, _ZEROS = _ONES * np.uint64(_LF), _ONES * np.uint64(_TAB), _ONES * np.uint64(ord("0"))
_SIXES, _NIBBLES = _ONES * np.uint64(6), _ONES * np.uint64(0xF0)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _tables() -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Day of (month from October 2018) x 32 + day of the month, and hour of two bytes, -1 for none."""
    days, hours = np.full(6 * 32, -1, dtype=np.int16), np.full(1 << 16, -1, dtype=np.int8)
    for month in range(6):
        year, number = divmod(2018 * 12 + 9 + month, 12)
        for day in range(1, 32):
            days[month * 32 + day] = max(day_of(f"{year}{number + 1:02d}{day:02d}".encode()), -1)
    for hour in range(HOURS):
        hours[ord(f"{hour:02d}"[0]) | ord(f"{hour:02d}"[1]) << 8] = hour
    return days, hours


_DAYS, _HOURS = _tables()


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), context.get_value_type(kind).as_pointer())


# numba's own indexing minds negative places, and its views of eight bytes cost 20 times as much as a load.
@intrinsic
def _word(typingctx: Any, array: Any, at: Any) -> Any:
    """Load eight bytes of a uint8 array from any place, the first one lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature, arguments, types.uint64), align=1)

    return types.uint64(array, types.int64), generate


@intrinsic
def _byte(typingctx: Any, array: Any, at: Any) -> Any:
    """Load one byte of a uint8 array as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = builder.load(_place(context, builder, signature, arguments, types.uint8))
        return builder.zext(byte, context.get_value_type(types.int64))

    return types.int64(array, types.int64), generate


@njit(nogil=True, cache=True)
def _calendar(buffer: NDArray[np.uint8], start: int, end: int) -> int:
    """Say why the text from start to end names no day of the table: not a date, or one outside."""
    if end - start != 8:
        return BAD_DATE
    for at in range(start, end):
        if _byte(buffer, at) < 48 or _byte(buffer, at) > 57:
            return BAD_DATE
    year = 0
    for at in range(start, start + 4):
        year = year * 10 + _byte(buffer, at) - 48
    month = (_byte(buffer, start + 4) - 48) * 10 + _byte(buffer, start + 5) - 48
    day = (_byte(buffer, start + 6) - 48) * 10 + _byte(buffer, start + 7) - 48
    if year < 1 or month < 1 or month > 12:
        return BAD_DATE
    last = 30 if month in (4, 6, 9, 11) else 31
    if month == 2:
        last = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return OUTSIDE_DATES if 1 <= day <= last else BAD_DATE


@njit(nogil=True, cache=True)
def _day(buffer: NDArray[np.uint8], at: int, days: NDArray[np.int16]) -> int:
    """Return the day that the eight bytes name, -1 if they name none of the table."""
    word = _word(buffer, at)
    if ((word & _NIBBLES) != _ZEROS) or ((((word & ~_NIBBLES) + _SIXES) & _NIBBLES) != 0):
        return -1
    word -= _ZEROS
    # Digits come in reading order from the lowest byte: pairs of digits, then year, month and day.
    pairs = (word * np.uint64(10) + (word >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    year = (pairs & np.uint64(0xFFFF)) * np.uint64(100) + ((pairs >> np.uint64(16)) & np.uint64(0xFFFF))
    month = np.int64(year) * 12 + np.int64((pairs >> np.uint64(32)) & np.uint64(0xFFFF)) - (2018 * 12 + 10)
    day = np.int64(pairs >> np.uint64(48))
    number = np.int64((pairs >> np.uint64(32)) & np.uint64(0xFFFF))
    if month < 0 or month > 5 or day > 31 or number < 1 or number > 12:
        return -1
    return days[month * 32 + day]


@njit(nogil=True, cache=True)
def _ends(buffer: NDArray[np.uint8], at: int) -> bool:
    """Tell whether the line ends here."""
    sign = _byte(buffer, at)
    return sign == _LF or (sign == _CR and _byte(buffer, at + 1) == _LF)


@njit(nogil=True, cache=True)
def _visits(
    buffer: NDArray[np.uint8],
    at: int,
    stamp: int,
    days: NDArray[np.int16],
    hours: NDArray[np.int8],
    stamps: NDArray[np.int64],
    masks: NDArray[np.int64],
    counts: NDArray[np.int32],
    found: NDArray[np.int64],
) -> int:
    """Count what follows the tab of a line; return where the line ends (its newline, or the CR before it).

    `stamps` and `masks` (182,) say which hours the user `stamp` was counted in; `counts` is (182 x 24,);
    `found` (11,) is what this line adds to a tally.
    """
    read, taken = 0, 0
    while True:
        day, end = -1, at + 8
        if _byte(buffer, end) == _AMP:
            day = _day(buffer, at, days)
        if day < 0:
            end, lost = _odd_item(buffer, at, days, found)
            read += lost
        else:
            place = np.uint64(day)
            mask = masks[place] if stamps[place] == stamp else np.int64(0)
            more = True
            while more:  # `end` is the sign before an hour
                word = _word(buffer, end + 1)
                hour = np.int64(hours[np.uint16(word)])
                end += 3
                sign = np.int64((word >> np.uint64(16)) & np.uint64(0xFF))
                read += 1
                more = sign == _BAR
                if hour < 0 or not (more or sign == _COMMA or _ends(buffer, end)):
                    found[BAD_HOUR] += 1
                    end -= 2
                    while not (_byte(buffer, end) == _BAR or _byte(buffer, end) == _COMMA or _ends(buffer, end)):
                        end += 1
                    more = _byte(buffer, end) == _BAR
                elif mask >> hour & 1:
                    found[REPEATED] += 1
                else:
                    mask |= np.int64(1) << hour
                    taken += 1
                    counts[place * np.uint64(HOURS) + np.uint64(hour)] += 1
            stamps[place], masks[place] = stamp, mask
        if _byte(buffer, end) != _COMMA:
            found[ENTRIES_READ] += read
            found[ENTRIES_TAKEN] += taken
            return end
        at = end + 1


@njit(nogil=True, cache=True)
def _odd_item(buffer: NDArray[np.uint8], at: int, days: NDArray[np.int16], found: NDArray[np.int64]) -> tuple[int, int]:
    """Refuse an item without a date of the table or without hours; return where it ends and how many entries it has."""
    end = at
    while not (_byte(buffer, end) == _AMP or _byte(buffer, end) == _COMMA or _ends(buffer, end)):
        end += 1
    reason, entries = BAD_HOUR, 1
    if end - at != 8 or _day(buffer, at, days) < 0:
        reason = _calendar(buffer, at, end)
    while not (_byte(buffer, end) == _COMMA or _ends(buffer, end)):
        entries += _byte(buffer, end) == _BAR
        end += 1
    found[reason] += entries
    return end, entries


@njit(nogil=True, cache=True)
def _user_end(buffer: NDArray[np.uint8], at: int) -> tuple[int, np.uint64]:
    """Return where the user's hash ends (a tab or the newline), and a hash of it."""
    mixed = np.uint64(0)
    while True:
        word = _word(buffer, at)
        tabs, ends = word ^ _TABS, word ^ _LFS
        hit = (((tabs - _ONES) & ~tabs) | ((ends - _ONES) & ~ends)) & _HIGHS
        if hit:
            low = hit & (~hit + np.uint64(1))  # only the lowest mark is exact, and the first
            step, marks = 0, low >> np.uint64(7)
            while marks > 1:
                marks >>= np.uint64(8)
                step += 1
            last = (mixed ^ (word & ((low >> np.uint64(7)) - np.uint64(1)))) * _MIX
            return at + step, last ^ (last >> np.uint64(29))
        mixed = (mixed ^ word) * _MIX
        mixed ^= mixed >> np.uint64(32)
        at += 8


@njit(nogil=True, inline="always")
def _first_line(
    buffer: NDArray[np.uint8],
    line: int,
    slots: NDArray[np.int64],
    size: int,
    first: int,
    keys: NDArray[np.uint64],
    users: NDArray[np.int64],
    tabs: NDArray[np.int64],
) -> int:
    """Return the first line of the file with the user of `line`, which is entered in the table if it is that one.

    `slots[:size]` is a table with open addressing; a slot below `first` is of an earlier file, and free.
    """
    key, length = keys[line], tabs[line] - users[line]
    slot = np.int64(key) & (size - 1)
    while slots[slot] >= first:
        other = slots[slot] - first
        if keys[other] == key and tabs[other] - users[other] == length:
            step = 0
            while step < length and _byte(buffer, users[other] + step) == _byte(buffer, users[line] + step):
                step += 1
            if step == length:
                return other
        slot = (slot + 1) & (size - 1)
    slots[slot] = first + line
    return line


@njit(nogil=True, cache=True)
def _scan(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    days: NDArray[np.int16],
    hours: NDArray[np.int8],
    counts: NDArray[np.int32],
    tally: NDArray[np.int64],
    rejects: NDArray[np.int64],
) -> int:
    """Scan files that lie one after the other, each followed by a newline that `ends` leaves out.

    Fills counts (F,182,24) and tally (F,11), and rejects (R,4) as far as it reaches; returns how many there are.
    """
    stamps, masks = np.full(DAYS, -1, dtype=np.int64), np.zeros(DAYS, dtype=np.int64)
    found = np.zeros(TALLY, dtype=np.int64)
    lines = np.ones(len(starts), dtype=np.int64)
    for file in range(len(starts)):
        number = 1
        for at in range(starts[file], ends[file]):
            number += _byte(buffer, at) == _LF
        lines[file] = number
    most = lines.max()
    keys, users, tabs = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.int64)
    owner = np.empty(most, np.int64)
    slots = np.full(4 * most, -1, dtype=np.int64)
    refused, first, stamp = 0, 0, 0
    for file in range(len(starts)):
        size = 2
        while size < 2 * lines[file]:
            size *= 2
        own, row = counts[file].reshape(DAYS * HOURS), tally[file]
        own[:] = 0
        row[:] = 0
        mark, again = refused, False
        at, end, line = starts[file], ends[file], 0
        while at < end:
            tab, key = _user_end(buffer, at)
            owner[line] = -1
            if _byte(buffer, tab) == _LF or tab == at:
                reason = NO_USER
                if _byte(buffer, tab) == _LF:
                    reason = BLANK_LINE if _ends(buffer, at) else NO_TAB
                row[reason] += 1
                refused = _refuse(rejects, refused, file, line, reason, 1)
                while _byte(buffer, tab) != _LF:
                    tab += 1
                at = tab + 1
            else:
                keys[line], users[line], tabs[line] = key, at, tab
                owner[line] = _first_line(buffer, line, slots, size, first, keys, users, tabs)
                again |= owner[line] != line
                stamp += 1
                at = _visits(buffer, tab + 1, stamp, days, hours, stamps, masks, own, found)
                at += 1 + (_byte(buffer, at) == _CR)
                refused = _settle(row, found, rejects, refused, file, line)
            line += 1
        row[LINES_READ] = line
        first += line
        if again:  # a user on several lines, which is rare: count anew, user by user
            for reason in range(NO_ENTRY, TALLY):
                row[reason] = 0
            own[:] = 0
            kept = mark
            for listed in range(mark, min(refused, len(rejects))):
                if rejects[listed, 2] < NO_ENTRY:
                    rejects[kept] = rejects[listed]
                    kept += 1
            refused = kept + max(0, refused - len(rejects))
            for at in np.argsort(owner[:line], kind="mergesort"):
                if owner[at] >= 0:
                    stamp += at == owner[at]
                    _visits(buffer, tabs[at] + 1, stamp, days, hours, stamps, masks, own, found)
                    refused = _settle(row, found, rejects, refused, file, at)
    return refused


@njit(nogil=True, inline="always")
def _settle(
    tally: NDArray[np.int64], found: NDArray[np.int64], rejects: NDArray[np.int64], refused: int, file: int, line: int
) -> int:
    """Move what one line found into its file's tally and list what was refused of it."""
    read, taken = found[ENTRIES_READ], found[ENTRIES_TAKEN]
    tally[ENTRIES_READ] += read
    tally[ENTRIES_TAKEN] += taken
    found[ENTRIES_READ] = found[ENTRIES_TAKEN] = 0
    if read == taken:
        return refused
    if taken + found[REPEATED] == 0:
        tally[NO_ENTRY] += 1
        refused = _refuse(rejects, refused, file, line, NO_ENTRY, 1)
    for reason in range(BAD_DATE, TALLY):
        if found[reason]:
            tally[reason] += found[reason]
            refused = _refuse(rejects, refused, file, line, reason, found[reason])
            found[reason] = 0
    return refused


@njit(nogil=True, cache=True)
def _refuse(rejects: NDArray[np.int64], refused: int, file: int, line: int, reason: int, number: int) -> int:
    if refused < len(rejects):
        rejects[refused, 0], rejects[refused, 1] = file, line + 1
        rejects[refused, 2], rejects[refused, 3] = reason, number
    return refused + 1


def scan_buffer(buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Visits:
    """Scan files that lie in one buffer.

    Args:
        buffer: uint8; each file from start to end is followed by a newline, the last one by 16 more bytes.
        starts, ends: (F,) where the files lie, without a byte order mark.
    """
    counts = np.empty((len(starts), DAYS, HOURS), dtype=np.int32)
    tally = np.empty((len(starts), TALLY), dtype=np.int64)
    rejects = np.empty((1024, 4), dtype=np.int64)
    number = _scan(buffer, starts, ends, _DAYS, _HOURS, counts, tally, rejects)
    if number > len(rejects):  # more than there was room for, or a little fewer: those of users on several lines
        rejects = np.empty((number, 4), dtype=np.int64)
        number = _scan(buffer, starts, ends, _DAYS, _HOURS, counts, tally, rejects)
    rejects = rejects[:number]
    return Visits(counts, tally, rejects[np.lexsort(rejects.T[2::-1])])
