"""The traces p = dw/dW_S of the fast-weight network (theory.md 2), held only where they can be non-zero.

A weight into one of S's outputs touches only the fast weights whose change is a function of that output:
all weights of one output, or in architecture 2 of s_a and of s_b, give each fast weight phi traces. The
H weights into S's hidden units can touch every fast weight. That is N (phi + H) or N (2 phi + H) numbers
a sequence, in place of N |W_S|.

The Jacobian is diagonal, so that each trace is carried in its place: the product with gamma, the decay
by dsigma/dw and the new term are one pass. Inside a window it is carried through several steps while it
is in the nearest cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rnnsim.fast_weight_forward import FastTrajectory, SlowWeights
from rnnsim.kernels import kernel, prange
from rnnsim.layered import Layers
from rnnsim.linalg import bounds, copy
from rnnsim.typing import Array

TOGETHER = 4  # steps that a trace is carried at a time, at most: what they read must fit beside it
PARTS = 4  # of the traces, for the cores; their number changes no sum
SHARED = 1 << 15  # traces moved from which sharing them pays

# A trace to which nothing is added decays below the smallest normal number, where arithmetic takes many
# times as long. This much at each step, which changes no gradient, keeps it above.
TINY = {"float64": 1e-280, "float32": 1e-30}


class Traces(NamedTuple):
    """p(t), and what the next few moves, in places s = 0, 1, ..., do to it."""

    hidden: Array  # (B, H, N) dw_c/dW of the weights into hidden units, in W_S's order
    output: Array  # (B, 1 or 2, N, phi) dw_c/dW of the weights into the outputs that c depends on
    row: Array  # (s,) the step's row of the trajectory
    gamma: Array  # (s, N) dE/dw
    decay: Array  # (s, N) dsigma/dw
    gain: Array  # (s, 1 or 2, N) dsigma/ds of those outputs
    reach: Array  # (s, h, N) dsigma/dnet of the hidden units
    outgoing: Array  # (h, n) ds/dnet, of S's n outputs by its h hidden units
    seed: Array  # (n) what that begins with, of each output
    upward: Array  # (phi - 1, n) the weights into S's outputs, transposed
    tiny: Any  # added to every trace, see TINY


@kernel(allocates=False)
def pushforward(
    params: SlowWeights,
    trajectory: FastTrajectory,
    first: int,
    count: int,
    traces: Traces,
    grad: SlowWeights,
) -> None:
    """Eqs. (22) and (23)."""
    last = first + count - 1
    if traces.outgoing.shape[0] > 0:
        transpose_outputs(params.flat, trajectory, traces.upward)
    for b in range(trajectory.error.shape[1]):
        t = first
        while t <= last:
            moves = 0
            if trajectory.starts[t, b]:
                traces.hidden[b] = 0
                traces.output[b] = 0
                if trajectory.slow_start:
                    prepare_start(params.flat, trajectory, t, b, traces)
                    moves = 1
            going = True
            while going:
                prepare_step(params.flat, trajectory, t, b, traces, moves)
                moves += 1
                t += 1
                going = t <= last and moves < traces.row.size and not trajectory.starts[t, b]
            layers, slow, slopes = trajectory.slow_layers, trajectory.slow, trajectory.slow_slopes
            if moves * (traces.hidden[b].size + traces.output[b].size) < SHARED:
                carry(layers, slow, slopes, trajectory.origin, b, moves, traces, 0, 1, grad.flat)
            else:
                carry_in_parts(layers, slow, slopes, trajectory.origin, b, moves, traces, grad.flat)


@kernel(allocates=False)
def transpose_outputs(weights: Array, trajectory: FastTrajectory, upward: Array) -> None:
    """The weights into S's outputs, once for a window; eight at a time, which is a line of the cache."""
    place, (fan_in, n) = trajectory.slow_layers.weight[-1], upward.shape
    for first in range(0, n, 8):
        for j in range(fan_in):
            for o in range(first, min(first + 8, n)):
                upward[j, o] = weights[place + o * fan_in + j]


@kernel(allocates=False)
def prepare_start(weights: Array, trajectory: FastTrajectory, t: int, b: int, traces: Traces) -> None:
    """p of initial fast weights that S sets: dBox w/dW_S of the row."""
    traces.row[0] = t
    traces.gamma[0] = 0
    traces.decay[0] = 0
    copy(trajectory.by_origin[t, b], traces.gain[0])
    spread(weights, trajectory, t, b, traces, 0)


@kernel(allocates=False)
def prepare_step(
    weights: Array, trajectory: FastTrajectory, t: int, b: int, traces: Traces, s: int
) -> None:
    """What an ordinary step does."""
    traces.row[s] = t
    for c in range(traces.gamma.shape[1]):
        traces.gamma[s, c] = trajectory.error[t, b, c]
        traces.decay[s, c] = trajectory.by_state[t, b, c]
        for i in range(trajectory.origin.shape[0]):
            traces.gain[s, i, c] = trajectory.by_drive[t, b, c] * trajectory.by_origin[t, b, i, c]
    spread(weights, trajectory, t, b, traces, s)


