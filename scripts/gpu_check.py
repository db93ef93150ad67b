"""Check this machine's accelerator in one command: `python scripts/gpu_check.py [--device cuda]`.

The shipped checkpoints predict their test fold on the CPU and on the accelerator: same probabilities, and how much
faster. Then
the fusion model trains one fold on the accelerator. Needs the demo city (`make demo`). Prints JSON; exits with 1 when
the accelerator disagrees with the CPU.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusion.city import open_city
from fusion.extract.build import build_samples
from fusion.samples.split import spatial_folds
from fusion.serving.predictor import load_predictor
from fusion.training.device import pick_device
from fusion.training.run import train_run
from fusion.training.runs import load_run, load_runs

LARGEST_DIFFERENCE = 0.01  # in any probability; float32 sums in another order stay far below
ROUNDS = 5


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
        if not record.has_weights:
            continue
        rows = spatial_folds(samples, record.folds)[record.fold].test
        probabilities, seconds = {}, {}
        for name in ("cpu", str(device)):
            predictor = load_predictor(record.folder, name)
            predictor.probabilities(samples, rows[:256])  # warm-up
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                probabilities[name] = predictor.probabilities(samples, rows)
                times.append(time.perf_counter() - start)
            seconds[name] = float(np.median(times))
        difference = float(np.abs(probabilities["cpu"] - probabilities[str(device)]).max())
        agree &= difference <= LARGEST_DIFFERENCE
        report[record.id] = {
            "largest_difference": difference,
            "seconds": seconds,
            "cpu_over_device": seconds["cpu"] / seconds[str(device)],
        }
    with tempfile.TemporaryDirectory() as folder:
        run = load_run(train_run(samples, "vit+convlstm-bottleneck", 0, 0, 3, Path(folder), device=str(device)))
        report["training"] = {
            "seconds": run.run["seconds"],
            "precision": run.run["precision"],
            "accuracy": run.metrics["overall_accuracy"],
        }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
