"""What Compare and Ablation share: headings, the choice of runs, how charts behave, what columns are called."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import streamlit as st

from fusion.charts.palette import MODALITIES, class_names, modality_name
from fusion.city import City
from fusion.classes import IDS
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


def shares(label: str) -> Any:
    """Return a column of shares of 1 in per cent, each with one decimal."""
    return st.column_config.NumberColumn(label, format="percent", step=0.001)


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
    number = st.column_config.NumberColumn
    return {
        "kind": words(t("Kind"), {"measured": t("measured"), "ceiling": t("ceiling")}),
        "rank": t("No."),
        "experiment": t("Model"),
        "modality": modality_column(),
        "accuracy": shares(t("Accuracy")),
        "low": shares(t("95 % low")),
        "high": shares(t("95 % high")),
        "seeds": t("Number of seeds"),
        "seed_low": shares(t("Worst seed")),
        "seed_high": shares(t("Best seed")),
        "ensemble": shares(t("Seeds' ensemble")),
        "balanced_accuracy": shares(t("Balanced accuracy")),
        "macro_f1": shares(t("Macro-F1")),
        "evaluable": t("Classes judged"),
        "kappa": number(t("Kappa"), format="%.3f"),
        "quantity_disagreement": shares(t("Quantity disagreement")),
        "allocation_disagreement": shares(t("Allocation disagreement")),
        "ece_before": shares(t("ECE before")),
        "ece_after": shares(t("ECE after")),
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


def f1_columns() -> dict:
    """Name and format the columns of F1 by class."""
    names = dict(zip(IDS, class_names(language.current()), strict=True))
    return {"experiment": t("Model"), **{id_: shares(name) for id_, name in names.items()}}


def confusion_columns() -> dict:
    """Name the columns of a confusion matrix, and its rows, by the functions."""
    names = dict(zip(IDS, class_names(language.current()), strict=True))
    return {"true": words(t("True"), names), **names}


def contrast_columns() -> dict:
    """Name and format the columns of declared contrasts."""
    number = st.column_config.NumberColumn
    return {
        "question": t("Question"),
        "a": t("First"),
        "b": t("Second"),
        "state": words(t("State"), {"run": t("run"), "not run": t("not run"), "no common cells": t("no common cells")}),
        "missing": t("Not run yet"),
        "verdict": words(t("Corrected p says"), {"gain": t("better"), "loss": t("worse"), "open": t("not proven")}),
        "difference": shares(t("Difference")),
        "low": shares(t("95 % low")),
        "high": shares(t("95 % high")),
        "p_value": number(t("p by sign flips"), format="%.2g"),
        "p_holm": number(t("p, Holm"), format="%.2g"),
        "mcnemar_p": number(t("McNemar p"), format="%.2g"),
        "mcnemar_holm": number(t("McNemar p, Holm"), format="%.2g"),
        "only_a": number(t("Only the first right"), format="localized"),
        "only_b": number(t("Only the second right"), format="localized"),
        "accuracy_a": shares(t("First, seeds averaged")),
        "accuracy_b": shares(t("Second, seeds averaged")),
        "difference_single": shares(t("Difference of single models")),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "seeds_run": t("Seeds"),
        "folds_run": t("Test folds"),
    }


def flattery_columns() -> dict:
    """Name and format the columns of random against spatial folds."""
    number = st.column_config.NumberColumn
    sides = {}
    for kind, name in (("spatial", t("Spatial")), ("random", t("Random"))):
        sides |= {
            kind: shares(name),
            f"{kind}_low": shares(f"{name}: {t('95 % low')}"),
            f"{kind}_high": shares(f"{name}: {t('95 % high')}"),
            f"{kind}_n": number(f"{name}: {t('Cells')}", format="localized"),
            f"{kind}_trained": shares(f"{name}: {t('Share trained on')}"),
            f"{kind}_seeds": f"{name}: {t('Number of seeds')}",
            f"{kind}_folds": f"{name}: {t('Test folds')}",
        }
    return {
        "experiment": t("Model"),
        "modality": modality_column(),
        **sides,
        "difference": shares(t("Random minus spatial")),
        "low": shares(t("95 % low")),
        "high": shares(t("95 % high")),
    }


def reported_columns() -> dict:
    """Name and format the columns of what was reported elsewhere."""
    number = st.column_config.NumberColumn
    return {
        "name": t("Reported model"),
        "low": number(t("From"), format="percent"),  # as reported, to the last digit
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
        "difference": shares(t("Difference")),
        "low": shares(t("95 % low")),
        "high": shares(t("95 % high")),
        "only_fusion": t("Only fusion right"),
        "only_unimodal": t("Only the other right"),
        "p_value": number(t("McNemar p"), format="%.2g"),
        "n": number(t("Cells"), format="localized"),
        "groups": t("Groups"),
        "mcnemar": words(t("McNemar's form"), {"exact binomial": t("exact binomial"), "chi-squared": t("chi-squared")}),
        "verdict": interval_column(),
    }
