"""Visit files counted three ways, against a fourth written from the definition: sound ones, damaged ones, any ones."""

import random
from collections import Counter
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from fusion.errors import ConfigError
from fusion.extract import urfc_grammar as grammar
from fusion.extract.urfc_missing import KNOWN, missing_hours
from fusion.extract.urfc_visits import ENGINES, best_engine, scan_visits

FIRST, LAST = date(2018, 10, 1), date(2019, 3, 31)
USER = "a3f0c1d2e4b59687"


def count_by_definition(data: bytes) -> tuple[Counter, Counter, Counter]:
    """Return users seen by (date, hour), tallies by name, and refusals by (line, reason): text and sets only."""
    seen: dict[tuple[str, str], set[str]] = {}
    said: set[tuple[str, str, str]] = set()
    tally: Counter = Counter()
    refused: Counter = Counter()
    text = data.decode("latin-1").removeprefix("\xef\xbb\xbf")
    lines = text.split("\n")[: -1 if text.endswith("\n") or not text else None]
    for number, line in enumerate(lines, 1):
        line = line[:-1] if line.endswith("\r") else line
        tally["lines"] += 1
        if line == "" or "\t" not in line or line.startswith("\t"):
            refused[number, "blank_line" if line == "" else "no_user" if "\t" in line else "no_tab"] += 1
            continue
        user, visits = line.split("\t", 1)
        reasons: Counter = Counter()
        good = 0
        for item in visits.split(","):
            day, hours = item.split("&", 1) if "&" in item else (item, "")
            for hour in hours.split("|"):
                tally["entries"] += 1
                try:
                    if len(day) != 8 or not (day.isascii() and day.isdigit()):
                        raise ValueError(day)
                    inside = FIRST <= datetime.strptime(day, "%Y%m%d").date() <= LAST
                except ValueError:
                    reasons["bad_date"] += 1
                    continue
                if not inside:
                    reasons["outside_dates"] += 1
                elif len(hour) != 2 or not (hour.isascii() and hour.isdigit()) or int(hour) > 23:
                    reasons["bad_hour"] += 1
                else:
                    good += 1
                    reasons["repeated"] += (user, day, hour) in said
                    said.add((user, day, hour))
                    seen.setdefault((day, hour), set()).add(user)
        if not good:
            refused[number, "no_entry"] += 1
        refused.update({(number, reason): count for reason, count in reasons.items() if count})
    return Counter({key: len(users) for key, users in seen.items()}), tally, refused


def assert_counted(files: list[bytes], engine: str) -> None:
    visits = scan_visits(files, engine)
    for file, data in enumerate(files):
        seen, tally, refused = count_by_definition(data)
        expected = np.zeros((182, 24), dtype=int)
        for (day, hour), number in seen.items():
            expected[(datetime.strptime(day, "%Y%m%d").date() - FIRST).days, int(hour)] = number
        np.testing.assert_array_equal(visits.counts[file], expected)
        own = visits.tally[file]
        assert own[grammar.LINES_READ] == tally["lines"]
        assert own[grammar.ENTRIES_READ] == tally["entries"]
        assert own[grammar.ENTRIES_TAKEN] == expected.sum()
        listed = visits.rejects[visits.rejects[:, 0] == file]
        assert Counter({(row[1], grammar.REASON_OF[row[2]]): row[3] for row in listed.tolist()}) == refused
        for index, reason in grammar.REASON_OF.items():
            assert own[index] == sum(number for (_, why), number in refused.items() if why == reason), reason


