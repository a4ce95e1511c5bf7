"""Sensitivities p = dx/dparams of a network of units as dense arrays (theory.md 1.4).

    (12) p(t) = J p(t-1) + dx(t)/dparams, x(t-1) being held constant;  (13) dE(t)/dparams = e . p(t)

with J = dx(t)/dx(t-1) and e = dE(t)/dx(t). A network says how each step's factors are computed and where
the second term is not zero; here p is carried on. Its columns are independent: each block of them is
advanced by several steps while it is in the cache.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.numerics.linalg import add_rows, copy, x_times_W
from rnnsim.numerics.parallel import in_parallel
from rnnsim.numerics.tiles import multiply
from rnnsim.numerics.views import as_matrix
from rnnsim.typing import Array, Kernel, Params, Trajectory

TOGETHER = 16  # the largest number of steps by which a block of p is advanced at a time
CACHE = 600_000  # bytes of the L2 cache for the matrices of these steps
NARROW = 32  # columns of a block, where blocks are divided among threads
SHARED = 1 << 22  # multiplications from which several threads are faster


class Sensitivities(NamedTuple):
    """p(t) in blocks of columns, double buffered.

    Attributes
    ----------
    p : (2, B, blocks, n + 1, width) array
        Two buffers; the last row of a block is dE(t)/dparams.
    current : (1,) int array
        Which buffer holds p(t).
    moves : NamedTuple
        The factors of the next S steps, of a class of the network's with the fields ``matrix``
        (S, B, n + 1, n), J with e^T J as its last row, ``error`` (S, B, n), e, and ``resets`` (S, B).
    total : (B, blocks, width) array
        The sum of the last rows over steps.
    """

    p: Array
    current: Array
    moves: Any
    total: Array


def steps_together(n: int, window: int, dtype: np.dtype[Any]) -> int:
    """S, the number of steps whose factors are computed at a time."""
    return min(window, TOGETHER, max(1, CACHE // (n * (n + 1) * dtype.itemsize)))


def sensitivities(columns: int, moves: Any) -> Sensitivities:
    """Allocate p = 0."""
    steps, batch, _, n = moves.matrix.shape
    blocks, width = cut_into_blocks(n, columns, steps)
    dtype = moves.matrix.dtype
    return Sensitivities(
        p=aligned_zeros((2, batch, blocks, n + 1, width), dtype),
        current=np.zeros(1, np.int64),
        moves=moves,
        total=aligned_zeros((batch, blocks, width), dtype),
    )


def cut_into_blocks(n: int, columns: int, steps: int) -> tuple[int, int]:
    """The number of blocks and their width: one block for a single thread, else narrow ones.

    A narrow block stays in the L1 cache for all its steps. The result depends on the sizes alone, not on
    the number of threads.
    """
    blocks = -(-columns // NARROW) if steps * n * n * columns >= SHARED else 1
    width = -(-columns // blocks)
    return blocks, -(-width // 8) * 8


@cache
def propagate_kernel(jacobian: Kernel, prepare: Kernel, add_immediate: Kernel, unpack: Kernel) -> Kernel:
    """Make ``propagate``: eqs. (12) and (13) in one product per step.

    The row e^T J below J gives e . J p(t-1) in the same product, so that p is read once.

    Parameters
    ----------
    jacobian : Jacobian
    prepare : kernel (params, trajectory, t, b, moves, s)
        Writes step t of sequence b into row s of ``moves``, except for the fields that all have.
    add_immediate : kernel (moves, s, b, p, begin)
        Adds dx(t)/dparams to the rows of a block p (n + 1, width), whose first column is ``begin``, and
        e . dx(t)/dparams to its last row.
    unpack : kernel (total, grad)
        Adds a gradient in the order of the columns of p to ``grad``.
    """

    @kernel(allocates=False)
    def prepare_step(i: int, params: Params, trajectory: Trajectory, first: int, moves: Any) -> None:
        """Compute the factors of step and sequence number i, of all steps and sequences."""
        B, n = moves.error.shape[1:]
        s, b = i // B, i % B
        t, matrix, error = first + s, moves.matrix[s, b], moves.error[s, b]
        moves.resets[s, b] = trajectory.resets[t, b]
        copy(trajectory.error[t, b], error)
        jacobian(params, trajectory, t, b, matrix[:n])
        multiply(as_matrix(error, 1, n), matrix[:n], as_matrix(matrix[n], 1, n))
        prepare(params, trajectory, t, b, moves, s)

    @kernel(allocates=False, inlined=False)
    def carry_block(i: int, moves: Any, p: Array, current: int, steps: int, total: Array) -> None:
        """Advance one block of columns by several steps: number i of the blocks of all sequences."""
        b, block = i // total.shape[1], i % total.shape[1]
        n, width = moves.error.shape[2], p.shape[4]
        for s in range(steps):
            old, new = p[(current + s) % 2, b, block], p[(current + s + 1) % 2, b, block]
            if moves.resets[s, b]:
                new[:] = 0
            else:
                multiply(moves.matrix[s, b], old[:n], new)
            add_immediate(moves, s, b, new, block * width)
            for c in range(width):
                total[b, block, c] += new[n, c]

    @kernel(allocates=False)
    def propagate(
        params: Params,
        trajectory: Trajectory,
        first: int,
        count: int,
        sensitivities: Sensitivities,
        grad: Params,
    ) -> None:
        moves, total = sensitivities.moves, sensitivities.total
        B, n = trajectory.states.shape[1:]
        total[:] = 0
        for begin in range(first, first + count, moves.error.shape[0]):
            steps = min(moves.error.shape[0], first + count - begin)
            if steps * n * n * total.shape[1] * total.shape[2] < SHARED:
                for i in range(steps * B):
                    prepare_step(i, params, trajectory, begin, moves)
                for i in range(B * total.shape[1]):
                    carry_block(i, moves, sensitivities.p, sensitivities.current[0], steps, total)
            else:
                in_parallel(prepare_step, steps * B, params, trajectory, begin, moves)
                in_parallel(
                    carry_block, B * total.shape[1], moves, sensitivities.p,
                    sensitivities.current[0], steps, total,
                )  # fmt: skip
            sensitivities.current[0] = (sensitivities.current[0] + steps) % 2
        for b in range(B):
            unpack(total[b], grad)

    return propagate


@cache
def contract_kernel(unpack: Kernel) -> Kernel:
    """Make ``contract``, eq. (13): dE/dw = sum_l (dE/dx_l) p_l; p (B, n, P)."""

    @kernel
    def contract(trajectory: Trajectory, row: Array, p: Array, grad: Params) -> None:
        B, n = row.shape
        P = p.shape[2]
        total = np.zeros((1, P), p.dtype)
        product = np.empty((1, P), p.dtype)
        for b in range(B):
            x_times_W(as_matrix(row[b], 1, n), p[b, :n], product)
            add_rows(product, total[0])
        unpack(total, grad)

    return contract
