"""Arithmetic whose result does not depend on the machine.

Pixels and rows of the demo city must agree between computers. Sums in a fixed order, products, quotients, square
roots, floors and integers are exact or correctly rounded everywhere (IEEE 754); sin, exp and log are not, and numpy
takes other ones on other processors. So angles are rational, random normals are sums of integers, and the exponential
is a power.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Hashes = NDArray[np.uint32]


def scramble(value: NDArray, salt: int = 0) -> Hashes:
    """Hash integers to 32 bits (the finaliser of MurmurHash3, public domain)."""
    h = value.astype(np.uint32) + np.uint32((salt * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def scramble2(i: NDArray, j: NDArray, salt: int = 0) -> Hashes:
    """Hash pairs of integers to 32 bits."""
    return scramble(scramble(i, salt) + j.astype(np.uint32) * np.uint32(0x9E3779B1), salt + 1)


def unit(hashes: Hashes, byte: int = 0) -> Floats32:
    """Take one of four bytes of a hash as a number in [0, 1)."""
    return ((hashes >> np.uint32(8 * byte)) & np.uint32(255)).astype(np.float32) * np.float32(1.0 / 256.0)


def as32(values: NDArray) -> Floats32:
    """Return single precision, without a copy where it is that already."""
    return values.astype(np.float32, copy=False)


def exponential(x: Floats) -> Floats:
    """Return e to the power x for |x| < 30 to about 1e-6, by (1 + x / 2^30)^(2^30) with its second-order term."""
    y = np.asarray(x, dtype=np.float64) / 1024.0
    power = 1.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0))))
    for _ in range(10):
        power = power * power
    return power


def normals(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw near-normal numbers, mean 0 and deviation 1: the sum of twelve 16-bit integers, |z| <= 6."""
    total = np.zeros(shape, dtype=np.int64)
    for _ in range(12):
        total += rng.integers(0, 65536, shape, dtype=np.uint16)
    return (total - 6 * 65535) / 65536.0


def poisson(rng: np.random.Generator, mean: Floats) -> NDArray[np.int64]:
    """Draw counts of the given means: by inversion below 24, by the rounded normal above."""
    counts = np.rint(mean + np.sqrt(mean) * normals(rng, mean.shape)).astype(np.int64)
    small = np.flatnonzero(mean.ravel() < 24.0)
    level = mean.ravel()[small]
    draw = rng.integers(0, 1 << 32, len(small), dtype=np.uint64) / float(1 << 32)
    chance = exponential(-level)
    reached, k, result = chance.copy(), 0, np.zeros(len(small), dtype=np.int64)
    while k < 80:
        beyond = draw >= reached
        if not beyond.any():
            break
        result += beyond
        k += 1
        chance = chance * level / k
        reached = reached + chance
    counts.ravel()[small] = result
    return np.maximum(counts, 0)


def lattice(seed: int, spacing: float, x: Floats32, y: Floats32) -> Floats32:
    """Smooth noise in [0, 1): random values on a square lattice, joined by smoothstep.

    Args:
        seed: which noise.
        spacing: metres between lattice points.
        x, y: metres, any one shape, not empty.
    """
    step = np.float32(1.0 / spacing)
    fx, fy = x * step, y * step
    ix, iy = np.floor(fx), np.floor(fy)
    fx, fy = fx - ix, fy - iy
    i, j = ix.astype(np.int32), iy.astype(np.int32)
    i0, j0 = int(i.min()), int(j.min())
    columns, rows = int(i.max()) - i0 + 2, int(j.max()) - j0 + 2
    jj, ii = np.meshgrid(np.arange(rows) + j0, np.arange(columns) + i0, indexing="ij")
    table = unit(scramble2(ii.ravel(), jj.ravel(), seed), 1)
    at = (j - j0) * columns + (i - i0)
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    top = table[at] + (table[at + 1] - table[at]) * fx
    at += columns
    low = table[at] + (table[at + 1] - table[at]) * fx
    return top + (low - top) * fy
