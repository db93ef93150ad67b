"""Names as charts have room for them; tables and hovers keep the full ones."""

import textwrap
from collections.abc import Iterable

_SIGNALS = ("trans-blstm-1", "trans-blstm-2", "bilstm", "convlstm", "transformer")
_CHINESE_PER_LINE = 13


def short_names(experiments: Iterable[str], separator: str = "<br>") -> dict[str, str]:
    """Return experiment -> a name on two short lines: its streams, then how they are fused; all different.

    "vit-pretrained+convlstm-bottleneck-mid" becomes "vit-pre+convlstm", "bottleneck-mid".

    Args:
        experiments: full names.
        separator: between the lines.
    """
    full = list(dict.fromkeys(experiments))
    short = {name: _short(name, separator) for name in full}
    taken = list(short.values())
    return {name: text if taken.count(text) == 1 else name for name, text in short.items()}


def wrap_words(text: str, width: int = 30) -> str:
    """Break a sentence into lines of at most so many letters (13 where it is Chinese), joined by <br>."""
    if text.isascii():
        return "<br>".join(textwrap.wrap(text, width))
    # Words of Latin letters stay whole: a Chinese sentence may hold model names.
    lines, line = [], ""
    for word in _chinese_words(text):
        if line and _wide(line) + _wide(word) > _CHINESE_PER_LINE and word not in "，。？！、；：":
            lines.append(line.strip())
            line = ""
        line += word
    return "<br>".join([*lines, line.strip()])


def _short(name: str, separator: str) -> str:
    image, plus, rest = name.replace("-pretrained", "-pre").partition("+")
    if not plus:
        return image
    signal = next((one for one in _SIGNALS if rest.startswith(f"{one}-")), None)
    if signal is None:
        return f"{image}+{rest}"
    return f"{image}+{signal}{separator}{rest[len(signal) + 1 :]}"


def _chinese_words(text: str) -> list[str]:
    words: list[str] = []
    for letter in text:
        if words and letter.isascii() and words[-1].isascii():
            words[-1] += letter
        else:
            words.append(letter)
    return words


def _wide(text: str) -> float:
    return sum(0.55 if letter.isascii() else 1.0 for letter in text)
