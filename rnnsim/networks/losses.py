"""The loss of one output row against its target (theory.md 1, eq. 4), with its derivative.

A loss is a kernel ``loss(y, d, dy) -> float`` on vectors of length k: it returns the loss and writes
dloss/dy into ``dy``, neither of them divided by B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName, nearest
from rnnsim.kernels import kernel
from rnnsim.network import Stream
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
    top = y[0]
    for i in range(1, y.size):
        top = max(top, y[i])
    partition = 0.0
    weight = 0.0
    for i in range(y.size):
        partition += math.exp(y[i] - top)
        weight += d[i]
    log_partition = math.log(partition)
    total = 0.0
    for i in range(y.size):
        log_probability = y[i] - top - log_partition
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


NAMED: dict[str, Kernel] = {
    "squared-error": squared_error,
    "softmax-cross-entropy": softmax_cross_entropy,
    "logistic-cross-entropy": logistic_cross_entropy,
}


@cache
def step_loss_kernel(loss: Kernel) -> Kernel:
    """Make ``step_loss(stream, row, begin, end, losses, output_error)``: eq. (4) of a step.

    For the sequences begin, ..., end - 1 it writes ``losses`` (B,), mask * loss, and ``output_error``
    (B, k), dE/dy, which is divided by B.
    """

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
                losses[b] = weight * loss(stream.outputs[row, b], stream.targets[row, b], error)
                for o in range(k):
                    error[o] *= weight / B

    return step_loss


Pair = tuple[Callable[[Array, Array], float], Callable[[Array, Array], Array]]


@cache
def loss_kernel(loss: str | Pair) -> Kernel:
    """Give the kernel of a named loss, or make one of the user's ``(value, gradient)``.

    Raises
    ------
    UnknownName
        If no loss has this name.
    RnnsimError
        If it is neither a name nor a pair of functions.
    """
    if isinstance(loss, str):
        if loss not in NAMED:
            raise UnknownName(nearest("loss", loss, NAMED))
        return NAMED[loss]
    if not checks.are_functions(loss, 2):
        raise RnnsimError(
            f"loss is a name or a pair (value, gradient) of functions of (y, d), not {loss!r}"
        )
    value, gradient = loss

    @kernel
    def user_loss(y: Array, d: Array, dy: Array) -> float:
        dy[:] = gradient(y, d)
        return value(y, d)

    return user_loss