@kernel(allocates=False)
def spread(weights: Array, trajectory: FastTrajectory, t: int, b: int, traces: Traces, s: int) -> None:
    """dsigma/dnet of the hidden units, by way of the outputs that each fast weight depends on."""
    if traces.outgoing.shape[0] == 0:
        return
    origin, gain, reach = trajectory.origin, traces.gain[s], traces.reach[s]
    outputs = trajectory.slow_layers.units[-2]
    copy(trajectory.slow_slopes[t, b, outputs:], traces.seed)
    if origin.shape[0] == 1:  # an output for each fast weight
        for c in range(traces.seed.size):
            traces.seed[c] *= gain[0, c]
        differentiate_slow(weights, trajectory, t, b, traces.upward, traces.seed, reach)
        return
    differentiate_slow(weights, trajectory, t, b, traces.upward, traces.seed, traces.outgoing)
    for j in range(reach.shape[0]):
        reach_between(trajectory.fast_layers, origin, gain, traces.outgoing[j], reach[j])


@kernel(allocates=False)
def reach_between(layers: Layers, origin: Array, gain: Array, outgoing: Array, reach: Array) -> None:
    """Of one hidden unit in architecture 2. The FROM units of a row of fast weights are neighbours."""
    for l in range(1, layers.source.size):  # noqa: E741 (layer l)
        fan_in, c = layers.units[l] - layers.source[l], layers.weight[l]
        for _ in range(layers.units[l + 1] - layers.units[l]):
            by_from, by_to, out = gain[0, c : c + fan_in], gain[1, c : c + fan_in], reach[c : c + fan_in]
            s_from, s_to = outgoing[layers.source[l] :], outgoing[origin[1, c]]
            for a in range(fan_in):
                out[a] = by_from[a] * s_from[a] + by_to[a] * s_to
            if layers.bias[l] >= 0:
                bias = c + fan_in
                reach[bias] = gain[0, bias] * outgoing[origin[0, bias]] + gain[1, bias] * s_to
            c += layers.stride[l]


@kernel(allocates=False)
def differentiate_slow(
    weights: Array,
    trajectory: FastTrajectory,
    t: int,
    b: int,
    upward: Array,
    seed: Array,
    outgoing: Array,
) -> None:
    """kappa of eq. (24), of every output at once: from the outputs back to the hidden units."""
    layers, slopes = trajectory.slow_layers, trajectory.slow_slopes[t, b]
    inputs, outputs, n = layers.units[1], layers.units[-2], seed.size
    L = layers.source.size - 1
    source, highest = layers.source[L], layers.units[L - 1]
    for j in range(inputs, outputs):
        own = outgoing[j - inputs]
        if j < source:
            own[:] = 0
        else:
            row, slope = upward[j - source], slopes[j] if j >= highest else slopes.dtype.type(1)
            for o in range(n):
                own[o] = slope * (seed[o] * row[o])
    for l in range(L - 1, 0, -1):  # noqa: E741 (layer l)
        for i in range(layers.units[l], layers.units[l + 1]):
            own = outgoing[i - inputs]
            if l < L - 1:  # the highest layer has its slopes
                for o in range(n):
                    own[o] *= slopes[i]
            place = layers.weight[l] + (i - layers.units[l]) * layers.stride[l]
            for j in range(max(layers.source[l], inputs), layers.units[l]):
                weight = weights[place + j - layers.source[l]]
                for o in range(n):
                    outgoing[j - inputs, o] += weight * own[o]


# --- p itself; what follows is given arrays, because cores share it: see Network.shares ---


@kernel(parallel=True)
def carry_in_parts(
    layers: Layers,
    slow: Array,
    slopes: Array,
    origin: Array,
    b: int,
    moves: int,
    traces: Traces,
    grad: Array,
) -> None:
    """Carry all traces of a sequence through the next moves, a core having some of the parts."""
    for part in prange(PARTS):
        carry(layers, slow, slopes, origin, b, moves, traces, part, PARTS, grad)


@kernel(allocates=False, inlined=False)
def carry(
    layers: Layers,
    slow: Array,
    slopes: Array,
    origin: Array,
    b: int,
    moves: int,
    traces: Traces,
    part: int,
    parts: int,
    grad: Array,
) -> None:
    """Carry one part, no gradient of which is another's: some hidden units, some outputs."""
    begin, end = bounds(part, parts, traces.outgoing.shape[0])
    carry_hidden(layers, slow, b, moves, traces, begin, end, grad)
    kinds, N = origin.shape
    if kinds == 1:  # an output for each fast weight
        begin, end = bounds(part, parts, N)
        carry_output(layers, slow, slopes, origin, 0, moves, traces, b, begin, end, grad)
    else:  # several fast weights have one, but a FROM unit is no TO unit
        if part == 0:
            carry_output(layers, slow, slopes, origin, 0, moves, traces, b, 0, N, grad)
        if part == parts - 1:
            carry_output(layers, slow, slopes, origin, 1, moves, traces, b, 0, N, grad)


