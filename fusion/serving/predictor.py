"""From chosen cells of a city to their predicted functions: the one door of pages and command line to checkpoints.

Importing this module is cheap; torch comes with the first checkpoint.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fusion.city import City
from fusion.classes import IDS
from fusion.errors import CityError, InputError, RunError
from fusion.extract.build import build_samples
from fusion.geo.grid import centres, from_hex, to_hex
from fusion.samples.sampleset import SampleSet
from fusion.training.runs import load_run, partners

if TYPE_CHECKING:
    from fusion.training.predict import Predictor

__all__ = ["load_predictor", "partners", "predict", "predict_cells", "predict_regions", "samples_for"]

Progress = Callable[[float, str], None]
Cells = Sequence[str] | np.ndarray

_SAMPLES_SHARE = 0.3  # of the progress, where samples may have to be extracted first


def load_predictor(run_folder: Path, device: str = "auto") -> "Predictor":
    """Load a run's checkpoint once; see `fusion.training.predict.load_predictor`. The caller keeps it.

    Raises:
        ConfigError: no such device.
        RunError: the run has no weights here, they are torn, or of other classes.
    """
    from fusion.training.predict import load_predictor as load

    return load(run_folder, device)


def samples_for(city: City, run_folder: Path, progress: Progress | None = None) -> SampleSet:
    """Return the city's samples of the layout and neighbourhood that a run was trained on, extracting them if need be.

    Raises:
        CityError: the city lacks what samples need.
        RunError: the run is torn.
    """
    config = load_run(run_folder).run.get("config") or {}
    try:
        layout, k = str(config["layout"]), int(config["k"])
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{run_folder}: run.json does not say the layout and k of its samples: train again") from None
    return build_samples(city, layout=layout, k=k, progress=progress)


def predict(
    city: City,
    run_folder: Path,
    ids: Cells,
    device: str = "auto",
    batch_size: int = 128,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict the function of cells of a city with a trained run.

    Args:
        city: the city.
        run_folder: a run with weights; of this city or of another with the same measures.
        ids: cells as H3 hexadecimal strings or uint64; a cell named twice is predicted once.
        device: auto, cuda, cuda:N, mps or cpu.
        batch_size: cells at a time.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the prediction.

    Returns:
        One row a cell, in the order given: id, lon, lat (degrees), covered, true, predicted (class ids, or None),
        confidence, p_<class id>. A cell without a sample (no imagery or no activity there) has covered False and no
        prediction; it is never dropped.

    Raises:
        InputError: no cells, or a text that is no cell.
        CityError: the city lacks imagery or activity, or has no map: see `predict_regions`.
        ConfigError: no such device.
        RunError: the run has no weights here, or does not fit the city's samples.
    """
    if not city.has_map:
        raise CityError(f"city {city.name} has no map and so no cells: `python -m fusion predict` takes its regions")
    told = progress or (lambda share, text: None)
    predictor = load_predictor(run_folder, device)
    samples = samples_for(city, run_folder, lambda share, text: told(_SAMPLES_SHARE * share, text))
    return predict_cells(
        predictor,
        samples,
        ids,
        batch_size,
        lambda share, text: told(_SAMPLES_SHARE + (1 - _SAMPLES_SHARE) * share, text),
    )


def predict_regions(
    city: City,
    run_folder: Path,
    ids: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict the function of regions of a city without a map (URFC).

    Args:
        city: the city.
        run_folder: a run with weights.
        ids: region ids, each once; None: all, those without a class too.
        device: auto, cuda, cuda:N, mps or cpu.
        progress: as of `predict`.

    Returns:
        One row a region, in the order given: id, true (None without a class), predicted, confidence, p_<class id>.

    Raises:
        SampleError: an id is not in the city.
        CityError, ConfigError, RunError: as of `predict`.
    """
    predictor = load_predictor(run_folder, device)
    samples = samples_for(city, run_folder)
    rows = np.arange(len(samples)) if ids is None else samples.rows_of(list(dict.fromkeys(ids)))
    known = predictor.predict(samples, rows, progress=progress)
    columns = [f"p_{id_}" for id_ in IDS]
    known.insert(3, "confidence", known[columns].max(axis=1))
    return known[["id", "true", "predicted", "confidence", *columns]]


def predict_cells(
    predictor: "Predictor",
    samples: SampleSet,
    ids: Cells,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict with a checkpoint and samples that the caller keeps; as `predict` in all else."""
    cells = _cells(ids)
    names = np.asarray(to_hex(cells), dtype=str)
    lon, lat = centres(cells)
    covered = np.isin(names, samples.ids)
    known = predictor.predict(samples, samples.rows_of(names[covered]), batch_size, progress)
    table = pd.DataFrame({"id": names.astype(object), "lon": lon, "lat": lat, "covered": covered})
    columns = [f"p_{id_}" for id_ in IDS]
    for name in ("true", "predicted"):
        table[name] = pd.Series([None] * len(table), dtype=object)
        table.loc[covered, name] = known[name].to_numpy(dtype=object)
    table["confidence"] = np.nan
    table[columns] = np.nan
    table.loc[covered, columns] = known[columns].to_numpy(dtype=np.float64)
    table["confidence"] = table[columns].max(axis=1)
    return table


def _cells(ids: Cells) -> np.ndarray:
    given = np.asarray(ids)
    if not given.size:
        raise InputError("no cells to predict: choose some")
    numbers = given.dtype.kind in "ui"
    cells = from_hex([format(int(item), "x") if numbers else str(item) for item in given.ravel()])
    return np.asarray(pd.unique(cells), dtype=np.uint64)  # the order given, each once
