"""Tiles of traces against the words that they are described in, at every width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.networks.fast_weight.sensitivities import WIDTH, width_of
from rnnsim.networks.fast_weight.tiles import (
    ROWS,
    carry_row,
    carry_row_apart,
    carry_tile,
    carry_tile_apart,
)

TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
TINY = 1e-30


@kernel
def by_tiles(
    p: Any, gamma: Any, decay: Any, reach: Any, source: Any, moves: int, width: int, tiny: float,
    grad: Any, each: Any, own: Any,
) -> None:  # fmt: skip
    """A tile and a row beside it; and once more, with the gradients apart."""
    carry_tile(p, 1, gamma, decay, reach, source, 2, moves, width, tiny, grad)
    carry_row(p, 0, gamma, decay, reach, source, 1, moves, width, tiny, grad)
    carry_tile_apart(own, 1, gamma, decay, reach, source, 2, moves, width, tiny, each)
    carry_row_apart(own, 0, gamma, decay, reach, source, 1, moves, width, tiny, each)


def in_words(p: Any, gamma: Any, decay: Any, reach: Any, source: Any, moves: int) -> tuple[Any, Any]:
    """Eqs. (22) and (23), a trace at a time: p, and its gradient by each fast weight."""
    p, each = p.astype(float), np.zeros(p.shape)
    for s in range(moves):
        for h in range(p.shape[0]):
            for c in range(p.shape[1]):
                each[h, c] += gamma[s, c] * p[h, c]
                p[h, c] = decay[s, c] * p[h, c] + source[s, 1 + h] * reach[s, c]
    return p, each


def errors(dtype: str, moves: int, width: int, carry: Callable[..., None]) -> list[float]:
    """How far tiles are from the words: p, grad, p and grad apart."""
    rng = np.random.default_rng(width)

    def drawn(*shape: int) -> Any:
        array = aligned_zeros(shape, dtype)
        array[:] = rng.standard_normal(shape)
        return array

    p, source = drawn(1 + ROWS, WIDTH), drawn(moves + 1, 2 + ROWS)
    gamma, decay, reach = (drawn(moves + 1, WIDTH) for _ in range(3))
    gamma[:, width:] = 0  # what lies idle
    own, grad, each = p.copy(), drawn(1 + ROWS), drawn(1 + ROWS, WIDTH)
    expected, by_each = in_words(p[:, :width], gamma, decay, reach, source, moves)
    total, apart = grad + by_each.sum(1), each[:, :width] + by_each
    beyond = p[:, -1].copy()
    carry(p, gamma, decay, reach, source, moves, width, p.dtype.type(TINY), grad, each, own)
    line = 64 // p.itemsize
    if width <= WIDTH - line:
        np.testing.assert_array_equal(p[:, -1], beyond)
    scale = max(1.0, *(np.abs(x).max() for x in (expected, total, apart)))
    pairs = [
        (p[:, :width], expected),
        (grad, total),
        (own[:, :width], expected),
        (each[:, :width], apart),
    ]
    return [float(np.abs(found - wanted).max() / scale) for found, wanted in pairs]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tiles_are_the_words(dtype: str) -> None:
    for moves in (0, 1, 2, 9):
        for width in (1, 3, 8, 9, 16, 31, 32, 33, 47):
            assert max(errors(dtype, moves, width, compiled(by_tiles))) < TOLERANCE[dtype], (
                moves,
                width,
            )


def test_a_move_that_is_left_out_is_noticed() -> None:
    def one_less(*arguments: Any) -> None:
        before, (moves, *after) = arguments[:5], arguments[5:]
        compiled(by_tiles)(*before, moves - 1, *after)

    assert min(errors("float64", 3, 20, one_less)) > 0.01


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_blocks_cover_all_fast_weights_in_whole_lines(dtype: str) -> None:
    line = 64 // np.dtype(dtype).itemsize
    for N in range(1, 1000):
        width = width_of(N, dtype)
        blocks = -(-N // width)
        assert width % line == 0
        assert width < WIDTH + line
        assert blocks * width - N < blocks * line  # idle
