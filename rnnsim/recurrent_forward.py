"""The recurrent network's forward kernels (theory.md 1), as :mod:`rnnsim.network` describes them.

The drive is the net input a(t), so N = K = n.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from rnnsim.kernels import kernel, prange
from rnnsim.linalg import (
    ROWS,
    add_rows,
    add_xt_times_y,
    bounds,
    copy,
    move_rows,
    parts_of,
    rows_times_W,
    swap,
    turn,
    x_times_W,
    x_times_Wt,
)
from rnnsim.native import as_matrix, as_vector
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
    turned: Array  # (n, n) W^T, or (0, 0) where there are never rows enough for it
    has_turned: Bools  # (1,) whether it is that of this window
    leak: Any  # alpha
    units: Array  # (k,) the units that are read, where the readout is not linear
    connectivity: Bools  # (n, n), or (0, 0) where every connection exists


@kernel(allocates=False)
def load(stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Take the inputs and the resets of the next steps."""
    copy(stream.inputs[row : row + count], trajectory.inputs[first : first + count])
    copy(stream.resets[row : row + count], trajectory.resets[first : first + count])


@kernel(allocates=False)
def project(params: Params, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """What the steps have in common: U u(t) + b of all in one product, and W^T."""
    B, m = trajectory.inputs.shape[1:]
    trajectory.has_turned[0] = trajectory.turned.size > 0 and count * B >= ROWS
    if trajectory.has_turned[0]:
        turn(params.W, trajectory.turned)
    n = params.b.size
    drive = as_matrix(trajectory.drive[first : first + count], count * B, n)
    inputs = as_matrix(trajectory.inputs[first : first + count], count * B, m)
    x_times_Wt(inputs, params.U, drive)
    for r in range(count * B):
        for i in range(n):
            drive[r, i] += params.b[i]


@cache
def step_kernel(activate: Kernel) -> Kernel:
    """Make the step of the sequences begin, ..., end - 1: eqs. (1) and (2)."""

    @kernel(allocates=False)
    def step(params: Params, trajectory: RecurrentTrajectory, t: int, begin: int, end: int) -> None:
        entering, states = trajectory.entering[t, begin:end], trajectory.states[t, begin:end]
        drive = trajectory.drive[t, begin:end]
        net = trajectory.slopes[t, begin:end]  # activate() replaces the net input by the slope
        if trajectory.has_turned[0]:
            rows_times_W(entering, trajectory.turned, net)
        else:
            x_times_Wt(entering, params.W, net)
        B, n = net.shape
        for b in range(B):
            for i in range(n):
                net[b, i] += drive[b, i]
        activate(as_vector(net), as_vector(states))
        leak = trajectory.leak
        if leak != 1:
            for b in range(B):
                for i in range(n):
                    states[b, i] = (1 - leak) * entering[b, i] + leak * states[b, i]

    return step


@kernel(allocates=False)
def exchange(trajectory: RecurrentTrajectory, t: int, b: int, other: int) -> None:
    """Have two sequences change places in a step."""
    swap(trajectory.entering[t, b], trajectory.entering[t, other])
    swap(trajectory.drive[t, b], trajectory.drive[t, other])
    swap(trajectory.slopes[t, b], trajectory.slopes[t, other])
    swap(trajectory.states[t, b], trajectory.states[t, other])


@cache
def readout_kernel(read: Kernel, blame: Kernel, judge: Kernel) -> Kernel:
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
        read(params, stream, row, trajectory, first, count)
        judge(stream, row, count, trajectory.output_error[first : first + count])
        blame(params, trajectory, first, count)

    return readout


@kernel(allocates=False)
def read_linear(
    params: Params, stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int
) -> None:
    """y(t) = V x(t) + c."""
    B, n = trajectory.states.shape[1:]
    k = params.c.size
    outputs = as_matrix(stream.outputs[row : row + count], count * B, k)
    x_times_Wt(as_matrix(trajectory.states[first : first + count], count * B, n), params.V, outputs)
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
        as_matrix(trajectory.output_error[first : first + count], count * B, k),
        params.V,
        as_matrix(trajectory.error[first : first + count], count * B, n),
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
    """Make ``forward`` out of the step and the readout; cores share the sequences."""

    @kernel(allocates=False, inlined=False)
    def run(
        params: Params,
        state: RecurrentState,
        trajectory: RecurrentTrajectory,
        first: int,
        count: int,
        begin: int,
        end: int,
    ) -> None:
        """Take the sequences begin, ..., end - 1 through all the steps."""
        for t in range(first, first + count):
            for b in range(begin, end):
                if trajectory.resets[t, b]:
                    copy(state.initial[b], trajectory.entering[t, b])
                elif t == first:
                    copy(state.x[b], trajectory.entering[t, b])
                else:
                    copy(trajectory.states[t - 1, b], trajectory.entering[t, b])
            step(params, trajectory, t, begin, end)
        if count > 0:
            copy(trajectory.states[first + count - 1, begin:end], state.x[begin:end])

    @kernel(parallel=True)
    def run_in_parts(
        params: Params,
        state: RecurrentState,
        trajectory: RecurrentTrajectory,
        first: int,
        count: int,
        parts: int,
    ) -> None:
        B = state.x.shape[0]
        for part in prange(parts):
            begin, end = bounds(part, parts, B)
            run(params, state, trajectory, first, count, begin, end)

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
        B, n = state.x.shape
        parts = parts_of(B, count * B * n * n)
        if parts == 1:
            run(params, state, trajectory, first, count, 0, B)
        else:
            run_in_parts(params, state, trajectory, first, count, parts)
        readout(params, stream, row, trajectory, first, count)

    return forward


@kernel(allocates=False)
def direct_linear(
    params: Params, trajectory: RecurrentTrajectory, first: int, count: int, grad: Params
) -> None:
    """dE/dV = sum_t dE/dy(t) x(t)^T, dE/dc = sum_t dE/dy(t)."""
    B, n = trajectory.states.shape[1:]
    k = trajectory.output_error.shape[2]
    error = as_matrix(trajectory.output_error[first : first + count], count * B, k)
    add_xt_times_y(error, as_matrix(trajectory.states[first : first + count], count * B, n), grad.V)
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
    """Move the rows that a rule may still ask for to the front."""
    move_rows(trajectory.inputs, first, count)
    move_rows(trajectory.resets, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.slopes, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.error, first, count)
