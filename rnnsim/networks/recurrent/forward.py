"""The recurrent network's forward kernels (theory.md 1), as :mod:`rnnsim.network` describes them.

The drive is the net input a(t), so N = K = n.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.numerics.linalg import (
    ROWS,
    add_to,
    copy,
    move_rows,
    parts_of,
    sum_rows,
    swap,
    transpose,
    x_times_Wt,
    y_plus_rows_times_W,
)
from rnnsim.numerics.parallel import in_parts
from rnnsim.numerics.tiles import multiply_onto, multiply_panels, pack_panels, transpose_into_panels
from rnnsim.numerics.views import as_matrix, as_vector, rows_of
from rnnsim.typing import Array, Bools, Kernel, Params


class RecurrentState(NamedTuple):
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


class RecurrentTrajectory(NamedTuple):
    """The last steps, one in each of T rows, and the constants of the network.

    Attributes
    ----------
    inputs : (T, B, m) array
        u(t).
    resets : (T, B) bool array
    entering : (T, B, n) array
        x(t-1), or the initial state where there is a reset.
    drive : (S, B, n) array
        U u(t) + b of the S steps that were projected last.
    slopes : (T, B, n) array
        f'(a(t)).
    states : (T, B, n) array
        x(t).
    losses : (T, B) array
        mask * loss.
    output_error : (T, B, k) array
        dE/dy(t), divided by B.
    error : (T, B, n) array
        dE/dx(t), the direct part.
    W_transposed, U_transposed, V_transposed : (n, n), (m, n) and (n, k) arrays
        W^T, U^T and V^T; (0, 0) where T B is too small for them to be useful.
    W_panels : (n, n) array
        W in panels (:mod:`rnnsim.numerics.tiles`), W_transposed being in panels too; (0, 0) where B or
        W is small.
    has_transposed : (1,) bool array
        Whether the last ``prepare`` wrote W_transposed and the others.
    single_threaded : (1,) bool array
        Whether kernels start no threads, since other threads run other sequences.
    leak : float
        alpha.
    feedback : (k n,) array
        The transpose of G, where errors are fed back by a random matrix; empty otherwise.
    units : (k,) int array
        The units that are outputs, where the readout is not linear.
    connectivity : (n, n) bool array
        Which connections exist; (0, 0) where all do.
    """

    inputs: Array
    resets: Bools
    entering: Array
    drive: Array
    slopes: Array
    states: Array
    losses: Array
    output_error: Array
    error: Array
    W_transposed: Array
    U_transposed: Array
    V_transposed: Array
    W_panels: Array
    has_transposed: Bools
    single_threaded: Bools
    leak: Any
    feedback: Array
    units: Array
    connectivity: Bools


@kernel(allocates=False)
def load(stream: Stream, row: int, trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Copy the inputs and the resets of the next steps."""
    copy(stream.inputs[row : row + count], trajectory.inputs[first : first + count])
    copy(stream.resets[row : row + count], trajectory.resets[first : first + count])


@cache
def prepare_kernel(transpose_readout: Kernel) -> Kernel:
    """Make ``prepare``: products of many rows are faster with transposed weights."""

    @kernel(allocates=False)
    def prepare(params: Params, trajectory: RecurrentTrajectory, rows: int) -> None:
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
def project(
    params: Params, trajectory: RecurrentTrajectory, t: int, count: int, begin: int, end: int
) -> None:
    """The drive: U u(t) + b."""
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
def step_kernel(activate: Kernel) -> Kernel:
    """Make the step of the sequences begin, ..., end - 1: eqs. (1) and (2)."""

    @kernel(allocates=False)
    def step(
        params: Params, trajectory: RecurrentTrajectory, t: int, index: int, begin: int, end: int
    ) -> None:
        entering, states = trajectory.entering[t, begin:end], trajectory.states[t, begin:end]
        drive = trajectory.drive[index, begin:end]
        net = trajectory.slopes[t, begin:end]  # activate() overwrites the net input with the slope
        if trajectory.has_transposed[0] and trajectory.W_panels.size > 0:
            multiply_panels(entering, trajectory.W_transposed, drive, net)
        elif trajectory.has_transposed[0]:
            y_plus_rows_times_W(drive, entering, trajectory.W_transposed, net)
        else:
            x_times_Wt(entering, params.W, net)
            add_to(as_vector(net), as_vector(drive))
        activate(as_vector(net), as_vector(states))
        leak = trajectory.leak
        if leak != 1:
            B, n = net.shape
            for b in range(B):
                for i in range(n):
                    states[b, i] = (1 - leak) * entering[b, i] + leak * states[b, i]

    return step


@kernel(allocates=False)
def swap_sequences(trajectory: RecurrentTrajectory, t: int, b: int, other: int) -> None:
    """Swap two sequences in step t, whose drive is in row 0."""
    swap(trajectory.entering[t, b], trajectory.entering[t, other])
    swap(trajectory.drive[0, b], trajectory.drive[0, other])
    swap(trajectory.slopes[t, b], trajectory.slopes[t, other])
    swap(trajectory.states[t, b], trajectory.states[t, other])


@kernel(allocates=False)
def enter(
    state: RecurrentState, trajectory: RecurrentTrajectory, t: int, is_first: bool, begin: int, end: int
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
def forward_kernel(prepare: Kernel, step: Kernel, readout: Kernel) -> Kernel:
    """Make ``forward`` from its parts; the sequences are divided among threads.

    A few steps are processed at a time, 16 rows in all: their data then stay in the L1 cache from the
    drive to dE/dx(t), and products have enough rows.
    """

    @kernel(allocates=False, inlined=False)
    def run(
        params: Params,
        state: RecurrentState,
        stream: Stream,
        row: int,
        trajectory: RecurrentTrajectory,
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
        state: RecurrentState,
        stream: Stream,
        row: int,
        trajectory: RecurrentTrajectory,
        first: int,
        count: int,
    ) -> None:
        load(stream, row, trajectory, first, count)
        B, n = state.x.shape
        prepare(params, trajectory, count * B)
        parts = 1 if trajectory.single_threaded[0] else parts_of(B, count * B * n * n)
        in_parts(run, B, parts, params, state, stream, row, trajectory, first, count)
        sum_rows(trajectory.losses[first : first + count], stream.losses[row : row + count])

    return forward


@kernel(allocates=False)
def save(state: RecurrentState, states: RecurrentState, i: int) -> None:
    """Copy a state to index i of ``states``."""
    copy(state.x, states.x[i])


@kernel(allocates=False)
def restore(states: RecurrentState, i: int, state: RecurrentState) -> None:
    """Copy a state back from index i of ``states``."""
    copy(states.x[i], state.x)


@kernel(allocates=False)
def keep_history(trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Move the rows that a rule reads as history to the front."""
    move_rows(trajectory.inputs, first, count)
    move_rows(trajectory.resets, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.slopes, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.error, first, count)
