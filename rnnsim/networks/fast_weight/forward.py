"""The fast-weight network's forward kernels (theory.md 2), as :mod:`rnnsim.network` describes them.

The state is the fast weights of F, the drive is Box w, so N = K = |W_F|. S sees no state: its outputs
of a whole window are computed first. F's output y(t), and so the error, is read at w(t-1), the state
that enters the step.
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
    """W_S as the kernels take it: all layers in one flat array."""

    flat: Array


class FastState(NamedTuple):
    """Where the sequences stand."""

    w: Array  # (B, N)
    initial: Array  # (B, N), where a reset puts them, unless S does
    fresh: Bools  # (B,) whether S has yet to set the initial fast weights


class FastTrajectory(NamedTuple):
    """The last steps, in rows; and the constants of the network."""

    slow: Array  # (R, B, A) S's activity: inputs, hidden, outputs
    slow_slopes: Array  # (R, B, A) f' of each unit
    fast: Array  # (R, B, A') F's activity
    fast_slopes: Array  # (R, B, A')
    starts: Bools  # (R, B) whether the entering fast weights are initial ones
    entering: Array  # (R, B, N) w(t-1), after the reset if there is one
    drive: Array  # (R, B, N) Box w(t)
    states: Array  # (R, B, N) w(t)
    by_state: Array  # (R, B, N) dsigma/dw(t-1)
    by_drive: Array  # (R, B, N) dsigma/dBox w
    by_origin: Array  # (R, B, 1 or 2, N) dBox w/ds, of each output of S that Box w is a function of
    losses: Array  # (R, B)
    output_error: Array  # (R, B, k) dE/dy(t)
    error: Array  # (R, B, N) gamma(t) = dE(t)/dw(t-1)
    delta: Array  # (A',) room for back-propagation in F
    origin: Array  # (1 or 2, N) those outputs of S: s_ab, or s_a and s_b
    slow_layers: Layers
    fast_layers: Layers
    constant: Any  # sigma's tau or lambda
    slow_start: bool  # whether S sets the initial fast weights


@kernel(allocates=False)
def load(
    stream: Stream, row: int, state: FastState, trajectory: FastTrajectory, first: int, count: int
) -> None:
    """Take the inputs and the resets of the next steps; one array of inputs may serve both nets."""
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
    """Architecture 1, eq. (19): Box w_ba = s_ab. (by_origin is 1 from the beginning.)"""
    copy(s, box)


@cache
def change_between(g: Kernel, dg_da: Kernel, dg_db: Kernel) -> Kernel:
    """Make architecture 2's change, eq. (20): Box w_ba = g(s_a, s_b), with g's partial derivatives."""

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
    outputs = layers.units[-2]
    for t in range(first, first + count):
        for b in range(trajectory.error.shape[1]):
            gamma, o = trajectory.error[t, b], trajectory.fast[t, b]
            delta[:outputs] = 0
            copy(trajectory.output_error[t, b], delta[outputs:])
            feed_back(trajectory.entering[t, b], layers, trajectory.fast_slopes[t, b], delta)
            for l in range(1, layers.source.size):  # noqa: E741 (layer l)
                begin, place = layers.units[l], layers.weight[l]
                x = o[layers.source[l] : begin]
                for i in range(begin, layers.units[l + 1]):
                    delta_i, of_i = delta[i], gamma[place : place + x.size]
                    for j in range(x.size):
                        of_i[j] = delta_i * x[j]
                    if layers.bias[l] >= 0:
                        gamma[place + x.size] = delta_i
                    place += layers.stride[l]


@kernel(allocates=False)
def readout_grad(
    params: SlowWeights, trajectory: FastTrajectory, first: int, count: int, grad: SlowWeights
) -> None:
    """F's output is read through the state alone: no slow weight is in it."""


@kernel(allocates=False)
def constrain(trajectory: FastTrajectory, grad: SlowWeights) -> None:
    """Every slow weight exists."""


@kernel(allocates=False)
def save(state: FastState, states: FastState, i: int) -> None:
    """Keep a state in place i of ``states``."""
    copy(state.w, states.w[i])
    copy(state.fresh, states.fresh[i])


@kernel(allocates=False)
def restore(states: FastState, i: int, state: FastState) -> None:
    """Take a state back from place i of ``states``."""
    copy(states.w[i], state.w)
    copy(states.fresh[i], state.fresh)


@kernel(allocates=False)
def keep_history(trajectory: FastTrajectory, first: int, count: int) -> None:
    """Move the rows that a rule may still ask for to the front."""
    move_rows(trajectory.slow, first, count)
    move_rows(trajectory.slow_slopes, first, count)
    move_rows(trajectory.starts, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.by_state, first, count)
    move_rows(trajectory.by_drive, first, count)
    move_rows(trajectory.by_origin, first, count)
    move_rows(trajectory.error, first, count)
