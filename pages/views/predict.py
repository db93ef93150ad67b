"""Predict's results as tables: what was asked, what came out, what each cell was to the run. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from fusion.classes import IDS
from pages.views.formats import interval, percent

PROBABILITIES = [f"p_{id_}" for id_ in IDS]
# How cards and table can be ordered; the least confident and the wrong ones are what one wants to look at.
ORDERS = ("given", "unsure", "wrong")
FEWEST = 20  # cells of known function below which a percentage would say more than they can


@dataclass(frozen=True)
class Question:
    """What one prediction was asked: it stays with the answer, so that an old answer never passes for a new one."""

    city: str
    city_fingerprint: str
    run: str
    cells: tuple[int, ...]
    device: str
    side_by_side: bool


@dataclass(frozen=True)
class Answer:
    """One prediction.

    table: as `assemble`; device: what it really ran on; sides: modality -> id of the run that gave its probabilities,
    or None where there is none; probabilities: modality -> (N,9), rows as in the table, NaN where not covered.
    """

    question: Question
    table: pd.DataFrame
    device: str
    seconds: float
    sides: Mapping[str, str | None]
    probabilities: Mapping[str, np.ndarray] = field(repr=False)


def assemble(main: pd.DataFrame, sides: Mapping[str, pd.DataFrame], part: pd.Series) -> pd.DataFrame:
    """Put the chosen model's prediction, what each cell was to its run, and the other models' predictions side by side.

    Args:
        main: as `fusion.serving.predictor.predict`.
        sides: modality -> the same of its own model, same cells in the same order.
        part: as `fusion.serving.parts.fold_parts`.

    Returns:
        id, lon, lat, covered, true, part (None where not covered), right (True, False or None where unknown),
        predicted, confidence, then predicted_<modality> and confidence_<modality>, then p_<class id>.
    """
    table = main[["id", "lon", "lat", "covered", "true"]].copy()
    table["part"] = table["id"].map(part).astype(object).where(table["covered"], None)
    known = main["true"].notna() & main["predicted"].notna()
    table["right"] = (main["true"] == main["predicted"]).astype(object).where(known, None)
    table[["predicted", "confidence"]] = main[["predicted", "confidence"]]
    for modality, side in sides.items():
        table[f"predicted_{modality}"] = side["predicted"].to_numpy()
        table[f"confidence_{modality}"] = side["confidence"].to_numpy()
    table[PROBABILITIES] = main[PROBABILITIES]
    return table


def release(answer: Answer, provenance: str) -> pd.DataFrame:
    """Return the table that is downloaded: every row names its city, run and provenance."""
    front = {"city": answer.question.city, "provenance": provenance, "run": answer.question.run}
    table = answer.table.copy()
    for position, (name, value) in enumerate(front.items()):
        table.insert(1 + position, name, value)
    return table


def by_part(table: pd.DataFrame) -> pd.DataFrame:
    """Count the covered cells by what they were to the run: part, cells, known (true function known), right."""
    covered = table[table["covered"]]
    rows = []
    for part, group in covered.groupby("part", sort=False):
        known = group["right"].dropna()
        rows.append((part, len(group), len(known), int(known.astype(bool).sum())))
    order = ["test", "validation", "buffer", "train", "unlabelled", "unknown"]
    result = pd.DataFrame(rows, columns=["part", "cells", "known", "right"])
    return result.sort_values("part", key=lambda parts: parts.map(order.index), ignore_index=True)


def right_words(right: int, known: int, t: Callable[..., str]) -> str:
    """Say how many of the cells of known function are right; from `FEWEST` on with Wilson's 95 % interval."""
    if not known:
        return "–"
    if known < FEWEST:
        return t("{right:,} of {known:,}", right=right, known=known)
    low, high = proportion_confint(right, known, method="wilson")
    return t(
        "{right:,} of {known:,} ({share}, {interval})",
        right=right,
        known=known,
        share=percent(right / known),
        interval=interval(low, high),
    )


def ordered(table: pd.DataFrame, order: str) -> pd.DataFrame:
    """Return the covered cells in one of `ORDERS`, keeping the index of the table."""
    covered = table[table["covered"]]
    if order == "unsure":
        return covered.sort_values("confidence", kind="stable")
    if order == "wrong":
        rank = covered["right"].map({False: 0, True: 1}).fillna(2)
        return (
            covered.assign(_rank=rank)
            .sort_values(["_rank", "confidence"], ascending=[True, False])
            .drop(columns="_rank")
        )
    return covered


def class_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return predicted class ids with their number of cells, largest first."""
    return table["predicted"].dropna().value_counts().rename_axis("function").reset_index(name="cells")


def changed(answer: Answer, asked: Question) -> tuple[str, ...]:
    """Return what differs between an answer's question and what is chosen now: `city`, `data`, `run`, `cells`."""
    old = answer.question
    pairs = {
        "city": old.city == asked.city,
        "data": old.city_fingerprint == asked.city_fingerprint,
        "run": old.run == asked.run,
        "cells": old.cells == asked.cells,
    }
    return tuple(name for name, same in pairs.items() if not same)


def page_of(rows: Sequence[int], page: int, size: int) -> list[int]:
    """Return the rows of one page; pages count from 1."""
    start = (page - 1) * size
    return list(rows[start : start + size])
