"""What the frozen configurations check of their options, in one line of words. No torch here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fusion.errors import ConfigError


def known_options(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a dict; ConfigError for one that the dataclass `cls` does not have."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{cls.__name__} is {values!r}: give a table of its options")
    names = [field.name for field in fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {', '.join(map(repr, unknown))}: it has {', '.join(names)}")
    return dict(values)


def check_positive(config: object, name: str) -> None:
    """Raise ConfigError unless an option is a number above 0, whole where its type says so."""
    value = getattr(config, name)
    annotation = next(field.type for field in fields(config) if field.name == name)  # type: ignore[arg-type]
    whole = "float" not in str(annotation)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
        raise ConfigError(
            f"{type(config).__name__}.{name} is {value!r}: give a {'whole ' if whole else ''}number above 0"
        )


def check_share(config: object, *names: str) -> None:
    """Raise ConfigError unless options are numbers from 0 to below 1."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: give a number from 0 to below 1")


def check_choice(config: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless an option is one of the choices."""
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: use one of {', '.join(choices)}")
