"""Where trials run: `fusion.backends`, with as many at a time as the device allows."""

import contextlib
from collections.abc import Iterator

from fusion import backends
from fusion.backends import Backend, WorkersLostError

__all__ = ["Backend", "WorkersLostError", "open_backend"]


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
    from fusion.training.device import pick_device

    gpus = device == "auto" or device.startswith("cuda")
    # Which device there is does not matter before a cluster: its machines have their own.
    one_by_one = name == "local" and pick_device(device).type != "cpu"
    with backends.open_backend(name, jobs, trials, one_by_one, gpus) as backend:
        yield backend
