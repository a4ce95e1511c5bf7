"""What a rule costs: how counted operations, bytes and times grow with n, beside what is claimed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from rnnsim.benchmarking.suite.choices import network_of, random_data, small_params
from rnnsim.benchmarking.suite.operations import Number, exponent, per_step
from rnnsim.compiler import is_uncompiled
from rnnsim.errors import described
from rnnsim.network import Network
from rnnsim.rule import Rule, nbytes
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import Subject
from rnnsim.training.gradients import gradient_function

TOLERANCE = 0.3  # of an exponent that is counted
COUNTED = 2e6  # operations that are counted, at most: some seconds
FEWEST = 4  # n from which operations are counted
SMALLEST, LARGEST = 8, 512  # n from which, and up to which, bytes are
BYTES = 1 << 27  # of a rule's memory, at most
TIMED = (8, 16, 32, 64)
TIMED_STEPS, LEAST = 20, 0.02  # steps of a sequence, and seconds of a measurement
WINDOW = 10  # steps of a window for rules without a preference
SYMBOLS = {"n", "h", "h'", "T", "m", "k", "q", "B"}  # what does not grow with n, beside n


def checks(subject: Subject) -> Iterator[Check]:
    """Operations, bytes and times."""
    cost = subject.rule.cost
    sized = partial(network_for, subject)
    yield Check(
        "operations per step",
        f"O({cost.time})",
        partial(_operations, subject.rule, sized),
    )
    yield Check(
        "memory in bytes",
        f"O({cost.memory})",
        lambda: against(cost.memory, *_bytes(subject.rule, sized)),
    )
    yield Check("time per step", f"O({cost.time})", lambda: _timed(subject.rule, sized))


def exponents(cost: str) -> list[float]:
    """The exponents of n in a cost: one, or one for each of the alternatives between commas.

    Empty where the cost has other quantities that may grow with n, such as ``|W_F|``.

    >>> exponents("n^2 h / h'"), exponents("n^2 a relaxation step, n^3 a direct solve"), exponents("1")
    ([2.0], [2.0, 3.0], [0.0])
    """
    found = []
    for part in cost.split(","):
        symbols = set(re.findall(r"[A-Za-z_|]+'?", re.sub(r"\b[a-z]{2,}\b|\ba\b", "", part)))
        if not symbols <= SYMBOLS:
            return []
        terms = re.split(r"[+]", part)
        found.append(max(sum(_powers(term)) for term in terms))
    return found


def _powers(term: str) -> Iterator[float]:
    """The exponent of each factor n of a product."""
    for sign, power in re.findall(r"(/?)\s*\bn\b(?:\^(\d+(?:\.\d+)?))?", term):
        yield (-1 if sign else 1) * float(power or 1)


def limiting_exponent(sizes: list[int], costs: list[float]) -> float:
    """The exponent at large n, from the costs at three n, each twice the one before.

    Costs are sums of powers of n: what lower ones take from the exponent halves as n doubles.
    """
    smaller, larger = (exponent(sizes[i:][:2], costs[i:][:2]) for i in (-3, -2))
    return 2 * larger - smaller


def against(cost: str, sizes: list[int], costs: list[float]) -> Measured:
    """Compare the exponent of what was counted with that of a cost."""
    found = limiting_exponent(sizes, costs)
    text = f"n^{found:.2f}, from n = {', '.join(map(str, sizes[-3:]))}"
    claimed = exponents(cost)
    if not claimed:
        return Measured(f"{text}; the claim is no power of n", None)
    return Measured(text, any(abs(found - power) <= TOLERANCE for power in claimed))


def network_for(subject: Subject, n: int) -> Network:
    """A network of size n of the kind on which the rule is checked, with what the rule demands."""
    kind = subject.networks[subject.first].kind
    needed = subject.rule.network if kind == subject.rule.kind else {}
    return network_of(kind, n, **needed)


def window_for(rule: Rule, network: Network) -> int:
    """The number of steps of a window."""
    return rule.online_window(network) or WINDOW


Sized = Callable[[int], Network]


def _operations(rule: Rule, sized: Sized) -> Measured:
    try:
        counts = _counted(rule, sized)
    except Exception as error:  # noqa: BLE001 (kernels may call what takes floats alone)
        return Measured(f"they cannot be counted: {described(error)}", None)
    return against(rule.cost.time, *counts)


def _counted(rule: Rule, sized: Sized) -> tuple[list[int], list[float]]:
    """Operations per step from small n on, until counting takes long: lower orders then matter less.

    Raises
    ------
    TypeError, or whatever the rule's kernels raise
        If they cannot run on numbers that count.
    """
    n, sizes, costs, spent = FEWEST, list[int](), list[float](), list[int]()
    while len(costs) < 3 or spent[-1] ** 2 / spent[-2] < COUNTED:
        network, before = sized(n), Number.operations
        costs.append(per_step(network, rule, window_for(rule, network)))
        spent.append(Number.operations - before)
        sizes.append(n)
        n *= 2
    return sizes, costs


def _bytes(rule: Rule, sized: Sized) -> tuple[list[int], list[float]]:
    """Bytes of the rule's memory, and of the rows that it needs of a trajectory."""
    n, sizes, costs = SMALLEST, list[int](), list[float]()
    while len(costs) < 3 or (n <= LARGEST and costs[-1] < BYTES / 16):
        costs.append(bytes_of(rule, sized(n)))
        sizes.append(n)
        n *= 2
    return sizes, costs


def bytes_of(rule: Rule, network: Network) -> float:
    """The copies of the weights that a trajectory may hold are the network's, and not counted."""
    window = window_for(rule, network)
    one, two = (nbytes(network.trajectory(rows, 1)) for rows in (1, 2))
    rows = rule.history(window) + rule.rows(window)
    return nbytes(rule.memory(network, 1, window, np.random.default_rng(0))) + rows * (two - one)


def _timed(rule: Rule, sized: Sized) -> Measured:
    if is_uncompiled():
        return Measured("nothing: kernels are not compiled", None)
    times = [seconds_per_step(rule, sized(n)) for n in TIMED]
    each = ", ".join(f"{1e6 * t:.3g}" for t in times)
    return Measured(
        f"{each} us at n = {', '.join(map(str, TIMED))}: n^{exponent(TIMED[-2:], times[-2:]):.2f}", None
    )


def seconds_per_step(rule: Rule, network: Network) -> float:
    """The least of a few measurements of a compiled gradient."""
    window = min(window_for(rule, network), TIMED_STEPS)
    function = gradient_function(network, rule, window=None if rule.settles else window)
    params, (inputs, targets) = small_params(network), random_data(network, TIMED_STEPS)
    best, spent = float("inf"), 0.0
    function(params, inputs, targets)  # compiles
    while spent < LEAST:
        begun = time.perf_counter()
        function(params, inputs, targets)
        seconds = time.perf_counter() - begun
        best, spent = min(best, seconds), spent + seconds
    return best / TIMED_STEPS
