"""A quality report as lines for a terminal: what adds up first, then each measure, then what to look at."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

_STATES = ("valid", "suppressed", "missing")
_LISTED = 5


def report_lines(report: dict[str, Any], flagged: dict[str, str]) -> list[str]:
    """Spell a report.

    Args:
        report: as of `fusion.ingest.quality.load_quality`, inspected.
        flagged: local date -> why it was flagged.

    Returns:
        Lines of text; a table is one item of several lines.
    """
    lines = [
        f"signaling: {report['rows_read']:,} rows read = {report['rows_taken']:,} taken "
        f"+ {report['rows_rejected']:,} rejected"
    ]
    if report["rejected_by_reason"]:
        rows = [{"reason": why, "rows": f"{count:,}"} for why, count in report["rejected_by_reason"].items()]
        lines.append(_table(rows))
    lines += list(_how(report))
    if report.get("coverage"):
        lines += ["", "measures (cell-hours)", _table(_measures(report))]
        lines += list(_suspicious(report))
        lines += list(_days(report, flagged))
    lines += list(_parts(report))
    lines += [f"warning: {line}" for line in (*report["warnings"], *report.get("agreement", {}).get("warnings", []))]
    return lines


def _how(report: dict[str, Any]) -> Iterator[str]:
    if report["files"]:
        named = ", ".join(report["files"][:3]) + (" ..." if len(report["files"]) > 3 else "")
        yield f"files: {len(report['files'])} ({named}), preset {report['preset']}, datum {report['datum']}"
    if "hours" in report:
        yield (
            f"hours: {report['hours']:,} from {report['first_hour']}, {report['missing_hours']:,} without any row; "
            f"cells: {report['cells']:,}; times local to {report['timezone']}"
        )
    repeated = report.get("duplicates")
    if repeated and repeated["rows"]:
        yield (
            f"repeated rows: {repeated['rows']:,} ({repeated['same']:,} the same, "
            f"{repeated['contradicting']:,} contradicting): the first was taken"
        )
    outside = report.get("outside")
    if outside and (outside["rows"] or outside["swapped"]):
        yield f"outside the city: {outside['rows']:,} rows, {outside['swapped']:,} swapped ({outside['share']:.1%})"


def _measures(report: dict[str, Any]) -> list[dict[str, str]]:
    rows = []
    for measure, found in report["coverage"].items():
        shares = {state: f"{found[state] / max(found['cell_hours'], 1):.1%}" for state in _STATES}
        rows.append(
            {
                "measure": measure,
                "threshold": str(found["min_count"]),
                **shares,
                "zero": f"{found['zero']:,}",
                "median cell": f"{found['by_cell']['quantiles']['0.5']:.1%}",
                "cells under half": f"{found['by_cell']['cells_below']['0.5']:,}",
                "frozen cells": f"{report['frozen_cells'][measure]['cells']:,}",
                "outliers": f"{report['outliers'][measure]['found']:,}",
            }
        )
    return rows


def _suspicious(report: dict[str, Any]) -> Iterator[str]:
    for measure, frozen in report["frozen_cells"].items():
        for run in frozen["listed"][:_LISTED]:
            value, hours = f"{run['value']:g}", f"{run['hours']} hours from {run['first_hour']}"
            yield f"frozen: {measure} of {run['cell']} is {value} for {hours}"
    for measure, outliers in report["outliers"].items():
        for found in outliers["listed"][:_LISTED]:
            yield (
                f"outlier: {measure} of {found['cell']} is {found['value']:g} at {found['hour']}, "
                f"usually {found['usual']:g} (score {found['score']:+.1f})"
            )


def _days(report: dict[str, Any], flagged: dict[str, str]) -> Iterator[str]:
    for measure, found in report["unusual_days"].items():
        rows = [
            {
                "day": day["date"],
                "kind": day["kind"],
                "to the usual": "-" if day["ratio"] is None else f"{day['ratio']:.2f}",
                "score": "-" if day["score"] is None else f"{day['score']:.1f}",
                "unusual": "yes" if day["unusual"] else "",
                "flagged": flagged.get(day["date"], ""),
            }
            for day in found["days"]
            if day["unusual"] or day["date"] in flagged
        ]
        if rows:
            yield from ("", f"days of {measure} that differ (beyond {found['limit']:g}) or are flagged", _table(rows))


def _parts(report: dict[str, Any]) -> Iterator[str]:
    if "imagery" in report:
        part = report["imagery"]
        size = f"{part['width']} x {part['height']} px of {part['pixel_m']:g} m"
        yield f"imagery: {size}, {part['share_valid']:.1%} valid"
    if "functions" in report:
        part = report["functions"]
        unit = next((unit for unit in ("polygons", "points", "rows") if f"{unit}_read" in part), None)
        counted = "" if unit is None else f"{part[f'{unit}_read']:,} {unit} read = {part[f'{unit}_taken']:,} taken + "
        counted += "" if unit is None else f"{part[f'{unit}_rejected']:,} rejected; "
        yield f"functions: {counted}{part['cells']:,} cells"
    if "urfc" in report:
        yield from _regions(report["urfc"])
    names = {
        "signaling_on_imagery": "signaling cells on imagery",
        "imagery_with_signaling": "imagery with signaling",
        "functions_on_imagery": "cells with a function on imagery",
        "functions_with_signaling": "cells with a function that have signaling",
        "signaling_with_function": "signaling cells with a function",
    }
    agreement = report.get("agreement", {})
    shares = [f"{name} {agreement[key]:.0%}" for key, name in names.items() if key in agreement]
    if shares:
        yield "agreement: " + ", ".join(shares)


def _regions(part: dict[str, Any]) -> Iterator[str]:
    for unit in ("files", "lines", "entries"):
        read, taken, rejected = (part[f"{unit}_{what}"] for what in ("read", "taken", "rejected"))
        why = ", ".join(f"{reason} {number:,}" for reason, number in part[f"{unit}_rejected_by_reason"].items())
        yield f"urfc {unit}: {read:,} read = {taken:,} taken + {rejected:,} rejected" + (f" ({why})" if why else "")
    yield (
        f"regions: {part['regions']:,} in {part['groups']:,} groups, {part['unlabelled']:,} without a class; "
        f"{part['repeated_numbers']:,} repeated numbers, {part['identical_images']:,} identical images, "
        f"{part['identical_visits']:,} identical visit files, {part['blank_images']:,} blank images"
    )
    if part["missing_dates"]:
        yield f"dates with missing hours: {', '.join(part['missing_dates'])}"


def _table(rows: list[dict[str, str]]) -> str:
    return pd.DataFrame(rows).to_string(index=False)
