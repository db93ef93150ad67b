"""The panel that trains from a page: what to train, what it costs, how far it is, cancel, what came of it.

Everything shown is read from the job's folder, so a reload or another browser finds the training as it is.
"""

import joblib
import streamlit as st

from fusion.city import City
from fusion.errors import FusionError
from fusion.serving import job_progress, jobs
from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import SUITES
from pages.ui import caches, components, models
from pages.ui.language import t
from pages.views import jobs as view

NAMES, SEEDS, FOLDS, RUN_FOLDS, AT_ONCE, SPLIT = (
    "job_names", "job_seeds", "job_folds", "job_run_folds", "job_at_once", "job_split",
)  # fmt: skip
START, CANCEL, AGAIN = "job_start", "job_cancel", "job_again"
_EVERY_S = 2.0


def show(city: City) -> None:
    """Show the panel for a city: the form, or the training that runs, and the last one's outcome."""
    st.subheader(t("Train from here"))
    here = jobs.list_jobs(city)
    latest = here[0] if here else None
    if latest is not None and jobs.status(latest).active:
        _live(city, latest)
    else:
        if city.can_train:
            _form(city)
        else:
            components.empty(
                t("Nothing can be trained on this city yet."),
                t("Training needs signaling, imagery and known functions: see `python -m fusion ingest --help`."),
                wants_data=True,
            )
        if latest is not None:
            _outcome(city, latest)
    _history(here)


def _form(city: City) -> None:
    request = _ask()
    if not request.names:
        st.caption(t("Choose a suite or at least one experiment."))
    else:
        with components.guard():
            st.caption(view.estimate_words(_estimate(city, request), t))
    asked = st.button(
        t("Start training"), key=START, type="primary", icon=":material/model_training:", disabled=not request.names
    )
    if asked:
        _start(city, request)


def _ask() -> jobs.Request:
    """Show what can be chosen; return what would be asked for now."""
    names = st.multiselect(
        t("Suites and experiments"),
        [*SUITES, *EXPERIMENTS],
        default=["core"],
        format_func=lambda name: view.suite_name(name, t),
        key=NAMES,
        persist_state="session",
        help=t("A suite stands for its rows; a run that is there already is not trained again."),
    )
    with st.container(horizontal=True):
        seeds = _number(t("Seeds"), SEEDS, 1, 20, 1)
        folds = _number(t("Folds"), FOLDS, 2, 20, 3)
        run_folds = _number(t("Folds to run"), RUN_FOLDS, 1, 20, 3)
        at_once = st.number_input(
            t("Runs at once"),
            min_value=1,
            max_value=64,
            value=None,
            step=1,
            placeholder=t("auto"),
            key=AT_ONCE,
            width=150,
            persist_state="session",
            help=t("Left empty: one a core, or one at a time on a GPU."),
        )
        split = st.selectbox(
            t("Kind of folds"),
            ["spatial", "random"],
            format_func={"spatial": t("spatial"), "random": t("random")}.__getitem__,
            key=SPLIT,
            persist_state="session",
            width=170,
            help=t("Random folds test beside the cells trained on: they flatter, and are there to show how much."),
        )
    return jobs.Request(
        names=tuple(names),
        seeds=seeds,
        folds=folds,
        run_folds=None if run_folds >= folds else run_folds,
        jobs=None if at_once is None else int(at_once),
        split=split,
    )


def _number(label: str, key: str, least: int, most: int, default: int) -> int:
    return int(
        st.number_input(
            label, min_value=least, max_value=most, value=default, step=1, key=key, width=130, persist_state="session"
        )
    )


def _estimate(city: City, request: jobs.Request) -> job_progress.Estimate:
    # The request as plain values: keys of the cache are compared, and a mapping cannot be.
    arguments = (request.names, request.seeds, request.folds, request.run_folds, request.jobs, request.split)
    return caches.remember(_estimated, models.run_files(city), city, *arguments)


def _estimated(city: City, *asked: object) -> job_progress.Estimate:
    return job_progress.estimate(city, jobs.Request(*asked), joblib.cpu_count())  # type: ignore[arg-type]


def _start(city: City, request: jobs.Request) -> None:
    try:
        with st.spinner(t("Starting")):
            jobs.start(city, request)
    except FusionError as error:
        st.error(t(str(error)), icon=":material/error:")
        return
    st.rerun()


@st.fragment(run_every=_EVERY_S)
def _live(city: City, job: jobs.Job) -> None:
    """Show a running job, anew every two seconds; when it ends, the page, whose charts may have grown."""
    status, progress = jobs.status(job), job_progress.progress(job)
    if not status.active:
        st.rerun(scope="app")
    st.markdown(f"**{view.request_words(job.request, t)}**")
    st.progress(min(1.0, progress.share), view.progress_words(progress, t))
    with st.popover(t("Cancel"), icon=":material/stop_circle:"):
        st.markdown(t("Stop this training? Runs that have ended stay, the others go on when you ask again."))
        if st.button(t("Yes, stop it"), key=CANCEL, type="primary"):
            with components.guard():
                with st.spinner(t("Stopping")):
                    jobs.cancel(job)
                st.rerun(scope="app")
    st.caption(t("It goes on when this page is closed or reloaded."))
    _trials(progress)
    _log(job)


def _outcome(city: City, job: jobs.Job) -> None:
    """Show what came of the last job."""
    status, progress = jobs.status(job), job_progress.progress(job)
    shown = {jobs.DONE: st.success, jobs.STOPPED: st.info, jobs.LOST: st.warning}.get(status.state, st.error)
    shown(f"{view.request_words(job.request, t)}  \n{view.outcome_words(status, progress, t)}")
    if status.state != jobs.DONE and st.button(t("Ask for the same again"), key=AGAIN, icon=":material/replay:"):
        _start(city, job.request)
    with st.expander(t("Runs of the last training")):
        _trials(progress)
        _log(job)


def _trials(progress: job_progress.Progress) -> None:
    if not progress.trials:
        return
    number = st.column_config.NumberColumn
    st.dataframe(
        view.trial_rows(progress, t),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(progress.trials), 360),
        placeholder="–",
        column_config={
            "experiment": t("Model"),
            "seed": t("Seed"),
            "fold": t("Fold"),
            "state": t("State"),
            "share": st.column_config.ProgressColumn(t("Progress"), min_value=0.0, max_value=1.0, format="percent"),
            "accuracy": number(t("Accuracy"), format="percent"),
            "macro_f1": number(t("Macro-F1"), format="percent"),
            "seconds": number(t("Seconds"), format="%.0f"),
            "note": t("Why it failed"),
        },
    )


def _log(job: jobs.Job) -> None:
    text = jobs.log_tail(job)
    with st.expander(t("Log")):
        if text:
            st.code(text, language=None, wrap_lines=True, height=240)
        else:
            st.caption(t("Nothing in it yet."))


def _history(here: list[jobs.Job]) -> None:
    if len(here) < 2:
        return
    with st.expander(t("Earlier trainings")):
        st.dataframe(
            view.job_rows([(job, jobs.status(job)) for job in here], t),
            hide_index=True,
            width="stretch",
            column_config={"started": t("Started"), "asked": t("Asked for"), "state": t("State"), "id": t("Job")},
        )
