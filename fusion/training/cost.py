"""What a network costs: multiply-adds of one sample, and the time that a batch takes on a device."""

import copy
import statistics
import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fusion.models.network import Network

LATENCY_BATCHES = (1, 32)
_WARM_UP, _ROUNDS = 2, 7


def count_multiply_adds(network: Network) -> int:
    """Return the multiply-adds of one sample's forward pass, every step and both modalities present.

    Counted are the matrix products: linear layers, convolutions, both products of attention, recurrent gates. What
    works element by element (norms, activations, gating, softmax, biases) is left out, as is usual. Counted as
    executed, so a hexagonal convolution has seven taps and the edge of a neighbourhood is not free; a fusion that
    merges tokens pays for finding them and is spared what follows.

    Torch's counter knows two of our operations not: fused attention on a CPU, hence the plain kernel here, and oneDNN's
    LSTM, hence `_lstm_layer`.
    """
    # The counter hooks into gradients where a parameter is an input of a module, as bottlenecks are.
    counted = copy.deepcopy(network).to("cpu", torch.float32).eval().requires_grad_(False)
    batch = example_batch(counted, 1, torch.device("cpu"))
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _lstm_layer})
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        counted(batch)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition


def measure_latency(
    network: Network, device: torch.device | str, batches: Sequence[int] = LATENCY_BATCHES, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return batch size -> median milliseconds of a forward pass in float32, after warming up.

    Only the network is timed, on a batch that already lies on the device; reading chips and series is not. The network
    is left where and as it was.

    Args:
        network: any.
        device: where to time it; this process' number of threads holds on a CPU.
        batches: batch sizes; their names in the answer are strings, as JSON wants them.
        rounds: forward passes, of which the median is taken.
    """
    place = torch.device(device)
    timed = copy.deepcopy(network).to(place, torch.float32).eval()
    found = {}
    with torch.inference_mode():
        for size in batches:
            batch = example_batch(timed, size, place)
            seconds = [_time(timed, batch, place) for _ in range(_WARM_UP + rounds)]
            found[str(size)] = round(1e3 * statistics.median(seconds[_WARM_UP:]), 3)
    return found


def example_batch(network: Network, size: int, device: torch.device) -> dict[str, Tensor]:
    """Return a batch as the network reads it, of noise, in which everything is present.

    image (B,3,P,P), cube (B,T,3C,H,W), present (B,T,H,W) bool; the same noise every time.
    """
    spec = network.spec
    noise = torch.Generator().manual_seed(0)
    rows, columns = spec.places
    cube = torch.randn(size, spec.steps, spec.channels, rows, columns, generator=noise)
    batch = {
        "image": torch.randn(size, 3, spec.chip_px, spec.chip_px, generator=noise),
        "cube": cube,
        "present": torch.ones(size, spec.steps, rows, columns, dtype=torch.bool),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _lstm_layer(
    series: Sequence[int], weight_x: Sequence[int], weight_h: Sequence[int], *rest: Any, **options: Any
) -> int:
    """Floating-point operations of one direction of an LSTM layer, from shapes (T,B,I), (4H,I) and (4H,H)."""
    steps, size = series[0], series[1]
    return 2 * steps * size * (weight_x[0] * weight_x[1] + weight_h[0] * weight_h[1])


def _time(network: Network, batch: dict[str, Tensor], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    cast(Tensor, network(batch))
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """A GPU answers before it has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
