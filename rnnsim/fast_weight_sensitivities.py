"""The traces p = dw/dW_S of the fast-weight network (theory.md 2), held only where they can be non-zero.

A weight into one of S's outputs touches only the fast weights whose change is a function of that output:
all weights of one output, or in architecture 2 of s_a and of s_b, give each fast weight phi traces. The
H weights into S's hidden units can touch every fast weight. That is N (phi + H) or N (2 phi + H) numbers
a sequence, in place of N |W_S|.

The Jacobian is diagonal, so that each trace is carried in its place, and read and written once a step:
the product with gamma, the decay by dsigma/dw and the new term are one pass.
"""

from __future__ import annotations

from typing import NamedTuple

from rnnsim.fast_weight_forward import FastTrajectory, SlowWeights
from rnnsim.kernels import kernel
from rnnsim.layered import Layers
from rnnsim.typing import Array


class Traces(NamedTuple):
    """p(t), and room for what a step needs."""

    hidden: Array  # (B, H, N) dw_c/dW of the weights into hidden units, in W_S's order
    output: Array  # (B, 1 or 2, N, phi) dw_c/dW of the weights into the outputs that c depends on
    outgoing: Array  # (A - m, n) ds/dnet: of S's outputs (n) by the net input of each later unit
    reach: Array  # (A - m, N) gain times dBox w/dnet of the hidden units
    gain: Array  # (N,) dsigma/dBox w, times the partial derivatives of Box w
    zeros: Array  # (N,)
    ones: Array  # (N,)


@kernel(allocates=False)
def pushforward(
    params: SlowWeights,
    trajectory: FastTrajectory,
    first: int,
    count: int,
    traces: Traces,
    grad: SlowWeights,
) -> None:
    """Eqs. (22) and (23), step by step."""
    for t in range(first, first + count):
        for b in range(trajectory.error.shape[1]):
            differentiate_slow(params.flat, trajectory, t, b, traces)
            if trajectory.starts[t, b]:
                begin_traces(trajectory, t, b, traces, grad)
            carry(trajectory, t, b, trajectory.error[t, b], trajectory.by_state[t, b],
                  trajectory.by_drive[t, b], traces, grad)  # fmt: skip


@kernel(allocates=False)
def begin_traces(trajectory: FastTrajectory, t: int, b: int, traces: Traces, grad: SlowWeights) -> None:
    """p of the initial fast weights: dBox w/dW_S of the row where S sets them, else 0."""
    if trajectory.slow_start:
        carry(trajectory, t, b, traces.zeros, traces.zeros, traces.ones, traces, grad)
    else:
        traces.hidden[b] = 0
        traces.output[b] = 0


@kernel(allocates=False)
def carry(
    trajectory: FastTrajectory,
    t: int,
    b: int,
    gamma: Array,
    by_state: Array,
    by_drive: Array,
    traces: Traces,
    grad: SlowWeights,
) -> None:
    """Add gamma . p to the gradient, and p = by_state p + by_drive dBox w/dW_S."""
    if traces.hidden.shape[1] > 0:
        spread(trajectory, t, b, by_drive, traces)
        carry_hidden(trajectory, t, b, gamma, by_state, traces, grad.flat)
    for i in range(trajectory.origin.shape[0]):
        carry_output(trajectory, t, b, i, gamma, by_state, by_drive, traces, grad.flat)


@kernel(allocates=False)
def differentiate_slow(
    weights: Array, trajectory: FastTrajectory, t: int, b: int, traces: Traces
) -> None:
    """ds/dnet of all units of S, from the outputs back: kappa of eq. (24), for every output at once."""
    layers, slopes, outgoing = trajectory.slow_layers, trajectory.slow_slopes[t, b], traces.outgoing
    inputs, outputs, end = layers.units[1], layers.units[-2], layers.units[-1]
    L = layers.source.size - 1
    for j in range(inputs, outputs):
        outgoing[j - inputs] = 0
    for o in range(end - outputs):
        place = layers.weight[L] + o * layers.stride[L]
        slope = slopes[outputs + o]
        for j in range(max(layers.source[L], inputs), outputs):
            outgoing[j - inputs, o] = slope * weights[place + j - layers.source[L]]
    for l in range(L - 1, 0, -1):  # noqa: E741 (layer l)
        for i in range(layers.units[l], layers.units[l + 1]):
            for o in range(end - outputs):
                outgoing[i - inputs, o] *= slopes[i]
        for i in range(layers.units[l], layers.units[l + 1]):
            place = layers.weight[l] + (i - layers.units[l]) * layers.stride[l]
            for j in range(max(layers.source[l], inputs), layers.units[l]):
                weight = weights[place + j - layers.source[l]]
                for o in range(end - outputs):
                    outgoing[j - inputs, o] += weight * outgoing[i - inputs, o]