DAMAGE = {
    "sound": f"{USER}\t20181221&09|10|11,20181222&10|11\nb\t20181221&10\n",
    "no final newline": f"{USER}\t20181221&09",
    "CRLF": f"{USER}\t20181221&09|10\r\nb\t20190331&23\r\n",
    "two CR": f"{USER}\t20181221&09|10\r\r\n",
    "CR inside": f"{USER}\t20181221&09\r,20181222&10\n",
    "BOM": f"\ufeff{USER}\t20181221&09\n",
    "empty file": "",
    "empty lines": "\n\r\n\nb\t20181221&10\n\n",
    "no tab": f"{USER} 20181221&09\nb\t20181221&10\n",
    "no user": "\t20181221&09\nb\t20181221&10\n",
    "two tabs": f"{USER}\tx\t20181221&09\n{USER}\t20181221&09\t20181222&09\n",
    "nothing behind the tab": f"{USER}\t\nb\t20181221&10\n",
    "no such date": f"{USER}\t20181131&09|10,20190229&09,2018122a&09,20181301&01,20180001&01,00001221&09,20181200&01\n",
    "dates outside": f"{USER}\t20180930&09,20190401&09|10,20200229&09,99991231&01,20181001&00,20190331&23\n",
    "torn dates": f"{USER}\t2018122&09,020181221&09,&09,20181221\nb\t2018|1221&09,20181221,20181221&\n",
    "hours": f"{USER}\t20181221&24|9|009|-1|23|00|\u0661\u0662|x1|1x|,20181222&09&10\n",
    "commas": f"{USER}\t,20181221&09,,20181222&10,\n",
    "repeated hour": f"{USER}\t20181221&09|09|10|09\n",
    "repeated date": f"{USER}\t20181221&09,20181222&10,20181221&09|11\n",
    "repeated user": f"{USER}\t20181221&09|10\nb\t20181221&09\n{USER}\t20181221&10|11,20181222&00\n{USER}\tx\n",
    "unordered": f"{USER}\t20190101&23|01,20181221&09\n",
    "almost the same users": "".join(f"{user}\t20181221&09\n" for user in (USER, USER[:-1], USER + "x", USER + "\x00")),
    "other letters": "用户甲\t20181221&09\n用户乙\t20181221&09|10\n用户甲\t20181221&10\n",
    "signs in users": "a&09|10,b\t20181221&09\n|09|\t20181221&10\n",
    "long users": f"{USER * 9}\t20181221&09\n{USER * 9}\t20181221&09|10\n",
    "bytes that are no text": b"\xff\xfe\x00\t20181221&09\n\x80\t20181221&0\xb9\n",
}  # fmt: skip
FILES = {name: text if isinstance(text, bytes) else text.encode() for name, text in DAMAGE.items()}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each way of counting that works here."""
    if request.param == "numba" and best_engine() != "numba":
        pytest.skip("numba is not installed")
    return str(request.param)


@pytest.mark.parametrize("name", FILES)
def test_damaged_lines_count_as_defined(name: str, engine: str) -> None:
    assert_counted([FILES[name]], engine)


def test_files_of_a_batch_do_not_touch_each_other(engine: str) -> None:
    assert_counted(list(FILES.values()), engine)


def test_any_damage_counts_as_defined(engine: str) -> None:
    rng = random.Random(7)
    dates = [(FIRST + timedelta(days=day)).strftime("%Y%m%d") for day in range(182)]

    def file() -> bytes:
        lines = []
        for _ in range(rng.randrange(12)):
            chosen = sorted(rng.sample(dates, rng.randrange(1, 5)))
            items = [
                f"{day}&{'|'.join(f'{rng.randrange(24):02d}' for _ in range(rng.randrange(1, 4)))}" for day in chosen
            ]
            lines.append(f"{rng.randrange(30):08x}\t{','.join(items)}\n")
        data = bytearray("".join(lines).encode())
        for _ in range(rng.choice([0, 0, 1, 4, 20]) if data else 0):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[at : at + rng.randrange(2)] = bytes([rng.choice(b"\n\r\t&,|019a \xff")])
            else:
                del data[at : at + rng.randrange(1, 9)]
                data = data or bytearray(b"x")
        return bytes(data)

    for _ in range(40):
        assert_counted([file() for _ in range(10)], engine)


def test_counts_go_by_monday_weeks() -> None:
    counts = scan_visits([b"u\t20181001&05,20181007&06,20181008&07,20190331&23\n"], "numpy").counts
    grid = counts[0].reshape(26, 7, 24)
    assert [tuple(map(int, at)) for at in np.argwhere(grid)] == [(0, 0, 5), (0, 6, 6), (1, 0, 7), (25, 6, 23)]


def test_more_refusals_than_expected_are_all_listed(engine: str) -> None:
    visits = scan_visits([b"\n" * 3000, b"u\t20181221&09\nu\t20181332&09\n"], engine)
    assert len(visits.rejects) == 3002
    assert visits.tally[0, grammar.BLANK_LINE] == 3000


def test_no_files_are_no_counts(engine: str) -> None:
    assert scan_visits([], engine).counts.shape == (0, 182, 24)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="numba, numpy, python"):
        scan_visits([b""], "cython")


def test_dates_without_later_hours_are_missing_by_rule() -> None:
    totals = np.full((182, 24), 30)
    totals[10, 1:] = 0  # not of the known ones
    totals[20] = 0
    found = missing_hours(totals, 40_000)
    assert found.dates == ("2018-10-11", "2018-10-21")
    assert found.state[10].tolist() == [0] + [2] * 23
    assert (found.state[20] == 2).all()
    assert found.state.sum() == 2 * (23 + 24)
    assert "2018-10-31" in found.warnings[0]  # known to lack them, but here it does not


def test_few_visits_prove_nothing_but_what_is_known() -> None:
    totals = np.zeros((182, 24), dtype=int)
    totals[::2, 9] = 1
    found = missing_hours(totals, 3)
    assert set(found.dates) <= set(KNOWN)
    assert found.state[1].sum() == 0
    assert "too few" in found.warnings[0]
