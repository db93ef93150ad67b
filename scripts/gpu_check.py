"""Check this machine's accelerator in one command: `python scripts/gpu_check.py [--device cuda]`.

The shipped checkpoints predict their test fold on the CPU and on the accelerator: same probabilities, and how much
faster. Then one row of every kind of network trains one fold on the accelerator, pretraining of the vision stream
included, and its checkpoint must predict the same on the CPU. Needs the demo city (`make demo`). Prints JSON; exits
with 1 when the accelerator disagrees with the CPU.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusion.city import open_city
from fusion.extract.build import build_samples
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import make_folds
from fusion.serving.predictor import load_predictor
from fusion.training.device import pick_device
from fusion.training.run import train_run
from fusion.training.runs import RunRecord, load_run, load_runs

LARGEST_DIFFERENCE = 0.01  # in any probability; float32 sums in another order stay far below
ROUNDS = 5
TRAINED = (
    "vit-pretrained+convlstm-bottleneck-dropout",
    "vit-pretrained+convlstm-joint",
    "vit-pretrained+convlstm-bottleneck-merged",
    "vit-pretrained+trans-blstm-2-bottleneck-apart",
    "vit+bilstm-late",
)


def main() -> int:
    """Run the checks and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--city", default="zhengzhou-demo")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    city = open_city(arguments.city)
    samples = build_samples(city)
    report: dict[str, object] = {"device": str(device), "cells": len(samples)}
    agree = True
    for record in load_runs(city.run_folders())[0]:
        if record.has_weights:
            report[record.id] = found = compare_devices(record, samples, device)
            agree &= found["largest_difference"] <= LARGEST_DIFFERENCE
    with tempfile.TemporaryDirectory() as folder:
        for name in TRAINED:
            run = load_run(train_run(samples, name, 0, 0, 3, Path(folder) / "runs", device=str(device)))
            found = compare_devices(run, samples, device)
            agree &= found["largest_difference"] <= LARGEST_DIFFERENCE
            report[f"trained {name}"] = {
                "training": run.run["seconds"],
                "precision": run.run["precision"],
                "latency_ms": run.run["cost"]["latency_ms"],
                "accuracy": run.metrics["overall_accuracy"],
                **found,
            }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0 if agree else 1


def compare_devices(record: RunRecord, samples: SampleSet, device: torch.device) -> dict[str, Any]:
    """Predict a run's test cells on the CPU and on the accelerator."""
    rows = make_folds(samples, record.folds, kind=record.run["fold_kind"])[record.fold].test
    probabilities, seconds = {}, {}
    for name in dict.fromkeys(("cpu", str(device))):
        predictor = load_predictor(record.folder, name)
        predictor.probabilities(samples, rows[:256])  # warm-up
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            probabilities[name] = predictor.probabilities(samples, rows)
            times.append(time.perf_counter() - start)
        seconds[name] = float(np.median(times))
    return {
        "largest_difference": float(np.abs(probabilities["cpu"] - probabilities[str(device)]).max()),
        "seconds": seconds,
        "cpu_over_device": seconds["cpu"] / seconds[str(device)],
    }


if __name__ == "__main__":
    sys.exit(main())
