"""The counts of the activity map as files."""

from functools import partial

import pandas as pd
import streamlit as st

from fusion import store
from fusion.city import City
from fusion.serving.releases import KINDS, encode_release
from pages.ui.language import t

# A day of a large city; beyond, a browser's download would be built in the server's memory.
_MOST_ROWS = 5_000_000


def show(city: City, cells: int, hour: pd.Timestamp, measure: str, resolution: int | None) -> None:
    """Offer the shown hour, and all hours where they are not too many.

    Args:
        city: whose counts.
        cells: how many cells the map shows.
        hour: shown, UTC.
        measure: shown.
        resolution: rolled up to; None: the city's own.
    """
    with st.popover(t("Download the counts"), icon=":material/download:"):
        st.caption(
            t("Suppressed and missing values are empty: see the column `state`. Sums hold published values only.")
        )
        name = f"{city.name}-{measure}" + (f"-r{resolution}" if resolution is not None else "")
        st.markdown(t("This hour"))
        _buttons(
            city, [hour], measure, resolution, f"{name}-{hour:%Y%m%dT%HZ}", "hour", (".csv", ".geojson", ".parquet")
        )
        if cells * city.info.hours <= _MOST_ROWS:
            st.markdown(t("All hours"))
            _buttons(city, None, measure, resolution, name, "all", (".csv", ".parquet"))


def _buttons(
    city: City,
    hours: list[pd.Timestamp] | None,
    measure: str,
    resolution: int | None,
    name: str,
    key: str,
    kinds: tuple[str, ...],
) -> None:
    with st.container(horizontal=True):
        for kind in kinds:
            st.download_button(
                {".csv": "CSV", ".geojson": "GeoJSON", ".parquet": "Parquet"}[kind],
                # Spelled out only when asked for.
                partial(_spell, city, hours, measure, resolution, kind),
                file_name=f"{name}{kind}",
                mime=KINDS[kind],
                key=f"counts_{key}_{kind}",
                icon=":material/download:",
                on_click="ignore",
            )


def _spell(city: City, hours: list[pd.Timestamp] | None, measure: str, resolution: int | None, kind: str) -> bytes:
    table = store.release(city, measure, hours, resolution)
    if kind == ".geojson":
        table = table.assign(hour=table["hour"].dt.strftime("%Y-%m-%dT%H:%MZ"))
    return encode_release(table, kind, digits=9)
