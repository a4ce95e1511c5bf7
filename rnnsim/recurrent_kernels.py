"""The kernels of the recurrent network (theory.md 1), as :mod:`rnnsim.network` describes them.

The drive is the net input a(t), so N = K = n. The sensitivities are dense: for sequence b
``p[b, l, i q + j] = dx_l/dw_ij`` with w_ij the weight from z_j = [x(t-1), u(t), 1]_j to unit i,
q = n + m + 1 and P = n q.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.linalg import add_rows, add_xt_times_y, copy, gemm, x_times_W, x_times_Wt
from rnnsim.network import Stream
from rnnsim.typing import Array, Bools, Kernel, Params


class RecurrentState(NamedTuple):
    """Where the sequences stand."""

    x: Array  # (B, n)
    initial: Array  # (B, n), where a reset puts them


class RecurrentTrajectory(NamedTuple):
    """The last steps, in rows; and the constants of the network."""

    inputs: Array  # (R, B, m) u(t)
    resets: Bools  # (R, B)
    entering: Array  # (R, B, n) x(t-1), after the reset if there is one
    drive: Array  # (R, B, n) U u(t) + b
    slopes: Array  # (R, B, n) f'(a(t))
    states: Array  # (R, B, n) x(t)
    output_error: Array  # (R, B, k) dE/dy(t)
    error: Array  # (R, B, n) dE/dx(t), the direct part
    leak: Any  # alpha
    units: Array  # (k,) the units that are read, where the readout is not linear
    connectivity: Bools  # (n, n), or (0, 0) where every connection exists


class Sensitivities(NamedTuple):
    """p(t), twice, to be written from one place to the other."""

    p: Array  # (2, B, n + 1, P); the last row receives dE(t)/dw
    current: Array  # (1,) which of the two is p(t)
    matrix: Array  # (n + 1, n)
    total: Array  # (P,)


# --- forward ---------------------------------------------------------------------------------------


@kernel(allocates=False)
def load(stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Take the inputs and the resets of the next steps."""
    copy(stream.inputs[row : row + count], trajectory.inputs[first : first + count])
    copy(stream.resets[row : row + count], trajectory.resets[first : first + count])


