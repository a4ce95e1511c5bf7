"""The traces p = dw/dW_S of the fast-weight network (theory.md 2), held only where they can be non-zero.

A weight into one of S's outputs touches only the fast weights whose change is a function of that output:
all weights of one output, or in architecture 2 of s_a and of s_b, give each fast weight phi traces. The
H weights into S's hidden units can touch every fast weight. That is N (phi + H) or N (2 phi + H) numbers
a sequence, in place of N |W_S|.

The Jacobian is diagonal: each fast weight's traces are moved apart from all others'. So the fast weights
are cut into *blocks*, and a block is carried through all steps of a window, some at a time, while its
traces and what moves them stay in the caches of one core.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import LINE
from rnnsim.kernels import kernel
from rnnsim.networks.fast_weight.forward import FastTrajectory, SlowWeights
from rnnsim.networks.fast_weight.layered import Layers
from rnnsim.networks.fast_weight.tiles import (
    ROWS,
    carry_row,
    carry_row_apart,
    carry_tile,
    carry_tile_apart,
)
from rnnsim.numerics.linalg import copy
from rnnsim.numerics.parallel import bounds, in_parallel
from rnnsim.typing import Array, Integers

TOGETHER = 8  # steps that a tile of traces is carried at a time, at most
WIDTH = 64  # fast weights of a block, at most: what moves them and a tile are in the nearest cache
LEAST_WIDTH = 16  # of a block that is there for the sake of the cores
PARTS = 4  # of the blocks, for the cores; their number changes no sum
SHARED = 1 << 15  # traces moved from which sharing them pays

# A trace to which nothing is added decays below the smallest normal number, where arithmetic takes many
# times as long. This much at each step, which changes no gradient, keeps it above.
TINY = {"float64": 1e-280, "float32": 1e-30}


class Traces(NamedTuple):
    """p(t), and for each part of the blocks what the next moves, s = 0, 1, ..., do to it.

    A block's C columns are successive fast weights c; those beyond N are idle.
    """

    hidden: Array  # (B, blocks, H, C) dw_c/dW of the weights into hidden units, in W_S's order
    output: Array  # (B, blocks, 1 or 2, phi, C) dw_c/dW of those into the outputs that c depends on
    row: Integers  # (parts, s) the step's row of the trajectory
    gamma: Array  # (parts, s, C) dE/dw
    decay: Array  # (parts, s, C) dsigma/dw
    source: Array  # (parts, s, A) activities of S, the last is the bias unit's
    by_output: Array  # (parts, 1 or 2, s, C) dsigma/dnet of the outputs that c depends on
    by_hidden: Array  # (parts, h, s, C) dsigma/dnet of the hidden units
    upward: Array  # (blocks, phi - 1, 1 or 2, C) the weights into those outputs
    sums: Array  # (parts, weights) each part's gradient by the slow weights that several parts have
    apart: Array  # (parts, 1 or 2, phi, C) and by the weights into outputs, of each c
    tiny: Any  # added to every trace, see TINY


def width_of(N: int, dtype: Any) -> int:
    """How wide blocks are: lines of the cache."""
    blocks = max(-(-N // WIDTH), min(PARTS, N // LEAST_WIDTH), 1)
    line = LINE // int(np.dtype(dtype).itemsize)
    return -(-N // (blocks * line)) * line


@kernel(allocates=False)
def propagate(
    params: SlowWeights,
    trajectory: FastTrajectory,
    first: int,
    count: int,
    traces: Traces,
    grad: SlowWeights,
) -> None:
    """Eqs. (22) and (23)."""
    layers, weights, blocks = trajectory.slow_layers, params.flat, traces.hidden.shape[1]
    if traces.by_hidden.shape[1] > 0:
        spread(weights, layers, trajectory.origin, traces.upward)
    if blocks == 1 or count * (traces.hidden.size + traces.output.size) < SHARED:
        carry(weights, trajectory, first, count, traces, 0, 1, grad.flat, grad.flat)
    else:
        traces.sums[:] = 0
        in_parallel(carry_part, PARTS, weights, trajectory, first, count, traces, grad.flat)
        for part in range(PARTS):
            for i in range(traces.sums.shape[1]):
                grad.flat[i] += traces.sums[part, i]


@kernel(allocates=False)
def columns_of(block: int, width: int, N: int) -> tuple[int, int]:
    """The first fast weight of a block, and how many it has."""
    return block * width, min(width, N - block * width)


@kernel(allocates=False)
def spread(weights: Array, layers: Layers, origin: Integers, upward: Array) -> None:
    """Have the weights into S's outputs lie by the fast weight, once for a window."""
    blocks, fan_in, kinds, width = upward.shape
    N, place = origin.shape[1], layers.weight[-1]
    for block in range(blocks):
        first, count = columns_of(block, width, N)
        for i in range(kinds):
            for c in range(count):
                from_ = weights[place + origin[i, first + c] * fan_in :]
                for j in range(fan_in):
                    upward[block, j, i, c] = from_[j]


