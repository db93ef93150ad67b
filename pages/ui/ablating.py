"""What the parts of Ablation share: the cached answer, what each axis is called and asks, the columns of its tables."""

import streamlit as st

from fusion.city import City
from fusion.serving.ablation import Ablation, ablation_of
from fusion.serving.ablation_tables import ROBUSTNESS_FILE
from pages.ui import caches, comparing, models
from pages.ui.language import t

_NARROW_PX = 115


def ablation(city: City, key: str | None = None) -> Ablation:
    """As `fusion.serving.ablation.ablation_of`, kept until a run comes, goes, changes or is measured under damage."""
    measured = (folder / ROBUSTNESS_FILE for folder in city.run_folders())
    with st.spinner(t("Laying the runs side by side")):  # seconds, once after runs have come or gone
        return caches.remember(_ablation, (*models.run_files(city), *measured), city, key)


def _ablation(city: City, key: str | None) -> Ablation:
    return ablation_of(city, key, models.comparison(city, key))


def axis_titles() -> dict[str, str]:
    """Return what each axis is called, in the order of the page."""
    return {
        "fusion-layer": t("Fusion layer Lf"),
        "bottlenecks": t("Bottlenecks B"),
        "fusion": t("Way of fusing"),
        "coupling": t("Coupling"),
        "streams": t("Streams"),
        "pretraining": t("Pretraining"),
        "merging": t("Token merging"),
        "modality-dropout": t("Modality dropout"),
    }


def axis_question(axis: str) -> str:
    """Say in plain words what an axis asks."""
    return {
        "fusion-layer": t(
            "At which level do the streams begin to meet? Lf levels run alone: 0 is early fusion, all of them late "
            "fusion, between lies mid fusion (MBT, Nagrani et al. 2021)."
        ),
        "bottlenecks": t(
            "How much may the streams tell each other? At every fused level, all that passes between them passes "
            "through B tokens (MBT, Nagrani et al. 2021)."
        ),
        "fusion": t(
            "How do the streams meet? Late: only their summaries do. Joint attention: every token sees every other. "
            "Cross-attention: each stream reads the other with weights of its own. Bottleneck: through a few tokens. "
            "The last three have transformer blocks on the signal's tokens, which the late rows have not."
        ),
        "coupling": t(
            "Does tying level l of one stream to level l of the other help them complement each other (this project's "
            "own idea)? Attention tensors are shared, drawn together or pushed apart; or what the levels say is "
            "aligned (contrastive) or made to differ (orthogonal). The number is the penalty's weight in the loss."
        ),
        "streams": t(
            "What does each encoder make of its modality alone? Fusion is worth its cost only against the best of "
            "these; a single stream can beat its fusion (arXiv 1905.12681)."
        ),
        "pretraining": t(
            "What does it bring to train the ViT first on the city's own unlabelled imagery by masked autoencoding (He "
            "et al. 2022)? Each pretrained row stands against the same network from scratch."
        ),
        "merging": t(
            "How much of a modality is redundant? Before fusion, the most alike tokens of each stream are averaged "
            "until that share of them is gone (ToMe, Bolya et al. 2023). If accuracy stays, they were redundant."
        ),
        "modality-dropout": t(
            "Training with samples that lack a modality at random: what does it cost while both are there? What it "
            "brings when one is absent stands under robustness, below."
        ),
    }[axis]


def overview_columns() -> dict:
    """Name the columns of the table of all axes; what was found fits a phone."""
    return {
        "axis": st.column_config.TextColumn(t("Question"), width=_NARROW_PX + 14),
        "run": st.column_config.NumberColumn(t("Rows run")),
        "declared": st.column_config.NumberColumn(t("Rows declared")),
        "compared": st.column_config.NumberColumn(t("Compared")),
        "better": st.column_config.NumberColumn(t("Interval above 0"), width=_NARROW_PX),
        "worse": st.column_config.NumberColumn(t("Interval below 0"), width=_NARROW_PX),
    }


def axis_columns() -> dict:
    """Name and format the columns of an axis' table."""
    number = st.column_config.NumberColumn
    return {
        "row": t("What changes"),
        "experiment": t("Model"),
        "modality": comparing.modality_column(),
        "accuracy": comparing.shares(t("Accuracy")),
        "low": comparing.shares(t("95 % low")),
        "high": comparing.shares(t("95 % high")),
        "macro_f1": comparing.shares(t("Macro-F1")),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "seeds": t("Seeds"),
        "folds_run": t("Test folds"),
        "runs": t("Runs"),
        "fewer": t("Fewer runs"),
        "declared": t("Declared before"),
        "parameters": number(t("Parameters"), format="localized"),
        "multiply_adds": number(t("Multiply-adds a cell"), format="localized"),
        "saved": comparing.shares(t("Saved")),
        "reference": t("Measured against"),
        "difference": comparing.shares(t("Difference")),
        "difference_low": comparing.shares(t("Difference, low")),
        "difference_high": comparing.shares(t("Difference, high")),
        "common_seeds": t("Common seeds"),
        "common_folds": t("Common folds"),
        "common_cells": number(t("Common cells"), format="localized"),
        "verdict": comparing.interval_column(),
    }


def robustness_columns() -> dict:
    """Name and format the columns of the table of damaged inputs."""
    number = st.column_config.NumberColumn
    return {
        "experiment": t("Model"),
        "condition": t("Damage"),
        "strength": number(t("Strength"), format="%.2f"),
        "n": number(t("Cells"), format="localized"),
        "accuracy": comparing.shares(t("Accuracy")),
        "low": comparing.shares(t("95 % low")),
        "high": comparing.shares(t("95 % high")),
        "macro_f1": comparing.shares(t("Macro-F1")),
        "runs": t("Runs"),
        "seeds": t("Seeds"),
        "folds": t("Test folds"),
    }


def similarity_columns() -> dict:
    """Name and format the columns of the table of similarities."""
    number = st.column_config.NumberColumn
    return {
        "experiment": t("Model"),
        "level": t("Level"),
        "cka": number("CKA", format="%.3f"),
        "cka_low": number(t("CKA, least"), format="%.3f"),
        "cka_high": number(t("CKA, most"), format="%.3f"),
        "cka_chance": number(t("CKA, chance"), format="%.3f"),
        "overlap": number(t("Overlap"), format="%.3f"),
        "overlap_low": number(t("Overlap, least"), format="%.3f"),
        "overlap_high": number(t("Overlap, most"), format="%.3f"),
        "overlap_chance": number(t("Overlap, chance"), format="%.3f"),
        "runs": t("Runs"),
    }
