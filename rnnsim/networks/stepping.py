"""How a network of units runs: its state is x(t), and the drive of several steps is projected at a time.

A network gives the parts of a step: ``prepare``, ``project``, ``step`` and ``readout``
(:mod:`rnnsim.network_kernels`). What does not depend on its equations is here, and the parts of those
that are linear: parameters W (K, n), U (K, m) and b (K). It needs the fields ``inputs``, ``resets``,
``entering``, ``states``, ``losses``, ``drive`` and ``single_threaded`` of the trajectory; ``drive``
(S, B, K) is that of the S steps that were projected last. ``prepare`` and ``project`` need
``W_transposed``, ``U_transposed``, ``W_panels`` and ``has_transposed``, too.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.numerics.linalg import (
    ROWS,
    add_to,
    copy,
    parts_of,
    sum_rows,
    transpose,
    x_times_W,
    x_times_Wt,
)
from rnnsim.numerics.parallel import in_parts
from rnnsim.numerics.tiles import multiply, multiply_onto, pack_panels, transpose_into_panels
from rnnsim.numerics.views import as_matrix, as_vector, rows_of
from rnnsim.typing import Array, Kernel, Params, Trajectory


class UnitState(NamedTuple):
    """The state of B sequences.

    Attributes
    ----------
    x : (B, n) array
        x(t).
    initial : (B, n) array
        The state after a reset.
    """

    x: Array
    initial: Array


@kernel(allocates=False)
def load(stream: Stream, row: int, trajectory: Trajectory, first: int, count: int) -> None:
    """Copy the inputs and the resets of the next steps."""
    copy(stream.inputs[row : row + count], trajectory.inputs[first : first + count])
    copy(stream.resets[row : row + count], trajectory.resets[first : first + count])


@kernel(allocates=False)
def enter(
    state: UnitState, trajectory: Trajectory, t: int, is_first: bool, begin: int, end: int
) -> None:
    """Write x(t-1), or the initial state at a reset, into ``entering``."""
    for b in range(begin, end):
        if trajectory.resets[t, b]:
            copy(state.initial[b], trajectory.entering[t, b])
        elif is_first:
            copy(state.x[b], trajectory.entering[t, b])
        else:
            copy(trajectory.states[t - 1, b], trajectory.entering[t, b])


@cache
def prepare_kernel(transpose_readout: Kernel) -> Kernel:
    """Make ``prepare``: products of many rows are faster with transposed weights."""

    @kernel(allocates=False)
    def prepare(params: Params, trajectory: Trajectory, rows: int) -> None:
        trajectory.has_transposed[0] = trajectory.W_transposed.size > 0 and rows >= ROWS
        if trajectory.has_transposed[0]:
            if trajectory.W_panels.size > 0:
                pack_panels(params.W, trajectory.W_panels)
                transpose_into_panels(params.W, trajectory.W_transposed)
            else:
                transpose(params.W, trajectory.W_transposed)
            transpose(params.U, trajectory.U_transposed)
            transpose_readout(params, trajectory)

    return prepare


@kernel(allocates=False)
def project(params: Params, trajectory: Trajectory, t: int, count: int, begin: int, end: int) -> None:
    """The drive, or its part from the inputs: U u(t) + b."""
    inputs = rows_of(trajectory.inputs, t, count, begin, end)
    drive = rows_of(trajectory.drive, 0, count, begin, end)
    if trajectory.has_transposed[0]:
        b = as_matrix(params.b, 1, params.b.size)
        multiply_onto(inputs, trajectory.U_transposed, b, drive)
    else:
        x_times_Wt(inputs, params.U, drive)
        for r in range(drive.shape[0]):
            add_to(drive[r], params.b)


@cache
def forward_kernel(prepare: Kernel, project: Kernel, step: Kernel, readout: Kernel) -> Kernel:
    """Make ``forward`` from its parts; the sequences are divided among threads.

    A few steps are processed at a time, as many as ``drive`` has room for: their data then stay in L1
    from the drive to dE/dx(t), and products have enough rows.
    """

    @kernel(allocates=False, inlined=False)
    def run(
        params: Params,
        state: UnitState,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        first: int,
        count: int,
        begin: int,
        end: int,
    ) -> None:
        """Run all steps of the sequences begin, ..., end - 1."""
        most = trajectory.drive.shape[0] if end - begin == state.x.shape[0] else 1
        for begun in range(first, first + count, most):
            steps = min(most, first + count - begun)
            project(params, trajectory, begun, steps, begin, end)
            for t in range(begun, begun + steps):
                enter(state, trajectory, t, t == first, begin, end)
                step(params, trajectory, t, t - begun, begin, end)
            readout(params, stream, row + begun - first, trajectory, begun, steps, begin, end)
        if count > 0:
            copy(trajectory.states[first + count - 1, begin:end], state.x[begin:end])

    @kernel(allocates=False)
    def forward(
        params: Params,
        state: UnitState,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        first: int,
        count: int,
    ) -> None:
        load(stream, row, trajectory, first, count)
        B, n = state.x.shape
        prepare(params, trajectory, count * B)
        work = count * B * n * trajectory.drive.shape[2]
        parts = 1 if trajectory.single_threaded[0] else parts_of(B, work)
        in_parts(run, B, parts, params, state, stream, row, trajectory, first, count)
        sum_rows(trajectory.losses[first : first + count], stream.losses[row : row + count])

    return forward


@kernel
def collect_inputs(
    params: Params, trajectory: Trajectory, first: int, own: int, delta: Array, out: Array
) -> None:
    """dE/du(t) = U^T s(t), since the drive has U u(t) in it: one product over all steps.

    The readout, eq. (3), does not see the inputs, so that ``own`` makes no difference.
    """
    count, B, _, K = delta.shape
    rows, m = count * B, out.shape[2]
    if m == 0:
        return
    s, from_steps = as_matrix(delta, rows, K), np.empty((rows, m), delta.dtype)
    if trajectory.single_threaded[0]:
        multiply(s, params.U, from_steps)
    else:
        x_times_W(s, params.U, from_steps)
    add_to(as_vector(out), as_vector(from_steps))


@kernel(allocates=False)
def save(state: UnitState, states: UnitState, i: int) -> None:
    """Copy a state to index i of ``states``."""
    copy(state.x, states.x[i])


@kernel(allocates=False)
def restore(states: UnitState, i: int, state: UnitState) -> None:
    """Copy a state back from index i of ``states``."""
    copy(states.x[i], state.x)
