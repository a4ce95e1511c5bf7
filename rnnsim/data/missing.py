"""Missing values: a target without one has no error, an input without one keeps its last value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnsim.data.columns import Columns
from rnnsim.data.series import Series
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array, Bools

CHOICES = ("mask", "drop", "error")


def treated(series: Series, missing: str, columns: Columns) -> Series:
    """Treat values that are missing or infinite, by ``mask``, ``drop`` or ``error``.

    With ``mask`` they stay, as nan; :func:`carried_forward` and masks of targets do the rest.

    Raises
    ------
    RnnsimError
        With ``error``, if a value is missing, with its place; with ``drop``, if no row is left.
    """
    x = without_infinite(series.x)
    d = x if series.d is series.x else without_infinite(series.d)
    series = replace(series, x=x, d=d)
    if missing == "mask":
        return series
    lacks = np.asarray(np.isnan(x).any(axis=1) | np.isnan(d).any(axis=1))
    if not lacks.any():
        return series
    if missing == "drop":
        if lacks.all():
            raise RnnsimError(
                f"{columns.source}: every row lacks a value, so that missing=drop leaves none"
            )
        return series.select(~lacks)
    row = int(np.flatnonzero(lacks)[0])
    place = columns.place(int(series.order[row]))
    names = [str(one) for one, value in zip(series.features, x[row]) if np.isnan(value)]
    names += [name for name, value in zip(series.targets, d[row]) if np.isnan(value)]
    raise RnnsimError(
        f"{columns.source}, {place}, column {names[0]}: no finite number, and missing=error; mask or "
        "drop goes on without it"
    )


def without_infinite(values: Array) -> Array:
    """The values, with nan in place of infinite ones."""
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def carried_forward(x: Array, starts: Bools, at_first: Array) -> Array:
    """Values with each missing one replaced by the last one before it in its sequence.

    Parameters
    ----------
    x : (rows, columns) array
    starts : (rows,) bool array
        Where sequences begin.
    at_first : (columns,) array
        What stands in where a sequence has had no value yet.
    """
    lacks = np.isnan(x)
    if not lacks.any():
        return x
    rows = np.arange(len(x))
    begin = np.maximum.accumulate(np.where(starts, rows, 0))
    filled = x.copy()
    for j in np.flatnonzero(lacks.any(axis=0)):
        last = np.maximum.accumulate(np.where(lacks[:, j], -1, rows))
        known = last >= begin
        filled[:, j] = np.where(known, x[np.maximum(last, 0), j], at_first[j])
    return filled
