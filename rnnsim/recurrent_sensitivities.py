"""The recurrent network's sensitivities p = dx/dw (theory.md 1.4, 1.5), held dense.

For sequence b, ``p[b, l, i q + j] = dx_l/dw_ij`` with w_ij the weight from z_j = [x(t-1), u(t), 1]_j to
unit i, q = n + m + 1 and P = n q.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.linalg import add_rows, add_xt_times_y, copy, gemm, x_times_W
from rnnsim.recurrent_derivatives import jacobian
from rnnsim.recurrent_forward import RecurrentTrajectory
from rnnsim.typing import Array, Params


class Sensitivities(NamedTuple):
    """p(t), twice, to be written from one place to the other."""

    p: Array  # (2, B, n + 1, P); the last row receives dE(t)/dw
    current: Array  # (1,) which of the two is p(t)
    matrix: Array  # (n + 1, n)
    total: Array  # (P,)


@kernel(allocates=False)
def pushforward(
    params: Params,
    trajectory: RecurrentTrajectory,
    first: int,
    count: int,
    sensitivities: Sensitivities,
    grad: Params,
) -> None:
    """Eqs. (12) and (13) in one product per step.

    With J = (1-alpha) I + alpha D W, p(t) = J p(t-1) + alpha D (delta z), and the row e^T J under J
    gives e . p(t) beside it, e = dE(t)/dx(t), so that p is read once.
    """
    B, n = trajectory.states.shape[1:]
    total = sensitivities.total
    total[:] = 0
    for t in range(first, first + count):
        old, new = sensitivities.current[0], 1 - sensitivities.current[0]
        for b in range(B):
            push_p(params, trajectory, t, b, sensitivities.matrix,
                   sensitivities.p[old, b], sensitivities.p[new, b])  # fmt: skip
            add_rows(sensitivities.p[new, b, n:], total)
        sensitivities.current[0] = new
    unpack(total, grad)


@kernel(allocates=False)
def push_p(
    params: Params,
    trajectory: RecurrentTrajectory,
    t: int,
    b: int,
    matrix: Array,
    old: Array,
    new: Array,
) -> None:
    """One step of p for sequence b; old, new (n + 1, P), matrix (n + 1, n)."""
    n = params.b.size
    m = trajectory.inputs.shape[2]
    q = n + m + 1
    leak, slope, error = trajectory.leak, trajectory.slopes[t, b], trajectory.error[t, b]
    entering, inputs = trajectory.entering[t, b], trajectory.inputs[t, b]
    if trajectory.resets[t, b]:
        new[:] = 0
    else:
        jacobian(params, trajectory, t, b, matrix[:n])
        x_times_W(error.reshape(1, n), matrix[:n], matrix[n:])
        gemm(matrix, old[:n], new)
    for i in range(n):
        factor = leak * slope[i]
        for j in range(n):
            new[i, i * q + j] += factor * entering[j]
        for j in range(m):
            new[i, i * q + n + j] += factor * inputs[j]
        new[i, i * q + n + m] += factor
        factor *= error[i]
        for j in range(n):
            new[n, i * q + j] += factor * entering[j]
        for j in range(m):
            new[n, i * q + n + j] += factor * inputs[j]
        new[n, i * q + n + m] += factor


@kernel
def collect_rows(
    params: Params, trajectory: RecurrentTrajectory, first: int, blame: Array, p: Array
) -> None:
    """Eq. (9) for each adjoint row and sequence apart: the local part of eq. (14)."""
    count, R, B, n = blame.shape
    m = trajectory.inputs.shape[2]
    q = n + m + 1
    z = np.ones((count, q), p.dtype)
    s = np.empty((count, n), p.dtype)
    for b in range(B):
        for t in range(count):
            copy(trajectory.entering[first + t, b], z[t, :n])
            copy(trajectory.inputs[first + t, b], z[t, n : n + m])
        for r in range(R):
            for t in range(count):
                copy(blame[t, r, b], s[t])
            add_xt_times_y(s, z, p[b, r].reshape(n, q))


@kernel
def contract(trajectory: RecurrentTrajectory, row: Array, p: Array, grad: Params) -> None:
    """Eq. (13): dE/dw_ij = sum_l (dE/dx_l) p^l_ij."""
    B, n = row.shape
    P = p.shape[2]
    total = np.zeros((1, P), p.dtype)
    product = np.empty((1, P), p.dtype)
    for b in range(B):
        x_times_W(row[b].reshape(1, n), p[b, :n], product)
        add_rows(product, total[0])
    unpack(total[0], grad)


@kernel(allocates=False)
def unpack(total: Array, grad: Params) -> None:
    """Add a gradient in the order of p's columns to the gradients of W, U and b."""
    n, m = grad.U.shape
    w = total.reshape(n, n + m + 1)
    for i in range(n):
        for j in range(n):
            grad.W[i, j] += w[i, j]
        for j in range(m):
            grad.U[i, j] += w[i, n + j]
        grad.b[i] += w[i, n + m]
