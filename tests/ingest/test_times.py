"""Texts of time to hours, worked by hand."""

import numpy as np
import pandas as pd
import pytest

from fusion.errors import InputError
from fusion.ingest.times import check_timezone, hours_of, is_date_only, is_hour_of_day, join_date_and_hour

EIGHT_IN_CHINA = "2021-07-24T00:00"


def hour_of(text: str, timezone: str) -> tuple[str, str | None]:
    hour_us, reason = hours_of(pd.Series([text], dtype="string"), timezone)
    return str(hour_us[:1].astype("datetime64[us]").astype("datetime64[m]")[0]), reason[0]


@pytest.mark.parametrize(
    "text",
    [
        "2021-07-24 08:00:00",
        "2021-07-24T08:59",
        " 2021/7/24 8:00 ",
        "2021-07-24 08",
        "2021.07.24 08:00",
        "2021年7月24日8时",
        "2021年07月24日 08:00",
        "2021072408",
        "20210724 08:00",
        "202107240800",
        "20210724083015",
        "2021-07-24 08:30:12.5",
        "2021-07-24T00:00:00Z",
        "2021-07-24T08:00:00+08:00",
        "2021-07-23 19:30-0430",
        "1627084800",
        "1627084800.0",
        "1627084800000",
        "1627084800000000",
    ],
)
def test_every_spelling_of_eight_in_the_morning(text):
    assert hour_of(text, "Asia/Shanghai") == (EIGHT_IN_CHINA, None)


@pytest.mark.parametrize(
    "text",
    [
        "2021-07-24",
        "08:00",
        "noon",
        "",
        "2021-02-30 08:00",
        "2021-07-24 24:00",
        "12",
        "0008-01-01 08:00",
        "99999999999999",
    ],
)
def test_what_is_no_time(text):
    assert hour_of(text, "Asia/Shanghai")[1] == "bad_time"


def test_a_missing_text_is_no_time():
    assert hours_of(pd.Series([None, "2021072408"], dtype="string"), "UTC")[1].tolist() == ["bad_time", None]


def test_hours_that_clocks_skip_or_repeat():
    """Rome 2021: 28 March 02:00 to 03:00 does not exist, 31 October 02:00 to 03:00 comes twice."""
    assert hour_of("2021-03-28 02:30", "Europe/Rome")[1] == "nonexistent_time"
    assert hour_of("2021-10-31 02:30", "Europe/Rome")[1] == "ambiguous_time"
    assert hour_of("2021-10-31 02:30+01:00", "Europe/Rome") == ("2021-10-31T01:00", None)
    assert hour_of("2021-03-28 03:30", "Europe/Rome") == ("2021-03-28T01:00", None)


def test_the_local_hour_counts_where_zones_have_halves():
    assert hour_of("2021-07-24 08:45", "Asia/Kolkata") == ("2021-07-24T02:30", None)
    assert hour_of("2021-07-24T03:15:00Z", "Asia/Kolkata") == ("2021-07-24T02:30", None)


def test_hours_keep_the_order_of_the_texts():
    hour_us, _ = hours_of(pd.Series(["2021072410", "2021-07-24 08:00", "1627088400"], dtype="string"), "Asia/Shanghai")
    assert (hour_us.astype("datetime64[us]").astype("datetime64[h]").astype(int) % 24).tolist() == [2, 0, 1]
    assert hour_us.dtype == np.int64


def test_date_and_hour_apart():
    dates = pd.Series(["2021-07-24", "20210724", "2021-07-24 00:00:00", "2021/7/24"], dtype="string")
    hours = pd.Series(["8", "08:00", "8时", "08:00-09:00"], dtype="string")
    hour_us, reason = hours_of(join_date_and_hour(dates, hours), "Asia/Shanghai")
    assert set(reason) == {None}
    assert set(hour_us.astype("datetime64[us]").astype("datetime64[m]").astype(str)) == {EIGHT_IN_CHINA}


def test_kinds_of_columns():
    assert is_hour_of_day(pd.Series(["0", "23", "08:00"]))
    assert not is_hour_of_day(pd.Series(["2021072408"]))
    assert is_date_only(pd.Series(["2021-07-24", "20210724"]))
    assert not is_date_only(pd.Series(["2021-07-24 08:00"]))


def test_unknown_timezone_names_a_close_one():
    assert check_timezone("Asia/Shanghai") == "Asia/Shanghai"
    with pytest.raises(InputError, match="unknown timezone 'Asia/Shangai': use an IANA name such as Asia/Shanghai"):
        check_timezone("Asia/Shangai")
