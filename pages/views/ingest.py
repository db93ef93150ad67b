"""Words and tables of bringing data in: previews, jobs, what lies on disk. No Streamlit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from fusion.ingest.preview import DatumPreview, Preview
from fusion.serving import ingest_jobs
from fusion.serving.background import DONE, FAILED, LOST, QUEUED, RUNS, STOPPED, Status
from fusion.serving.ingest_jobs import Job, Progress
from pages.views.data import datum_name, reason_name
from pages.views.formats import percent

Say = Callable[..., str]

MASK = "***"


def size(size_bytes: int) -> str:
    """Spell a size on disk in decimal units."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def kinds(t: Say) -> dict[str, str]:
    """Return the kinds of data as they are called."""
    return {
        ingest_jobs.SIGNALING: t("Hourly signaling (grid or points)"),
        ingest_jobs.DEVICES: t("Device records"),
        ingest_jobs.MILAN: t("Telecom Italia, Milan"),
        ingest_jobs.IMAGERY: t("Overhead imagery"),
        ingest_jobs.FUNCTIONS: t("Known functions"),
        ingest_jobs.URFC: t("URFC contest data"),
        ingest_jobs.DEMO: t("Demo city"),
    }


def part_of(job: Job) -> str:
    """Return the part of the quality report that a job wrote."""
    kind = job.request.kind
    return kind if kind in (ingest_jobs.IMAGERY, ingest_jobs.FUNCTIONS, ingest_jobs.URFC) else "signaling"


def job_words(job: Job, t: Say) -> str:
    """Say what a job brings where."""
    kind = kinds(t).get(job.request.kind, job.request.kind)
    if not job.request.names:
        return t("{kind}: {city}", kind=kind, city=job.city)
    return t("{kind} into {city}: {files}", kind=kind, city=job.city, files=_some(job.request.names, t))


def step_words(progress: Progress, t: Say) -> str:
    """Say how far an ingest is."""
    # The steps' names are fixed words of the ingests; one that names a file stays as it is.
    return (
        t("{share}, {step}", share=percent(progress.share, 0), step=t(progress.step))
        if progress.step
        else t("Getting ready")
    )


def outcome_words(status: Status, t: Say) -> str:
    """Say what came of an ingest that has ended."""
    if status.state == DONE:
        return t("It is in.")
    if status.state == STOPPED:
        return t("Cancelled. The city is as it was.")
    if status.state == LOST:
        return t(
            "Its process is gone and left no word: killed, or the machine was switched off. The city is as it was, or "
            "as it was to become."
        )
    reason = t(status.reason) if status.reason else t("see the log")
    return t("It failed, and the city is as it was: {reason}", reason=reason)


def job_rows(jobs: Sequence[tuple[Job, Status]], t: Say) -> pd.DataFrame:
    """Return one row a job: started (the server's local time), city, kind, files, state, reason."""
    states = {
        QUEUED: t("queued"),
        RUNS: t("running"),
        DONE: t("done"),
        FAILED: t("failed"),
        STOPPED: t("cancelled"),
        LOST: t("lost"),
    }
    names = kinds(t)
    rows = [
        {
            "started": pd.Timestamp.fromtimestamp(job.started_s).floor("s"),
            "city": job.city,
            "kind": names.get(job.request.kind, job.request.kind),
            "files": _some(job.request.names, t),
            "state": states[status.state],
            "reason": t(status.reason) if status.reason else None,
        }
        for job, status in jobs
    ]
    return pd.DataFrame(rows, columns=["started", "city", "kind", "files", "state", "reason"])


def sample_words(preview: Preview, t: Say) -> str:
    """Say how many rows of the sample would be taken."""
    rejected = sum(preview.would_reject.values())
    return t(
        "Of {rows:,} rows looked at, {taken:,} would be taken and {rejected:,} rejected.",
        rows=preview.rows_sampled,
        taken=preview.would_take,
        rejected=rejected,
    )


def file_rows(preview: Preview, t: Say) -> pd.DataFrame:
    """Return one row a file: name, size, how it is written, columns."""
    rows = []
    for file in preview.files:
        written = [file.kind, file.encoding, _delimiter(file.delimiter, t), None if file.header else t("no header")]
        rows.append(
            {
                "name": file.name,
                "size": size(file.size_bytes),
                "written": t(", ").join(part for part in written if part),
                "columns": t(", ").join(file.columns),
            }
        )
    return pd.DataFrame(rows, columns=["name", "size", "written", "columns"])


