"""Messages: one printable line, whatever a damaged file put into them."""

import pickle

from fusion.errors import CityError, InputError, one_line


def test_a_message_is_one_printable_line():
    assert (
        str(InputError("a.csv: it has \x19\u4eba\ue191,\nnext\u3000row"))
        == "a.csv: it has \\x19\u4eba\\ue191, next row"
    )


def test_a_long_word_is_cut_and_the_advice_stays():
    line = str(InputError(f"a.csv: it has {'x' * 70_000}; name one with --time"))
    assert line == f"a.csv: it has {'x' * 117}... name one with --time"


def test_many_words_are_cut_in_the_middle():
    line = one_line(f"a.csv: it has {', '.join(['column'] * 5000)}; name one with --time")
    assert len(line) < 2010
    assert line.startswith("a.csv: it has column")
    assert line.endswith("; name one with --time")


def test_an_error_survives_a_trip_between_processes():
    assert str(pickle.loads(pickle.dumps(CityError("city a is locked")))) == "city a is locked"
