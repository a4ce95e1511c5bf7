"""Measures and intervals of forecasts in plain loops; nothing here imports rnnsim. None: undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Numbers = Sequence[float]
Optional = float | None


def pairs(values: Numbers, truth: Numbers) -> list[tuple[float, float]]:
    """What was said and what came, where both are there."""
    return [(v, d) for v, d in zip(values, truth) if not (math.isnan(v) or math.isnan(d))]


def rmse(values: Numbers, truth: Numbers) -> Optional:
    found = pairs(values, truth)
    if not found:
        return None
    return math.sqrt(math.fsum((v - d) ** 2 for v, d in found) / len(found))


def mae(values: Numbers, truth: Numbers) -> Optional:
    found = pairs(values, truth)
    return math.fsum(abs(v - d) for v, d in found) / len(found) if found else None


def deviation(numbers: Numbers) -> float:
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / len(numbers))


def nrmse(values: Numbers, truth: Numbers) -> Optional:
    came = [d for _, d in pairs(values, truth)]
    if len(came) < 2 or len(set(came)) == 1:
        return None
    error = rmse(values, truth)
    assert error is not None
    return error / deviation(came)


def jitter(values: Numbers, sequence: Sequence[object]) -> Optional:
    """Of rows one after the other; those of another sequence are not successive."""
    moves = []
    for t in range(1, len(values)):
        if sequence[t] == sequence[t - 1]:
            move = abs(values[t] - values[t - 1])
            if not math.isnan(move):
                moves.append(move)
    return math.fsum(moves) / len(moves) if moves else None


def largest(numbers: Numbers) -> int:
    """The place of the first of the largest."""
    return max(range(len(numbers)), key=lambda i: (numbers[i], -i))


def scored(probabilities: Sequence[Numbers], truth: Sequence[Numbers]) -> list[tuple[Numbers, int]]:
    return [(p, largest(d)) for p, d in zip(probabilities, truth)
            if not any(map(math.isnan, [*p, *d]))]  # fmt: skip


def accuracy(probabilities: Sequence[Numbers], truth: Sequence[Numbers]) -> Optional:
    found = scored(probabilities, truth)
    return sum(largest(p) == d for p, d in found) / len(found) if found else None


def cross_entropy(probabilities: Sequence[Numbers], truth: Sequence[Numbers]) -> Optional:
    found = scored(probabilities, truth)
    terms = [-math.log(p[d]) if p[d] > 0 else math.inf for p, d in found]
    return sum(terms) / len(terms) if terms else None


def confusion(probabilities: Sequence[Numbers], truth: Sequence[Numbers], C: int) -> list[list[int]]:
    counts = [[0] * C for _ in range(C)]
    for p, d in scored(probabilities, truth):
        counts[d][largest(p)] += 1
    return counts


def half_width(errors: Numbers, thousandths: int) -> Optional:
    """The ceil((n + 1) a)-th smallest of n sizes, a in thousandths."""
    sizes = sorted(abs(e) for e in errors if not math.isnan(e))
    place = math.ceil((len(sizes) + 1) * Fraction(thousandths, 1000))
    return sizes[place - 1] if place <= len(sizes) else None
