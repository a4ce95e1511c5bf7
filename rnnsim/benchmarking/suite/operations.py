"""Operation counts of a rule: its kernels run as plain Python on numbers that count operations.

Unlike times, the count is exact and the same on every machine, and so is the exponent with which it
grows. It includes neither the cost of memory access nor the effect of vectorisation; the times do.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np

from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.training.sequences import Pass, Shape, pass_kernel
from rnnsim.training.streams import copy_params

from .choices import random_data, rule_and_network, small_params, window_for


class Number(float):
    """A number that counts its arithmetic operations, each as one."""

    operations: ClassVar[int] = 0  # the count since Python started
    __array_priority__ = 1.0  # else NumPy scalars on the left would handle the operation


def _operation(name: str, *, reflected: bool = False) -> Callable[[Number, Any], Any]:
    work = getattr(operator, name)

    def operation(self: Number, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            each = np.full(other.shape, self, object)
            return work(other, each) if reflected else work(each, other)
        Number.operations += 1
        pair = (float(other), float(self)) if reflected else (float(self), float(other))
        return Number(work(*pair))

    return operation


def _function(work: Callable[[float], float]) -> Callable[[Number], Number]:
    def function(self: Number) -> Number:
        Number.operations += 1
        return Number(work(float(self)))

    return function


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Number, f"__{_name}__", _operation(_name))
    setattr(Number, f"__r{_name}__", _operation(_name, reflected=True))
for _name in ("neg", "abs"):
    setattr(Number, f"__{_name}__", _function(getattr(operator, _name)))
for _name in ("exp", "log", "tanh", "sqrt"):  # NumPy calls these methods of objects
    setattr(Number, _name, _function(getattr(math, _name)))


def counting(thing: Any) -> Any:
    """Replace floats by counting numbers, in arrays and in nested NamedTuples."""
    if isinstance(thing, tuple):
        parts = map(counting, thing)
        return type(thing)(*parts) if hasattr(thing, "_fields") else tuple(parts)
    if isinstance(thing, np.ndarray) and thing.dtype.kind == "f":
        found = np.empty(thing.shape, object)
        for i, value in np.ndenumerate(thing):  # a whole-array assignment would store plain floats
            found[i] = Number(value)
        return found
    return thing


def eliminate(A: Any, b: Any) -> Any:
    """Solve A x = b by Gaussian elimination with partial pivoting."""
    A, x = A.copy(), b.copy()
    n = len(A)
    for i in range(n):
        largest = i + max(range(n - i), key=lambda k: abs(A[i + k, i]))
        A[[i, largest]], x[[i, largest]] = A[[largest, i]], x[[largest, i]]
        for j in range(i + 1, n):
            factor = A[j, i] / A[i, i]
            A[j, i:] -= factor * A[i, i:]
            x[j] -= factor * x[i]
    for i in reversed(range(n)):
        x[i] = (x[i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x


def operations(network: Network, rule: Rule, window: int, steps: int) -> int:
    """Count the operations of a rule over a sequence, with its kernels uncompiled."""
    kernel = pass_kernel(network, rule)
    arrays = Pass(network, rule, Shape(steps, 1, window, 0), 0, kernel, False)
    copy_params(network, small_params(network), arrays.work.flat_params, arrays.views)
    inputs, targets = random_data(network, steps)
    stream = arrays.stream._replace(inputs=inputs, targets=targets)
    work, out = arrays.work, np.empty(network.n_params, object)
    before = Number.operations
    with patch.object(np.linalg, "solve", eliminate):  # LAPACK takes floats only
        code = kernel(counting(work), counting(stream), 0, steps, False, out)
    if code:
        raise rule.explain(code, work.memory, 1)
    return Number.operations - before


def per_step(network: Network, rule: Rule, window: int) -> float:
    """Operations per step, leaving out the first window, in which many numbers are still zero."""
    once, twice = (operations(network, rule, window, times * window) for times in (1, 2))
    return (twice - once) / window


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Fit p in cost ~ n^p."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


MOST = 1e7  # maximum number of operations to count, which takes some seconds


def operations_exponent(rule: str) -> float:
    """The exponent of operations per step, from the largest two n that can be counted quickly.

    At small n lower-order terms dominate, such as n activations beside n^2 products.
    """
    n, sizes = 8, list[int]()
    costs, spent = list[float](), [0]
    while len(costs) < 2 or spent[-1] ** 2 / spent[-2] < MOST:
        made, network = rule_and_network(rule, n)
        before = Number.operations
        costs.append(per_step(network, made, window_for(made, network)))
        spent.append(Number.operations - before)
        sizes.append(n)
        n *= 2
    return exponent(sizes[-2:], costs[-2:])
