"""What the parts of Compare share: headings, how charts behave, what their tables' columns are called."""

import streamlit as st

from fusion.city import City
from pages.ui import components
from pages.ui.language import t

CHART = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


def heading(city: City, text: str) -> None:
    """Head a part of the page; a synthetic city's figures are marked as such."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(text)
        components.synthetic_badge(city)


def accuracy_columns() -> dict:
    """Name and format the columns of accuracies and costs."""
    number, share = st.column_config.NumberColumn, "percent"
    return {
        "kind": t("Kind"),
        "experiment": t("Model"),
        "modality": t("Modality"),
        "accuracy": number(t("Accuracy"), format=share),
        "low": number(t("95 % low"), format=share),
        "high": number(t("95 % high"), format=share),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "macro_f1": number(t("Macro-F1"), format=share),
        "evaluable": t("Classes judged"),
        "ece_before": number(t("ECE before"), format=share),
        "ece_after": number(t("ECE after"), format=share),
        "folds_run": t("Test folds"),
        "parameters": number(t("Parameters"), format="localized"),
        "train_s": number(t("Training, s"), format="%.0f"),
    }


def paired_columns() -> dict:
    """Name and format the columns of paired comparisons."""
    number = st.column_config.NumberColumn
    return {
        "fusion": t("Fusion"),
        "unimodal": t("Against"),
        "modality": t("Modality"),
        "difference": number(t("Difference"), format="percent"),
        "low": number(t("95 % low"), format="percent"),
        "high": number(t("95 % high"), format="percent"),
        "only_fusion": t("Only fusion right"),
        "only_unimodal": t("Only the other right"),
        "p_value": number(t("McNemar p"), format="%.2g"),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "mcnemar": t("McNemar's form"),
        "verdict": t("Interval says"),
    }
