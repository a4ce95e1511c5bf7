"""The recurrent network's sensitivities p = dx/dw as dense arrays (theory.md 1.4, 1.5).

For each sequence ``p[l, i q + j] = dx_l/dw_ij`` with w_ij the weight from z_j = [x(t-1), u(t), 1]_j to
unit i, q = n + m + 1 and P = n q. :mod:`rnnsim.networks.dense` carries p on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.networks import dense
from rnnsim.networks.recurrent.derivatives import jacobian
from rnnsim.networks.recurrent.forward import RecurrentTrajectory
from rnnsim.numerics.linalg import add_xt_times_y, copy
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array, Bools, Params


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


def sensitivities(n: int, m: int, batch: int, window: int, dtype: np.dtype[Any]) -> dense.Sensitivities:
    """Allocate p = 0, and the workspace for a few steps of a window."""
    q, steps = n + m + 1, dense.steps_together(n, window, dtype)
    moves = Moves(
        matrix=aligned_zeros((steps, batch, n + 1, n), dtype),
        z=np.ones((steps, batch, q), dtype),
        factor=aligned_zeros((steps, batch, n), dtype),
        error=aligned_zeros((steps, batch, n), dtype),
        resets=np.zeros((steps, batch), np.bool_),
    )
    return dense.sensitivities(n * q, moves)


@kernel(allocates=False)
def prepare(
    params: Params, trajectory: RecurrentTrajectory, t: int, b: int, moves: Moves, s: int
) -> None:
    """Write z and alpha f' of a step."""
    n, m = params.b.size, trajectory.inputs.shape[2]
    copy(trajectory.entering[t, b], moves.z[s, b, :n])
    copy(trajectory.inputs[t, b], moves.z[s, b, n : n + m])
    for i in range(n):
        moves.factor[s, b, i] = trajectory.leak * trajectory.slopes[t, b, i]


@kernel(allocates=False)
def add_immediate(moves: Moves, s: int, b: int, p: Array, begin: int) -> None:
    """Add alpha f'(a_i) z_j to p^i_ij, and e_i times that to the last row, for a block's columns."""
    factor, z, error = moves.factor[s, b], moves.z[s, b], moves.error[s, b]
    n, q = factor.size, z.size
    end = min(begin + p.shape[1], n * q)
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


propagate = dense.propagate_kernel(jacobian, prepare, add_immediate, unpack)
contract = dense.contract_kernel(unpack)
