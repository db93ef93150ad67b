"""How the parts of a city were read, as its quality report tells it: no Streamlit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusion.classes import FUNCTIONS
from pages.views.data import datum_name
from pages.views.formats import percent

Say = Callable[..., str]
Rows = list[tuple[str, str]]


def reading_rows(part: str, found: Mapping[str, Any], lang: str, t: Say) -> Rows:
    """Return how a part was read: what, and how; nothing of a part that tells nothing.

    Args:
        part: signaling, imagery or functions.
        found: its part of the report.
        lang: "zh" or "en".
        t: says a text in that language.
    """
    if part == "signaling":
        rows = _signaling(found, t) if "preset" in found else []
    elif part == "imagery":
        rows = _imagery(found, t)
    elif part == "functions":
        rows = _functions(found, lang, t)
    else:
        rows = []
    return [(what, str(how)) for what, how in rows if how not in (None, "")]


def _signaling(found: Mapping[str, Any], t: Say) -> list[tuple[str, Any]]:
    columns = found.get("columns")
    return [
        (t("Preset"), found.get("preset")),
        (t("Files"), _listed(found.get("files"), t)),
        (t("Datum of the file"), datum_name(str(found["datum"])) if found.get("datum") else None),
        (t("Time zone"), found.get("timezone")),
        (t("H3 resolution"), found.get("resolution")),
        (t("Suppressed from 1 to"), found.get("min_count")),
        (t("Columns"), _flat(columns, t) if columns else None),
    ]


def _imagery(found: Mapping[str, Any], t: Say) -> list[tuple[str, Any]]:
    if not found.get("width"):  # the demo city's is drawn, not read
        return [(t("Files"), _listed(found.get("files"), t))]
    width, height, pixel_m = int(found["width"]), int(found["height"]), float(found["pixel_m"])
    across, down = (f"{count * pixel_m / 1000:,.3g}" for count in (width, height))
    limits = found.get("stretched")
    stretch = t("; ").join(f"{low:g} – {high:g}" for low, high in limits) if limits else t("none: 8 bits as they are")
    return [
        (t("Files"), _listed(found.get("files"), t)),
        (t("Reference system"), found.get("crs")),
        (t("Pixel"), f"{pixel_m:.4g} m"),
        (t("Size"), f"{width:,} × {height:,} px, {across} × {down} km"),
        (t("Bands of red, green, blue"), _listed(found.get("bands"), t)),
        (t("Valid pixels"), percent(found["share_valid"])),
        (t("Values stretched to 1 – 255"), stretch),
    ]


def _functions(found: Mapping[str, Any], lang: str, t: Say) -> list[tuple[str, Any]]:
    kinds = {"polygons": t("polygons"), "points": t("points"), "cells": t("cells")}
    names = {function.id: function.zh if lang == "zh" else function.en for function in FUNCTIONS}
    by_class, unmapped = found.get("cells_by_class") or {}, found.get("unmapped") or {}
    return [
        (t("Files"), _listed(found.get("files"), t)),
        (t("Kind"), kinds.get(str(found.get("kind")), found.get("kind"))),
        (t("Column with the class"), found.get("field")),
        (t("Mapping to the nine functions"), found.get("mapping")),
        (t("Datum of the file"), datum_name(str(found["datum"])) if found.get("datum") else None),
        (t("Labelled cells"), f"{found['cells']:,}" if "cells" in found else None),
        (t("By class"), t(", ").join(f"{names.get(id_, id_)} {count:,}" for id_, count in by_class.items())),
        (
            t("Values without a class"),
            t(", ").join(f"{value} {n:,}" for value, n in unmapped.items()),
        ),
    ]


def _listed(items: Sequence[Any] | None, t: Say) -> str:
    return t(", ").join(map(str, items or ()))


def _flat(columns: Any, t: Say) -> str:
    """Spell columns as the report has them: a list, or role -> column(s)."""
    if isinstance(columns, Mapping):
        pairs = []
        for role, names in columns.items():
            spelled = _listed(names, t) if isinstance(names, list | tuple) else _flat(names, t)
            pairs.append(f"{role}: {spelled}")
        return t("; ").join(pairs)
    return _listed(columns, t) if isinstance(columns, list | tuple) else str(columns)