@kernel(allocates=False)
def carry_hidden(
    layers: Layers, slow: Array, b: int, moves: int, traces: Traces, first: int, end: int, grad: Array
) -> None:
    """The traces of the weights into hidden units first, ..., end - 1: the new term is reach o_i."""
    inputs, p, one = layers.units[1], traces.hidden[b], traces.hidden.dtype.type(1)
    for l in range(1, layers.source.size - 1):  # noqa: E741 (layer l)
        begin, source = layers.units[l], layers.source[l]
        for j in range(max(begin, inputs + first), min(layers.units[l + 1], inputs + end)):
            unit, h = j - inputs, layers.weight[l] + (j - begin) * layers.stride[l]
            rest = begin - (begin - source) % 4
            for i in range(source, rest, 4):
                for s in range(moves):
                    o, g = slow[traces.row[s], b, i : i + 4], grad[h : h + 4]
                    carry_four(p[h : h + 4], traces.gamma[s], traces.decay[s], o, traces.reach[s, unit],
                               traces.tiny, g)  # fmt: skip
                h += 4
            for s in range(moves):
                gamma, decay, reach = traces.gamma[s], traces.decay[s], traces.reach[s, unit]
                o = slow[traces.row[s], b]
                for i in range(rest, begin):
                    at = h + i - rest
                    grad[at] += carry_one(p[at], gamma, decay, o[i], reach, traces.tiny)
                if layers.bias[l] >= 0:
                    at = layers.bias[l] + j - begin
                    grad[at] += carry_one(p[at], gamma, decay, one, reach, traces.tiny)


@kernel(allocates=False)
def carry_four(
    p: Array, gamma: Array, decay: Array, o: Array, reach: Array, tiny: float, grad: Array
) -> None:
    """Four weights' traces at once, as :func:`carry_one`.

    What they share is read once, and there are sums enough for none to wait for the last addition.
    """
    zero = p.dtype.type(0)
    p0, p1, p2, p3, sum0, sum1, sum2, sum3 = p[0], p[1], p[2], p[3], zero, zero, zero, zero
    o0, o1, o2, o3 = o[0], o[1], o[2], o[3]
    for c in range(p0.size):
        old0, old1, old2, old3 = p0[c], p1[c], p2[c], p3[c]
        sum0 += gamma[c] * old0
        sum1 += gamma[c] * old1
        sum2 += gamma[c] * old2
        sum3 += gamma[c] * old3
        p0[c] = decay[c] * old0 + (o0 * reach[c] + tiny)
        p1[c] = decay[c] * old1 + (o1 * reach[c] + tiny)
        p2[c] = decay[c] * old2 + (o2 * reach[c] + tiny)
        p3[c] = decay[c] * old3 + (o3 * reach[c] + tiny)
    grad[0] += sum0
    grad[1] += sum1
    grad[2] += sum2
    grad[3] += sum3


@kernel(allocates=False)
def carry_one(p: Array, gamma: Array, decay: Array, o: float, reach: Array, tiny: float) -> float:
    """One weight's traces over all fast weights: gamma . p, and p = decay p + o reach."""
    total = p.dtype.type(0)
    for c in range(p.size):
        old = p[c]
        total += gamma[c] * old
        p[c] = decay[c] * old + (o * reach[c] + tiny)
    return total  # type: ignore[no-any-return]


@kernel(allocates=False)
def carry_output(
    layers: Layers,
    slow: Array,
    slopes: Array,
    origin: Array,
    i: int,
    moves: int,
    traces: Traces,
    b: int,
    first: int,
    end: int,
    grad: Array,
) -> None:
    """The traces of the weights into S's outputs: those into output origin[i, c], of fast weight c."""
    L = layers.source.size - 1
    begin, source = layers.units[L], layers.source[L]
    fan_in = begin - source
    for c in range(first, end):
        unit, p = origin[i, c], traces.output[b, i, c]
        place, bias = layers.weight[L] + unit * fan_in, layers.bias[L] + unit
        total = grad[place : place + fan_in]
        for s in range(moves):
            t, gamma, decay = traces.row[s], traces.gamma[s, c], traces.decay[s, c]
            gain = traces.gain[s, i, c] * slopes[t, b, begin + unit]
            z = slow[t, b, source:begin]
            for j in range(fan_in):
                old = p[j]
                total[j] += gamma * old
                p[j] = decay * old + (gain * z[j] + traces.tiny)
            if layers.bias[L] >= 0:
                grad[bias] += gamma * p[fan_in]
                p[fan_in] = decay * p[fan_in] + (gain + traces.tiny)