@kernel(allocates=False)
def carry_part(
    part: int, weights: Array, trajectory: FastTrajectory, first: int, count: int, traces: Traces,
    grad: Array,
) -> None:  # fmt: skip
    """Carry one part. In architecture 1 an output's weights touch one fast weight, so need no sum."""
    sums = traces.sums[part]
    of_outputs = grad if trajectory.origin.shape[0] == 1 else sums
    carry(weights, trajectory, first, count, traces, part, PARTS, sums, of_outputs)


@kernel(allocates=False, inlined=False)
def carry(
    weights: Array, trajectory: FastTrajectory, first: int, count: int, traces: Traces, part: int,
    parts: int, of_hidden: Array, of_outputs: Array,
) -> None:  # fmt: skip
    """Carry one part of the blocks through the window, and add the gradient."""
    layers = trajectory.slow_layers
    B, blocks, H, _ = traces.hidden.shape
    begin, end = bounds(part, parts, blocks)
    for block in range(begin, end):
        width = columns_of(block, traces.gamma.shape[2], trajectory.origin.shape[1])[1]
        narrow = width * traces.gamma.itemsize < LINE
        if not narrow:
            traces.apart[part] = 0
        for b in range(B):
            t = first
            while t < first + count:
                if trajectory.starts[t, b]:
                    traces.hidden[b, block] = 0
                    traces.output[b, block] = 0
                ready, t = prepare(trajectory, t, first + count, b, block, traces, part)
                if H > 0:
                    differentiate_slow(weights, trajectory, ready, b, block, width, traces, part)
                    carry_hidden(layers, traces, part, ready, b, block, width, of_hidden)
                if narrow:
                    carry_narrow(trajectory, traces, part, ready, b, block, width, of_outputs)
                else:
                    carry_outputs(layers, traces, part, ready, b, block, width)
        if not narrow:
            add_outputs(layers, trajectory.origin, traces.apart[part], block, of_outputs)


# --- what moves the traces of a block ---


@kernel(allocates=False)
def prepare(
    trajectory: FastTrajectory, t: int, end: int, b: int, block: int, traces: Traces, part: int
) -> tuple[int, int]:
    """The next moves, as many as there is room for up to a reset; how many, and the step after them."""
    s = 0
    if trajectory.starts[t, b] and trajectory.slow_start:
        prepare_move(trajectory, t, b, block, traces, part, s, True)
        s = 1
    going = True
    while going:
        prepare_move(trajectory, t, b, block, traces, part, s, False)
        s += 1
        t += 1
        going = t < end and s < traces.gamma.shape[1] and not trajectory.starts[t, b]
    return s, t


