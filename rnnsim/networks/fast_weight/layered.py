"""A layered feed-forward net: its geometry, forward pass and back-propagation.

Layer 0 is the input; layers 1, ..., L have weights and perhaps biases. The *activity* of a net is one
vector, the inputs first, then layer by layer; with shortcuts a layer is connected to all earlier layers,
without them to the previous one only. Weights are one flat array, so that a compiled kernel serves every
depth and width.
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

FEW = 4  # fan-in below which the products of a unit are not summed as vectors


class Layers(NamedTuple):
    """The geometry of a net; index l is that of layer l.

    Attributes
    ----------
    units : (L + 2,) int array
        The units of layer l are elements units[l], ..., units[l + 1] - 1 of the activity.
    source : (L + 1,) int array
        Its inputs are units source[l], ..., units[l] - 1.
    weight : (L + 1,) int array
        The index of its first weight.
    stride : (L + 1,) int array
        From the weights of one unit to those of the next.
    bias : (L + 1,) int array
        The index of its first bias, or -1 without biases.
    bias_stride : (L + 1,) int array
        From the bias of one unit to that of the next.
    """

    units: Array
    source: Array
    weight: Array
    stride: Array
    bias: Array
    bias_stride: Array


def make_layers(sizes: Sequence[int], bias: bool, shortcuts: bool, *, rows: bool = False) -> Layers:
    """Lay out a net of layers of these sizes, inputs first.

    With ``rows`` the bias of a unit is the last of its weights (b in the last column); otherwise the
    biases of a layer follow its weights.
    """
    units = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source, weight, stride, biases, bias_stride = np.zeros((5, len(sizes)), np.int64)
    offset = 0
    for l in range(1, len(sizes)):  # noqa: E741 (layer l)
        source[l] = 0 if shortcuts else units[l - 1]
        fan_in, n = units[l] - source[l], sizes[l]
        weight[l] = offset
        stride[l] = fan_in + (rows and bias)
        biases[l] = -1 if not bias else offset + fan_in if rows else offset + n * fan_in
        bias_stride[l] = stride[l] if rows else 1
        offset += n * (fan_in + bias)
    return Layers(*map(constant, (units, source, weight, stride, biases, bias_stride)))


def fan_ins(layers: Layers) -> list[int]:
    """The fan-in of each layer, without the bias."""
    return [int(n) for n in layers.units[1:-1] - layers.source[1:]]


@cache
def by_layer(activations: tuple[Kernel, ...]) -> Kernel:
    """Make ``activate(l, a, x)`` from the activations of the layers, l = 0 being the output layer.

    The last activation is also that of all deeper layers, and a run of equal ones is one branch, so that
    nets that differ only in depth share their machine code.
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


@kernel(allocates=False)
def add_in_order(w: Array, x: Array, total: float) -> float:
    """``total + w . x``, with scalar loads.

    A vector load of weights that the optimizer has just stored in other pieces would wait for the cache.
    """
    for j in range(x.size):
        total += w[j] * x[j]
    return total


@kernel(allocates=False, reassociates=True)
def add_product(w: Array, x: Array, total: float) -> float:
    """``total + w . x``, with vector loads."""
    for j in range(x.size):
        total += w[j] * x[j]
    return total


@cache
def feed_kernel(activate: Kernel) -> Kernel:
    """Make ``feed(weights, layers, activity, slopes)``: the forward pass from the inputs."""

    @kernel(allocates=False)
    def feed(weights: Array, layers: Layers, activity: Array, slopes: Array) -> None:
        L = layers.source.size - 1
        for l in range(1, L + 1):  # noqa: E741
            begin, end, source = layers.units[l], layers.units[l + 1], layers.source[l]
            x, offset, bias = activity[source:begin], layers.weight[l], layers.bias[l]
            for i in range(end - begin):
                net = weights.dtype.type(0)
                if bias >= 0:
                    net = weights[bias]
                    bias += layers.bias_stride[l]
                w = weights[offset : offset + x.size]
                net = add_in_order(w, x, net) if x.size < FEW else add_product(w, x, net)
                slopes[begin + i] = net  # activate() overwrites the net input with the slope
                offset += layers.stride[l]
            activate(L - l, slopes[begin:end], activity[begin:end])

    return feed


@kernel(allocates=False)
def feed_back(weights: Array, layers: Layers, slopes: Array, delta: Array) -> None:
    """Back-propagation: from dE/do of the output units to dE/dnet of all units.

    ``delta`` (A,) is dE/do of the outputs and zero for the hidden units; it is updated in place, except
    for the inputs.
    """
    inputs = layers.units[1]
    for l in range(layers.source.size - 1, 0, -1):  # noqa: E741
        begin, source = layers.units[l], layers.source[l]
        offset = layers.weight[l]
        for i in range(begin, layers.units[l + 1]):
            delta[i] *= slopes[i]
            for j in range(max(source, inputs), begin):
                delta[j] += weights[offset + j - source] * delta[i]
            offset += layers.stride[l]


@kernel(allocates=False)
def add_input_errors(weights: Array, layers: Layers, delta: Array, out: Array) -> None:
    """Add dE/do of the inputs, given dE/dnet of all other units: with shortcuts from every layer."""
    inputs = layers.units[1]
    for l in range(1, layers.source.size):  # noqa: E741
        source, offset = layers.source[l], layers.weight[l]
        for i in range(layers.units[l], layers.units[l + 1]):
            for j in range(source, inputs):
                out[j] += weights[offset + j - source] * delta[i]
            offset += layers.stride[l]


@cache
def feed_rows_kernel(activate: Kernel) -> Kernel:
    """Make ``feed`` for activities (T, B, A), with one product for each layer.

    The biases of a layer follow its weights.
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
    """Back-propagate rows of dE/do of the outputs (R, n), and add the gradient of all weights."""
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
    """The weights of layer l (to, from) without biases, as a view."""
    n, fan_in = layers.units[l + 1] - layers.units[l], layers.units[l] - layers.source[l]
    return as_matrix(weights[layers.weight[l] : layers.weight[l] + n * fan_in], n, fan_in)


@kernel(allocates=False)
def gather(activity: Array, begin: int, out: Array) -> None:
    """Copy the columns from ``begin`` on into a contiguous array."""
    for r in range(out.shape[0]):
        copy(activity[r, begin : begin + out.shape[1]], out[r])


@kernel(allocates=False)
def scatter(x: Array, activity: Array, begin: int) -> None:
    """Copy a contiguous array into the columns from ``begin`` on."""
    for r in range(x.shape[0]):
        copy(x[r], activity[r, begin : begin + x.shape[1]])
