"""The one-step derivatives of the recurrent network (theory.md 1.2), as in :mod:`rnnsim.network`."""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.networks.recurrent.forward import RecurrentTrajectory
from rnnsim.numerics.linalg import (
    add_rows,
    add_to,
    add_xt_times_y,
    copy,
    rows_times_W,
    x_times_W,
    x_times_Wt,
)
from rnnsim.numerics.tiles import multiply, multiply_panels
from rnnsim.numerics.views import as_matrix
from rnnsim.typing import Array, Bools, Integers, Params


@kernel(allocates=False)
def vjp(
    params: Params,
    trajectory: RecurrentTrajectory,
    t: int,
    begin: int,
    end: int,
    own_error: bool,
    after: Array,
    delta: Array,
    before: Array,
) -> None:
    """Eq. (10): delta is s(t) = alpha D(t) lambda(t), before is (1-alpha) lambda(t) + W^T s(t)."""
    _, R, n = after.shape
    leak = trajectory.leak
    for b in range(begin, end):
        slopes, error = trajectory.slopes[t, b], trajectory.error[t, b]
        for r in range(R):
            lambda_, s_r = after[b, r], delta[b, r]
            if own_error:
                add_to(lambda_, error)
            for i in range(n):
                s_r[i] = leak * slopes[i] * lambda_[i]
    rows = (end - begin) * R
    s, onward = as_matrix(delta[begin:end], rows, n), as_matrix(before[begin:end], rows, n)
    if R > 1:
        x_times_W(s, params.W, onward)
    elif trajectory.has_transposed[0] and trajectory.W_panels.size > 0:  # callers start the threads
        multiply_panels(s, trajectory.W_panels, onward[:0], onward)
    elif trajectory.single_threaded[0]:
        multiply(s, params.W, onward)
    else:
        rows_times_W(s, params.W, onward, 0, rows)
    for b in range(begin, end):
        if trajectory.resets[t, b]:
            before[b] = 0
        elif leak != 1:
            for r in range(R):
                for i in range(n):
                    before[b, r, i] += (1 - leak) * after[b, r, i]


@kernel(allocates=False)
def convert(
    params: Params,
    trajectory: RecurrentTrajectory,
    t: int,
    other_params: Params,
    other: RecurrentTrajectory,
) -> None:
    """Copy what eq. (10) reads, W, the slopes and the resets, into arrays of another dtype."""
    copy(params.W, other_params.W)
    copy(trajectory.slopes[t], other.slopes[0])
    copy(trajectory.resets[t], other.resets[0])


@kernel(allocates=False)
def collect(
    params: Params, trajectory: RecurrentTrajectory, first: int, delta: Array, grad: Params
) -> None:
    """Eq. (9): one product over all steps for each of W and U."""
    count, B, _, n = delta.shape
    m = trajectory.inputs.shape[2]
    s, single_threaded = as_matrix(delta, count * B, n), trajectory.single_threaded[0]
    entering = as_matrix(trajectory.entering[first : first + count], count * B, n)
    inputs = as_matrix(trajectory.inputs[first : first + count], count * B, m)
    add_xt_times_y(s, entering, grad.W, single_threaded)
    add_xt_times_y(s, inputs, grad.U, single_threaded)
    add_rows(s, grad.b)


@kernel(allocates=False)
def jacobian(params: Params, trajectory: RecurrentTrajectory, t: int, b: int, J: Array) -> None:
    """J = dx(t)/dx(t-1) = (1-alpha) I + alpha D(t) W, or 0 across a reset."""
    n = params.b.size
    leak = trajectory.leak
    if trajectory.resets[t, b]:
        J[:] = 0
        return
    for i in range(n):
        factor = leak * trajectory.slopes[t, b, i]
        for j in range(n):
            J[i, j] = factor * params.W[i, j]
        J[i, i] += 1 - leak


