"""Words and tables of a city's quality report: no Streamlit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from fusion.city import CityInfo
from fusion.geo.datum import DATUMS
from fusion.ingest.quality import REASONS
from pages.views.formats import percent

Say = Callable[..., str]

_DATUM_NAMES = {"wgs84": "WGS-84", "gcj02": "GCJ-02", "bd09": "BD-09"}


def datum_name(datum: str) -> str:
    """Return how a datum is written."""
    return _DATUM_NAMES.get(datum, datum) if datum in DATUMS else datum


def parts_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the parts of a report that count something: signaling stands at its top, the others under their name."""
    parts: dict[str, Mapping[str, Any]] = {}
    # At the top of URFC's report stand its lines, which its own part counts again.
    if report.get("preset") or (report.get("rows_read") and "urfc" not in report):
        parts["signaling"] = report
    return parts | {name: report[name] for name in ("imagery", "functions", "urfc") if name in report}


def part_names(t: Say) -> dict[str, str]:
    """Return the names of the parts."""
    return {
        "signaling": t("Signaling"),
        "imagery": t("Imagery"),
        "functions": t("Functions"),
        "urfc": t("URFC regions"),
    }


def account_rows(report: Mapping[str, Any], t: Say) -> list[dict[str, Any]]:
    """Return what was read, taken and rejected, a row for each thing that was counted.

    Keys: id, part, unit, read, taken, rejected, adds_up.
    """
    units = {
        "rows": t("rows"),
        "polygons": t("polygons"),
        "points": t("points"),
        "features": t("features"),
        "cells": t("cells"),
        "files": t("files"),
        "images": t("images"),
        "visits": t("visit files"),
        "lines": t("lines"),
        "entries": t("entries"),
        "regions": t("regions"),
    }
    names = part_names(t)
    rows = []
    for name, part in parts_of(report).items():
        for key in part:
            unit = key.removesuffix("_read")
            if not key.endswith("_read") or f"{unit}_taken" not in part:
                continue
            read, taken, rejected = (int(part.get(f"{unit}_{what}") or 0) for what in ("read", "taken", "rejected"))
            rows.append(
                {
                    "id": name,
                    "part": names.get(name, name),
                    "unit": units.get(unit, unit),
                    "read": read,
                    "taken": taken,
                    "rejected": rejected,
                    "adds_up": read == taken + rejected,
                }
            )
    return rows


def reasons(part: Mapping[str, Any], lang: str) -> dict[str, int]:
    """Return what a part rejected by reason, the reasons in words; reasons of several things counted are added up."""
    found: dict[str, int] = {}
    for key, by_reason in part.items():
        if key.endswith("rejected_by_reason"):
            for reason, count in by_reason.items():
                if count:
                    name = reason_name(reason, lang)
                    found[name] = found.get(name, 0) + int(count)
    return found


def reason_name(reason: str, lang: str) -> str:
    """Return a reason in words; an unknown one as it is."""
    english, chinese = REASONS.get(reason, (reason, reason))
    return chinese if lang == "zh" else english


def urfc_lines(part: Mapping[str, Any], t: Say) -> list[str]:
    """Say what a URFC ingest noticed: dates without data, blank images, what is there twice."""
    dates = part.get("missing_dates") or ()
    lines = [
        t(
            "{n:,} regions, {unlabelled:,} of them without a class, in {groups:,} groups that folds keep together.",
            n=part["regions"],
            unlabelled=part["unlabelled"],
            groups=part["groups"],
        ),
        t(
            "{blank:,} images of one colour; {numbers:,} repeated region numbers, {images:,} repeated images, "
            "{visits:,} repeated visit files.",
            blank=part["blank_images"],
            numbers=part["repeated_numbers"],
            images=part["identical_images"],
            visits=part["identical_visits"],
        ),
    ]
    if dates:
        lines.append(t("Dates without hours after 0, taken as missing: {dates}.", dates=t(", ").join(dates)))
    return lines


def state_words(found: Mapping[str, Any], t: Say) -> str:
    """Say how the cell-hours of a measure divide."""
    whole, threshold = max(int(found["cell_hours"]), 1), int(found["min_count"])
    return t(
        "{all:,} cell-hours: {valid} valid ({zero:,} of them a reported zero), {suppressed} suppressed ({rule}), "
        "{missing} missing.",
        all=found["cell_hours"],
        valid=percent(found["valid"] / whole),
        zero=found["zero"],
        suppressed=percent(found["suppressed"] / whole),
        rule=t("sums from 1 to {n}", n=threshold) if threshold else t("nothing is to be suppressed"),
        missing=percent(found["missing"] / whole),
    )


def cell_words(by_cell: Mapping[str, Any], t: Say) -> str:
    """Say how much of its hours a cell reports."""
    quantiles, below = by_cell["quantiles"], by_cell["cells_below"]
    return t(
        "The median cell reports {median} of the hours, the worst twentieth {low} or less. {half:,} cells report fewer "
        "than half of them; {never:,} have no valid hour, {zero:,} are always zero.",
        median=percent(quantiles["0.5"], 0),
        low=percent(quantiles["0.05"], 0),
        half=below["0.5"],
        never=by_cell["never_valid"],
        zero=by_cell["always_zero"],
    )


