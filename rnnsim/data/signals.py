"""What a network beside a linear path sees, and how far it is followed.

It sees what changes, not where the columns are: values that were never seen while it was learning would
lead it astray, and what is linear in them the path has. So its inputs are the last change of each
column, and the last error of each of the path's forecasts that is known, both in the units of what is
learnt. What it says is followed as far as it helped on validation data (:func:`shrinkage`).
"""

from __future__ import annotations

import numpy as np

from rnnsim.data.linear import NO_VARIANCE, begin_of, lagged_rows
from rnnsim.typing import Array, Bools

MOST_SIGNAL = 5.0


def changes(x: Array, starts: Bools) -> Array:
    """x(t) - x(t - 1), (rows, m0); 0 where a sequence begins."""
    return np.asarray(x - lagged_rows(x, begin_of(starts), 1))


def last_errors(d: Array, base: Array, starts: Bools, horizons: tuple[int, ...]) -> Array:
    """The last error that is known at row t of each forecast, (rows, k); 0 where it is not known.

    Parameters
    ----------
    d : (rows, k0) array
        nan where a target is missing.
    base : (rows, k) array
        What was said at each row, ordered by horizon and then by target.
    starts : (rows,) bool array
    horizons : tuple of int
        Of h = 0 it is the error of the row before.
    """
    begins, rows, k0 = begin_of(starts), np.arange(len(d)), d.shape[1]
    errors = np.zeros(base.shape)
    for j, h in enumerate(horizons):
        of_horizon = slice(j * k0, (j + 1) * k0)
        back, truth = (h, d) if h > 0 else (1, lagged_rows(d, begins, 1))
        error = truth - lagged_rows(base[:, of_horizon], begins, back)
        inside = (rows - back >= begins)[:, None]
        errors[:, of_horizon] = np.where(inside & np.isfinite(error), error, 0.0)
    return errors


def scale_of(values: Array, counted: Bools) -> Array:
    """The root mean square of columns over the rows that count; 1 where it is 0.

    Parameters
    ----------
    values : (rows, columns) array
    counted : (rows,) or (rows, columns) bool array
    """
    counted = np.broadcast_to(counted if counted.ndim == 2 else counted[:, None], values.shape)
    held = np.where(counted, values, 0.0)
    size = np.abs(held).max(axis=0, initial=0.0)
    unit = np.where(size > 0, size, 1.0)
    mean = np.square(held / unit).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    scale = unit * np.sqrt(mean)
    return np.asarray(np.where(scale > 0, scale, 1.0))


def rest_scale(rest: Array, learnt: Bools, spread: Array) -> Array:
    """The scale of what the path leaves; 1 standard deviation of the target where it leaves nothing.

    Parameters
    ----------
    rest : (rows, k) array
    learnt : (rows, k) bool array
    spread : (k,) array
        The targets' standard deviations.
    """
    found = scale_of(rest, learnt)
    nothing = ~np.where(learnt, np.abs(rest) > NO_VARIANCE * spread, False).any(axis=0)
    return np.where(nothing, spread, found)


def signals(changes: Array, errors: Array, change_scale: Array, scale: Array) -> Array:
    """The inputs (rows, m0 + k) of a network: scaled changes, and scaled errors, between -5 and 5."""
    found = np.concatenate([changes / change_scale, errors / scale], axis=1)
    return np.clip(found, -MOST_SIGNAL, MOST_SIGNAL, out=found)


def shrinkage(rest: Array, outputs: Array, counted: Bools) -> Array:
    """How far each output is followed, (k,): between 0 and 1, by its squared error on these rows.

    It is the least-squares factor, times the positive part of 1 - 1 / F, where F is the square of that
    factor over its variance [James & Stein 1961]: an output that helps by no more than chance is left
    out.

    Parameters
    ----------
    rest, outputs : (rows, k) arrays
        What is to be learnt, and what the network says, on validation rows.
    counted : (rows, k) bool array
        Whether there is a target.
    """
    said, aim = np.where(counted, outputs, 0.0), np.where(counted, rest, 0.0)
    size, product = np.square(said).sum(axis=0), (said * aim).sum(axis=0)
    tells = (size > 0) & (product > 0)
    factor = np.clip(product / np.where(tells, size, 1.0), 0, 1)
    left = np.square(aim - factor * said).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    surprise = left * size / np.where(tells, np.square(product), 1.0)
    return np.asarray(np.where(tells, factor * np.maximum(0.0, 1.0 - surprise), 0.0))
