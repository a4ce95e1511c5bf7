"""Scaling: each column by its mean and standard deviation over the rows that are learnt from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.data.row_blocks import total
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array, Bools

LARGEST, SMALLEST = 1e100, 1e-100  # the products of three of which are numbers


class Scaling(NamedTuple):
    """(value - mean) / scale, column by column.

    Attributes
    ----------
    mean, scale : (columns,) float64 array
        The scale of a column that is constant where it is learnt is 1.
    constant : (columns,) bool array
    """

    mean: Array
    scale: Array
    constant: Bools

    def scaled(self, values: Array) -> Array:
        """Columns (rows, columns) in standard deviations."""
        return np.asarray((values - self.mean) / self.scale)


def scaling_of(values: Array, names: tuple[str, ...], source: str) -> Scaling:
    """The scaling of columns (rows, columns) of what is learnt, whose missing values are nan.

    Raises
    ------
    RnnsimError
        If a column has no value at all, or the numbers are too large, or too close.
    """
    if (empty := np.flatnonzero(_count(values) == 0)).size:
        raise RnnsimError(
            f"{source}: column {names[empty[0]]} has no value in the rows that are learnt; leave it "
            "out, or let more rows be learnt"
        )
    check_size(values, names, source)
    mean, deviation = mean_and_deviation(values)
    constant = deviation <= 1e-12 * np.abs(mean)  # which is the rounding error of the mean
    return Scaling(mean, np.where(constant, 1.0, deviation), constant)


def mean_and_deviation(values: Array) -> tuple[Array, Array]:
    """Of columns (rows, columns) whose missing values are nan; 0 where there is no value."""
    count = np.maximum(_count(values), 1)
    mean = total(len(values), lambda rows: _known_or_0(values[rows])) / count
    squares = total(len(values), lambda rows: np.square(_known_or_0(values[rows] - mean)))
    return mean, np.sqrt(squares / count)


def _known_or_0(values: Array) -> Array:
    known = np.isfinite(values)
    return values if known.all() else np.where(known, values, 0)


def _count(values: Array) -> Array:
    """How many values of each column are known."""
    return total(len(values), lambda rows: np.isfinite(values[rows]))


def check_size(values: Array, names: tuple[str, ...], source: str) -> None:
    """Refuse columns (rows, columns) the squares of whose numbers, or differences, are no numbers.

    Raises
    ------
    RnnsimError
        The message names the column.
    """
    if not len(values):
        return
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # nan where nothing is known
    for name, least, most in zip(names, low, high):
        if max(-least, most) > LARGEST:
            raise RnnsimError(f"{source}: the numbers of {name} are too large to be standardised, up to "
                              f"{max(-least, most):.3g}; rescale them")  # fmt: skip
        if 0 < most - least < SMALLEST:
            raise RnnsimError(f"{source}: the numbers of {name} are too close to be standardised, all "
                              f"within {most - least:.3g}; rescale them")  # fmt: skip


def unscaled(columns: int) -> Scaling:
    """The scaling that changes nothing."""
    return Scaling(np.zeros(columns), np.ones(columns), np.zeros(columns, np.bool_))
