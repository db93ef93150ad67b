"""Where work that divides is done: processes of this machine or a Ray cluster, both through joblib."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

from fusion.errors import ConfigError

BACKENDS = ("local", "ray")
Call = tuple[Callable[..., Any], tuple, dict]  # as made by joblib.delayed


class WorkersLostError(Exception):
    """A worker process died under its work (killed for memory, or its machine went away)."""


@dataclass(frozen=True)
class Backend:
    """A place to work.

    Attributes:
        jobs: calls at a time.
        threads: threads that each call may use.
        owner: this process, which the workers are children of; None on a cluster.
        inside: one call at a time, and that in this process.
    """

    name: str
    jobs: int
    threads: int
    owner: int | None
    options: dict[str, Any]

    @property
    def inside(self) -> bool:
        return self.name == "local" and self.jobs == 1

    def run(self, calls: Sequence[Call], alone: bool = False, passing: tuple[type[Exception], ...] = ()) -> list[Any]:
        """Run calls and return what they return, in order.

        Args:
            calls: from `joblib.delayed`.
            alone: one at a time, yet in processes of their own.
            passing: errors that the calls themselves may raise; any other is taken for a lost worker.

        Raises:
            WorkersLostError: a worker died; the calls that had ended have had their effects.
        """
        if self.inside and not alone:
            return [function(*arguments, **options) for function, arguments, options in calls]
        backend = "loky" if self.name == "local" else "ray"
        found: list[Any] = []
        batches = [[call] for call in calls] if alone else [list(calls)]
        with joblib.parallel_config(backend, **self.options):
            # Two workers for a lone call: with one joblib would run it in this process.
            parallel = joblib.Parallel(n_jobs=2 if alone else self.jobs, batch_size=1, pre_dispatch="all")
            for batch in batches:
                try:
                    found += parallel(batch)
                except passing:
                    raise
                except Exception as error:  # what the calls do not raise is from the workers themselves
                    raise WorkersLostError(" ".join(str(error).split())[:200]) from error
        return found


@contextlib.contextmanager
def open_backend(
    name: str, jobs: int | None, calls: int, one_by_one: bool = False, gpus: bool = False
) -> Iterator[Backend]:
    """Yield where to work; a Ray that was started here is stopped again.

    Args:
        name: "local" or "ray".
        jobs: calls at a time; None: the machine's cores; on Ray the cluster's CPUs, or its GPUs.
        calls: that there are; more jobs than these are pointless.
        one_by_one: unless `jobs` says otherwise, one call at a time on this machine.
        gpus: whether calls take a GPU each where a cluster has any.

    Raises:
        ConfigError: no such backend, no job, or Ray is not installed or cannot be reached.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}: use {' or '.join(BACKENDS)}")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"{jobs} jobs: use 1 or more")
    if name == "ray":
        with _ray(jobs, calls, gpus) as backend:
            yield backend
        return
    cores = joblib.cpu_count()
    count = max(1, min(jobs or (1 if one_by_one else cores), calls))
    yield Backend("local", count, max(1, cores // count), os.getpid(), {})


@contextlib.contextmanager
def _ray(jobs: int | None, calls: int, gpus: bool) -> Iterator[Backend]:
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
        root = str(Path(__file__).resolve().parents[1])
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
        cards = int(has.get("GPU", 0)) if gpus else 0
        slots = cards or int(has.get("CPU", 1))
        count = max(1, min(jobs or slots, slots, calls))
        # joblib runs one job in the calling process, which may have no GPU: two workers where there is room for two.
        count = max(count, min(2, slots))
        options: dict[str, Any] = {"ray_remote_args": {"num_gpus": 1} if cards else {"num_cpus": 1}}
        # One CPU a call is what Ray was asked for, so one thread; on a GPU the cores only feed it.
        yield Backend("ray", count, 2 if cards else 1, None, options)
    finally:
        if mine:
            ray.shutdown()
