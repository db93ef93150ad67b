"""Ingests that run or have run: how far, the log, cancel, and what came of the last one."""

import time
from pathlib import Path

import streamlit as st

from fusion.city import open_city
from fusion.errors import CityError, FusionError
from fusion.ingest import quality
from fusion.serving import background, ingest_jobs
from fusion.serving.ingest_jobs import Job
from pages.ui import caches, components, data_report, state
from pages.ui.language import t
from pages.views import ingest as view

CANCEL, AGAIN, OPEN, HIDE = "data_job_cancel", "data_job_again", "data_job_open", "data_job_hide"
_HIDDEN = "data_job_hidden"
_EVERY_S = 1.0
_NEWS_S = 3600.0  # after that an outcome stands only in the list


def show(root: Path, kinds: tuple[str, ...] = ingest_jobs.KINDS) -> None:
    """Show the ingests that run, or what came of the last one, if that is not long ago; the earlier ones in a list.

    Args:
        root: the data folder.
        kinds: to show.
    """
    jobs = [job for job in ingest_jobs.list_jobs(root) if job.request.kind in kinds]
    active = [job for job in jobs if background.status(job).active]
    for job in active:
        _live(job)
    shown = bool(jobs and not active and st.session_state.get(_HIDDEN) != jobs[0].id and _is_news(jobs[0]))
    if shown:
        _outcome(root, jobs[0])
    if len(jobs) > (1 if shown or active else 0):
        with st.expander(t("Earlier ingests")):
            st.dataframe(
                view.job_rows([(job, background.status(job)) for job in jobs], t),
                hide_index=True,
                width="stretch",
                height=min(38 + 35 * len(jobs), 300),
                column_config={
                    "started": t("Started"),
                    "city": t("City"),
                    "kind": t("Kind of data"),
                    "files": t("Files"),
                    "state": t("State"),
                    "reason": t("Why it failed"),
                },
            )


def _is_news(job: Job) -> bool:
    ended_s = background.status(job).ended_s
    return time.time() - (job.started_s if ended_s is None else ended_s) < _NEWS_S


@st.fragment(run_every=_EVERY_S)
def _live(job: Job) -> None:
    """Show a running ingest, anew every second; when it ends, the page."""
    status, progress = background.status(job), ingest_jobs.progress(job)
    if not status.active:
        st.rerun(scope="app")
    with st.container(border=True):
        st.markdown(f"**{view.job_words(job, t)}**")
        st.progress(progress.share, view.step_words(progress, t))
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.popover(t("Cancel"), icon=":material/stop_circle:"):
                st.markdown(t("Stop this ingest? The city stays as it was before."))
                if st.button(t("Yes, stop it"), key=f"{CANCEL}_{job.id}", type="primary"):
                    with components.guard():
                        with st.spinner(t("Stopping")):
                            background.cancel(job)
                        st.rerun(scope="app")
            st.caption(t("It goes on when this page is closed or reloaded."))
        _log(job)


def _outcome(root: Path, job: Job) -> None:
    """Show what came of an ingest: of one that went well, its report."""
    status = background.status(job)
    done = status.state == background.DONE
    box = {background.DONE: st.success, background.STOPPED: st.info, background.LOST: st.warning}
    with st.container(border=True):
        box.get(status.state, st.error)(f"{view.job_words(job, t)}  \n{view.outcome_words(status, t)}")
        if done:
            _show_report(root, job)
        else:
            _log(job)
        with st.container(horizontal=True):
            if done:
                st.button(
                    t("Open the whole report"), key=OPEN, icon=":material/fact_check:", on_click=_open, args=(job.city,)
                )
            if not done and st.button(t("Try the same again"), key=AGAIN, icon=":material/replay:"):
                _again(root, job)
            if st.button(t("Hide this"), key=HIDE, icon=":material/close:"):
                st.session_state[_HIDDEN] = job.id
                st.rerun()


def _open(city: str) -> None:
    """Turn to a city's report; before the page is drawn, whose switch would keep its place otherwise."""
    state.set_city(city)
    st.session_state[state.PART] = "report"


def _show_report(root: Path, job: Job) -> None:
    try:
        city = open_city(job.city, root)
    except CityError:  # deleted since
        return
    report = caches.remember(quality.load_quality, (city.quality, city.path / "city.toml"), city)
    part = view.part_of(job)
    data_report.show_accounts(report, f"job-{job.id}", part)
    data_report.show_reading(report, part)


def _again(root: Path, job: Job) -> None:
    try:
        with st.spinner(t("Starting")):
            ingest_jobs.start(root, job.city, job.request)
    except FusionError as error:
        st.error(t(str(error)), icon=":material/error:")
        return
    st.rerun()


def _log(job: Job) -> None:
    text = background.log_tail(job)
    if text:
        with st.expander(t("Log")):
            st.code(text, language=None, wrap_lines=True)
