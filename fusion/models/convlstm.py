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

from fusion.models.blocks import Batch, Norm, Stream, TokenHead
from fusion.models.config import ConvLSTMConfig, InputSpec
from fusion.models.signal import signal_blocks

# Which of a 3x3 array's cells are the centre and its six neighbours on H3's axial grid; the same as
# fusion.geo.grid.HEX_MASK_3x3, which this side of the house cannot import (a test compares them).
HEX_KERNEL: NDArray[np.bool_] = np.array([[True, True, False], [True, True, True], [False, True, True]])
CENTRE = 4  # the centre's place in a flat 3x3 kernel
NEIGHBOUR_GAIN = 0.1  # initial size of a neighbour's tap against the centre's
CHUNK = 48  # steps whose input convolution is done at once: bounds memory at hundreds of steps


class Neighbourhood(nn.Module):
    """The cells of an array that take part, and convolution on them with same padding.

    On the hexagonal grid these are the disk of radius K//2, and a kernel has seven taps: the cell and its neighbours. A
    convolution is then a gather of taps and one matrix product on 19 cells, which beats a masked `conv2d` on 25 cells
    and nine taps (benchmarks/convlstm.py); one zero place is kept behind the cells for taps beyond the edge. On the
    square grid, with all cells of as many columns as it has and nine taps, it is `conv2d`.

    A sample is read at the centre cell; a square grid has none, all of its places are the sample's own, and it is read
    as their mean.

    Attributes:
        cells: (n,) flat places of the cells in the array, row by row.
        taps: (n+1,7) places that each place reads; n is the zero place, which reads only itself. Hexagonal grid only.
        kernel: flat places of the taps in a 3x3 kernel.
        centre: the centre cell's place; None on the square grid.
        places: P, cells and the zero place, if there is one.
    """

    cells: Tensor
    taps: Tensor
    kernel: Tensor

    def __init__(self, rows: int, grid: str, columns: int | None = None) -> None:
        super().__init__()
        self.shape = rows, rows if columns is None else columns
        self.hexagonal = grid == "hex"
        radius = rows // 2
        inside = [
            (i, j)
            for i in range(self.shape[0])
            for j in range(self.shape[1])
            if not self.hexagonal or abs(i - j) <= radius
        ]
        kernel = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if not self.hexagonal or HEX_KERNEL[i + 1, j + 1]]
        places = {cell: place for place, cell in enumerate(inside)}
        outside = len(inside)
        taps = [[places.get((i + di, j + dj), outside) for di, dj in kernel] for i, j in inside]
        taps.append([outside] * len(kernel))
        self.centre = places[radius, radius] if self.hexagonal else None
        self.places = len(inside) + self.hexagonal
        cells = [i * self.shape[1] + j for i, j in inside]
        self.register_buffer("cells", torch.tensor(cells), persistent=False)
        self.register_buffer("taps", torch.tensor(taps), persistent=False)
        self.register_buffer("kernel", torch.tensor([(i + 1) * 3 + j + 1 for i, j in kernel]), persistent=False)

    def take(self, x: Tensor) -> Tensor:
        """Return (...,P) of (...,K,K): the cells, and False or 0 at the zero place."""
        return nn.functional.pad(x.flatten(-2).index_select(-1, self.cells), (0, self.places - len(self.cells)))

    def read(self, states: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a sample reads of states (T,B,P,H) and present (T,B,P,1): (B,T,H) and (B,T) bool."""
        if self.centre is None:
            return states.mean(dim=2).transpose(0, 1), present.any(dim=2)[..., 0].transpose(0, 1)
        return states[:, :, self.centre].transpose(0, 1), present[:, :, self.centre, 0].transpose(0, 1)

    def prepare(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a kernel (O,C,3,3) as `convolve` wants it, without the taps that are not in use."""
        if self.hexagonal:
            weight = weight.flatten(2)[..., self.kernel].mT.flatten(1)
        return weight.to(dtype)

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (N,P,O) for x (N,P,C) and a kernel from `prepare`."""
        if self.hexagonal:
            taken = x.index_select(1, self.taps.flatten()).view(*x.shape[:2], -1)
            return nn.functional.linear(taken, kernel, bias)
        image = x.unflatten(1, self.shape).permute(0, 3, 1, 2)  # channels last: nothing is copied
        return nn.functional.conv2d(image, kernel, bias, padding=1).permute(0, 2, 3, 1).flatten(1, 2)


class ConvLSTMLayer(nn.Module):
    """One layer on the P places of a neighbourhood.

    `weight_x` (4H,C,3,3), `weight_h` (4H,H,3,3) and `bias` (4H,) are those of a `Conv2d`, gates in the order i, f, c, o
    (Keras' order); `peephole` (3,H,cells): W_ci, W_cf, W_co, a weight a channel and cell as in the paper, at first 0.
    """

    def __init__(
        self, channels: int, hidden: int, neighbourhood: Neighbourhood, peepholes: bool = False, steps: int = 24
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.steps = steps
        self.neighbourhood = neighbourhood
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
                    for tap in self.neighbourhood.kernel.tolist():
                        drawn = initialise(torch.empty(gate.shape[:2]))
                        gate[:, :, tap // 3, tap % 3] = drawn if tap == CENTRE else NEIGHBOUR_GAIN * drawn
            self.bias.zero_()
            self.bias[self.hidden : 2 * self.hidden].uniform_(1, max(self.steps - 1, 1)).log_()

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Return H at every step, (T,B,P,H).

        Args:
            x: (T,B,P,C), zero at the zero place.
            present: (T,B,P,1) bool, False at the zero place: where it is False, H and C are carried.
        """
        near = self.neighbourhood
        device = x.device.type
        # cast once instead of at each step and tap; the state itself is never kept in half precision
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        # tanh(z) = 2 s(2z) - 1: with the candidate's gate doubled one sigmoid serves all four, and it is the faster
        double = torch.ones_like(self.bias)
        double[2 * self.hidden : 3 * self.hidden] = 2.0
        kernel_x = near.prepare(self.weight_x * double[:, None, None, None], dtype)
        kernel_h = near.prepare(self.weight_h * double[:, None, None, None], dtype)
        bias = (self.bias * double).to(dtype)
        h = c = x.new_zeros(*x.shape[1:3], self.hidden)
        states: list[Tensor] = []
        for start in range(0, len(x), CHUNK):
            chunk = x[start : start + CHUNK].to(dtype)
            gates_x = near.convolve(chunk.flatten(0, 1), kernel_x, bias).unflatten(0, chunk.shape[:2])
            for gates, there in zip(gates_x, present[start : start + CHUNK], strict=True):
                if states:  # the first state is zero
                    gates = gates + near.convolve(h.to(dtype), kernel_h)
                h_new, c_new = self._step(gates, c)
                h, c = torch.where(there, h_new, h), torch.where(there, c_new, c)
                states.append(h)
        return torch.stack(states)

    def _step(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return H and C for the gates i, f, 2c, o before their sigmoids, (B,P,4H), and the last C."""
        if self.peephole is None:
            i, f, g, o = gates.sigmoid().split(self.hidden, dim=-1)
            c = f * c + i * (2.0 * g - 1.0)
        else:
            w_ci, w_cf, w_co = nn.functional.pad(self.peephole.mT, (0, 0, 0, c.shape[1] - self.peephole.shape[-1]))
            i, f, g, o = gates.split(self.hidden, dim=-1)
            c = (f + w_cf * c).sigmoid() * c + (i + w_ci * c).sigmoid() * (2.0 * g.sigmoid() - 1.0)
            o = (o + w_co * c).sigmoid()
        return o * (2.0 * torch.sigmoid(2.0 * c) - 1.0), c


class ConvLSTMStream(Stream):
    """ConvLSTM layers over the neighbourhood, read at the centre cell, or on the square grid as the mean of all places.

    Without blocks the one token is the last valid state read, projected to D. With blocks the tokens are a class token
    and the state at each step, projected by the same layer.
    """

    modality = "signal"

    def __init__(self, config: ConvLSTMConfig, spec: InputSpec) -> None:
        super().__init__()
        self.width = config.width
        self.neighbourhood = Neighbourhood(spec.kernel, spec.grid, spec.columns)
        # on the square grid no place is a neighbour: all are the sample's own, none is hidden
        self.neighbour_dropout = config.neighbour_dropout if spec.grid == "hex" else 0.0
        inputs = [spec.channels] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(
            ConvLSTMLayer(channels, config.hidden, self.neighbourhood, config.peepholes, spec.steps)
            for channels in inputs
        )
        self.project = nn.Linear(config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = TokenHead(spec.steps, config.width, config.dropout) if config.blocks else None
        self.blocks = signal_blocks(config)
        self.norm = Norm(config.width)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        states, valid = self.states(batch)
        if self.head is None:
            # a missing step carries the state, so the last state is the last valid one
            return self.dropout(self.project(states[:, -1]))[:, None], None
        return self.head(self.project(states), valid)

    def states(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the top layer's H as it is read, (B,T,H), and where the sample is present, (B,T) bool."""
        near = self.neighbourhood
        x = near.take(batch["cube"]).permute(1, 0, 3, 2).contiguous()
        present = near.take(batch["present"]).transpose(0, 1)[..., None]
        if self.training and self.neighbour_dropout > 0:
            seen = torch.rand(x.shape[1:3], device=x.device)[..., None] >= self.neighbour_dropout
            seen[:, near.centre] = True
            x, present = x * seen, present & seen
        for layer in self.layers:
            x = layer(x, present)
        return near.read(x, present)