@kernel(allocates=False)
def project(params: Params, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """The input's share of the net input, U u(t) + b, of all steps in one product."""
    B, m = trajectory.inputs.shape[1:]
    n = params.b.size
    drive = trajectory.drive[first : first + count].reshape(count * B, n)
    inputs = trajectory.inputs[first : first + count].reshape(count * B, m)
    x_times_Wt(inputs, params.U, drive)
    for r in range(count * B):
        for i in range(n):
            drive[r, i] += params.b[i]


@cache
def step_kernel(activate: Kernel) -> Kernel:
    """Make the step: eqs. (1) and (2)."""

    @kernel(allocates=False)
    def step(params: Params, trajectory: RecurrentTrajectory, t: int) -> None:
        entering, states = trajectory.entering[t], trajectory.states[t]
        net = trajectory.slopes[t]  # activate() replaces the net input by the slope
        x_times_Wt(entering, params.W, net)
        B, n = net.shape
        for b in range(B):
            for i in range(n):
                net[b, i] += trajectory.drive[t, b, i]
        activate(net.reshape(B * n), states.reshape(B * n))
        leak = trajectory.leak
        if leak != 1:
            for b in range(B):
                for i in range(n):
                    states[b, i] = (1 - leak) * entering[b, i] + leak * states[b, i]

    return step


@cache
def readout_kernel(read: Kernel, blame: Kernel, loss: Kernel) -> Kernel:
    """Make the readout: eqs. (3) and (4), and dE/dx(t)."""

    @kernel(allocates=False)
    def readout(
        params: Params,
        stream: Stream,
        row: int,
        trajectory: RecurrentTrajectory,
        first: int,
        count: int,
    ) -> None:
        B, k = stream.outputs.shape[1:]
        read(params, stream, row, trajectory, first, count)
        for i in range(count):
            total = 0.0
            for b in range(B):
                output_error = trajectory.output_error[first + i, b]
                weight = stream.mask[row + i, b]
                if weight == 0:  # no target, which may then be anything
                    output_error[:] = 0
                else:
                    total += weight * loss(
                        stream.outputs[row + i, b], stream.targets[row + i, b], output_error
                    )
                    for o in range(k):
                        output_error[o] *= weight / B
            stream.losses[row + i] = total
        blame(params, trajectory, first, count)

    return readout


@kernel(allocates=False)
def read_linear(
    params: Params, stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int
) -> None:
    """y(t) = V x(t) + c."""
    B, n = trajectory.states.shape[1:]
    k = params.c.size
    outputs = stream.outputs[row : row + count].reshape(count * B, k)
    x_times_Wt(trajectory.states[first : first + count].reshape(count * B, n), params.V, outputs)
    for r in range(count * B):
        for o in range(k):
            outputs[r, o] += params.c[o]


@kernel(allocates=False)
def read_units(
    params: Params, stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int
) -> None:
    """y(t) = x_O(t)."""
    for i in range(count):
        for b in range(trajectory.states.shape[1]):
            for o in range(trajectory.units.size):
                stream.outputs[row + i, b, o] = trajectory.states[first + i, b, trajectory.units[o]]


@kernel(allocates=False)
def blame_linear(params: Params, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """dE/dx(t) = V^T dE/dy(t)."""
    B, n = trajectory.states.shape[1:]
    k = trajectory.output_error.shape[2]
    x_times_W(
        trajectory.output_error[first : first + count].reshape(count * B, k),
        params.V,
        trajectory.error[first : first + count].reshape(count * B, n),
    )


@kernel(allocates=False)
def blame_units(params: Params, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """dE/dx_O(t) = dE/dy(t)."""
    for t in range(first, first + count):
        trajectory.error[t] = 0
        for b in range(trajectory.states.shape[1]):
            for o in range(trajectory.units.size):
                trajectory.error[t, b, trajectory.units[o]] += trajectory.output_error[t, b, o]


@cache
def forward_kernel(step: Kernel, readout: Kernel) -> Kernel:
    """Make ``forward`` out of the step and the readout."""

    @kernel(allocates=False)
    def forward(
        params: Params,
        state: RecurrentState,
        stream: Stream,
        row: int,
        trajectory: RecurrentTrajectory,
        first: int,
        count: int,
    ) -> None:
        load(stream, row, trajectory, first, count)
        project(params, trajectory, first, count)
        for t in range(first, first + count):
            for b in range(state.x.shape[0]):
                if trajectory.resets[t, b]:
                    copy(state.initial[b], trajectory.entering[t, b])
                else:
                    copy(state.x[b], trajectory.entering[t, b])
            step(params, trajectory, t)
            copy(trajectory.states[t], state.x)
        readout(params, stream, row, trajectory, first, count)

    return forward


@kernel(allocates=False)
def direct_linear(
    params: Params, trajectory: RecurrentTrajectory, first: int, count: int, grad: Params
) -> None:
    """dE/dV = sum_t dE/dy(t) x(t)^T, dE/dc = sum_t dE/dy(t)."""
    B, n = trajectory.states.shape[1:]
    k = trajectory.output_error.shape[2]
    error = trajectory.output_error[first : first + count].reshape(count * B, k)
    add_xt_times_y(error, trajectory.states[first : first + count].reshape(count * B, n), grad.V)
    add_rows(error, grad.c)


@kernel(allocates=False)
def direct_units(
    params: Params, trajectory: RecurrentTrajectory, first: int, count: int, grad: Params
) -> None:
    """Chosen units are read without parameters."""


@kernel(allocates=False)
def save(state: RecurrentState, states: RecurrentState, i: int) -> None:
    """Keep a state in place i of ``states``."""
    copy(state.x, states.x[i])


@kernel(allocates=False)
def restore(states: RecurrentState, i: int, state: RecurrentState) -> None:
    """Take a state back from place i of ``states``."""
    copy(states.x[i], state.x)


@kernel(allocates=False)
def constrain(trajectory: RecurrentTrajectory, grad: Params) -> None:
    """An absent connection has no weight and no gradient."""
    for i in range(trajectory.connectivity.shape[0]):
        for j in range(trajectory.connectivity.shape[1]):
            if not trajectory.connectivity[i, j]:
                grad.W[i, j] = 0


@kernel(allocates=False)
def keep(trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Move rows to the front, one by one: the two places may overlap."""
    for i in range(count):
        copy(trajectory.inputs[first + i], trajectory.inputs[i])
        copy(trajectory.resets[first + i], trajectory.resets[i])
        copy(trajectory.entering[first + i], trajectory.entering[i])
        copy(trajectory.slopes[first + i], trajectory.slopes[i])
        copy(trajectory.states[first + i], trajectory.states[i])
        copy(trajectory.error[first + i], trajectory.error[i])


# --- backward --------------------------------------------------------------------------------------


@kernel(allocates=False)
def pullback(
    params: Params,
    trajectory: RecurrentTrajectory,
    t: int,
    own_error: bool,
    after: Array,
    blame: Array,
    before: Array,
) -> None:
    """Eq. (10): s(t) = alpha D(t) lambda(t), and (1-alpha) lambda(t) + W^T s(t) goes on to t-1."""
    R, B, n = after.shape
    leak = trajectory.leak
    for r in range(R):
        for b in range(B):
            for i in range(n):
                if own_error:
                    after[r, b, i] += trajectory.error[t, b, i]
                blame[r, b, i] = leak * trajectory.slopes[t, b, i] * after[r, b, i]
    x_times_W(blame.reshape(R * B, n), params.W, before.reshape(R * B, n))
    for r in range(R):
        for b in range(B):
            if trajectory.resets[t, b]:
                before[r, b] = 0
            elif leak != 1:
                for i in range(n):
                    before[r, b, i] += (1 - leak) * after[r, b, i]


@kernel(allocates=False)
def collect(
    params: Params, trajectory: RecurrentTrajectory, first: int, blame: Array, grad: Params
) -> None:
    """Eq. (9), of all swept steps in one product each."""
    count, _, B, n = blame.shape
    m = trajectory.inputs.shape[2]
    s = blame.reshape(count * B, n)
    add_xt_times_y(s, trajectory.entering[first : first + count].reshape(count * B, n), grad.W)
    add_xt_times_y(s, trajectory.inputs[first : first + count].reshape(count * B, m), grad.U)
    add_rows(s, grad.b)


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


# --- sensitivities ---------------------------------------------------------------------------------


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
def push(params: Params, trajectory: RecurrentTrajectory, t: int, v: Array, out: Array) -> None:
    """out = J v for tangents v, out (R, B, n)."""
    R, B, n = v.shape
    leak = trajectory.leak
    x_times_Wt(v.reshape(R * B, n), params.W, out.reshape(R * B, n))
    for r in range(R):
        for b in range(B):
            if trajectory.resets[t, b]:
                out[r, b] = 0
            else:
                for i in range(n):
                    out[r, b, i] *= leak * trajectory.slopes[t, b, i]
                    out[r, b, i] += (1 - leak) * v[r, b, i]


@kernel
def immediate(params: Params, trajectory: RecurrentTrajectory, t: int, row: Array, grad: Params) -> None:
    """Add row . (dx(t)/dw with x(t-1) held still), which is row_i alpha f'(a_i) z_j."""
    B, n = row.shape
    blame = np.empty((1, 1, B, n), row.dtype)
    for b in range(B):
        for i in range(n):
            blame[0, 0, b, i] = trajectory.leak * trajectory.slopes[t, b, i] * row[b, i]
    collect(params, trajectory, t, blame, grad)
