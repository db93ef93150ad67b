"""Compare's differences: declared contrasts, exploration beside them, random against spatial folds."""

import streamlit as st

from fusion.charts.paired_figures import contrast_figure, flattery_figure, paired_figure
from fusion.city import City
from fusion.serving.comparison import Comparison
from pages.ui import comparing, components, language
from pages.ui.language import t
from pages.views import compare as view
from pages.views.formats import percent

EXPLORE, PAIRS = "compare_explore", "compare_pairs"


def show(city: City, comparison: Comparison) -> None:
    """Show the declared contrasts, and on demand every fusion against every single stream."""
    comparing.heading(city, t("Questions declared before the runs"))
    contrasts = view.contrast_table(comparison)
    ran = contrasts[contrasts["state"] == "run"]
    if ran.empty:
        components.empty(
            t("None of the {n} declared contrasts has both its models yet.", n=len(contrasts)),
            t(
                "Train the suite they belong to: `python -m fusion ablate core --city {city} --seeds 2 --folds 3`.",
                city=city.name,
            ),
        )
    else:
        st.plotly_chart(
            contrast_figure(ran, language.current()),
            key="compare_contrasts",
            config=comparing.CHART,
            alt=t("Declared contrasts: the first model's accuracy minus the second's, with intervals"),
        )
        st.caption(_method(len(ran), len(contrasts)))
    components.table_under(
        city, view.translated(contrasts, language.current()), "contrasts", comparing.contrast_columns()
    )
    if st.toggle(
        t("Explore: every fusion against every single stream, undeclared and uncorrected"),
        key=EXPLORE,
        persist_state="session",
    ):
        _explore(city, comparison)


def show_flattery(city: City, comparison: Comparison) -> None:
    """Show what a random split says of the experiments that were run both ways."""
    comparing.heading(city, t("What a random split flatters"))
    table = comparison.flattery
    folds = comparison.setting.folds if comparison.setting is not None else 3
    if table.empty:
        components.empty(
            t("No model was run on both random and spatial folds."),
            t(
                "Run one both ways, for instance "
                "`python -m fusion ablate vit convlstm --city {city} --seeds 1 --folds {folds} --split random`.",
                city=city.name,
                folds=folds,
            ),
        )
        return
    st.plotly_chart(
        flattery_figure(table, language.current()),
        key="compare_flattery",
        config=comparing.CHART,
        alt=t("Accuracy of each model on spatial and on random folds, with intervals"),
    )
    st.caption(
        t(
            "The same models and data; only the folds differ. A random fold deals cell by cell, so a test cell's "
            "neighbours, whose chips overlap its own, are in training; it also has no buffer and so more training "
            "cells ({random} of the labelled ones instead of {spatial}). The difference has an unpaired "
            "interval: either side's spatial groups are drawn on their own.",
            random=percent(table["random_trained"].mean(), 0),
            spatial=percent(table["spatial_trained"].mean(), 0),
        )
    )
    components.table_under(city, table, "random-spatial", comparing.flattery_columns())


def _method(ran: int, declared: int) -> str:
    return t(
        "{ran} of {declared} declared contrasts were run. The effect is the first model's accuracy minus the second's, "
        "of probabilities averaged over common seeds, on common folds and cells. Intervals draw spatial groups with "
        "replacement; p-values flip the sign of whole groups, and are corrected for the number of contrasts (Holm): "
        "they decide what counts as proven, at 5 %. McNemar's test, in the table, takes cells for independent, which "
        "neighbours are not, so its p-values are too small. Ablation compares single models, averaged over seeds: "
        "there the same pair can look different.",
        ran=ran,
        declared=declared,
    )


def _explore(city: City, comparison: Comparison) -> None:
    paired = comparison.paired
    if paired.empty:
        components.empty(
            t("No fusion and unimodal model were tested on common cells."),
            t(
                "Train both on the same folds, for instance "
                "`python -m fusion ablate vit convlstm-transformer vit+convlstm-bottleneck --seeds 1 --folds 3 "
                "--city {city}`.",
                city=city.name,
            ),
        )
        return
    own = paired[paired["own_stream"]]
    if 0 < len(own) < len(paired):
        choice = components.choose_one(
            t("Pairs"), {"own": t("Each fusion against its own streams"), "all": t("Every pair")}, PAIRS
        )
        paired = own if choice == "own" else paired
    st.plotly_chart(
        paired_figure(paired, language.current()),
        key="compare_paired",
        config=comparing.CHART,
        alt=t("Accuracy of each fusion minus that of each unimodal model on the same cells, with intervals"),
    )
    st.caption(
        t(
            "Exploration: {n} pairs that nobody declared, with no correction for their number. Expect one in twenty "
            "intervals to miss zero where there is no difference.",
            n=len(paired),
        )
    )
    components.table_under(city, view.paired_table(paired), "paired", comparing.paired_columns())
