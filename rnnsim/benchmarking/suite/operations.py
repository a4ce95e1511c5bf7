"""How much arithmetic a rule does: its kernels, run as plain Python on numbers that count.

The count is exact and splat the same, as no time is, and so is the exponent with which it grows.
It does not see what reading memory costs, nor how well a loop vectorises: that is for the times.
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

from .alone import Work, history_rows, over_sequence, small
from .choices import random_stream, rule_and_network, window_for


class Number(float):
    """A number whose every operation counts as one."""

    operations: ClassVar[int] = 0  # since Python started
    __array_priority__ = 1.0  # or NumPy's own numbers would answer for both


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
for _name in ("exp", "log", "tanh", "sqrt"):  # NumPy calls them by these names
    setattr(Number, _name, _function(getattr(math, _name)))


def counting(thing: Any) -> Any:
    """Put numbers that count in the place of floats: in arrays, in NamedTuples of any depth."""
    if isinstance(thing, tuple):
        parts = map(counting, thing)
        return type(thing)(*parts) if hasattr(thing, "_fields") else tuple(parts)
    if isinstance(thing, np.ndarray) and thing.dtype.kind == "f":
        found = np.empty(thing.shape, object)
        for i, value in np.ndenumerate(thing):  # all at once, NumPy would make them floats again
            found[i] = Number(value)
        return found
    return thing


def eliminate(A: Any, b: Any) -> Any:
    """Solve A x = b by Gaussian elimination; a row with the largest pivot first."""
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
    """Count those of a rule over a sequence, its kernels not compiled."""
    flat = small(network)
    work = Work(
        network.kernel_params(flat),
        network.state(1),
        random_stream(network, steps),
        network.trajectory(history_rows(rule, window), 1),
        rule.memory(network, 1, window, np.random.default_rng(0)),
        network.kernel_params(np.zeros_like(flat)),
        window,
        rule.history(window),
    )
    run = over_sequence(rule.learn(network), network.keep_history)
    before = Number.operations
    with patch.object(np.linalg, "solve", eliminate):  # LAPACK knows no such numbers
        code = run(counting(work))
    if code:
        raise rule.explain(code, work.memory, 1)
    return Number.operations - before


def per_step(network: Network, rule: Rule, window: int) -> float:
    """Operations of a step, the first window, in which much is zero yet, left out."""
    once, twice = (operations(network, rule, window, times * window) for times in (1, 2))
    return (twice - once) / window


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Fit p in cost ~ n^p."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


MOST = 1e7  # operations, which take some seconds to count


def operations_exponent(rule: str) -> float:
    """How a step's operations grow where n doubles for the last time that can be counted quickly.

    At small n what grows slowest is most of the work, such as n activations beside n^2 products.
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
