"""8-bit weights: how a matrix becomes integers and scales, and how far a product with them is from the exact one.

docs/decisions/0030-eight-bits.md has the reasons and the measurements.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.weights import Floats

Form = Literal["columns", "blocks", "fp32"]
"""How the weights of a product are stored. `columns`: integers with a scale per column, multiplied with 8-bit
activations that share one scale. `blocks`: integers with a scale per `BLOCK` rows of a column, multiplied with
activations that have their own scale per block and row."""

BLOCK = 128
_ZERO = 128
"""The integer that stands for 0 in `blocks`."""
_PAIR_LIMIT = 127


def columns(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Signed integers (K, N) and a scale per column (N).

    x86 CPUs without VNNI add two neighboring products of a column in 16 bits, which saturate at 32,767. An
    activation is at most 255, so the absolute values of two neighboring weights add up to at most 128 here. The
    result is the same on every CPU. A weight that is large next to a small one keeps all of its 8 bits.
    """
    even = np.pad(np.abs(matrix), ((0, len(matrix) % 2), (0, 0)))
    pairs = even[0::2] + even[1::2]
    scales = _scales(pairs.max(axis=0), _PAIR_LIMIT)
    return np.round(matrix / scales).astype(np.int8), scales


def blocks(matrix: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Unsigned integers (N, blocks, BLOCK) around 128, and a scale per block (N, blocks). K is padded."""
    depth, width = matrix.shape
    padded = np.pad(matrix, ((0, -depth % BLOCK), (0, 0)))
    parts = padded.T.reshape(width, -1, BLOCK)
    scales = _scales(np.abs(parts).max(axis=2), 127)
    return (np.round(parts / scales[..., np.newaxis]) + _ZERO).astype(np.uint8), scales


def from_columns(integers: NDArray[np.int8], scales: Floats) -> Floats:
    """The matrix that `columns` stands for."""
    matrix: Floats = integers * scales
    return matrix


def from_blocks(integers: NDArray[np.uint8], scales: Floats, depth: int) -> Floats:
    """The matrix (depth, N) that `blocks` stands for."""
    parts = (integers.astype(np.float32) - _ZERO) * scales[..., np.newaxis]
    return np.ascontiguousarray(parts.reshape(len(integers), -1)[:, :depth].T)


def rounded_as_a_whole(activations: Floats, low: float, high: float) -> Floats:
    """`activations` as `DynamicQuantizeLinear` rounds them: 256 steps between the smallest and the largest."""
    low, high = min(0.0, float(low)), max(0.0, float(high))
    step = (high - low) / 255 or 1.0
    zero = round(-low / step)
    rounded: Floats = (np.clip(np.round(activations / step) + zero, 0, 255) - zero) * np.float32(step)
    return rounded


def rounded_by_block(activations: Floats) -> Floats:
    """`activations` (rows, K) as `MatMulNBits` rounds them: 8 bits per `BLOCK` values of a row."""
    rows, depth = activations.shape
    parts = np.pad(activations, ((0, 0), (0, -depth % BLOCK))).reshape(rows, -1, BLOCK)
    scales = _scales(np.abs(parts).max(axis=2, keepdims=True), 127)
    rounded: Floats = (np.round(parts / scales) * scales).reshape(rows, -1)[:, :depth]
    return rounded


def _scales(largest: Floats, limit: int) -> Floats:
    return np.where(largest > 0, largest / np.float32(limit), np.float32(1)).astype(np.float32)
