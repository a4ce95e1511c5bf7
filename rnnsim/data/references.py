"""Forecasts that any figure stands beside (theory.md 7): the last value, the last season, ridge.

All are (rows, H k0) arrays, ordered by horizon and then by target: what is said at row t of row t + h.
"""

from __future__ import annotations

import numpy as np

from rnnsim.data.linear import (
    Judged,
    LinearPath,
    Regression,
    Way,
    begin_of,
    fitted,
    judged,
    lagged_rows,
)
from rnnsim.typing import Array, Bools, Integers

LONGEST_SERIES = 20_000  # rows in which a season is looked for, the last that are learnt
LEAST_CORRELATION = 0.2  # of a season, and at least so many standard errors of it:
STANDARD_ERRORS = 4.0
NEARLY = 0.75  # of the highest correlation: the shortest such season is taken, not a multiple of it
SHORTEST, FEWEST_SEASONS = 3, 3  # rows; seasons that are seen


def persistence(d: Array, starts: Bools, horizons: tuple[int, ...]) -> Array:
    """The last value that is known at row t; of h = 0, where d(t) is to be told, the one before.

    Parameters
    ----------
    d : (rows, k0) array
        nan where a value is missing; the value before it then stands for it.
    starts : (rows,) bool array
        Where a sequence begins.
    horizons : tuple of int

    Returns
    -------
    (rows, H k0) array
        nan where no value of the sequence is known yet.
    """
    last = _last_known(d, starts)
    before = _before(last, starts, 1)
    return np.concatenate([last if h > 0 else before for h in horizons], axis=1)


def seasonal_persistence(d: Array, starts: Bools, horizons: tuple[int, ...], season: int) -> Array:
    """The value of whole seasons before; the last value where none is known.

    Parameters
    ----------
    d : (rows, k0) array
    starts : (rows,) bool array
    horizons : tuple of int
    season : int
        Rows.
    """
    parts = []
    for h in horizons:
        back = season - h if h == 0 else -(-h // season) * season - h
        parts.append(_before(d, starts, back))
    found = np.concatenate(parts, axis=1)
    return np.where(np.isnan(found), persistence(d, starts, horizons), found)


def season_of(d: Array, starts: Bools, learnt: Bools) -> int | None:
    """The season of series, found by the autocorrelation of its changes where it is learnt.

    It is the highest peak after the autocorrelation, a mean over the targets, has first been negative,
    or the first that is nearly as high.

    Parameters
    ----------
    d : (rows, k0) array
    starts : (rows,) bool array
    learnt : (rows,) bool array

    Returns
    -------
    int or None
        Rows; None where there is no season.
    """
    correlation, rows = _autocorrelation(d, starts, learnt)
    most = rows // FEWEST_SEASONS
    negative = np.flatnonzero(correlation[: most + 1] < 0)
    if not len(negative) or len(correlation) < most + 2:
        return None
    first = max(int(negative[0]), SHORTEST)
    lags = np.arange(first, most + 1)
    peaks = lags[
        (correlation[lags] > correlation[lags - 1]) & (correlation[lags] >= correlation[lags + 1])
    ]
    least = max(LEAST_CORRELATION, STANDARD_ERRORS / np.sqrt(max(rows, 1)))
    peaks = peaks[correlation[peaks] > least]
    if not len(peaks):
        return None
    high = peaks[correlation[peaks] >= NEARLY * correlation[peaks].max()]
    around = peaks[np.abs(peaks - high[0]) <= high[0] // 10]  # among peaks of noise, the highest
    return int(around[np.argmax(correlation[around])])


def last_class(d: Array, starts: Bools, horizons: tuple[int, ...], classes: int) -> Array:
    """The last class that is known, (rows, H classes) of 0 and 1; all 0 where none is known yet.

    Parameters
    ----------
    d : (rows, 1) array
        The index of the class; nan where it is missing.
    starts : (rows,) bool array
    horizons : tuple of int
    classes : int
    """
    last = persistence(d, starts, horizons)
    hot = last[:, :, None] == np.arange(classes)
    return np.asarray(hot.reshape(len(d), -1).astype(float))


def ridge_autoregression(
    regression: Regression, learnt: Bools, validation: Bools, already: Judged | None = None
) -> tuple[LinearPath, tuple[Way, ...]]:
    """The autoregression on ten lags of values, fitted to what is learnt and to validation.

    Its penalty, and whether the lags are those of all columns, are chosen on validation.

    Parameters
    ----------
    regression : Regression
    learnt, validation : (rows, k) bool arrays
    already : Judged, optional
        What was found of all ways, if it is known.
    """
    found = judged(regression, learnt, validation) if already is None else already
    chosen = found.best(of_changes=(False,))
    return fitted(regression, learnt | validation, chosen), chosen


# --- rows before ---------------------------------------------------------------------------------------


def _last_known(d: Array, starts: Bools) -> Array:
    """Each value, or the last one before it in its sequence that is known; nan where there is none."""
    begins, rows = begin_of(starts), np.arange(len(d))[:, None]
    at = np.maximum.accumulate(np.where(np.isnan(d), -1, rows), axis=0)
    found = np.take_along_axis(d, np.maximum(at, 0), axis=0)
    return np.where(at >= begins[:, None], found, np.nan)


def _before(d: Array, starts: Bools, back: int) -> Array:
    """The value so many rows before; nan where that is before the sequence."""
    begins = begin_of(starts)
    inside = np.arange(len(d)) - back >= begins
    return np.where(inside[:, None], lagged_rows(d, begins, back), np.nan)


def _autocorrelation(d: Array, starts: Bools, learnt: Bools) -> tuple[Array, int]:
    """Of the changes of the last rows that are learnt, by lag, and how many rows there are."""
    rows: Integers = np.flatnonzero(learnt & ~starts)[-LONGEST_SERIES:]
    rows = rows[rows > 0]
    changes = d[rows] - d[rows - 1]
    known = np.isfinite(changes)
    count = np.maximum(known.sum(axis=0), 1)
    changes = np.where(known, changes - np.where(known, changes, 0).sum(axis=0) / count, 0)
    size = np.sqrt(np.square(changes).mean(axis=0)) if len(rows) else np.zeros(d.shape[1])
    moves = size > 0
    if not moves.any():
        return np.zeros(0), 0
    spectrum = np.fft.rfft(changes[:, moves] / size[moves], 2 * len(rows), axis=0)
    power = np.square(np.abs(spectrum)).mean(axis=1)
    products = np.fft.irfft(power, 2 * len(rows))[: len(rows)]
    return np.asarray(products / len(rows)), len(rows)  # of long lags less: noise
