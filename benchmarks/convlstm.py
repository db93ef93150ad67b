"""ConvLSTM against the public naive cell: one convolution of input and hidden state side by side at every step.

    python benchmarks/convlstm.py

Both have two layers, the same sizes and one thread pool; rounds are interleaved, ratios are taken round by round and
their median is printed: above 1 this library is faster. The naive cell knows square neighbourhoods only and carries no
state over missing steps; the hexagonal grid computes 19 of 25 cells and seven of nine taps.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusion.models.config import ConvLSTMConfig, InputSpec
from fusion.models.convlstm import ConvLSTMStream

ROUNDS = 5
BATCH = 32
HIDDEN = 32


class NaiveCell(nn.Module):
    """The cell of the public PyTorch versions (torchgeo has it): no peepholes, gates in the order i, f, o, g."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(channels + hidden, 4 * hidden, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        states = []
        for step in x.unbind(1):
            i, f, o, g = self.conv(torch.cat([step, h], dim=1)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, dim=1)


def seconds(forward: Callable[[], Tensor], backward: bool, autocast: bool) -> float:
    start = time.perf_counter()
    with torch.set_grad_enabled(backward), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = forward().float().square().mean()
    if backward:
        loss.backward()
    return time.perf_counter() - start


def compare(spec: InputSpec, backward: bool, autocast: bool) -> tuple[float, float]:
    """Return the naive cell's seconds a batch and the median ratio naive / ours."""
    torch.manual_seed(0)
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=HIDDEN), spec)
    naive = nn.Sequential(NaiveCell(spec.channels, HIDDEN), NaiveCell(HIDDEN, HIDDEN))
    shape = (BATCH, spec.steps, spec.kernel, spec.kernel)
    cube = torch.randn(BATCH, spec.steps, spec.channels, spec.kernel, spec.kernel)
    batch = {"cube": cube, "present": torch.ones(shape, dtype=torch.bool)}
    centre = spec.kernel // 2

    def read(states: Tensor) -> Tensor:  # what the stream reads, so that both go back through the same places
        return states[..., centre, centre] if spec.grid == "hex" else states.mean(dim=(-2, -1))

    times, ratios = [], []
    for round_ in range(ROUNDS + 1):
        peer = seconds(lambda: read(naive(cube)), backward, autocast)
        own = seconds(lambda: stream.states(batch)[0], backward, autocast)
        if round_ >= 1:  # the first round warms up
            times.append(peer)
            ratios.append(peer / own)
    return statistics.median(times), statistics.median(ratios)


def main() -> None:
    print(
        f"{'neighbourhood':15} {'pass':19} {'type':9} {'naive':>9} {'faster':>7}   ({torch.get_num_threads()} threads)"
    )
    types = (
        [False, True]
        if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        else [False]
    )
    for grid in ("hex", "square"):
        spec = InputSpec(grid=grid)
        for backward in (False, True):
            for autocast in types:
                naive, ratio = compare(spec, backward, autocast)
                passes = "forward + backward" if backward else "forward"
                kind = "bfloat16" if autocast else "float32"
                print(
                    f"{grid:9} {spec.kernel}x{spec.kernel}   {passes:19} {kind:9} {naive * 1e3:6.1f} ms {ratio:6.2f}x"
                )


if __name__ == "__main__":
    main()