@kernel(allocates=False)
def prepare_move(
    trajectory: FastTrajectory, t: int, b: int, block: int, traces: Traces, part: int, s: int,
    begins: bool,
) -> None:  # fmt: skip
    """One move: an ordinary step's, or to the p of initial fast weights that S sets, dBox w/dW_S."""
    outputs = trajectory.slow_layers.units[-2]  # where S's begin
    first, count = columns_of(block, traces.gamma.shape[2], trajectory.origin.shape[1])
    gamma, decay = traces.gamma[part, s], traces.decay[part, s]
    idle = 0 if begins else count
    if begins or traces.hidden.shape[1] > 1:  # a single block leaves nothing where it is idle
        gamma[idle:] = 0
        decay[idle:] = 0
    if not begins:
        copy(trajectory.error[t, b, first : first + count], gamma[:count])
        copy(trajectory.by_state[t, b, first : first + count], decay[:count])
    for i in range(trajectory.origin.shape[0]):
        by_output, by_origin = traces.by_output[part, i, s], trajectory.by_origin[t, b, i, first:]
        origin, by_drive = trajectory.origin[i, first:], trajectory.by_drive[t, b, first:]
        for c in range(count):
            by_output[c] = by_origin[c] * trajectory.slow_slopes[t, b, outputs + origin[c]]
        if not begins:
            for c in range(count):
                by_output[c] *= by_drive[c]
    copy(trajectory.slow[t, b, :outputs], traces.source[part, s, :outputs])
    traces.row[part, s] = t


@kernel(allocates=False)
def differentiate_slow(
    weights: Array, trajectory: FastTrajectory, ready: int, b: int, block: int, count: int,
    traces: Traces, part: int,
) -> None:  # fmt: skip
    """kappa of eq. (24), of each fast weight of a block: from S's outputs back to the hidden units."""
    layers, slow_slopes = trajectory.slow_layers, trajectory.slow_slopes
    inputs, L = layers.units[1], layers.source.size - 1
    source, highest = layers.source[L], layers.units[L - 1]
    for j in range(inputs, layers.units[L]):
        for s in range(ready):
            slopes, kappa = slow_slopes[traces.row[part, s], b], traces.by_hidden[part, j - inputs, s]
            if j < source:
                kappa[:] = 0
            else:  # the highest layer has no other to wait for
                slope = slopes[j] if j >= highest else slopes.dtype.type(1)
                differentiate_outputs(slope, traces.by_output[part], s, traces.upward[block, j - source],
                                      kappa[:count])  # fmt: skip
    for l in range(L - 1, 0, -1):  # noqa: E741 (layer l)
        for s in range(ready):
            slopes = slow_slopes[traces.row[part, s], b]
            differentiate_layer(weights, layers, l, slopes, traces.by_hidden[part], s, count)


@kernel(allocates=False)
def differentiate_outputs(slope: float, by_output: Array, s: int, upward: Array, kappa: Array) -> None:
    """What one hidden unit does to fast weights by way of the outputs that each depends on."""
    up, by = upward[0], by_output[0, s]
    if by_output.shape[0] == 1:
        for c in range(kappa.size):
            kappa[c] = slope * (by[c] * up[c])
    else:
        up_to, by_to = upward[1], by_output[1, s]
        for c in range(kappa.size):
            kappa[c] = slope * (by[c] * up[c] + by_to[c] * up_to[c])


@kernel(allocates=False)
def differentiate_layer(
    weights: Array, layers: Layers, l: int, slopes: Array, by_hidden: Array, s: int, count: int,  # noqa: E741
) -> None:  # fmt: skip
    """Back-propagation from the hidden units of layer l to those below."""
    inputs, begin, source = layers.units[1], layers.units[l], layers.source[l]
    place = layers.weight[l]
    for i in range(begin, layers.units[l + 1]):
        kappa = by_hidden[i - inputs, s, :count]
        if l < layers.source.size - 2:  # the highest layer has its slopes
            for c in range(kappa.size):
                kappa[c] *= slopes[i]
        for j in range(max(source, inputs), begin):
            weight, lower = weights[place + j - source], by_hidden[j - inputs, s]
            for c in range(kappa.size):
                lower[c] += weight * kappa[c]
        place += layers.stride[l]


# --- p itself ---


