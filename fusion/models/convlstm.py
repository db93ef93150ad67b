"""The ConvLSTM stream (Shi et al., NeurIPS 2015, arXiv 1506.04214) on hexagonal or square neighbourhoods.

With * a convolution with same padding and o the elementwise product, zero first states:

    i = s(Wxi*X + Whi*H' + Wci o C' + bi)        f = s(Wxf*X + Whf*H' + Wcf o C' + bf)
    C = f o C' + i o tanh(Wxc*X + Whc*H' + bc)   o = s(Wxo*X + Who*H' + Wco o C + bo)      H = o o tanh(C)

The W_c terms are the peepholes, an option. Where a cell or a step is not present, H and C stay as they were.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusion.models.blocks import Batch, Norm, Stream, TokenHead, attention_blocks
from fusion.models.config import ConvLSTMConfig, InputSpec

# Which of a 3x3 array's cells are the centre and its six neighbours on H3's axial grid; the same as
# fusion.geo.grid.HEX_MASK_3x3, which this side of the house cannot import (a test compares them).
HEX_KERNEL: NDArray[np.bool_] = np.array([[True, True, False], [True, True, True], [False, True, True]])
CENTRE = 4  # the centre's place in a flat 3x3 kernel
NEIGHBOUR_GAIN = 0.1  # initial size of a neighbour's tap against the centre's
CHUNK = 48  # steps whose input convolution is done at once: bounds memory at hundreds of steps


class Neighbourhood:
    """The cells of a KxK array that take part, and for each of them its kernel taps.

    On the hexagonal grid the cells are the disk of radius K//2 and the taps a cell and its six neighbours; on the
    square grid all cells and nine taps. Beyond the neighbourhood everything is zero (same padding).

    A convolution on it is a gather of taps and one matrix product: on 19 cells and seven taps 1.1 to 1.3 times as fast
    as a masked `conv2d` on 25 cells and nine, and free of the corners (benchmarks/convlstm.py).

    Attributes:
        cells: (P,) flat places in the KxK array, row by row.
        taps: (P+1,n) places in `cells` read by each; P is the zero place beyond the edge, which reads only itself.
        kernel: (n,) flat places of the taps in a 3x3 kernel.
        centre: the centre cell's place in `cells`.
    """

    def __init__(self, size: int, grid: str) -> None:
        radius = size // 2
        offsets = range(-radius, radius + 1)
        inside = [(i, j) for i in offsets for j in offsets if grid == "square" or abs(i - j) <= radius]
        kernel = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if grid == "square" or HEX_KERNEL[i + 1, j + 1]]
        places = {cell: place for place, cell in enumerate(inside)}
        outside = len(inside)
        self.cells = torch.tensor([(i + radius) * size + j + radius for i, j in inside])
        self.kernel = torch.tensor([(i + 1) * 3 + j + 1 for i, j in kernel])
        rows = [[places.get((i + di, j + dj), outside) for di, dj in kernel] for i, j in inside]
        self.taps = torch.tensor([*rows, [outside] * len(kernel)])
        self.centre = places[0, 0]


class ConvLSTMLayer(nn.Module):
    """One layer on the P cells of a neighbourhood and the zero place beyond it.

    `weight_x` (4H,C,3,3), `weight_h` (4H,H,3,3) and `bias` (4H,) are those of a `Conv2d`, gates in the order i, f, c, o
    (Keras' order); `peephole` (3,H,P): W_ci, W_cf, W_co, one weight a channel and cell as in the paper, zero at first.
    """

    taps: Tensor
    kernel: Tensor

    def __init__(
        self, channels: int, hidden: int, neighbourhood: Neighbourhood, peepholes: bool = False, steps: int = 24
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.steps = steps
        self.register_buffer("taps", neighbourhood.taps.flatten(), persistent=False)
        self.register_buffer("kernel", neighbourhood.kernel, persistent=False)
        self.weight_x = nn.Parameter(torch.empty(4 * hidden, channels, 3, 3))
        self.weight_h = nn.Parameter(torch.empty(4 * hidden, hidden, 3, 3))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        cells = len(neighbourhood.cells)
        self.peephole = nn.Parameter(torch.zeros(3, hidden, cells)) if peepholes else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as an ordinary LSTM of each cell, Xavier and orthogonal, that listens to its neighbours a little.

        Taps of equal size would drown the centre's own series among its neighbours'. Forget biases are log U(1, T-1),
        so that states remember from one step to the whole series (chrono initialisation, Tallec & Ollivier 2018,
        arXiv 1804.11188; its input biases made training slower here).
        """
        with torch.no_grad():
            for weight, initialise in (
                (self.weight_x, nn.init.xavier_uniform_),
                (self.weight_h, nn.init.orthogonal_),
            ):
                weight.zero_()
                for gate in weight.split(self.hidden):
                    for tap in self.kernel.tolist():
                        drawn = initialise(torch.empty(gate.shape[:2]))
                        gate[:, :, tap // 3, tap % 3] = drawn if tap == CENTRE else NEIGHBOUR_GAIN * drawn
            self.bias.zero_()
            self.bias[self.hidden : 2 * self.hidden].uniform_(1, max(self.steps - 1, 1)).log_()

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Return H at every step, (T,B,P+1,H).

        Args:
            x: (T,B,P+1,C), zero at place P.
            present: (T,B,P+1,1) bool, False at place P: there H and C are carried.
        """
        weight_x, weight_h = self._matrix(self.weight_x), self._matrix(self.weight_h)
        peephole = None if self.peephole is None else nn.functional.pad(self.peephole.mT, (0, 0, 0, 1))
        h = c = None
        states = []
        for start in range(0, len(x), CHUNK):
            gates_x = nn.functional.linear(self._gather(x[start : start + CHUNK]), weight_x, self.bias)
            for gates, there in zip(gates_x, present[start : start + CHUNK], strict=True):
                if h is not None:
                    gates = gates + nn.functional.linear(self._gather(h), weight_h)
                h, c = self._step(gates, there, h, c, peephole, x.dtype)
                states.append(h)
        return torch.stack(states)

    def _step(
        self,
        gates: Tensor,
        there: Tensor,
        h: Tensor | None,
        c: Tensor | None,
        peephole: Tensor | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates.split(self.hidden, dim=-1)
        if peephole is not None and c is not None:
            i, f = i + peephole[0] * c, f + peephole[1] * c
        c_new = i.sigmoid() * g.tanh()
        c_new = c_new.to(dtype) if c is None else c_new + f.sigmoid() * c
        if peephole is not None:
            o = o + peephole[2] * c_new
        h_new = o.sigmoid() * c_new.tanh()
        zero = h_new.new_zeros(())
        return torch.where(there, h_new, zero if h is None else h), torch.where(there, c_new, zero if c is None else c)

    def _gather(self, x: Tensor) -> Tensor:
        """Return (...,P+1,n*C), each place's taps side by side, of (...,P+1,C)."""
        return x.index_select(-2, self.taps).view(*x.shape[:-1], -1)

    def _matrix(self, weight: Tensor) -> Tensor:
        """Return a kernel (4H,C,3,3) as the matrix (4H,n*C) that `_gather`'s columns meet; taps not in use fall out."""
        return weight.flatten(2)[..., self.kernel].mT.flatten(1)


class ConvLSTMStream(Stream):
    """ConvLSTM layers over the neighbourhood, read at the centre cell.

    Without blocks the one token is the centre's last valid state, projected to D. With blocks the tokens are a class
    token and the centre's state at each step, projected by the same layer.
    """

    cells: Tensor

    def __init__(self, config: ConvLSTMConfig, spec: InputSpec) -> None:
        super().__init__()
        self.width = config.width
        neighbourhood = Neighbourhood(spec.kernel, spec.grid)
        self.centre = neighbourhood.centre
        self.neighbour_dropout = config.neighbour_dropout
        self.register_buffer("cells", neighbourhood.cells, persistent=False)
        inputs = [spec.channels] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(
            ConvLSTMLayer(channels, config.hidden, neighbourhood, config.peepholes, spec.steps) for channels in inputs
        )
        self.project = nn.Linear(config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = TokenHead(spec.steps, config.width, config.dropout) if config.blocks else None
        self.blocks = attention_blocks(
            config.blocks, config.width, config.heads, config.mlp_ratio, config.dropout, config.drop_path
        )
        self.norm = Norm(config.width)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        states, valid = self.states(batch)
        if self.head is None:
            # a missing step carries the state, so the last state is the last valid one
            return self.dropout(self.project(states[:, -1]))[:, None], None
        return self.head(self.project(states), valid)

    def states(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the top layer's H at the centre cell, (B,T,H), and where that cell is present, (B,T) bool."""
        x = _places(batch["cube"].flatten(3), self.cells).permute(1, 0, 3, 2)
        present = _places(batch["present"].flatten(2), self.cells).transpose(0, 1)[..., None]
        if self.training and self.neighbour_dropout > 0:
            seen = torch.rand(x.shape[1:3], device=x.device)[..., None] >= self.neighbour_dropout
            seen[:, self.centre] = True
            x, present = x * seen, present & seen
        for layer in self.layers:
            x = layer(x, present)
        return x[:, :, self.centre].transpose(0, 1), present[:, :, self.centre, 0].transpose(0, 1)


def _places(x: Tensor, cells: Tensor) -> Tensor:
    """Return the neighbourhood's cells of (...,K*K) and the zero place, (...,P+1)."""
    return nn.functional.pad(x.index_select(-1, cells), (0, 1))
