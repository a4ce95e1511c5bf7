"""The recurrent network's sensitivities p = dx/dw as dense arrays (theory.md 1.4, 1.5).

For each sequence ``p[l, i q + j] = dx_l/dw_ij`` with w_ij the weight from z_j = [x(t-1), u(t), 1]_j to
unit i, q = n + m + 1 and P = n q.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.networks.recurrent.derivatives import jacobian
from rnnsim.networks.recurrent.forward import RecurrentTrajectory
from rnnsim.numerics.linalg import add_rows, add_xt_times_y, copy, x_times_W
from rnnsim.numerics.parallel import in_parallel
from rnnsim.numerics.tiles import multiply
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array, Bools, Params

TOGETHER = 16  # the largest number of steps by which a block of p is advanced at a time
CACHE = 600_000  # bytes of the L2 cache for the matrices of these steps
NARROW = 32  # columns of a block, where blocks are divided among threads
SHARED = 1 << 22  # multiplications from which several threads are faster


class Moves(NamedTuple):
    """The factors of eqs. (12) and (13), as one product, for S successive steps.

    Attributes
    ----------
    matrix : (S, B, n + 1, n) array
        J = (1-alpha) I + alpha D W, with e^T J as its last row.
    z : (S, B, q) array
        [x(t-1), u(t), 1].
    factor : (S, B, n) array
        alpha f'(a_i).
    error : (S, B, n) array
        e = dE(t)/dx(t).
    resets : (S, B) bool array
    """

    matrix: Array
    z: Array
    factor: Array
    error: Array
    resets: Bools


class Sensitivities(NamedTuple):
    """p(t) in blocks of columns, double buffered.

    Attributes
    ----------
    p : (2, B, blocks, n + 1, width) array
        Two buffers; the last row of a block is dE(t)/dw.
    current : (1,) int array
        Which buffer holds p(t).
    moves : Moves
        The factors of the next steps.
    total : (B, blocks, width) array
        The sum of the last rows over steps.
    """

    p: Array
    current: Array
    moves: Moves
    total: Array


def sensitivities(n: int, m: int, batch: int, window: int, dtype: np.dtype[Any]) -> Sensitivities:
    """Allocate p = 0, and the workspace for a few steps of a window."""
    q, matrix = n + m + 1, n * (n + 1) * dtype.itemsize
    steps = min(window, TOGETHER, max(1, CACHE // matrix))
    blocks, width = cut_into_blocks(n, n * q, steps)
    return Sensitivities(
        p=aligned_zeros((2, batch, blocks, n + 1, width), dtype),
        current=np.zeros(1, np.int64),
        moves=Moves(
            matrix=aligned_zeros((steps, batch, n + 1, n), dtype),
            z=np.ones((steps, batch, q), dtype),
            factor=aligned_zeros((steps, batch, n), dtype),
            error=aligned_zeros((steps, batch, n), dtype),
            resets=np.zeros((steps, batch), np.bool_),
        ),
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


@kernel(allocates=False)
def propagate(
    params: Params,
    trajectory: RecurrentTrajectory,
    first: int,
    count: int,
    sensitivities: Sensitivities,
    grad: Params,
) -> None:
    """Eqs. (12) and (13) in one product per step.

    p(t) = J p(t-1) + alpha D (delta z), and the row e^T J below J gives e . p(t) in the same product, so
    that p is read once. The columns of p are independent: each block of them is advanced by several
    steps while it is in the cache.
    """
    moves, total = sensitivities.moves, sensitivities.total
    B, n = trajectory.states.shape[1:]
    total[:] = 0
    for begin in range(first, first + count, moves.z.shape[0]):
        steps = min(moves.z.shape[0], first + count - begin)
        if steps * n * n * n * moves.z.shape[2] < SHARED:
            for i in range(steps * B):
                prepare(i, params, trajectory, begin, moves)
            for i in range(B * total.shape[1]):
                carry_block(i, moves, sensitivities.p, sensitivities.current[0], steps, total)
        else:
            in_parallel(prepare, steps * B, params, trajectory, begin, moves)
            in_parallel(
                carry_block, B * total.shape[1], moves, sensitivities.p, sensitivities.current[0], steps,
                total,
            )  # fmt: skip
        sensitivities.current[0] = (sensitivities.current[0] + steps) % 2
    for b in range(B):
        unpack(total[b], grad)


@kernel(allocates=False)
def prepare(i: int, params: Params, trajectory: RecurrentTrajectory, first: int, moves: Moves) -> None:
    """Compute the factors of step and sequence number i, of all steps and sequences."""
    s, b = i // moves.z.shape[1], i % moves.z.shape[1]
    t, n = first + s, params.b.size
    m = trajectory.inputs.shape[2]
    matrix, error = moves.matrix[s, b], moves.error[s, b]
    moves.resets[s, b] = trajectory.resets[t, b]
    copy(trajectory.error[t, b], error)
    copy(trajectory.entering[t, b], moves.z[s, b, :n])
    copy(trajectory.inputs[t, b], moves.z[s, b, n : n + m])
    for i in range(n):
        moves.factor[s, b, i] = trajectory.leak * trajectory.slopes[t, b, i]
    jacobian(params, trajectory, t, b, matrix[:n])
    multiply(as_matrix(error, 1, n), matrix[:n], as_matrix(matrix[n], 1, n))


@kernel(allocates=False, inlined=False)
def carry_block(i: int, moves: Moves, p: Array, current: int, steps: int, total: Array) -> None:
    """Advance one block of columns by several steps: number i of the blocks of all sequences."""
    b, block = i // total.shape[1], i % total.shape[1]
    n, width, columns = moves.factor.shape[2], p.shape[4], moves.factor.shape[2] * moves.z.shape[2]
    begin = block * width
    end = min(begin + width, columns)
    for s in range(steps):
        old, new = p[(current + s) % 2, b, block], p[(current + s + 1) % 2, b, block]
        if moves.resets[s, b]:
            new[:] = 0
        else:
            multiply(moves.matrix[s, b], old[:n], new)
        add_immediate(moves.factor[s, b], moves.z[s, b], moves.error[s, b], new, begin, end)
        for c in range(width):
            total[b, block, c] += new[n, c]


@kernel(allocates=False)
def add_immediate(factor: Array, z: Array, error: Array, p: Array, begin: int, end: int) -> None:
    """Add alpha f'(a_i) z_j to p^i_ij, and e_i times that to the last row, for a block's columns."""
    n, q = factor.size, z.size
    for i in range(begin // q, (end - 1) // q + 1):
        low, high = max(begin, i * q), min(end, (i + 1) * q)
        own, last, by_error = factor[i], p[n], factor[i] * error[i]
        row = p[i]
        for c in range(low, high):
            row[c - begin] += own * z[c - i * q]
            last[c - begin] += by_error * z[c - i * q]


@kernel
def collect_rows(
    params: Params, trajectory: RecurrentTrajectory, first: int, delta: Array, p: Array
) -> None:
    """Eq. (9) for each adjoint row and sequence: the local part of eq. (14)."""
    count, B, R, n = delta.shape
    m = trajectory.inputs.shape[2]
    q = n + m + 1
    z = np.ones((count, q), p.dtype)
    s = as_matrix(delta, count * B, R * n)
    if B > 1:
        s = np.empty((count, R * n), p.dtype)
    for b in range(B):
        for t in range(count):
            copy(trajectory.entering[first + t, b], z[t, :n])
            copy(trajectory.inputs[first + t, b], z[t, n : n + m])
            if B > 1:
                copy(as_vector(delta[t, b]), s[t])
        add_xt_times_y(s, z, as_matrix(p[b], R * n, q), False)


@kernel
def contract(trajectory: RecurrentTrajectory, row: Array, p: Array, grad: Params) -> None:
    """Eq. (13): dE/dw_ij = sum_l (dE/dx_l) p^l_ij."""
    B, n = row.shape
    P = p.shape[2]
    total = np.zeros((1, P), p.dtype)
    product = np.empty((1, P), p.dtype)
    for b in range(B):
        x_times_W(as_matrix(row[b], 1, n), p[b, :n], product)
        add_rows(product, total[0])
    unpack(total, grad)


@kernel(allocates=False)
def unpack(total: Array, grad: Params) -> None:
    """Add a gradient in the order of the columns of p to the gradients of W, U and b."""
    n, m = grad.U.shape
    w = as_matrix(as_vector(total)[: n * (n + m + 1)], n, n + m + 1)
    for i in range(n):
        for j in range(n):
            grad.W[i, j] += w[i, j]
        for j in range(m):
            grad.U[i, j] += w[i, n + j]
        grad.b[i] += w[i, n + m]
