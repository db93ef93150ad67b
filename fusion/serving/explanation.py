"""Why a model answers as it does for one region: the one door of the Predict page to the explanations.

Importing this module is cheap; torch comes with the first explanation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fusion.analysis.findings import Rollout, Shapley, hours_limit, rollout_limit, shapley_limit
from fusion.classes import IDS
from fusion.samples.sampleset import SampleMeta, SampleSet

if TYPE_CHECKING:
    from fusion.training.predict import Predictor

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What one answer comes from; a part that the model does not allow is None, and `limits` says why.

    Attributes:
        id: of the region.
        predicted: class id that is explained: the model's answer.
        probability: of that class, calibrated.
        rollout: where the ViT looked.
        hours: which hours mattered; columns `step`, `local` (start of the hour on the city's clock; NaT where a step is
            not one hour of one day) and `support` (probability with the hour minus without; NaN without data).
        clock: whether a step is an hour of the day, on all days at once.
        shapley: what each modality gave.
        limits: "rollout", "hours" or "shapley" -> key of `fusion.analysis.findings.LIMITS`.
    """

    id: str
    predicted: str
    probability: float
    rollout: Rollout | None = None
    hours: pd.DataFrame | None = None
    clock: bool = True
    shapley: Shapley | None = None
    limits: dict[str, str] = field(default_factory=dict)

    def to_table(self) -> pd.DataFrame:
        """Return every figure: `part` (rollout, elsewhere, hours, shapley), `item` and `value`, shares and
        probabilities as parts of 1; items of a rollout are `row,column` from the north-west, both from 0.
        """
        rows: list[tuple[str, str, float]] = []
        if self.rollout is not None:
            rows += [("rollout", f"{row},{column}", share) for (row, column), share in np.ndenumerate(
                self.rollout.patches)]  # fmt: skip
            rows.append(("rollout", "class token", self.rollout.class_share))
            rows += [("elsewhere", f"block {block}", share) for block, share in enumerate(self.rollout.elsewhere, 1)]
        if self.hours is not None:
            named = self.hours["local"].dt.strftime("%Y-%m-%d %H:%M").fillna(self.hours["step"].astype(str))
            rows += [("hours", name, value) for name, value in zip(named, self.hours["support"], strict=True)]
        if self.shapley is not None:
            names = ("nothing", "image", "signal", "both", "image_only", "signal_only")
            rows += [("shapley", name, getattr(self.shapley, name)) for name in names]
        return pd.DataFrame(rows, columns=["part", "item", "value"])


def explain_cell(predictor: "Predictor", samples: SampleSet, id_: str, progress: Progress | None = None) -> Explanation:
    """Explain a model's answer for one region in every way that the model allows.

    Args:
        predictor: as of `fusion.serving.predictor.load_predictor`.
        samples: as of `fusion.serving.predictor.samples_for`.
        id_: of the region, an H3 hexadecimal string.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the work.

    Raises:
        SampleError: the region has no sample.
        RunError: the samples are not of the form that the model was trained on.
    """
    from fusion.analysis.explain import modality_shapley, occlude_hours
    from fusion.analysis.rollout import attention_rollout

    (row,) = samples.rows_of([id_]).tolist()
    probability = predictor.probabilities(samples, np.array([row]))[0]
    network = predictor.card.network
    checks = {"rollout": rollout_limit, "hours": hours_limit, "shapley": shapley_limit}
    limits = {part: limit for part, check in checks.items() if (limit := check(network)) is not None}
    hours = None
    if "hours" not in limits:
        support = occlude_hours(predictor, samples, row, progress=progress).support
        hours = pd.DataFrame({"step": np.arange(len(support)), "local": local_starts(samples.meta), "support": support})
    return Explanation(
        id=id_,
        predicted=IDS[int(probability.argmax())],
        probability=float(probability.max()),
        rollout=attention_rollout(predictor, samples, row) if "rollout" not in limits else None,
        hours=hours,
        clock=samples.meta.layout == "days" and samples.meta.grid == "hex",
        shapley=modality_shapley(predictor, samples, row) if "shapley" not in limits else None,
        limits=limits,
    )


def local_starts(meta: SampleMeta) -> pd.Series:
    """Return (T,) when each step begins on the city's clock, without a zone; NaT where a step is no single hour."""
    if meta.layout != "hours" or meta.first_hour is None:
        return pd.Series(pd.NaT, index=range(meta.steps), dtype="datetime64[ns]")
    hours = pd.date_range(meta.first_hour, periods=meta.steps, freq="h")
    return pd.Series(hours.tz_convert(meta.timezone).tz_localize(None))
