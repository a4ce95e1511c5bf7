"""The fast-weight network's forward kernels (theory.md 2), as :mod:`rnnsim.network` describes them.

The state is the fast weights of F, the drive is Box w, so N = K = |W_F|. S does not depend on the state:
its outputs of a whole window are computed first. The output y(t) of F, and so the error, is a function
of w(t-1), the state that enters the step.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.networks.fast_weight.layered import Layers, feed_back
from rnnsim.numerics.linalg import copy, move_rows, sum_rows
from rnnsim.typing import Array, Bools, Kernel


class SlowWeights(NamedTuple):
    """W_S as the kernels take it.

    Attributes
    ----------
    flat : (P,) array
        All layers, one after the other.
    """

    flat: Array


class FastState(NamedTuple):
    """The state of B sequences.

    Attributes
    ----------
    w : (B, N) array
        The fast weights w(t).
    initial : (B, N) array
        The initial fast weights, unless S sets them.
    fresh : (B,) bool array
        Whether S has yet to set the initial fast weights.
    """

    w: Array
    initial: Array
    fresh: Bools


class FastTrajectory(NamedTuple):
    """The last steps, one in each of T rows, and the constants of the network.

    A and A' are the numbers of units of S and F, inputs included.

    Attributes
    ----------
    slow, slow_slopes : (T, B, A) arrays
        The activity of S (inputs, hidden units, outputs), and f' of each unit.
    fast, fast_slopes : (T, B, A') arrays
        The same of F.
    starts : (T, B) bool array
        Whether the fast weights that enter the step are initial ones.
    entering : (T, B, N) array
        w(t-1), or the initial fast weights where there is a reset.
    drive : (T, B, N) array
        Box w(t).
    states : (T, B, N) array
        w(t).
    by_state, by_drive : (T, B, N) arrays
        dsigma/dw(t-1) and dsigma/dBox w.
    by_origin : (T, B, 1 or 2, N) array
        dBox w/ds, of each output of S that Box w is a function of.
    losses : (T, B) array
        mask * loss.
    output_error : (T, B, k) array
        dE/dy(t), divided by B.
    error : (T, B, N) array
        gamma(t) = dE(t)/dw(t-1), the direct part.
    delta : (A',) array
        Workspace for back-propagation in F.
    origin : (1 or 2, N) int array
        The outputs of S that Box w is a function of: s_ab, or s_a and s_b.
    slow_layers, fast_layers : Layers
        The geometry of S and F.
    constant : float
        tau or lambda of sigma.
    slow_start : bool
        Whether S sets the initial fast weights.
    """

    slow: Array
    slow_slopes: Array
    fast: Array
    fast_slopes: Array
    starts: Bools
    entering: Array
    drive: Array
    states: Array
    by_state: Array
    by_drive: Array
    by_origin: Array
    losses: Array
    output_error: Array
    error: Array
    delta: Array
    origin: Array
    slow_layers: Layers
    fast_layers: Layers
    constant: Any
    slow_start: bool


@kernel(allocates=False)
def load(
    stream: Stream, row: int, state: FastState, trajectory: FastTrajectory, first: int, count: int
) -> None:
    """Copy the inputs and the resets of the next steps; both nets may have the same inputs."""
    m, m_fast = trajectory.slow_layers.units[1], trajectory.fast_layers.units[1]
    shift = m if stream.inputs.shape[2] == m + m_fast else 0
    for i in range(count):
        for b in range(state.w.shape[0]):
            trajectory.starts[first + i, b] = stream.resets[row + i, b] or state.fresh[b]
            state.fresh[b] = False
            for j in range(m):
                trajectory.slow[first + i, b, j] = stream.inputs[row + i, b, j]
            for j in range(m_fast):
                trajectory.fast[first + i, b, j] = stream.inputs[row + i, b, shift + j]


@kernel(allocates=False)
def change_directly(s: Array, origin: Array, box: Array, by_origin: Array) -> None:
    """Architecture 1, eq. (19): Box w_ba = s_ab; by_origin was allocated as 1."""
    copy(s, box)


@cache
def change_between(g: Kernel, dg_da: Kernel, dg_db: Kernel) -> Kernel:
    """Make the kernel of eq. (20): Box w_ba = g(s_a, s_b), with the partial derivatives of g."""

    @kernel(allocates=False)
    def change(s: Array, origin: Array, box: Array, by_origin: Array) -> None:
        for c in range(box.size):
            s_a, s_b = s[origin[0, c]], s[origin[1, c]]
            box[c] = g(s_a, s_b)
            by_origin[0, c] = dg_da(s_a, s_b)
            by_origin[1, c] = dg_db(s_a, s_b)

    return change


@cache
def forward_kernel(
    feed_slow: Kernel, change: Kernel, feed_fast: Kernel, sigma: Kernel, step_loss: Kernel
) -> Kernel:
    """Make ``forward``: eqs. (16) to (18), and gamma."""

    @kernel(allocates=False)
    def forward(
        params: SlowWeights,
        state: FastState,
        stream: Stream,
        row: int,
        trajectory: FastTrajectory,
        first: int,
        count: int,
    ) -> None:
        load(stream, row, state, trajectory, first, count)
        feed_slow(params.flat, trajectory.slow_layers, trajectory.slow[first : first + count],
                  trajectory.slow_slopes[first : first + count])  # fmt: skip
        begin = trajectory.slow_layers.units[-2]
        fast_begin = trajectory.fast_layers.units[-2]
        for t in range(first, first + count):
            for b in range(state.w.shape[0]):
                entering, drive = trajectory.entering[t, b], trajectory.drive[t, b]
                fast, w = trajectory.fast[t, b], state.w[b]
                change(trajectory.slow[t, b, begin:], trajectory.origin, drive,
                       trajectory.by_origin[t, b])  # fmt: skip
                if not trajectory.starts[t, b]:
                    copy(w, entering)
                elif trajectory.slow_start:
                    copy(drive, entering)
                else:
                    copy(state.initial[b], entering)
                feed_fast(entering, trajectory.fast_layers, fast, trajectory.fast_slopes[t, b])
                copy(fast[fast_begin:], stream.outputs[row + t - first, b])
                sigma(entering, drive, trajectory.constant, trajectory.states[t, b],
                      trajectory.by_state[t, b], trajectory.by_drive[t, b])  # fmt: skip
                copy(trajectory.states[t, b], w)
            step_loss(stream, row + t - first, 0, state.w.shape[0], trajectory.losses[t],
                  trajectory.output_error[t])  # fmt: skip
        sum_rows(trajectory.losses[first : first + count], stream.losses[row : row + count])
        find_gamma(trajectory, first, count)

    return forward


@kernel(allocates=False)
def find_gamma(trajectory: FastTrajectory, first: int, count: int) -> None:
    """Eq. (21): gamma_ab(t) = dE(t)/dw_ba(t-1) = delta_b(t) o_a(t), by back-propagation in F."""
    layers, delta = trajectory.fast_layers, trajectory.delta
    for t in range(first, first + count):
        for b in range(trajectory.error.shape[1]):
            gamma, o = trajectory.error[t, b], trajectory.fast[t, b]
            find_fast_delta(trajectory, t, b)
            for l in range(1, layers.source.size):  # noqa: E741 (layer l)
                begin, offset = layers.units[l], layers.weight[l]
                x = o[layers.source[l] : begin]
                for i in range(begin, layers.units[l + 1]):
                    delta_i, of_i = delta[i], gamma[offset : offset + x.size]
                    for j in range(x.size):
                        of_i[j] = delta_i * x[j]
                    if layers.bias[l] >= 0:
                        gamma[offset + x.size] = delta_i
                    offset += layers.stride[l]


@kernel(allocates=False)
def find_fast_delta(trajectory: FastTrajectory, t: int, b: int) -> None:
    """dE(t)/dnet of the units of F, in the workspace ``delta``: eq. (21), w(t-1) being its weights."""
    layers, delta = trajectory.fast_layers, trajectory.delta
    outputs = layers.units[-2]
    delta[:outputs] = 0
    copy(trajectory.output_error[t, b], delta[outputs:])
    feed_back(trajectory.entering[t, b], layers, trajectory.fast_slopes[t, b], delta)


@kernel(allocates=False)
def readout_grad(
    params: SlowWeights, trajectory: FastTrajectory, first: int, count: int, grad: SlowWeights
) -> None:
    """No slow weight acts on the output but through the state."""


@kernel(allocates=False)
def save(state: FastState, states: FastState, i: int) -> None:
    """Copy a state to index i of ``states``."""
    copy(state.w, states.w[i])
    copy(state.fresh, states.fresh[i])


@kernel(allocates=False)
def restore(states: FastState, i: int, state: FastState) -> None:
    """Copy a state back from index i of ``states``."""
    copy(states.w[i], state.w)
    copy(states.fresh[i], state.fresh)


@kernel(allocates=False)
def keep_history(trajectory: FastTrajectory, first: int, count: int) -> None:
    """Move the rows that a rule reads as history to the front."""
    move_rows(trajectory.slow, first, count)
    move_rows(trajectory.slow_slopes, first, count)
    move_rows(trajectory.starts, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.by_state, first, count)
    move_rows(trajectory.by_drive, first, count)
    move_rows(trajectory.by_origin, first, count)
    move_rows(trajectory.error, first, count)
