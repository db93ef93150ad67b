"""中文 and English: one way of translating.

The English text is the key, so that a page reads as it looks: `t("{n} cells", n=5)`. The Chinese texts lie in
`texts/*.toml`, one file a page and `shared.toml`; a text without one stays English, and a test finds it. Lines that the
library wrote, with their values in them already, are said by `pages.ui.sentences`.
"""

from functools import cache
from pathlib import Path

import streamlit as st

from pages.ui import sentences

LANGUAGES = {"zh": "中文", "en": "English"}

LANG = "lang"  # key in the session and in the address bar
_WIDGET = "lang_choice"
_TEXTS = Path(__file__).parent / "texts"


@cache
def catalogue() -> dict[str, str]:
    """Return every English text with its Chinese one."""
    return sentences.read_texts(_TEXTS)


def t(text: str, /, **values: object) -> str:
    """Say `text` in the session's language, then fill `{name}` places with `values`; a % keeps to its number."""
    said = text
    if current() == "zh":
        texts = catalogue()
        said = texts[text] if text in texts else sentences.chinese(text)
    return (said.format(**values) if values else said).replace(" %", "\u00a0%")


def pick(english: str, chinese: str) -> str:
    """Return whichever of two texts that come with the data fits the session's language."""
    return chinese if current() == "zh" else english


def current() -> str:
    """Return `zh` or `en`."""
    return st.session_state.get(LANG, "en")


def choose(asked: str | None) -> None:
    """Settle the session's language: a link's, then the session's, then the browser's."""
    if asked in LANGUAGES:
        st.session_state[LANG] = asked
    elif LANG not in st.session_state:
        locale = (st.context.locale or "en").lower()
        st.session_state[LANG] = "zh" if locale.startswith("zh") else "en"


def switcher() -> None:
    """Show the two languages side by side."""
    st.session_state[_WIDGET] = current()
    st.segmented_control(
        "语言 · Language",
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key=_WIDGET,
        on_change=_switch,
        label_visibility="collapsed",
        required=True,
    )


def _switch() -> None:
    """Take the language chosen; a box shows the words that it was chosen by until its value is set anew."""
    st.session_state[LANG] = st.session_state[_WIDGET]
    for key, value in st.session_state.items():
        if isinstance(value, str):  # which those of buttons, uploads and charts are not: they cannot be set
            st.session_state[key] = value
