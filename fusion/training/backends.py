"""Where trials run: processes of this machine, or a Ray cluster. Both through joblib, with the same code."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

from fusion.errors import ConfigError
from fusion.training.trials import Outcome

BACKENDS = ("local", "ray")
Call = tuple[Callable[..., Outcome], tuple, dict]  # as made by joblib.delayed


class WorkersLostError(Exception):
    """A worker process died under its trial (killed for memory, or its machine went away)."""


@dataclass(frozen=True)
class Backend:
    """A place to run trials.

    Attributes:
        jobs: trials at a time.
        threads: torch threads a trial.
        owner: this process, which the workers are children of; None on a cluster.
        inside: one trial at a time, and that in this process.
    """

    name: str
    jobs: int
    threads: int
    owner: int | None
    options: dict[str, Any]

    @property
    def inside(self) -> bool:
        return self.name == "local" and self.jobs == 1

    def run(self, calls: Sequence[Call], alone: bool = False) -> list[Outcome]:
        """Run calls of `attempt` and return their outcomes in order.

        Args:
            calls: from `joblib.delayed`.
            alone: one at a time, yet in processes of their own.

        Raises:
            WorkersLostError: a worker died; the calls that had ended left their outcomes on the board.
        """
        if self.inside and not alone:
            return [function(*arguments, **options) for function, arguments, options in calls]
        backend = "loky" if self.name == "local" else "ray"
        found: list[Outcome] = []
        batches = [[call] for call in calls] if alone else [list(calls)]
        with joblib.parallel_config(backend, **self.options):
            # Two workers for a lone call: with one joblib would run it in this process.
            parallel = joblib.Parallel(n_jobs=2 if alone else self.jobs, batch_size=1, pre_dispatch="all")
            for batch in batches:
                try:
                    found += parallel(batch)
                except Exception as error:  # `attempt` raises none: what comes is from the workers themselves
                    raise WorkersLostError(" ".join(str(error).split())[:200]) from error
        return found


@contextlib.contextmanager
def open_backend(name: str, jobs: int | None, trials: int, device: str) -> Iterator[Backend]:
    """Yield where to run; a Ray that was started here is stopped again.

    Args:
        name: "local" or "ray".
        jobs: trainings at a time; None: the machine's cores on a CPU, one on anything else; on Ray the cluster's
            GPUs, or its CPUs where it has none.
        trials: that there are; more jobs than these are pointless.
        device: as for `train_run`.

    Raises:
        ConfigError: no such backend or device, no job, or Ray is not installed or cannot be reached.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}: use {' or '.join(BACKENDS)}")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"{jobs} jobs: use 1 or more")
    if name == "ray":
        with _ray(jobs, trials, device) as backend:
            yield backend
        return
    from fusion.training.device import pick_device

    cores = joblib.cpu_count()
    on_cpu = pick_device(device).type == "cpu"
    count = max(1, min(jobs or (cores if on_cpu else 1), trials))
    yield Backend("local", count, max(1, cores // count), os.getpid(), {})


@contextlib.contextmanager
def _ray(jobs: int | None, trials: int, device: str) -> Iterator[Backend]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ConfigError(
            f"backend 'ray' needs Ray, which is not installed ({' '.join(str(error).split())}): run "
            "`python -m pip install -r requirements-cluster.txt`"
        ) from None
    mine = not ray.is_initialized()
    if mine:
        # The workers find this program where it lies here: the cluster shares a file system (docs/decisions).
        root = str(Path(__file__).resolve().parents[2])
        environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}}
        try:
            ray.init(runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except (OSError, RuntimeError, ValueError) as error:  # Ray's ConnectionError is an OSError
            where = os.environ.get("RAY_ADDRESS", "a local cluster")
            raise ConfigError(
                f"Ray at {where} cannot be used ({' '.join(str(error).split())[:200]}): check RAY_ADDRESS and "
                "`ray status`, or leave --backend away"
            ) from None
    try:
        register_ray()
        has = ray.cluster_resources()
        gpus = int(has.get("GPU", 0)) if device == "auto" or device.startswith("cuda") else 0
        slots = gpus or int(has.get("CPU", 1))
        count = max(1, min(jobs or slots, slots, trials))
        # joblib runs one job in the calling process, which may have no GPU: two workers where there is room for two.
        count = max(count, min(2, slots))
        options: dict[str, Any] = {"ray_remote_args": {"num_gpus": 1} if gpus else {"num_cpus": 1}}
        # One CPU a trial is what Ray was asked for, so one thread; on a GPU the cores only feed it.
        yield Backend("ray", count, 2 if gpus else 1, None, options)
    finally:
        if mine:
            ray.shutdown()
