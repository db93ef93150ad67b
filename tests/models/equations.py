"""The papers' equations as slow numpy loops, independent of torch's and timm's implementations."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit
from torch import nn

Array = NDArray[np.float64]


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * weight + bias


def attention(w: dict[str, Array], x: Array, heads: int, keys: list[int]) -> Array:
    """MHSA of one sample's tokens (N,D), a head and a query at a time; only the tokens `keys` are read."""
    part = x.shape[1] // heads
    q, k, v = np.split(x @ w["attn.qkv.weight"].T + w["attn.qkv.bias"], 3, axis=-1)
    attended = np.zeros_like(x)
    for head in range(heads):
        own = slice(head * part, (head + 1) * part)
        for n in range(len(x)):
            scores = np.exp([q[n, own] @ k[m, own] / np.sqrt(part) for m in keys])
            attended[n, own] = sum(s * v[m, own] for s, m in zip(scores / scores.sum(), keys, strict=True))
    return attended @ w["attn.proj.weight"].T + w["attn.proj.bias"]


def mlp(w: dict[str, Array], x: Array) -> Array:
    inner = x @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
    inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
    return inner @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]


def transformer_block(module: nn.Module, x: Array, heads: int, valid: NDArray[np.bool_] | None = None) -> Array:
    """x += MHSA(LN x); x += MLP(LN x), a sample at a time. `valid` (B,N): tokens that may be read."""
    w = {name.removeprefix("block."): value for name, value in weights(module).items()}
    x = x.copy()
    for b in range(len(x)):
        keys = [n for n in range(x.shape[1]) if valid is None or valid[b, n]]
        x[b] += attention(w, layer_norm(x[b], w["norm1.weight"], w["norm1.bias"]), heads, keys)
        x[b] += mlp(w, layer_norm(x[b], w["norm2.weight"], w["norm2.bias"]))
    return x


def convolution(x: Array, kernel: Array, allowed: NDArray[np.bool_]) -> Array:
    """Same padding, one output cell and one tap at a time: x (C,R,K), kernel (O,C,3,3) -> (O,R,K)."""
    rows, columns = x.shape[1:]
    y = np.zeros((kernel.shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            for di in range(3):
                for dj in range(3):
                    a, b = i + di - 1, j + dj - 1
                    if allowed[di, dj] and 0 <= a < rows and 0 <= b < columns:
                        y[:, i, j] += kernel[:, :, di, dj] @ x[:, a, b]
    return y


def convlstm(
    layer: nn.Module, x: Array, present: NDArray[np.bool_], allowed: NDArray[np.bool_], peephole: Array | None
) -> Array:
    """Shi et al.'s equations for one sample: x (T,C,R,K), present (T,R,K), peephole (3,H,R,K) -> H (T,H,R,K)."""
    w = weights(layer)
    shape = (layer.hidden, *x.shape[2:])
    kernels_x, kernels_h, biases = (np.split(w[name], 4) for name in ("weight_x", "weight_h", "bias"))
    ci, cf, co = np.zeros((3, *shape)) if peephole is None else peephole
    h = np.zeros(shape)
    c = np.zeros(shape)
    out = []
    for t in range(len(x)):
        i, f, g, o = (
            convolution(x[t], kx, allowed) + convolution(h, kh, allowed) + b[:, None, None]
            for kx, kh, b in zip(kernels_x, kernels_h, biases, strict=True)
        )
        new = expit(f + cf * c) * c + expit(i + ci * c) * np.tanh(g)
        output = expit(o + co * new) * np.tanh(new)
        c, h = np.where(present[t], new, c), np.where(present[t], output, h)
        out.append(h)
    return np.stack(out)


def lstm_direction(series: Array, w_ih: Array, w_hh: Array, bias: Array) -> Array:
    """Outputs (T,H) of one LSTM direction over (T,C); torch's order of gates: i, f, g, o."""
    hidden = w_hh.shape[1]
    h, c, out = np.zeros(hidden), np.zeros(hidden), []
    for x in series:
        i, f, g, o = np.split(w_ih @ x + w_hh @ h + bias, 4)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        out.append(h)
    return np.array(out).reshape(len(series), hidden)


def bilstm(lstm: nn.LSTM, series: Array) -> Array:
    """[forward ; backward] at each step (T,2H) of the top layer over a series (T,C)."""
    w = weights(lstm)
    for layer in range(lstm.num_layers):
        sides = []
        for suffix, order in (("", 1), ("_reverse", -1)):
            names = [f"{name}_l{layer}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            w_ih, w_hh, b_ih, b_hh = (w[name] for name in names)
            sides.append(lstm_direction(series[::order], w_ih, w_hh, b_ih + b_hh)[::order])
        series = np.concatenate(sides, axis=1)
    return series
