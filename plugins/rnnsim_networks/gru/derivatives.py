"""The one-step derivatives of the GRU (theory.md 6), as in :mod:`rnnsim.network`.

With D_r, D_z, D_c = dx(t)/da_r, dx(t)/da_z, dx(t)/da_c, diagonal matrices, and R = diag(r):

    J = dx(t)/dx(t-1) = diag(z) + D_r W_r + D_z W_z + D_c R W_c
    dx(t)/dW_r, dW_z, dW_c = D_r, D_z, D_c R times x(t-1);  of U the same with u(t) and without R
"""

from __future__ import annotations

from rnnsim.kernels import kernel
from rnnsim.numerics.linalg import (
    add_rows,
    add_to,
    add_xt_times_y,
    copy,
    rows_times_W,
)
from rnnsim.numerics.tiles import multiply, multiply_panels
from rnnsim.numerics.views import as_matrix
from rnnsim.typing import Array
from rnnsim_networks.gru.forward import GRUTrajectory, Stacked, times_Wt

# --- dE/dx(t) to dE/d(drive) and dE/dx(t-1) ------------------------------------------------------------


@kernel(allocates=False)
def multiply_each(x: Array, y: Array, out: Array) -> None:
    """``out_i = x_i y_i``; vectors."""
    for i in range(out.size):
        out[i] = x[i] * y[i]


@kernel(allocates=False)
def at_recurrent(delta: Array, gates: Array, out: Array) -> None:
    """dE/d(W x(t-1) + [0, 0, b_n]) from dE/d(drive), vectors of 3n: the last n times r."""
    n = gates.size // 2
    copy(delta[: 2 * n], out[: 2 * n])
    multiply_each(delta[2 * n :], gates[:n], out[2 * n :])


@kernel(allocates=False)
def times_W(params: Stacked, trajectory: GRUTrajectory, x: Array, out: Array) -> None:
    """``out = x W`` for rows x (R, 3n), out (R, n)."""
    if trajectory.has_transposed[0] and trajectory.W_panels.size > 0:
        multiply_panels(x, trajectory.W_panels, out[:0], out)
    elif trajectory.single_threaded[0]:
        multiply(x, params.W, out)
    else:
        rows_times_W(x, params.W, out, 0, x.shape[0])


@kernel(allocates=False)
def vjp(
    params: Stacked,
    trajectory: GRUTrajectory,
    t: int,
    begin: int,
    end: int,
    own_error: bool,
    after: Array,
    delta: Array,
    before: Array,
) -> None:
    """delta = (D_r, D_z, D_c) lambda(t), and before = J^T lambda(t), some rows at a time."""
    _, R, n = after.shape
    total, most = (end - begin) * R, (end - begin) * trajectory.rows.shape[1]
    rows, onward = trajectory.rows[begin:end], as_matrix(before[begin:end], total, n)
    recurrent = as_matrix(rows, most, 3 * n)
    for first in range(0, total, most):
        count = min(most, total - first)
        for i in range(count):
            b, r = begin + (first + i) // R, (first + i) % R
            slopes, lambda_, s = trajectory.slopes[t, b], after[b, r], delta[b, r]
            if own_error:
                add_to(lambda_, trajectory.error[t, b])
            for gate in range(3):
                multiply_each(slopes[gate * n :], lambda_, s[gate * n : (gate + 1) * n])
            at_recurrent(s, trajectory.gates[t, b], recurrent[i])
        times_W(params, trajectory, recurrent[:count], onward[first : first + count])
    for b in range(begin, end):
        z = trajectory.gates[t, b, n:]
        for r in range(R):
            if trajectory.resets[t, b]:
                before[b, r] = 0
            else:
                for i in range(n):
                    before[b, r, i] += z[i] * after[b, r, i]


# --- the gradient of steps whose dE/d(drive) is known --------------------------------------------------


@kernel(allocates=False)
def collect(params: Stacked, trajectory: GRUTrajectory, first: int, delta: Array, grad: Stacked) -> None:
    """One product over all steps for U; for W one for each block of rows that has its workspace."""
    count, B, _, K = delta.shape
    n, m = K // 3, trajectory.inputs.shape[2]
    total, most = count * B, B * trajectory.rows.shape[1]
    s, single_threaded = as_matrix(delta, total, K), trajectory.single_threaded[0]
    inputs = as_matrix(trajectory.inputs[first : first + count], total, m)
    entering = as_matrix(trajectory.entering[first : first + count], total, n)
    gates = as_matrix(trajectory.gates[first : first + count], total, 2 * n)
    add_xt_times_y(s, inputs, grad.U, single_threaded)
    add_rows(s, grad.b)
    recurrent = as_matrix(trajectory.rows, most, K)
    for begin in range(0, total, most):
        rows = min(most, total - begin)
        for i in range(rows):
            at_recurrent(s[begin + i], gates[begin + i], recurrent[i])
            add_to(grad.b_n, recurrent[i, 2 * n :])
        add_xt_times_y(recurrent[:rows], entering[begin : begin + rows], grad.W, single_threaded)


