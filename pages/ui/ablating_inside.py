"""Ablation, behind the accuracies: how alike the two streams are level by level, and what damaged inputs do."""

import pandas as pd
import streamlit as st

from fusion.analysis.conditions import CLOUD, HOURS_MISSING, IMAGE_ABSENT, NOISE, NONE, SHIFT, SIGNAL_ABSENT
from fusion.charts.robustness_figures import damage_figure, missing_figure, similarity_figure
from fusion.city import City
from fusion.serving.ablation import Ablation
from fusion.training.suites import AXES
from pages.ui import ablating, comparing, components, language
from pages.ui.language import t
from pages.views import ablation as view

MEASURE, ALIKE = "ablation_measure", "ablation_alike"
DAMAGE, DAMAGED = "ablation_damage", "ablation_damaged"
_GRADED = (CLOUD, SHIFT, HOURS_MISSING, NOISE)


def show_similarity(city: City, ablation: Ablation) -> None:
    """Show CKA or subspace overlap by level."""
    comparing.heading(city, t("How alike the two streams are, level by level"))
    table = ablation.similarity
    known = [name for name in ("cka", "overlap") if table[name].notna().any()]
    if not known:
        components.empty(
            t("No run here says how alike its streams are."),
            t(
                "Fusions of two streams store it when they are trained, for instance "
                "`python -m fusion ablate vit-pretrained+convlstm-bottleneck --city {city} --seeds 1 --folds 3`.",
                city=city.name,
            ),
        )
        return
    words = {"cka": t("What the levels say (linear CKA)"), "overlap": t("What the weights read (subspace overlap)")}
    measure = "cka"
    if len(known) > 1:
        measure = components.choose_one(t("Measure"), {one: words[one] for one in known}, MEASURE, "cka")
    elif known:
        measure = known[0]
    chosen = _choose_lines(table, AXES["coupling"], ALIKE)
    shown = table[table["experiment"].isin(chosen)]
    st.plotly_chart(
        similarity_figure(shown, measure, language.current()),
        key="ablation_similarity",
        config=comparing.CHART,
        alt=t("Similarity of the two streams by level"),
    )
    st.caption(
        t(
            "Linear CKA (arXiv 1905.00414) of the two streams' pooled representations on test cells: 1 means the same "
            "up to rotation and scale. Subspace overlap: how far the two levels' weights read the same directions of "
            "their input. Dotted: what unrelated representations or weights would give. Late fusions have one level, "
            "their summaries. Means over runs; whiskers span the runs, they are no confidence intervals."
        )
    )
    components.table_under(city, shown, "similarity", ablating.similarity_columns())


def show_robustness(city: City, ablation: Ablation) -> None:
    """Show accuracy without a modality, and under damage of growing strength."""
    comparing.heading(city, t("Robustness: a modality absent or damaged at test time"))
    table = ablation.robustness
    if table.empty:
        components.empty(
            t("No run here was measured under damage yet."),
            t(
                "Measure one with `python -m fusion robustness --city {city} --run RUN_ID`; "
                "`python -m fusion runs --city {city}` lists the runs.",
                city=city.name,
            ),
        )
        return
    chosen = _choose_lines(table, AXES["modality-dropout"], DAMAGED)
    shown = table[table["experiment"].isin(chosen)]
    left, right = st.columns(2, gap="large")
    with left:
        _show_absent(city, shown, chosen)
    with right:
        _show_graded(city, shown)
    runs = t("{n} run(s)", n=_span(shown["runs"]))
    st.caption(
        t(
            "The same trained networks on the same test cells, inputs damaged by a fixed seed: of each model {runs} "
            "({folds} test folds, {seeds} seeds), {n:,} test cells, so that accuracies differ from those above, which "
            "pool all runs. Intervals of the runs' block bootstraps, combined over folds; a network trained without "
            "modality dropout sees an absent modality as blank input.",
            runs=runs,
            folds=_span(shown["folds"]),
            seeds=_span(shown["seeds"]),
            n=int(shown["n"].max()),
        )
    )


def _span(counts: "pd.Series[int]") -> str:
    """Spell a number that rows share, or the least and the most."""
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()}–{counts.max()}"


def _show_absent(city: City, table: pd.DataFrame, experiments: list[str]) -> None:
    st.markdown(f"**{t('A modality absent')}**")
    absent = table[table["condition"].isin([NONE, IMAGE_ABSENT, SIGNAL_ABSENT])]
    if not absent["condition"].isin([IMAGE_ABSENT, SIGNAL_ABSENT]).any():
        components.empty(t("None of these was measured without a modality."), t("Choose others above."))
        return
    st.plotly_chart(
        missing_figure(absent, experiments, language.current()),
        key="ablation_absent",
        config=comparing.CHART,
        alt=t("Accuracy with both modalities and with one absent"),
    )
    fusions = [name for name in experiments if "+" in name]  # without its only modality a network says nothing
    if said := view.absence_findings(absent, fusions, t):
        st.markdown("\n".join(f"- {sentence}" for sentence in said))
    components.table_under(city, absent, "absent", ablating.robustness_columns())


def _show_graded(city: City, table: pd.DataFrame) -> None:
    st.markdown(f"**{t('Damage of growing strength')}**")
    there = [name for name in _GRADED if (table["condition"] == name).any()]
    if not there:
        components.empty(t("None of these was measured under graded damage."), t("Choose others above."))
        return
    words = {
        CLOUD: t("clouds"),
        SHIFT: t("imagery shifted"),
        HOURS_MISSING: t("hours missing"),
        NOISE: t("signaling noise"),
    }
    units = {
        CLOUD: t("Share of the chip under cloud, %"),
        SHIFT: t("Shift of the imagery, m"),
        HOURS_MISSING: t("Share of the time steps missing, %"),
        NOISE: t("Deviation of the noise, scaled log units"),
    }
    damage = components.choose_one(t("Damage"), {one: words[one] for one in there}, DAMAGE)
    st.plotly_chart(
        damage_figure(table, damage, units[damage], damage in (CLOUD, HOURS_MISSING), language.current()),
        key="ablation_graded",
        config=comparing.CHART,
        alt=t("Accuracy by strength of the damage"),
    )
    rows = table[table["condition"].isin([NONE, damage])]
    components.table_under(city, rows, damage, ablating.robustness_columns())


def _choose_lines(table: pd.DataFrame, wanted: tuple[str, ...], key: str) -> list[str]:
    """Let the reader choose the experiments that a chart shows; all of them where they are few."""
    names = list(dict.fromkeys(table["experiment"]))
    if len(names) <= view.FIRST_LINES:
        return names
    chosen = st.multiselect(
        t("Models shown"), names, default=view.first_lines(names, wanted), key=key, persist_state="session"
    )
    # In the order of the table, so that a line keeps its colour while others come and go.
    return [name for name in names if name in chosen] or view.first_lines(names, wanted)