def repeated_words(duplicates: Mapping[str, Any], t: Say) -> str:
    """Say how rows of one place and time were joined."""
    if duplicates.get("joined") == "sum":
        return t("Rows of one place and time are parts of one count and were summed.")
    if duplicates.get("joined") == "distinct":
        return t("A device counts once a cell and hour, however many records it has there.")
    if not duplicates.get("rows"):
        return t("No row repeats an earlier one.")
    return t(
        "{rows:,} rows repeat a place and time: {same:,} say the same, {other:,} contradict. The first was taken.",
        rows=duplicates["rows"],
        same=duplicates["same"],
        other=duplicates["contradicting"],
    )


def outside_words(outside: Mapping[str, Any], t: Say) -> str:
    """Say how many rows lie outside the city."""
    if not outside.get("rows") and not outside.get("swapped"):
        return t("No row lies outside the city.")
    return t(
        "{rows:,} rows lie outside the city, {swapped:,} have longitude and latitude swapped: {share} of all.",
        rows=outside["rows"],
        swapped=outside["swapped"],
        share=percent(outside["share"], 2),
    )


def day_rows(days: Sequence[Mapping[str, Any]], info: CityInfo, lang: str, t: Say) -> pd.DataFrame:
    """Return one row a day: date, kind, ratio, score, unusual, flag; flagged dates without data too."""
    why = {flag.date: flag.zh if lang == "zh" else flag.en for flag in info.flagged}
    kinds = {"weekday": t("working day"), "weekend": t("weekend")}
    rows = [
        {
            "date": day["date"],
            "kind": kinds.get(day["kind"], day["kind"]),
            "ratio": day["ratio"],
            "score": day["score"],
            "unusual": bool(day["unusual"]),
            "flag": why.get(day["date"], ""),
        }
        for day in days
    ]
    there = {row["date"] for row in rows}
    rows += [
        {"date": date, "kind": t("no data"), "ratio": None, "score": None, "unusual": False, "flag": reason}
        for date, reason in why.items()
        if date not in there
    ]
    columns = ["date", "kind", "ratio", "score", "unusual", "flag"]
    return pd.DataFrame(rows, columns=columns).astype({"ratio": "float64", "score": "float64"}).sort_values("date")


def days_words(days: Sequence[Mapping[str, Any]], info: CityInfo, t: Say) -> str:
    """Say which unusual days are flagged and which flagged dates look usual."""
    flagged = {flag.date for flag in info.flagged}
    unusual = {day["date"] for day in days if day["unusual"]}
    compared = {day["date"] for day in days if day["score"] is not None}
    said = [
        t("Unusual and flagged: {dates}.", dates=_dates(unusual & flagged, t)),
        t("Unusual, not flagged: {dates}.", dates=_dates(unusual - flagged, t)),
        t("Flagged, yet like the others: {dates}.", dates=_dates((flagged & compared) - unusual, t)),
    ]
    chosen = (unusual & flagged, unusual - flagged, (flagged & compared) - unusual)
    return t(" ").join(text for text, dates in zip(said, chosen, strict=True) if dates) or t(
        "No day differs from the others."
    )


def agreement_rows(agreement: Mapping[str, Any], t: Say) -> list[tuple[str, str]]:
    """Return what share of each part lies where another part is."""
    names = {
        "signaling_on_imagery": t("Signaling cells that lie on the imagery"),
        "imagery_with_signaling": t("Imagery that has signaling"),
        "functions_on_imagery": t("Labelled cells that lie on the imagery"),
        "functions_with_signaling": t("Labelled cells that have signaling"),
        "signaling_with_function": t("Signaling cells that have a label"),
    }
    return [(name, percent(agreement[key])) for key, name in names.items() if agreement.get(key) is not None]


def shift_words(agreement: Mapping[str, Any], t: Say) -> str:
    """Say how far the signaling lies off the imagery; "" where that cannot be told."""
    shift = agreement.get("shift_m")
    if not shift:
        return ""
    said = t(
        "The signaling lies {east:+.0f} m east and {north:+.0f} m north of the imagery.", east=shift[0], north=shift[1]
    )
    like = agreement.get("shift_like")
    if like:
        said += t(" ") + t("That is the shift of {datum}: ingest it again with that datum.", datum=datum_name(like))
    return said


def local_hours(hours: Sequence[str], timezone: str) -> list[str]:
    """Return hours (UTC, ISO 8601) as the city's wall clock."""
    times = pd.to_datetime(list(hours), utc=True).tz_convert(timezone)
    return times.strftime("%Y-%m-%d %H:%M").tolist()


def listed_rows(listed: Sequence[Mapping[str, Any]], timezone: str) -> pd.DataFrame:
    """Return the cells or cell-hours that a check lists, its hours as the city's wall clock."""
    table = pd.DataFrame(list(listed))
    for name in ("hour", "first_hour"):
        if name in table:
            table[name] = local_hours(table[name].tolist(), timezone)
    return table


def _dates(dates: "set[str]", t: Say) -> str:
    return t(", ").join(sorted(dates))
