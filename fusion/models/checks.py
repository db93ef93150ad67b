"""What the frozen configurations check of their options, in one line of words. No torch here."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from fusion.errors import ConfigError

_WORDS = {
    bool: "true or false", int: "a whole number", float: "a finite number", str: "a text", type(None): "null",
}  # fmt: skip


def known_options(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a dict; ConfigError for one that the dataclass `cls` does not have."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{cls.__name__} is {values!r}: give a table of its options")
    names = [field.name for field in fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {', '.join(map(repr, unknown))}: it has {', '.join(names)}")
    return dict(values)


def check_kinds(config: object, label: str | None = None) -> None:
    """Raise ConfigError unless every option is of the kind that its annotation says, and every float is finite.

    A whole number does for a float, since JSON and people write 4 for 4.0; nothing else stands for another kind: the
    text "False" would count as true, and true as 1.

    Args:
        config: a dataclass of numbers, truth values, texts and other configurations, each maybe None.
        label: what comes before an option's name in the message; the class and a dot by default.
    """
    label = f"{type(config).__name__}." if label is None else label
    hints = get_type_hints(type(config))
    for field in fields(config):  # type: ignore[arg-type]
        value, kinds = getattr(config, field.name), get_args(hints[field.name]) or (hints[field.name],)
        if not any(_fits(value, kind) for kind in kinds):
            wanted = " or ".join(_WORDS.get(kind, f"a {kind.__name__}") for kind in kinds)
            raise ConfigError(f"{label}{field.name} is {value!r}: give {wanted}")


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def check_positive(config: object, *names: str) -> None:
    """Raise ConfigError unless options, numbers by `check_kinds`, are above 0."""
    for name in names:
        value = getattr(config, name)
        if not value > 0:
            whole = "whole " if isinstance(value, int) else ""
            raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: give a {whole}number above 0")


def check_share(config: object, *names: str) -> None:
    """Raise ConfigError unless options, numbers by `check_kinds`, are from 0 to below 1."""
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: give a number from 0 to below 1")


def check_choice(config: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless an option is one of the choices."""
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: use one of {', '.join(choices)}")
