"""Words and tables of trainings started from a page: no Streamlit."""

from collections.abc import Callable

import pandas as pd

from fusion.serving.job_progress import Estimate, Progress
from fusion.serving.jobs import DONE, FAILED, LOST, QUEUED, RUNS, STOPPED, Job, Request, Status
from fusion.training.suites import SUITES

Say = Callable[..., str]


def duration(seconds: float, t: Say) -> str:
    """Spell a time no more exactly than a forecast can be."""
    if seconds < 60:
        return t("under a minute")
    if seconds < 5400:
        return t("about {n} min", n=round(seconds / 60))
    return t("about {n:.1f} h", n=seconds / 3600)


def states(t: Say) -> dict[str, str]:
    """Return the names of the states of jobs and trials."""
    return {
        QUEUED: t("queued"),
        RUNS: t("running"),
        "started": t("training"),
        "waiting": t("trained by another process"),
        DONE: t("done"),
        "kept": t("was there already"),
        FAILED: t("failed"),
        STOPPED: t("cancelled"),
        LOST: t("lost"),
    }


def estimate_words(estimate: Estimate, t: Say) -> str:
    """Say what a training would cost."""
    said = t("{n} runs, {there} of them there already.", n=estimate.trials, there=estimate.there)
    if estimate.there == estimate.trials:
        return said
    if estimate.seconds is None:
        return said + t(" ") + t("No earlier run of this city tells how long that takes.")
    rest = t(
        "The rest: {time}, by what earlier runs took; those that ship took it on another machine.",
        time=duration(estimate.seconds, t),
    )
    if estimate.guessed:
        rest += t(" ") + t("Never run here, so guessed: {names}.", names=t(", ").join(estimate.guessed))
    return said + t(" ") + rest


def progress_words(progress: Progress, t: Say) -> str:
    """Say how far a running job is."""
    if not progress.total:
        if progress.extracting is None:
            return t("Getting ready")
        return t("Cutting chips and series: {share:.0%}", share=progress.extracting)
    said = t("{ended} of {total} runs ended", ended=progress.ended, total=progress.total)
    if progress.failed:
        said += t(", {n} of them failed", n=progress.failed)
    if progress.left_s is None:
        return said
    return said + t(", {time} left", time=duration(progress.left_s, t))


def outcome_words(status: Status, progress: Progress, t: Say) -> str:
    """Say what came of a job that has ended."""
    if status.state == STOPPED:
        return t("Cancelled. Runs that had ended stay; the others go on from their last epoch when you ask again.")
    if status.state == LOST:
        return t(
            "Its process is gone and left no word: killed, or the machine was switched off. Nothing that had ended is "
            "lost; ask again to go on."
        )
    if progress.total and progress.ended == progress.total:
        kept = sum(row.state == "kept" for row in progress.trials)
        said = t(
            "{ended} runs ended: {done} trained, {kept} there already, {failed} failed.",
            ended=progress.ended,
            done=progress.ended - kept - progress.failed,
            kept=kept,
            failed=progress.failed,
        )
        return (
            said
            if progress.seconds is None
            else said + t(" ") + t("It took {time}.", time=duration(progress.seconds, t))
        )
    return t("It failed: {reason}", reason=t(status.reason) if status.reason else t("see the log"))


def trial_rows(progress: Progress, t: Say) -> pd.DataFrame:
    """Return one row a trial: experiment, seed, fold, state, share, accuracy, macro_f1, seconds, note."""
    names = states(t)
    rows = [
        {
            "experiment": row.experiment,
            "seed": row.seed,
            "fold": row.fold,
            "state": names.get(row.state, row.state),
            "share": row.share,
            "accuracy": row.accuracy,
            "macro_f1": row.macro_f1,
            "seconds": row.seconds,
            "note": row.text if row.state == FAILED else "",
        }
        for row in progress.trials
    ]
    floats = ("share", "accuracy", "macro_f1", "seconds")
    columns = ["experiment", "seed", "fold", "state", *floats, "note"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(floats, "float64"))


def request_words(request: Request, t: Say) -> str:
    """Say what was asked for, in a line."""
    names = t(", ").join(suite_name(name, t) for name in request.names)
    folds = request.folds if request.run_folds is None else request.run_folds
    return t(
        "{names} (seeds: {seeds}; folds: {run} of {folds}, {kind})",
        names=names,
        seeds=request.seeds,
        run=folds,
        folds=request.folds,
        kind=t("random") if request.split == "random" else t("spatial"),
    )


def suite_name(name: str, t: Say) -> str:
    """Return how a suite or an experiment is called where it is chosen."""
    if name not in SUITES:
        return name
    return t("suite {name} ({n} rows)", name=name, n=len(SUITES[name]))


def job_rows(jobs: "list[tuple[Job, Status]]", t: Say) -> pd.DataFrame:
    """Return one row a job: started (the server's local time), asked, state, id."""
    names = states(t)
    rows = [
        {
            "started": pd.Timestamp.fromtimestamp(job.started_s).floor("s"),
            "asked": request_words(job.request, t),
            "state": names[status.state],
            "id": job.id,
        }
        for job, status in jobs
    ]
    return pd.DataFrame(rows, columns=["started", "asked", "state", "id"])
