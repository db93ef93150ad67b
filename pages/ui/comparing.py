"""What Compare and Ablation share: headings, the choice of runs, how charts behave, what columns are called."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import streamlit as st

from fusion.charts.palette import MODALITIES, modality_name
from fusion.city import City
from fusion.serving.ablation import Ablation
from fusion.serving.comparison import Comparison
from fusion.serving.pooling import Setting
from pages.ui import components, language
from pages.ui.language import t

Kept = TypeVar("Kept", Comparison, Ablation)

CHART = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


def heading(city: City, text: str) -> None:
    """Head a part of the page; a synthetic city's figures are marked as such."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(text)
        components.synthetic_badge(city)


def choose_setting(load: Callable[[str | None], Kept], widget: str) -> Kept:
    """Let the reader choose among settings, where runs of several are there.

    Args:
        load: from a setting's key, or None for the best one, to what a page shows; it has `settings`.
        widget: the key of the box.
    """
    first = load(None)
    if len(first.settings) < 2:
        return first
    settings = {setting.key: _setting_name(setting) for setting in first.settings}
    key = st.selectbox(
        t("Runs of one kind of folds and state of the data; different ones are never pooled"),
        list(settings),
        format_func=settings.__getitem__,
        key=widget,
        persist_state="session",
    )
    return load(key)


def _setting_name(setting: Setting) -> str:
    return t(
        "{folds} {kind} folds, data {data}, model version {version}",
        folds=setting.folds,
        kind=t("spatial") if setting.fold_kind == "spatial" else t("random"),
        data=setting.city_fingerprint[:8],
        version=setting.model_version,
    )


def words(label: str, names: Mapping[str, str]) -> Any:
    """Return a column whose values are the data's own names, shown in the session's language.

    Args:
        label: of the column.
        names: value -> how it is shown.
    """
    return st.column_config.SelectboxColumn(label, options=list(names), format_func=lambda one: names.get(one, one))


def modality_column() -> Any:
    """Return the column of modalities."""
    return words(t("Modality"), {one: modality_name(one, language.current()) for one in MODALITIES})


def interval_column() -> Any:
    """Return the column of what the interval of a difference says."""
    above, below = t("above 0"), t("below 0")
    return words(
        t("Interval says"), {"gain": above, "better": above, "loss": below, "worse": below, "open": t("includes 0")}
    )


def accuracy_columns() -> dict:
    """Name and format the columns of accuracies and costs."""
    number, share = st.column_config.NumberColumn, "percent"
    return {
        "kind": words(t("Kind"), {"measured": t("measured"), "ceiling": t("ceiling")}),
        "rank": t("No."),
        "experiment": t("Model"),
        "modality": modality_column(),
        "accuracy": number(t("Accuracy"), format=share),
        "low": number(t("95 % low"), format=share),
        "high": number(t("95 % high"), format=share),
        "seeds": t("Number of seeds"),
        "seed_low": number(t("Worst seed"), format=share),
        "seed_high": number(t("Best seed"), format=share),
        "ensemble": number(t("Seeds' ensemble"), format=share),
        "balanced_accuracy": number(t("Balanced accuracy"), format=share),
        "macro_f1": number(t("Macro-F1"), format=share),
        "evaluable": t("Classes judged"),
        "kappa": number(t("Kappa"), format="%.3f"),
        "quantity_disagreement": number(t("Quantity disagreement"), format=share),
        "allocation_disagreement": number(t("Allocation disagreement"), format=share),
        "ece_before": number(t("ECE before"), format=share),
        "ece_after": number(t("ECE after"), format=share),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "folds_run": t("Test folds"),
        "seeds_run": t("Seeds"),
        "parameters": number(t("Parameters"), format="localized"),
        "multiply_adds": number(t("Multiply-adds a cell"), format="localized"),
        "latency_1_ms": number(t("Latency of 1, ms"), format="%.1f"),
        "latency_32_ms": number(t("Latency of 32, ms"), format="%.1f"),
        "train_s": number(t("Training, s"), format="%.0f"),
    }


def contrast_columns() -> dict:
    """Name and format the columns of declared contrasts."""
    number, share = st.column_config.NumberColumn, "percent"
    return {
        "question": t("Question"),
        "a": t("First"),
        "b": t("Second"),
        "state": words(t("State"), {"run": t("run"), "not run": t("not run"), "no common cells": t("no common cells")}),
        "missing": t("Not run yet"),
        "verdict": words(t("Corrected p says"), {"gain": t("better"), "loss": t("worse"), "open": t("not proven")}),
        "difference": number(t("Difference"), format=share),
        "low": number(t("95 % low"), format=share),
        "high": number(t("95 % high"), format=share),
        "p_value": number(t("p by sign flips"), format="%.2g"),
        "p_holm": number(t("p, Holm"), format="%.2g"),
        "mcnemar_p": number(t("McNemar p"), format="%.2g"),
        "mcnemar_holm": number(t("McNemar p, Holm"), format="%.2g"),
        "only_a": number(t("Only the first right"), format="localized"),
        "only_b": number(t("Only the second right"), format="localized"),
        "accuracy_a": number(t("First, seeds averaged"), format=share),
        "accuracy_b": number(t("Second, seeds averaged"), format=share),
        "difference_single": number(t("Difference of single models"), format=share),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "seeds_run": t("Seeds"),
        "folds_run": t("Test folds"),
    }


def flattery_columns() -> dict:
    """Name and format the columns of random against spatial folds."""
    number, share = st.column_config.NumberColumn, "percent"
    sides = {}
    for kind, name in (("spatial", t("Spatial")), ("random", t("Random"))):
        sides |= {
            kind: number(name, format=share),
            f"{kind}_low": number(f"{name}: {t('95 % low')}", format=share),
            f"{kind}_high": number(f"{name}: {t('95 % high')}", format=share),
            f"{kind}_n": number(f"{name}: {t('Cells')}", format="localized"),
            f"{kind}_trained": number(f"{name}: {t('Share trained on')}", format=share),
            f"{kind}_seeds": f"{name}: {t('Number of seeds')}",
            f"{kind}_folds": f"{name}: {t('Test folds')}",
        }
    return {
        "experiment": t("Model"),
        "modality": modality_column(),
        **sides,
        "difference": number(t("Random minus spatial"), format=share),
        "low": number(t("95 % low"), format=share),
        "high": number(t("95 % high"), format=share),
    }


def reported_columns() -> dict:
    """Name and format the columns of what was reported elsewhere."""
    number = st.column_config.NumberColumn
    return {
        "name": t("Reported model"),
        "low": number(t("From"), format="percent"),
        "high": number(t("To"), format="percent"),
        "user": t("Of this project"),
        "data": t("Data"),
        "source": t("Source"),
    }


def paired_columns() -> dict:
    """Name and format the columns of paired comparisons."""
    number = st.column_config.NumberColumn
    return {
        "fusion": t("Fusion"),
        "unimodal": t("Against"),
        "modality": modality_column(),
        "difference": number(t("Difference"), format="percent"),
        "low": number(t("95 % low"), format="percent"),
        "high": number(t("95 % high"), format="percent"),
        "only_fusion": t("Only fusion right"),
        "only_unimodal": t("Only the other right"),
        "p_value": number(t("McNemar p"), format="%.2g"),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "mcnemar": words(t("McNemar's form"), {"exact binomial": t("exact binomial"), "chi-squared": t("chi-squared")}),
        "verdict": interval_column(),
    }
