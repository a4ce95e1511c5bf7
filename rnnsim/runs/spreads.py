"""Curves of several runs as one: their median over the steps, and the quartiles around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from rnnsim.numerics.quantiles import quantiles
from rnnsim.typing import Array

POINTS = 100  # at most: neighbours are merged, as single windows fluctuate
QUARTILES = (0.25, 0.5, 0.75)


class Curve(NamedTuple):
    """Values of a run over the steps.

    Attributes
    ----------
    step, values : (points,) array
        In the order of the steps.
    diverged : bool
        Whether the run ended there because it diverged.
    """

    step: Array
    values: Array
    diverged: bool = False


def spread_of(curves: Iterable[Curve]) -> tuple[Array, Array]:
    """The quartiles and the median of curves, at the steps of the one that lasts longest.

    Neighbouring points of that are merged into at most ``POINTS`` parts, and each curve has its mean
    over the part; in a part without points of it, it is linear between those beside. Beyond its end a
    curve has its last value, or inf if the run diverged.

    Returns
    -------
    steps : (P,) array
        The last of each part.
    spread : (3, P) array
    """
    some = [curve for curve in curves if len(curve.step)]
    if not some:
        return np.zeros(0), np.zeros((3, 0))
    longest = max(some, key=lambda curve: (curve.step[-1], -len(curve.step))).step
    ends = np.array([part[-1] for part in np.array_split(longest, min(POINTS, len(longest)))], float)
    return ends, quantiles(np.array([_at(ends, curve) for curve in some]), QUARTILES)


def _at(ends: Array, curve: Curve) -> Array:
    """A curve's means over the parts that have these ends."""
    known = np.isfinite(curve.values)
    part = np.searchsorted(ends, curve.step[known])
    number = np.bincount(part, minlength=len(ends))
    if not number.any():
        return np.full(len(ends), np.inf)
    some = number > 0
    means = np.bincount(part, curve.values[known], len(ends))[some] / number[some]
    return np.interp(ends, ends[some], means, right=np.inf if curve.diverged else None)
