"""A layered feed-forward net: its geometry, the way forwards and the way back.

Layer 0 is the input; layers 1, ..., L have weights and perhaps biases. The *activity* of a net is one
row of numbers, the inputs first, then layer by layer; with shortcuts a layer reads all that comes
before it, without them the layer before alone. Weights are one flat array, so that kernels compiled
once serve every depth and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from rnnsim.arrays import constant
from rnnsim.kernels import kernel
from rnnsim.numerics.linalg import SMALL, add_rows, add_xt_times_y, copy, x_times_W, x_times_Wt
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array, Kernel

FEW = 4  # inputs below which a unit's are added up number by number


class Layers(NamedTuple):
    """The geometry; the entries of layer l are at index l."""

    units: Array  # (L + 2,) layer l's units are units[l], ..., units[l + 1] - 1 of the activity
    source: Array  # (L + 1,) it reads units source[l], ..., units[l] - 1
    weight: Array  # (L + 1,) where its weights begin
    stride: Array  # (L + 1,) from one unit's weights to the next unit's
    bias: Array  # (L + 1,) where its biases begin, or -1 where there are none
    bias_stride: Array  # (L + 1,) from one unit's bias to the next unit's


def make_layers(sizes: Sequence[int], bias: bool, shortcuts: bool, *, rows: bool = False) -> Layers:
    """Lay out a net of layers of these sizes, inputs first.

    With ``rows`` each unit's bias is the last of its weights (b in the last column); otherwise a
    layer's biases follow its weights.
    """
    units = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source, weight, stride, biases, bias_stride = np.zeros((5, len(sizes)), np.int64)
    place = 0
    for l in range(1, len(sizes)):  # noqa: E741 (layer l)
        source[l] = 0 if shortcuts else units[l - 1]
        fan_in, n = units[l] - source[l], sizes[l]
        weight[l] = place
        stride[l] = fan_in + (rows and bias)
        biases[l] = -1 if not bias else place + fan_in if rows else place + n * fan_in
        bias_stride[l] = stride[l] if rows else 1
        place += n * (fan_in + bias)
    return Layers(*map(constant, (units, source, weight, stride, biases, bias_stride)))


def fan_ins(layers: Layers) -> list[int]:
    """How many units each layer reads, the bias not counted."""
    return [int(n) for n in layers.units[1:-1] - layers.source[1:]]


@cache
def by_layer(activations: tuple[Kernel, ...]) -> Kernel:
    """Make ``activate(l, a, x)`` of the layers' activations, layer l counted from the output back.

    The deepest activation also serves all layers beyond, and equal ones are not told apart, so that
    nets that differ in depth alone share their machine code.
    """
    own, *others = activations
    if all(other is own for other in others):

        @kernel(allocates=False)
        def activate(l: int, a: Array, x: Array) -> None:  # noqa: E741
            own(a, x)
    else:
        deeper = by_layer(tuple(others))

        @kernel(allocates=False)
        def activate(l: int, a: Array, x: Array) -> None:  # noqa: E741
            if l == 0:
                own(a, x)
            else:
                deeper(l - 1, a, x)

    return activate


@kernel(allocates=False, reassociates=False)
def add_in_order(w: Array, x: Array, total: float) -> float:
    """``total + w . x``, number by number.

    A vector of weights that the optimizer has just written in other pieces is not at hand.
    """
    for j in range(x.size):
        total += w[j] * x[j]
    return total


@cache
def feed_kernel(activate: Kernel) -> Kernel:
    """Make ``feed(weights, layers, activity, slopes)``: from the inputs to all later units."""

    @kernel(allocates=False)
    def feed(weights: Array, layers: Layers, activity: Array, slopes: Array) -> None:
        L = layers.source.size - 1
        for l in range(1, L + 1):  # noqa: E741
            begin, end, source = layers.units[l], layers.units[l + 1], layers.source[l]
            x, place, bias = activity[source:begin], layers.weight[l], layers.bias[l]
            for i in range(end - begin):
                net = weights.dtype.type(0)
                if bias >= 0:
                    net = weights[bias]
                    bias += layers.bias_stride[l]
                w = weights[place : place + x.size]
                if x.size < FEW:
                    net = add_in_order(w, x, net)
                else:
                    for j in range(x.size):
                        net += w[j] * x[j]
                slopes[begin + i] = net  # activate() replaces the net input by the slope
                place += layers.stride[l]
            activate(L - l, slopes[begin:end], activity[begin:end])

    return feed


@kernel(allocates=False)
def feed_back(weights: Array, layers: Layers, slopes: Array, delta: Array) -> None:
    """Back-propagation: from dE/do of the output units to dE/dnet of all units.

    ``delta`` holds dE/do of the outputs and zero for the hidden units; of the inputs it says nothing.
    """
    inputs = layers.units[1]
    for l in range(layers.source.size - 1, 0, -1):  # noqa: E741
        begin, source = layers.units[l], layers.source[l]
        place = layers.weight[l]
        for i in range(begin, layers.units[l + 1]):
            delta[i] *= slopes[i]
            for j in range(max(source, inputs), begin):
                delta[j] += weights[place + j - source] * delta[i]
            place += layers.stride[l]


@cache
def feed_rows_kernel(activate: Kernel) -> Kernel:
    """Make ``feed`` for activities (T, B, A), of which a layer is one product.

    Biases follow weights.
    """
    feed = feed_kernel(activate)

    @kernel(allocates=False)
    def feed_rows(weights: Array, layers: Layers, activity: Array, slopes: Array) -> None:
        T, B, A = activity.shape
        if T * B == 1 or T * B * weights.size <= SMALL:
            for t in range(T):
                for b in range(B):
                    feed(weights, layers, activity[t, b], slopes[t, b])
        else:
            feed_products(weights, layers, as_matrix(activity, T * B, A), as_matrix(slopes, T * B, A))

    @kernel
    def feed_products(weights: Array, layers: Layers, activity: Array, slopes: Array) -> None:
        R, L = activity.shape[0], layers.source.size - 1
        for l in range(1, L + 1):  # noqa: E741
            begin, end, source = layers.units[l], layers.units[l + 1], layers.source[l]
            n, fan_in = end - begin, begin - source
            x = np.empty((R, fan_in), weights.dtype)
            net, out = np.empty((R, n), weights.dtype), np.empty((R, n), weights.dtype)
            gather(activity, source, x)
            x_times_Wt(x, layer_weights(weights, layers, l), net)
            if layers.bias[l] >= 0:
                for r in range(R):
                    for i in range(n):
                        net[r, i] += weights[layers.bias[l] + i]
            activate(L - l, as_vector(net), as_vector(out))
            scatter(out, activity, begin)
            scatter(net, slopes, begin)

    return feed_rows


@kernel
def collect_products(
    weights: Array, layers: Layers, activity: Array, slopes: Array, output_error: Array, grad: Array
) -> None:
    """Back-propagate rows of dE/do at the outputs (R, n), and add the gradient of all weights."""
    R, L = activity.shape[0], layers.source.size - 1
    inputs = layers.units[1]
    delta = np.zeros(activity.shape, weights.dtype)
    scatter(output_error, delta, layers.units[L])
    for l in range(L, 0, -1):  # noqa: E741
        begin, end, source = layers.units[l], layers.units[l + 1], layers.source[l]
        n, fan_in = end - begin, begin - source
        own, x = np.empty((R, n), weights.dtype), np.empty((R, fan_in), weights.dtype)
        gather(delta, begin, own)
        for r in range(R):
            for i in range(n):
                own[r, i] *= slopes[r, begin + i]
        gather(activity, source, x)
        add_xt_times_y(own, x, layer_weights(grad, layers, l), False)
        if layers.bias[l] >= 0:
            add_rows(own, grad[layers.bias[l] : layers.bias[l] + n])
        if begin > inputs:
            x_times_W(own, layer_weights(weights, layers, l), x)
            for r in range(R):
                for j in range(max(source, inputs), begin):
                    delta[r, j] += x[r, j - source]


@kernel
def layer_weights(weights: Array, layers: Layers, l: int) -> Array:  # noqa: E741
    """The weights of layer l (to, from), as a view; biases apart."""
    n, fan_in = layers.units[l + 1] - layers.units[l], layers.units[l] - layers.source[l]
    return as_matrix(weights[layers.weight[l] : layers.weight[l] + n * fan_in], n, fan_in)


@kernel(allocates=False)
def gather(activity: Array, begin: int, out: Array) -> None:
    """Take the columns from ``begin`` on into an array of their own."""
    for r in range(out.shape[0]):
        copy(activity[r, begin : begin + out.shape[1]], out[r])


@kernel(allocates=False)
def scatter(x: Array, activity: Array, begin: int) -> None:
    """Put columns back, from ``begin`` on."""
    for r in range(x.shape[0]):
        copy(x[r], activity[r, begin : begin + x.shape[1]])