# --- the Jacobian --------------------------------------------------------------------------------------


@kernel(allocates=False)
def jacobian(params: Stacked, trajectory: GRUTrajectory, t: int, b: int, J: Array) -> None:
    """J = diag(z) + D_r W_r + D_z W_z + D_c R W_c, or 0 across a reset."""
    n = params.b_n.size
    if trajectory.resets[t, b]:
        J[:] = 0
        return
    slopes, gates = trajectory.slopes[t, b], trajectory.gates[t, b]
    for i in range(n):
        of_r, of_z, of_h = slopes[i], slopes[n + i], slopes[2 * n + i] * gates[i]
        W_r, W_z, W_c, J_i = params.W[i], params.W[n + i], params.W[2 * n + i], J[i]
        for j in range(n):
            J_i[j] = of_r * W_r[j] + of_z * W_z[j] + of_h * W_c[j]
        J_i[i] += gates[n + i]


@kernel(allocates=False)
def jvp(params: Stacked, trajectory: GRUTrajectory, t: int, v: Array, out: Array) -> None:
    """out = J v for tangents v, out (R, B, n), some rows at a time."""
    R, B, n = v.shape
    total, most = R * B, B * trajectory.rows.shape[1]
    tangents, pushed = as_matrix(v, total, n), as_matrix(out, total, n)
    rows = as_matrix(trajectory.rows, most, 3 * n)
    for first in range(0, total, most):
        count = min(most, total - first)
        times_Wt(params, trajectory, tangents[first : first + count], rows[:count])
        for i in range(count):
            push(trajectory, t, (first + i) % B, rows[i], tangents[first + i], pushed[first + i])


@kernel(allocates=False)
def push(trajectory: GRUTrajectory, t: int, b: int, Wv: Array, v: Array, out: Array) -> None:
    """J v of one tangent, from the product W v."""
    n = v.size
    slopes, gates = trajectory.slopes[t, b], trajectory.gates[t, b]
    if trajectory.resets[t, b]:
        out[:] = 0
        return
    multiply_each(gates[n:], v, out)
    multiply_each(slopes, Wv, Wv)
    for i in range(n):
        out[i] += Wv[i] + Wv[n + i] + gates[i] * Wv[2 * n + i]


# --- dx(t)/dparams of one step -------------------------------------------------------------------------


@kernel(allocates=False)
def add_outer(
    s: Array, trajectory: GRUTrajectory, t: int, b: int, W: Array, U: Array, bias: Array, b_n: Array
) -> None:
    """Add what a step's dE/d(drive) of one sequence gives of each parameter; s (3n)."""
    n, x, u = b_n.size, trajectory.entering[t, b], trajectory.inputs[t, b]
    for i in range(3 * n):
        at_h = s[i]
        if i >= 2 * n:
            at_h *= trajectory.gates[t, b, i - 2 * n]
            b_n[i - 2 * n] += at_h
        for j in range(n):
            W[i, j] += at_h * x[j]
        for j in range(u.size):
            U[i, j] += s[i] * u[j]
        bias[i] += s[i]


@kernel(allocates=False)
def immediate(
    params: Stacked,
    trajectory: GRUTrajectory,
    t: int,
    begin: int,
    end: int,
    row: Array,
    grad: Stacked,
) -> None:
    """Add row . dx(t)/dparams with x(t-1) held constant, of the sequences begin, ..., end - 1."""
    n = row.shape[1]
    for b in range(begin, end):
        slopes, s = trajectory.slopes[t, b], trajectory.rows[b, 0]
        for gate in range(3):
            multiply_each(slopes[gate * n :], row[b], s[gate * n : (gate + 1) * n])
        add_outer(s, trajectory, t, b, grad.W, grad.U, grad.b, grad.b_n)


@kernel(allocates=False)
def immediate_entries(params: Stacked, trajectory: GRUTrajectory, t: int, b: int, out: Array) -> None:
    """dx_i(t)/dw for each parameter w, i being the one unit on which it acts; 0 of V and c."""
    n, m = params.b_n.size, params.U.shape[1]
    end_W, end_U = 3 * n * n, 3 * n * (n + m)
    W, U = as_matrix(out[:end_W], 3 * n, n), as_matrix(out[end_W:end_U], 3 * n, m)
    bias, b_n = out[end_U : end_U + 3 * n], out[end_U + 3 * n : end_U + 4 * n]
    out[:] = 0
    add_outer(trajectory.slopes[t, b], trajectory, t, b, W, U, bias, b_n)


@kernel(allocates=False)
def constrain(trajectory: GRUTrajectory, grad: Stacked) -> None:
    """Every entry of the parameters is free."""
