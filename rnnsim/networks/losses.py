"""The loss of one output row against its target (theory.md 1, eq. 4), with its derivative.

A loss is a kernel ``loss(y, d, dy) -> float`` on vectors of length k: it returns the loss and writes
dloss/dy into ``dy``, neither of them divided by B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.networks.derivative_checks import adds_up_over_outputs, check_loss_gradient
from rnnsim.numerics.linalg import copy
from rnnsim.typing import Array, Kernel


@kernel(allocates=False)
def squared_error(y: Array, d: Array, dy: Array) -> float:
    """Half the squared error, ``sum_i (y_i - d_i)^2 / 2``."""
    total = 0.0
    for i in range(y.size):
        dy[i] = y[i] - d[i]
        total += 0.5 * dy[i] * dy[i]
    return total


@kernel(allocates=False)
def softmax_cross_entropy(y: Array, d: Array, dy: Array) -> float:
    """``-sum_i d_i log softmax(y)_i``, y being logits and d a distribution (not checked)."""
    top = float(y[0])  # in float64, in which the differences of any float32 logits are finite
    for i in range(1, y.size):
        top = max(top, float(y[i]))
    partition = 0.0
    weight = 0.0
    for i in range(y.size):
        partition += math.exp(float(y[i]) - top)
        weight += d[i]
    log_partition = math.log(partition)
    total = 0.0
    for i in range(y.size):
        log_probability = (float(y[i]) - top) - log_partition
        if d[i] != 0:  # log 0 of a class without weight counts as 0
            total -= d[i] * log_probability
        dy[i] = weight * math.exp(log_probability) - d[i]
    return total


@kernel(allocates=False)
def logistic_cross_entropy(y: Array, d: Array, dy: Array) -> float:
    """``-sum_i d_i log p_i + (1 - d_i) log(1 - p_i)``, p being the logistic function of y."""
    total = 0.0
    for i in range(y.size):
        e = math.exp(-abs(y[i]))
        probability = 1 / (1 + e) if y[i] >= 0 else e / (1 + e)
        total += max(y[i], 0) - y[i] * d[i] + math.log1p(e)
        dy[i] = probability - d[i]
    return total


SUMS_OVER_OUTPUTS = ("squared-error", "logistic-cross-entropy")

NAMED: dict[str, Kernel] = {
    "squared-error": squared_error,
    "softmax-cross-entropy": softmax_cross_entropy,
    "logistic-cross-entropy": logistic_cross_entropy,
}


@cache
def step_loss_kernel(loss: Kernel, is_sum: bool = False) -> Kernel:
    """Make ``step_loss(stream, row, begin, end, losses, output_error)``: eq. (4) of a step.

    For the sequences begin, ..., end - 1 it writes ``losses`` (B,), mask * loss, and ``output_error``
    (B, k), dE/dy, which is divided by B. A loss that ``is_sum`` of what it gives for each output alone
    allows for a mask of each output.
    """
    weighted = weighted_loss_kernel(loss) if is_sum else no_weighted_loss

    @kernel(allocates=False)
    def step_loss(
        stream: Stream, row: int, begin: int, end: int, losses: Array, output_error: Array
    ) -> None:
        B, k = output_error.shape
        for b in range(begin, end):
            error, weight = output_error[b], stream.mask[row, b]
            losses[b] = 0
            if weight == 0:  # there is no target: the entry may be nan
                error[:] = 0
            else:
                y, d = stream.outputs[row, b], stream.targets[row, b]
                if stream.gives_error[row]:
                    copy(d, error)
                elif stream.masks_outputs[0]:
                    losses[b] = weight * weighted(y, d, stream.output_mask[row, b], error)
                else:
                    losses[b] = weight * loss(y, d, error)
                for o in range(k):
                    error[o] *= weight / B

    return step_loss


@cache
def weighted_loss_kernel(loss: Kernel) -> Kernel:
    """Make ``weighted(y, d, weights, dy) -> float``, a sum over outputs of their losses by weight."""

    @kernel(allocates=False)
    def weighted(y: Array, d: Array, weights: Array, dy: Array) -> float:
        total = 0.0
        for o in range(y.size):
            dy[o] = 0
            if weights[o] != 0:  # the target of any other may be nan
                total += weights[o] * loss(y[o : o + 1], d[o : o + 1], dy[o : o + 1])
                dy[o] *= weights[o]
        return total

    return weighted


@kernel(allocates=False)
def no_weighted_loss(y: Array, d: Array, weights: Array, dy: Array) -> float:
    """Streams with a mask of each output are refused for other losses."""
    return 0.0


Pair = tuple[Callable[[Array, Array], float], Callable[[Array, Array], Array]]


def is_sum_of_outputs(loss: str | Pair, k: int) -> bool:
    """Whether a loss of k outputs is the sum of their losses."""
    if isinstance(loss, str):
        return loss in SUMS_OVER_OUTPUTS
    return adds_up_over_outputs(loss[0], k)


@cache
def loss_kernel(loss: str | Pair, k: int = 1, checked: bool = False) -> Kernel:
    """Give the kernel of a named loss, or make one of the user's ``(value, gradient)``.

    With ``checked``, the gradient is compared with differences of the value for k outputs.

    Raises
    ------
    UnknownName
        If no loss has this name.
    RnnsimError
        If it is neither a name nor a pair of functions, or the gradient is not that of the value.
    """
    if isinstance(loss, str):
        return NAMED[checks.known_name("loss", loss, NAMED)]
    if not checks.are_functions(loss, 2):
        raise RnnsimError(
            f"loss is a name or a pair (value, gradient) of functions of (y, d), not {loss!r}"
        )
    value, gradient = loss
    if checked:
        check_loss_gradient(value, gradient, k)

    @kernel
    def user_loss(y: Array, d: Array, dy: Array) -> float:
        dy[:] = gradient(y, d)
        return value(y, d)

    return user_loss