@kernel(allocates=False)
def carry_hidden(
    layers: Layers, traces: Traces, part: int, moves: int, b: int, block: int, width: int, grad: Array
) -> None:
    """The traces of the weights into hidden units, by all fast weights of a block."""
    p, tiny = traces.hidden[b, block], traces.tiny
    gamma, decay, source = traces.gamma[part], traces.decay[part], traces.source[part]
    one = source.shape[1] - 1
    for l in range(1, layers.source.size - 1):  # noqa: E741 (layer l)
        begin, low, h = layers.units[l], layers.source[l], layers.weight[l]
        rest = begin - (begin - low) % ROWS
        for j in range(layers.units[l + 1] - begin):
            reach = traces.by_hidden[part, begin + j - layers.units[1]]
            for i in range(low, rest, ROWS):
                carry_tile(p, h + i - low, gamma, decay, reach, source, i, moves, width, tiny, grad)
            for i in range(rest, begin):
                carry_row(p, h + i - low, gamma, decay, reach, source, i, moves, width, tiny, grad)
            if layers.bias[l] >= 0:
                bias = layers.bias[l] + j
                carry_row(p, bias, gamma, decay, reach, source, one, moves, width, tiny, grad)
            h += layers.stride[l]


@kernel(allocates=False)
def carry_outputs(
    layers: Layers, traces: Traces, part: int, moves: int, b: int, block: int, width: int
) -> None:
    """The traces of the weights into the outputs that each fast weight depends on."""
    tiny, bias = traces.tiny, layers.bias[-1]
    gamma, decay, source = traces.gamma[part], traces.decay[part], traces.source[part]
    one, low, end = source.shape[1] - 1, layers.source[-1], layers.units[-2]
    rest = end - (end - low) % ROWS
    for i in range(traces.by_output.shape[1]):
        p, grad, reach = traces.output[b, block, i], traces.apart[part, i], traces.by_output[part, i]
        for j in range(low, rest, ROWS):
            carry_tile_apart(p, j - low, gamma, decay, reach, source, j, moves, width, tiny, grad)
        for j in range(rest, end):
            carry_row_apart(p, j - low, gamma, decay, reach, source, j, moves, width, tiny, grad)
        if bias >= 0:
            carry_row_apart(p, end - low, gamma, decay, reach, source, one, moves, width, tiny, grad)


@kernel(allocates=False)
def carry_narrow(
    trajectory: FastTrajectory, traces: Traces, part: int, ready: int, b: int, block: int, width: int,
    grad: Array,
) -> None:  # fmt: skip
    """The same in a block that is narrower than a line of the cache, number by number.

    What moves the traces was written so: as a vector it is not at hand before it is in the cache.
    """
    layers, tiny = trajectory.slow_layers, traces.tiny
    source, end = layers.source[-1], layers.units[-2]
    fan_in, first = end - source, block * traces.gamma.shape[2]
    for i in range(traces.by_output.shape[1]):
        p = traces.output[b, block, i]
        for s in range(ready):
            z = traces.source[part, s]
            for c in range(width):
                gamma, decay = traces.gamma[part, s, c], traces.decay[part, s, c]
                reach, unit = traces.by_output[part, i, s, c], trajectory.origin[i, first + c]
                total = grad[layers.weight[-1] + unit * fan_in :]
                for j in range(fan_in):
                    old = p[j, c]
                    total[j] += gamma * old
                    p[j, c] = decay * old + (z[source + j] * reach + tiny)
                if layers.bias[-1] >= 0:
                    old = p[fan_in, c]
                    grad[layers.bias[-1] + unit] += gamma * old
                    p[fan_in, c] = decay * old + (reach + tiny)


@kernel(allocates=False)
def add_outputs(layers: Layers, origin: Integers, apart: Array, block: int, grad: Array) -> None:
    """The gradient of the weights into output origin[i, c], by fast weight c."""
    kinds, _, width = apart.shape
    fan_in = layers.units[-2] - layers.source[-1]
    first, count = columns_of(block, width, origin.shape[1])
    for i in range(kinds):
        for c in range(count):
            unit = origin[i, first + c]
            total = grad[layers.weight[-1] + unit * fan_in :]
            for j in range(fan_in):
                total[j] += apart[i, j, c]
            if layers.bias[-1] >= 0:
                grad[layers.bias[-1] + unit] += apart[i, fan_in, c]
