"""The traces p = dw/dW_S of the fast-weight network (theory.md 2, eqs. 22-25), without structural zeros.

A weight into an output of S acts only on the fast weights whose Box w is a function of that output: each
fast weight has phi traces of the weights into s_ab, or in architecture 2 phi of those into s_a and phi
of those into s_b. The H weights into hidden units of S can act on every fast weight. That is N (phi + H)
or N (2 phi + H) numbers for each sequence, instead of N |W_S|.

The Jacobian is diagonal, so the traces of each fast weight are independent of all others. The fast
weights are divided into *blocks*, and a block is advanced through all steps of a window, several at a
time, while its traces and the factors of their updates stay in the caches of one core.
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

TOGETHER = 8  # the largest number of steps by which a tile of traces is advanced at a time
WIDTH = 64  # the largest number of fast weights of a block: their factors and a tile fit the L1 cache
LEAST_WIDTH = 16  # the smallest, where blocks exist only to be divided among threads
PARTS = 4  # of the blocks, for threads; being constant, it keeps sums independent of the threads
SHARED = 1 << 15  # updates of traces from which several threads are faster

# A trace to which nothing is added decays into the subnormal numbers, with which arithmetic is many
# times slower. Adding this at each step, which changes no gradient, prevents that.
TINY = {"float64": 1e-280, "float32": 1e-30}


class Traces(NamedTuple):
    """p(t), and for each part of the blocks the factors of its next S updates.

    An update is a step, or sets p to that of initial fast weights. The C columns of a block are
    successive fast weights c; columns beyond N are unused. Box w_c depends on 1 or 2 outputs of S.

    Attributes
    ----------
    hidden : (B, blocks, H, C) array
        dw_c/dW of the weights into hidden units, in the order of W_S.
    output : (B, blocks, 1 or 2, phi, C) array
        dw_c/dW of the weights into the outputs that w_c depends on.
    row : (parts, S) int array
        The row of the trajectory.
    gamma, decay : (parts, S, C) arrays
        dE/dw and dsigma/dw.
    source : (parts, S, A) array
        The activity of S; the last is the bias unit.
    by_output : (parts, 1 or 2, S, C) array
        dsigma/dnet of these outputs.
    by_hidden : (parts, h, S, C) array
        dsigma/dnet of the hidden units.
    upward : (blocks, phi - 1, 1 or 2, C) array
        The weights into these outputs.
    sums : (parts, weights) array
        The gradient that a part adds to slow weights on which several parts act.
    apart : (parts, 1 or 2, phi, C) array
        The gradient of the weights into these outputs, of each c.
    tiny : float
        Added to every trace, see TINY.
    """

    hidden: Array
    output: Array
    row: Integers
    gamma: Array
    decay: Array
    source: Array
    by_output: Array
    by_hidden: Array
    upward: Array
    sums: Array
    apart: Array
    tiny: Any


def width_of(N: int, dtype: Any) -> int:
    """The width of blocks, a multiple of a cache line."""
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
    """Eqs. (22) and (23): advance the traces, and add gamma . p to the gradient."""
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
    """The first fast weight of a block, and their number."""
    return block * width, min(width, N - block * width)


@kernel(allocates=False)
def spread(weights: Array, layers: Layers, origin: Integers, upward: Array) -> None:
    """Copy the weights into the outputs of S in the order of fast weights, once for a window."""
    blocks, fan_in, kinds, width = upward.shape
    N, offset = origin.shape[1], layers.weight[-1]
    for block in range(blocks):
        first, count = columns_of(block, width, N)
        for i in range(kinds):
            for c in range(count):
                from_ = weights[offset + origin[i, first + c] * fan_in :]
                for j in range(fan_in):
                    upward[block, j, i, c] = from_[j]


@kernel(allocates=False)
def carry_part(
    part: int, weights: Array, trajectory: FastTrajectory, first: int, count: int, traces: Traces,
    grad: Array,
) -> None:  # fmt: skip
    """Advance one part. In architecture 1 no two parts add to the weights into the same output."""
    sums = traces.sums[part]
    of_outputs = grad if trajectory.origin.shape[0] == 1 else sums
    carry(weights, trajectory, first, count, traces, part, PARTS, sums, of_outputs)


@kernel(allocates=False, inlined=False)
def carry(
    weights: Array, trajectory: FastTrajectory, first: int, count: int, traces: Traces, part: int,
    parts: int, of_hidden: Array, of_outputs: Array,
) -> None:  # fmt: skip
    """Advance the traces of one part of the blocks through a window, and add the gradient."""
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


# --- the factors of the updates of a block ---


@kernel(allocates=False)
def prepare(
    trajectory: FastTrajectory, t: int, end: int, b: int, block: int, traces: Traces, part: int
) -> tuple[int, int]:
    """Prepare the updates up to the next reset, as far as the workspace allows.

    Returns their number, and the step after them.
    """
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
    """Prepare one update: a step, or p of initial fast weights that S sets, dBox w/dW_S."""
    outputs = trajectory.slow_layers.units[-2]  # the first output of S
    first, count = columns_of(block, traces.gamma.shape[2], trajectory.origin.shape[1])
    gamma, decay = traces.gamma[part, s], traces.decay[part, s]
    idle = 0 if begins else count
    if begins or traces.hidden.shape[1] > 1:  # a single block never writes its unused columns
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
    """kappa of eq. (24) for each fast weight of a block, from the outputs of S to its hidden units."""
    layers, slow_slopes = trajectory.slow_layers, trajectory.slow_slopes
    inputs, L = layers.units[1], layers.source.size - 1
    source, highest = layers.source[L], layers.units[L - 1]
    for j in range(inputs, layers.units[L]):
        for s in range(ready):
            slopes, kappa = slow_slopes[traces.row[part, s], b], traces.by_hidden[part, j - inputs, s]
            if j < source:
                kappa[:] = 0
            else:  # only the last hidden layer is complete after this
                slope = slopes[j] if j >= highest else slopes.dtype.type(1)
                differentiate_outputs(slope, traces.by_output[part], s, traces.upward[block, j - source],
                                      kappa[:count])  # fmt: skip
    for l in range(L - 1, 0, -1):  # noqa: E741 (layer l)
        for s in range(ready):
            slopes = slow_slopes[traces.row[part, s], b]
            differentiate_layer(weights, layers, l, slopes, traces.by_hidden[part], s, count)


@kernel(allocates=False)
def differentiate_outputs(slope: float, by_output: Array, s: int, upward: Array, kappa: Array) -> None:
    """kappa of one hidden unit, through the outputs that each fast weight depends on."""
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
    """Back-propagate from the hidden units of layer l to earlier ones."""
    inputs, begin, source = layers.units[1], layers.units[l], layers.source[l]
    offset = layers.weight[l]
    for i in range(begin, layers.units[l + 1]):
        kappa = by_hidden[i - inputs, s, :count]
        if l < layers.source.size - 2:  # the last hidden layer has its slopes already
            for c in range(kappa.size):
                kappa[c] *= slopes[i]
        for j in range(max(source, inputs), begin):
            weight, lower = weights[offset + j - source], by_hidden[j - inputs, s]
            for c in range(kappa.size):
                lower[c] += weight * kappa[c]
        offset += layers.stride[l]


# --- the updates of p ---


@kernel(allocates=False)
def carry_hidden(
    layers: Layers, traces: Traces, part: int, moves: int, b: int, block: int, width: int, grad: Array
) -> None:
    """Advance the traces of the weights into hidden units, for all fast weights of a block."""
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
    """Advance the traces of the weights into the outputs that each fast weight depends on."""
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
    """The same in a block that is narrower than a cache line, with scalar loads.

    The factors were just stored as scalars: a vector load of them would wait for the cache.
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
    """Add the gradient of the weights into output origin[i, c], of each fast weight c."""
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
