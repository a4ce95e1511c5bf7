"""Measures of forecasts (theory.md 7): of numbers in their own unit, and of classes.

Rows without a truth or without a forecast do not count; where nothing is left, a measure is nan.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.typing import Array

CONSTANT = 1e-12  # so small a deviation, beside the mean, is the rounding error of the mean


class Measures(NamedTuple):
    """Of forecasts of a number.

    Attributes
    ----------
    scored : int
        The number of forecasts that were scored.
    rmse, mae : float
        The root of the mean squared error, and the mean absolute error.
    nrmse : float
        The first over the standard deviation of the truth; nan if that is constant.
    jitter : float
        The mean absolute difference of successive forecasts.
    """

    scored: int
    rmse: float
    mae: float
    nrmse: float
    jitter: float


class ClassMeasures(NamedTuple):
    """Of forecasts of a class.

    Attributes
    ----------
    scored : int
    accuracy : float
        The share of rows whose most probable class was right.
    cross_entropy : float
        The mean of -log p of the true class, in nats; infinite if one was held to be impossible.
    jitter : float
        The share of successive forecasts that differ.
    """

    scored: int
    accuracy: float
    cross_entropy: float
    jitter: float


def of_numbers(values: Array, truth: Array, follows: Array) -> Measures:
    """Measure the forecasts of a column at a horizon.

    Parameters
    ----------
    values, truth : (T,) arrays
        nan where there is none.
    follows : (T,) bool array
        Whether the entry before is of the row before, of the same sequence.

    Returns
    -------
    Measures
    """
    known = ~(np.isnan(values) | np.isnan(truth))
    errors, found = (values - truth)[known], truth[known]
    rmse = _root_mean_square(errors)
    with np.errstate(all="ignore"):
        spread = _root_mean_square(found - found.mean()) if len(found) > 1 else 0.0
        constant = not spread > CONSTANT * np.abs(found).max(initial=0.0)
    nrmse = np.nan if constant else rmse / spread
    return Measures(len(errors), rmse, _mean(np.abs(errors)), float(nrmse), jitter(values, follows))


def jitter(values: Array, follows: Array) -> float:
    """The mean absolute difference of successive forecasts (T,), never across sequences."""
    with np.errstate(invalid="ignore"):  # of two that are infinite
        moves = np.abs(np.diff(values))[follows[1:]]
    return _mean(moves[~np.isnan(moves)])


def of_classes(probabilities: Array, truth: Array, follows: Array) -> ClassMeasures:
    """Measure the forecasts of a class at a horizon.

    Parameters
    ----------
    probabilities : (T, C) array
        nan where there is no forecast.
    truth : (T, C) array
        1 for the class that it was, 0 for the others; nan where it is not known.
    follows : (T,) bool array

    Returns
    -------
    ClassMeasures
    """
    made = np.asarray(~np.isnan(probabilities).any(axis=1))
    known = np.asarray(made & ~np.isnan(truth).any(axis=1))
    of_truth = probabilities[known, truth[known].argmax(axis=1)]
    right = probabilities[known].argmax(axis=1) == truth[known].argmax(axis=1)
    with np.errstate(divide="ignore"):
        entropy = _mean(-np.log(of_truth))
    said = np.where(made, np.where(made[:, None], probabilities, 0).argmax(axis=1), np.nan)
    moves = (np.diff(said) != 0)[follows[1:] & made[1:] & made[:-1]]
    return ClassMeasures(int(known.sum()), _mean(right), entropy, _mean(moves))


def confusion(probabilities: Array, truth: Array) -> Array:
    """How often each class (row) was held to be each (column); arrays as for :func:`of_classes`.

    Returns
    -------
    (C, C) int array
    """
    known = ~(np.isnan(probabilities).any(axis=1) | np.isnan(truth).any(axis=1))
    C = probabilities.shape[1]
    pairs = truth[known].argmax(axis=1) * C + probabilities[known].argmax(axis=1)
    return np.bincount(pairs, minlength=C * C).reshape(C, C)


def coverage(low: Array, high: Array, truth: Array) -> float:
    """The share of truths (T,) that are in their interval; nan if none has one."""
    known = ~(np.isnan(low) | np.isnan(high) | np.isnan(truth))
    return _mean((low <= truth)[known] & (truth <= high)[known])


def _mean(values: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.mean(values)) if len(values) else float("nan")


def _root_mean_square(values: Array) -> float:
    """Of numbers whose squares may overflow."""
    largest = np.abs(values).max(initial=0.0)
    if not len(values) or not 0 < largest < np.inf:
        return float(largest) if len(values) else float("nan")
    return float(largest * np.sqrt(np.mean((values / largest) ** 2)))