def role_rows(preview: Preview, t: Say) -> list[tuple[str, str]]:
    """Return what was recognised: role, and the columns and how they are read."""
    rows: list[tuple[str, str]] = []
    roles = preview.roles
    if roles is not None:
        kinds_ = {"point": t("longitude, latitude"), "h3": "H3", "grid": t("grid id"), "wkt": "WKT"}
        unknown = t("not recognised")
        place = t(", ").join(roles.place)
        rows.append((t("Place"), f"{place} ({kinds_.get(roles.place_kind or '', '–')})" if place else unknown))
        rows.append((t("Time"), t(" + ").join(roles.time) or unknown))
        if roles.user is not None or roles.tower:
            rows.append((t("Device"), roles.user or unknown))
        if roles.tower:
            rows.append((t("Cell tower"), t(" + ").join(roles.tower)))
        if roles.values:
            values = t(", ").join(f"{column} → {measure}" for column, measure in roles.values.items())
            rows.append((t("Counts"), values))
        elif roles.user is None:
            rows.append((t("Counts"), unknown))
    if preview.unused_columns:
        rows.append((t("Columns not used"), t(", ").join(preview.unused_columns)))
    times = preview.times
    if times is not None:
        if times.first and times.last:
            rows.append((t("From – to"), f"{_minute(times.first)} – {_minute(times.last)} ({preview.timezone})"))
        if times.step:
            rows.append((t("Step"), t(times.step)))
        rows.append((t("A time reads"), f"{times.example} ({t(times.read_as)})"))
    rows.append((t("H3 resolution"), str(preview.resolution)))
    threshold = t("sums from 1 to {n}", n=preview.min_count) if preview.min_count else t("nothing")
    rows.append((t("Would be suppressed"), threshold))
    return rows


def datum_rows(datum: DatumPreview, t: Say) -> pd.DataFrame:
    """Return the evidence for each datum: datum, asked, share_inside, shift_m, share_labelled, regularity."""
    columns = ["datum", "asked", "share_inside", "shift_m", "share_labelled", "regularity"]
    rows = [
        {
            "datum": datum_name(one.datum),
            "asked": one.datum == datum.asked,
            "share_inside": one.share_inside,
            "shift_m": one.shift_m,
            "share_labelled": one.share_labelled,
            "regularity": one.regularity,
        }
        for one in datum.evidence
    ]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(columns[2:], "float64")).dropna(axis="columns", how="all")
    # Scattered places stand in rows of no datum: that says nothing.
    if "regularity" in table and not table["regularity"].any():
        table = table.drop(columns="regularity")
    return table


def datum_words(datum: DatumPreview, t: Say) -> str:
    """Say which datum the coordinates seem to have, and whether that is the one asked for."""
    if datum.guess is None:
        return t(datum.reason)
    name = datum_name(datum.guess)
    if datum.guess == datum.asked:
        return t("The places fit {datum}, as chosen. {reason}", datum=name, reason=t(datum.reason)).strip()
    return t(
        "The places fit {datum} better than {asked}, which is chosen. {reason}",
        datum=name,
        asked=datum_name(datum.asked),
        reason=t(datum.reason),
    ).strip()


def reject_rows(preview: Preview, lang: str) -> pd.DataFrame:
    """Return what would be rejected of the sample: reason in words, rows."""
    counts = sorted(preview.would_reject.items(), key=lambda item: -item[1])
    return pd.DataFrame(
        [{"reason": reason_name(reason, lang), "rows": count} for reason, count in counts], columns=["reason", "rows"]
    )


def sample_rows(preview: Preview) -> pd.DataFrame:
    """Return the first rows as they are written; ids of devices are masked."""
    table = pd.DataFrame([dict(row) for row in preview.sample])
    user = preview.roles.user if preview.roles is not None else None
    if user is not None and user in table:
        table[user] = table[user].where(table[user].isna(), MASK)
    return table


def disk_rows(uses: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Return one row a city, megabytes by part, the largest first."""
    table = pd.DataFrame(
        [{"city": city, **{part: size / 1e6 for part, size in use.items()}} for city, use in uses.items()]
    )
    return table.sort_values("total", ascending=False, ignore_index=True) if len(table) else table


def extent_words(preview: Preview, t: Say) -> str:
    """Say which box the places lie in; "" where none was taken."""
    if preview.extent is None:
        return ""
    west, south, east, north = preview.extent
    return t(
        "Places from {west:.4f} to {east:.4f} E and {south:.4f} to {north:.4f} N (WGS-84, with the datum chosen).",
        west=west,
        east=east,
        south=south,
        north=north,
    )


def share(value: float | None) -> str:
    """Spell a share."""
    return percent(float("nan") if value is None else value)


def _some(names: Sequence[str], t: Say) -> str:
    shown = t(", ").join(names[:3])
    return shown + t(" and {n} more", n=len(names) - 3) if len(names) > 3 else shown


def _delimiter(delimiter: str | None, t: Say) -> str | None:
    names = {None: None, "\t": t("tabs"), ",": t("commas"), ";": t("semicolons"), "|": t("bars")}
    return names.get(delimiter, delimiter)


def _minute(moment: str) -> str:
    """Return an ISO time to the minute, without its offset: the zone stands beside it."""
    return moment[:16].replace("T", " ")


def columns_of(files: Sequence[Any]) -> list[str]:
    """Return the columns of all files, in their order."""
    return list(dict.fromkeys(column for file in files for column in file.columns))
