"""The errors that the library raises on purpose.

Every message is one line: what was found, where, and what to do next. The command line prints it and exits with 2;
a page shows it. Anything else that escapes is a bug.
"""

_LONGEST_WORD, _LONGEST_LINE = 120, 2000


class FusionError(Exception):
    """Base of every error that a user can mend.

    The message may quote what a damaged file holds: it is made one printable line of readable length here, once.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class InputError(FusionError):
    """A file, a row or an argument that cannot be used."""


class CityError(FusionError):
    """A city that is absent, incomplete or does not fit what is asked of it."""


class CityLockedError(CityError):
    """A second writer on one city."""


class SampleError(FusionError):
    """A SampleSet that is torn, foreign or too small for what is asked of it."""


class ConfigError(FusionError):
    """An experiment, option or device that does not exist or is out of range."""


class RunError(FusionError):
    """A run or a checkpoint that is absent, torn or of another model."""


class RunBusyError(RunError):
    """A run that another process is training at this moment."""


def one_line(text: str) -> str:
    """Return a text without line breaks or marks that do not print, its words and itself cut to a readable length."""
    printable = "".join(mark if mark.isprintable() else " " if mark.isspace() else ascii(mark)[1:-1] for mark in text)
    words = (word if len(word) <= _LONGEST_WORD else f"{word[: _LONGEST_WORD - 3]}..." for word in printable.split(" "))
    line = " ".join(words)
    if len(line) <= _LONGEST_LINE:
        return line
    # What to do next stands at the end.
    return f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 3 :]}"
