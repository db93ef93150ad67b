"""What lies on disk: the cities by part, and deleting of what is no longer wanted."""

import shutil

import streamlit as st

from fusion.city import City, data_root
from fusion.errors import FusionError
from fusion.serving import ingest_jobs, storage
from fusion.serving.ingest_jobs import DEMO, IngestRequest
from pages.ui import caches, components, data_jobs
from pages.ui.language import t
from pages.views import ingest as view

CITY, NAME, DELETE, SAMPLES, REBUILD = (
    "data_disk_city", "data_disk_name", "data_disk_delete", "data_disk_samples", "data_disk_rebuild",
)  # fmt: skip
_DEMO_CITY = "zhengzhou-demo"
_SAID = "data_disk_said"


def show() -> None:
    """Draw the section."""
    root = data_root()
    data_jobs.show(root, (DEMO,))
    if said := st.session_state.pop(_SAID, None):
        st.success(said, icon=":material/check_circle:")
    cities = caches.cities()
    # Every file is looked at: once a rerun, for the table and for what can be deleted.
    uses = {city.name: storage.disk_use(city) for city in cities}
    _show_use(uses)
    if root.is_dir():
        free = shutil.disk_usage(root).free
        st.caption(t("{free} of the disk are free.", free=view.size(free)))
    if cities:
        _show_deleting(cities, uses)
    _show_demo(cities)


def _show_use(uses: dict[str, dict[str, int]]) -> None:
    st.subheader(t("Disk use by city"))
    if not uses:
        components.empty(t("There is no city yet."), t("Bring in data above, or build the demo city below."))
        return
    # Not format="bytes": a browser in Chinese then counts them in ten thousands.
    number = st.column_config.NumberColumn
    names = {
        "activity": t("Signaling"),
        "imagery": t("Imagery"),
        "functions": t("Functions"),
        "samples": t("Samples"),
        "runs": t("Trained runs"),
        "jobs": t("Jobs"),
        "other": t("Reports and other"),
        "total": t("Total"),
    }
    st.dataframe(
        view.disk_rows(uses),
        hide_index=True,
        width="stretch",
        column_config={
            "city": t("City"),
            **{part: number(name, format="%.1f MB") for part, name in names.items()},
        },
    )


def _show_deleting(cities: list[City], uses: dict[str, dict[str, int]]) -> None:
    st.subheader(t("Delete"))
    by_name = {city.name: city for city in cities}
    name = st.selectbox(t("City"), list(by_name), index=None, key=CITY, placeholder=t("Choose a city"), width=360)
    city = by_name.get(name or "")
    if city is None:
        return
    left, right = st.columns(2, gap="large")
    with left, st.container(border=True):
        _offer_samples(city, uses[city.name]["samples"])
    with right, st.container(border=True):
        _offer_whole(city)


def _offer_samples(city: City, use: int) -> None:
    st.markdown(f"**{t('Only its samples')}**")
    if not use:
        st.caption(t("None yet."))
        return
    if not storage.samples_are_a_cache(city):
        st.caption(t("The samples of this city are its data: they cannot be made again."))
        return
    st.caption(t("Chips and series cut for training, {size}. The next training makes them again.", size=view.size(use)))
    if st.button(t("Delete the samples"), key=SAMPLES, icon=":material/delete_sweep:"):
        with components.guard():
            freed = storage.delete_samples(city)
            st.session_state[_SAID] = t("Samples of {city} deleted: {size}.", city=city.name, size=view.size(freed))
            st.rerun()


def _offer_whole(city: City) -> None:
    st.markdown(f"**{t('The whole city')}**")
    st.caption(t("Signaling, imagery, functions, samples and every trained run. This cannot be undone."))
    # One key a city: the name typed for another must not stand here.
    typed = st.text_input(t("Type its name to confirm: {city}", city=city.name), key=f"{NAME}_{city.name}")
    if st.button(
        t("Delete {city}", city=city.name),
        key=DELETE,
        type="primary",
        icon=":material/delete_forever:",
        disabled=typed.strip() != city.name,
    ):
        with components.guard():
            storage.delete_whole(city)
            st.session_state[_SAID] = t("{city} was deleted.", city=city.name)
            st.session_state.pop(CITY, None)
            st.rerun()


def _show_demo(cities: list[City]) -> None:
    st.subheader(t("Demo city"))
    there = any(city.name == _DEMO_CITY for city in cities)
    st.caption(
        t("Synthetic, from a fixed seed: always the same. Building takes a minute or so.")
        + (t(" ") + t("Runs that were trained on it stay.") if there else "")
    )
    if st.button(
        t("Build it again") if there else t("Build the demo city"), key=REBUILD, icon=":material/construction:"
    ):
        try:
            with st.spinner(t("Starting")):
                ingest_jobs.start(data_root(), _DEMO_CITY, IngestRequest(DEMO))
        except FusionError as error:
            st.error(t(str(error)), icon=":material/error:")
            return
        st.rerun()