@kernel(allocates=False)
def jvp(params: Params, trajectory: RecurrentTrajectory, t: int, v: Array, out: Array) -> None:
    """out = J v for tangents v, out (R, B, n)."""
    R, B, n = v.shape
    leak = trajectory.leak
    x_times_Wt(as_matrix(v, R * B, n), params.W, as_matrix(out, R * B, n))
    for r in range(R):
        for b in range(B):
            if trajectory.resets[t, b]:
                out[r, b] = 0
            else:
                for i in range(n):
                    out[r, b, i] *= leak * trajectory.slopes[t, b, i]
                    out[r, b, i] += (1 - leak) * v[r, b, i]


@kernel(allocates=False)
def immediate(
    params: Params,
    trajectory: RecurrentTrajectory,
    t: int,
    begin: int,
    end: int,
    row: Array,
    grad: Params,
) -> None:
    """Add row . dx(t)/dw with x(t-1) held constant, which is row_i alpha f'(a_i) z_j."""
    n, m = params.U.shape
    for i in range(n):
        W, U = grad.W[i], grad.U[i]
        for b in range(begin, end):
            s = trajectory.leak * trajectory.slopes[t, b, i] * row[b, i]
            entering, inputs = trajectory.entering[t, b], trajectory.inputs[t, b]
            for j in range(n):
                W[j] += s * entering[j]
            for j in range(m):
                U[j] += s * inputs[j]
            grad.b[i] += s


def unit_and_index(n: int, m: int, connectivity: Bools | None, others: int) -> tuple[Integers, Integers]:
    """Of each number of W, U and b, and of ``others`` of the retrieval: i and j of w_ij, or -1.

    It is the weight from z_j, z = [x(t-1), u(t), 1], to unit i.
    """
    unit, j = np.indices((n, n + m + 1))
    absent = np.zeros((n, n + m + 1), np.bool_)
    if connectivity is not None:
        absent[:, :n] = ~connectivity

    def flat(index: Integers) -> Integers:
        index[absent] = -1
        parts = index[:, :n], index[:, n : n + m], index[:, n + m :], np.full(others, -1)
        return np.concatenate([part.ravel() for part in parts])

    return flat(unit), flat(j)


@kernel(allocates=False)
def immediate_entries(
    params: Params, trajectory: RecurrentTrajectory, t: int, b: int, out: Array
) -> None:
    """dx_i(t)/dw_ij = alpha f'(a_i) z_j with x(t-1) held constant, in the order of W, U and b."""
    n, m = params.U.shape
    entering, inputs = trajectory.entering[t, b], trajectory.inputs[t, b]
    W, U = as_matrix(out[: n * n], n, n), as_matrix(out[n * n : n * (n + m)], n, m)
    for i in range(n):
        factor = trajectory.leak * trajectory.slopes[t, b, i]
        for j in range(n):
            W[i, j] = factor * entering[j]
        for j in range(m):
            U[i, j] = factor * inputs[j]
        out[n * (n + m) + i] = factor
    for i in range(trajectory.connectivity.shape[0]):
        for j in range(n):
            if not trajectory.connectivity[i, j]:
                W[i, j] = 0
    for p in range(n * (n + m + 1), out.size):
        out[p] = 0


@kernel(allocates=False)
def immediate_factors(
    params: Params, trajectory: RecurrentTrajectory, t: int, b: int, z: Array, D: Array
) -> None:
    """z = [x(t-1), u(t), 1], D = alpha f'(a)."""
    n, m = params.U.shape
    copy(trajectory.entering[t, b], z[:n])
    copy(trajectory.inputs[t, b], z[n : n + m])
    z[n + m] = 1
    for i in range(n):
        D[i] = trajectory.leak * trajectory.slopes[t, b, i]


@kernel(allocates=False)
def constrain(trajectory: RecurrentTrajectory, grad: Params) -> None:
    """Set the gradient of absent connections to zero."""
    for i in range(trajectory.connectivity.shape[0]):
        for j in range(trajectory.connectivity.shape[1]):
            if not trajectory.connectivity[i, j]:
                grad.W[i, j] = 0
