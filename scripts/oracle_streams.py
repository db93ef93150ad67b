"""What keeps a fusion from its ceiling? On a synthetic city, put a site's true latents in place of one stream.

    python scripts/oracle_streams.py [--city zhengzhou-demo] [--image vit-pretrained] [--signal convlstm-transformer]

For each fold that both unimodal experiments were trained on (with weights), on that fold's own test cells:

- how well each stream knows its own latent: a linear probe of its frozen readout, fitted on the training cells;
- how well a small network fuses, fitted on the training cells: both readouts; the true appearance and the signal's
  readout; the image's readout and the true rhythm; both latents;
- the table of the most frequent function a (appearance, rhythm), counted on the training sites: what so few sites teach
  even a rule that sees everything.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fusion.city import City, open_city  # noqa: E402
from fusion.errors import FusionError, RunError  # noqa: E402
from fusion.extract.build import build_samples  # noqa: E402
from fusion.geo.grid import from_hex  # noqa: E402
from fusion.samples.sampleset import SampleSet  # noqa: E402
from fusion.samples.split import Fold, make_folds  # noqa: E402
from fusion.synthetic.ceilings import Truth, load_truth  # noqa: E402
from fusion.training.runs import RunRecord, load_runs  # noqa: E402

SEEDS = (0, 1, 2)  # of the small networks; their mean is told


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one block of figures a fold; 2 and one line where something is missing."""
    parser = argparse.ArgumentParser(description="Oracle latents in place of one stream.")
    parser.add_argument("--city", default="zhengzhou-demo")
    parser.add_argument("--image", default="vit-pretrained")
    parser.add_argument("--signal", default="convlstm-transformer")
    chosen = parser.parse_args(arguments)
    try:
        city = open_city(chosen.city)
        truth = load_truth(city.path)
        samples = build_samples(city)
        for image, signal in _pairs(city, chosen.image, chosen.signal):
            fold = make_folds(samples, image.folds, kind=image.run["fold_kind"])[image.fold]
            sys.stdout.write(
                f"fold {fold.index} of {fold.folds}, {len(fold.train)} training and {len(fold.test)} test cells\n"
            )
            for name, value in measure(samples, truth, fold, image, signal).items():
                sys.stdout.write(f"  {name:<58} {value:6.1%}\n")
    except FusionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def measure(samples: SampleSet, truth: Truth, fold: Fold, image: RunRecord, signal: RunRecord) -> dict[str, float]:
    """Return accuracies on the fold's test cells, by what was given."""
    at = np.searchsorted(truth.cells, from_hex([str(cell) for cell in samples.ids])).clip(max=len(truth.cells) - 1)
    known = {"appearance": truth.appearance[at], "rhythm": truth.rhythm[at]}
    one_hot = {name: np.eye(latent.max() + 1)[latent] for name, latent in known.items()}
    rows = np.concatenate([fold.train, fold.test])
    seen = {"image": np.empty((len(samples), 0)), "signal": np.empty((len(samples), 0))}
    for name, record in (("image", image), ("signal", signal)):
        values = read_out(record, samples, rows)
        seen[name] = np.zeros((len(samples), values.shape[1]))
        seen[name][rows] = values
    labels = samples.labels.astype(np.int64)
    return {
        "appearance, told from the image's readout": _probe(seen["image"], known["appearance"], fold),
        "rhythm, told from the signal's readout": _probe(seen["signal"], known["rhythm"], fold),
        "function from both readouts": _fuse([seen["image"], seen["signal"]], labels, fold),
        "function from the true appearance and the signal's readout": _fuse(
            [one_hot["appearance"], seen["signal"]], labels, fold
        ),
        "function from the image's readout and the true rhythm": _fuse(
            [seen["image"], one_hot["rhythm"]], labels, fold
        ),
        "function from both true latents": _fuse([one_hot["appearance"], one_hot["rhythm"]], labels, fold),
        "function from both true latents, counted on training sites": _count(
            known["appearance"], known["rhythm"], truth.site[at], labels, fold
        ),
    }


def read_out(record: RunRecord, samples: SampleSet, rows: np.ndarray) -> np.ndarray:
    """Return what a unimodal network makes of rows before its head, (R,D)."""
    import torch

    from fusion.training.data import Batches
    from fusion.training.predict import load_predictor

    predictor = load_predictor(record.folder, "cpu")
    parts = []
    with torch.inference_mode():
        for batch in Batches(samples, rows, predictor.scalers, 256):
            (levels,) = predictor.network.outputs(batch).levels.values()
            parts.append(levels[-1].float().numpy())
    return np.concatenate(parts).astype(np.float64)


def _pairs(city: City, image: str, signal: str) -> list[tuple[RunRecord, RunRecord]]:
    records, _ = load_runs(city.run_folders())
    runs = {
        (one.experiment, one.seed, one.fold, one.folds, one.run["fold_kind"]): one for one in records if one.has_weights
    }
    found = [
        (one, runs[signal, *key[1:]])
        for key, one in sorted(runs.items())
        if key[0] == image and (signal, *key[1:]) in runs
    ]
    if not found:
        raise RunError(
            f"city {city.name} has no fold with weights of both {image} and {signal}: train both on one fold"
        )
    return found


def _probe(features: np.ndarray, latent: np.ndarray, fold: Fold) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    probe.fit(features[fold.train], latent[fold.train])
    return float((probe.predict(features[fold.test]) == latent[fold.test]).mean())


def _fuse(features: list[np.ndarray], labels: np.ndarray, fold: Fold) -> float:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = np.concatenate(features, axis=1)
    scores = []
    for seed in SEEDS:
        network = make_pipeline(
            StandardScaler(), MLPClassifier((64,), alpha=1e-2, early_stopping=True, random_state=seed)
        )
        network.fit(both[fold.train], labels[fold.train])
        scores.append((network.predict(both[fold.test]) == labels[fold.test]).mean())
    return float(np.mean(scores))


def _count(appearance: np.ndarray, rhythm: np.ndarray, site: np.ndarray, labels: np.ndarray, fold: Fold) -> float:
    _, first = np.unique(site[fold.train], return_index=True)
    counts = np.zeros((appearance.max() + 1, rhythm.max() + 1, labels.max() + 1))
    one = fold.train[first]
    np.add.at(counts, (appearance[one], rhythm[one], labels[one]), 1)
    guess = counts.argmax(axis=2)[appearance[fold.test], rhythm[fold.test]]
    return float((guess == labels[fold.test]).mean())


if __name__ == "__main__":
    raise SystemExit(main())
