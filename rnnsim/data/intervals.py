"""Intervals of forecasts from errors on data that were not learnt from, by split conformal prediction.

Of n exchangeable errors and one more, the last is at most the ceil((n + 1) a)-th smallest of the n with
probability a at least: so far to both sides of a forecast the truth is with that probability, whatever
the errors' distribution [Vovk, Gammerman & Shafer 2005; Lei et al. 2018]. Errors of a series are not
quite exchangeable, so that the share that was covered is reported beside the one that is claimed.
"""

from __future__ import annotations

import math

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

LEVEL = 0.9  # the share that an interval is to cover, by default
STEPS = 1000  # levels are multiples of one in so many


def level_of(level: object) -> float:
    """Check the share that an interval is to cover.

    Raises
    ------
    RnnsimError
        If it is not above 0, or above 0.999.
    """
    return checks.real("level", level, above=0.0, at_most=(STEPS - 1) / STEPS)


def half_widths(errors: Array) -> Array:
    """Half the width of an interval at each level 0.001, 0.002, ..., 0.999.

    Parameters
    ----------
    errors : (N, H, k0) array
        Truth less forecast on data that were not learnt from; nan where there was no truth.

    Returns
    -------
    (999, H, k0) array
        The ceil((n + 1) a)-th smallest of n sizes; nan where there are too few for the level.
    """
    sizes = np.sort(np.abs(errors), axis=0)  # nan is sorted to the end
    count = (~np.isnan(sizes)).sum(axis=0)
    steps = np.arange(1, STEPS).reshape(-1, *([1] * count.ndim))
    place = -(-(count + 1) * steps // STEPS)  # in whole numbers: (n + 1) 0.9 may be rounded up
    if not len(sizes):
        return np.full(place.shape, np.nan)
    found = np.take_along_axis(sizes, np.minimum(place, len(sizes)) - 1, axis=0)
    return np.where(place <= count, found, np.nan)


def half_width(widths: Array, level: float = LEVEL) -> Array:
    """The half widths (H, k0) of a level, of what :func:`half_widths` gave; of the next one above it.

    Raises
    ------
    RnnsimError
        If the level is not above 0, or above 0.999, or the widths are of no such shape.
    """
    if widths.shape[0] != STEPS - 1:
        raise RnnsimError(f"the widths of intervals must be given for {STEPS - 1} levels, not "
                          f"{widths.shape[0]}")  # fmt: skip
    step = math.ceil(round(level_of(level) * STEPS, 6))
    return np.asarray(widths[step - 1])