@kernel(allocates=False)
def spread(trajectory: FastTrajectory, t: int, b: int, by_drive: Array, traces: Traces) -> None:
    """by_drive dBox w/dnet of the hidden units: ds/dnet of the outputs that Box w depends on."""
    for i in range(trajectory.origin.shape[0]):
        origin, gain = trajectory.origin[i], traces.gain
        for c in range(gain.size):
            gain[c] = by_drive[c] * trajectory.by_origin[t, b, i, c]
        for j in range(traces.reach.shape[0]):
            reach, outgoing = traces.reach[j], traces.outgoing[j]
            if i == 0:
                for c in range(gain.size):
                    reach[c] = gain[c] * outgoing[origin[c]]
            else:
                for c in range(gain.size):
                    reach[c] += gain[c] * outgoing[origin[c]]


@kernel(allocates=False)
def carry_hidden(
    trajectory: FastTrajectory,
    t: int,
    b: int,
    gamma: Array,
    by_state: Array,
    traces: Traces,
    grad: Array,
) -> None:
    """The traces of the weights into hidden units: the new term is by_drive dBox w/dnet_j o_i."""
    layers: Layers = trajectory.slow_layers
    o, p = trajectory.slow[t, b], traces.hidden[b]
    for l in range(1, layers.source.size - 1):  # noqa: E741 (layer l)
        begin, source = layers.units[l], layers.source[l]
        for j in range(begin, layers.units[l + 1]):
            reach = traces.reach[j - layers.units[1]]
            place = layers.weight[l] + (j - begin) * layers.stride[l]
            for i in range(source, begin):
                h = place + i - source
                grad[h] += carry_row(p[h], gamma, by_state, o[i], reach)
            if layers.bias[l] >= 0:
                h = layers.bias[l] + j - begin
                grad[h] += carry_row(p[h], gamma, by_state, o.dtype.type(1), reach)


@kernel(allocates=False)
def carry_row(p: Array, gamma: Array, by_state: Array, o: float, reach: Array) -> float:
    """One weight's traces over all fast weights: gamma . p, and p = by_state p + o reach."""
    total = p.dtype.type(0)
    for c in range(p.size):
        old = p[c]
        total += gamma[c] * old
        p[c] = by_state[c] * old + o * reach[c]
    return total  # type: ignore[no-any-return]


@kernel(allocates=False)
def carry_output(
    trajectory: FastTrajectory,
    t: int,
    b: int,
    i: int,
    gamma: Array,
    by_state: Array,
    by_drive: Array,
    traces: Traces,
    grad: Array,
) -> None:
    """The traces of the weights into S's outputs: those of output origin[i, c] at fast weight c."""
    layers: Layers = trajectory.slow_layers
    L = layers.source.size - 1
    begin, source = layers.units[L], layers.source[L]
    fan_in, z, p = begin - source, trajectory.slow[t, b, source:begin], traces.output[b, i]
    by_origin, slopes = trajectory.by_origin[t, b, i], trajectory.slow_slopes[t, b]
    for c in range(gamma.size):
        unit = trajectory.origin[i, c]
        place = layers.weight[L] + unit * layers.stride[L]
        gain = by_drive[c] * by_origin[c] * slopes[begin + unit]
        error, decay = gamma[c], by_state[c]
        for j in range(fan_in):
            old = p[c, j]
            grad[place + j] += error * old
            p[c, j] = decay * old + gain * z[j]
        if layers.bias[L] >= 0:
            old = p[c, fan_in]
            grad[layers.bias[L] + unit] += error * old
            p[c, fan_in] = decay * old + gain
