"""Quantiles of numbers that may be infinite, as the losses of runs that diverged are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnnsim.typing import Array


def between(low: Array, high: Array, weight: Array) -> Array:
    """From ``low`` (weight 0) to ``high`` (weight 1); both may be infinite."""
    with np.errstate(invalid="ignore"):
        inside = low + weight * (high - low)
    inside = np.where(np.isinf(low), low, inside)  # inf - inf, and -inf + inf
    return np.where((weight == 0) | (low == high), low, inside)


def quantiles(values: Array, shares: Sequence[float]) -> Array:
    """The quantiles (Q, ...) of values (n, ...) over their first axis, linear between neighbours."""
    ordered, last = np.sort(values, axis=0), len(values) - 1
    return np.array([
        between(ordered[math.floor(q * last)], ordered[math.ceil(q * last)], np.array(q * last % 1))
        for q in shares
    ])  # fmt: skip
