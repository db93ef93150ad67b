"""The errors that the library raises on purpose.

Every message is one line: what was found, where, and what to do next. The command line prints it and exits with 2;
a page shows it. Anything else that escapes is a bug.
"""


class FusionError(Exception):
    """Base of every error that a user can mend."""


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
