"""The linear path: an autoregression fitted by ridge, whose rest a network learns (theory.md 7).

A forecast of horizon h is ``base(t) = constant + sum over lags l of (x(t - l) - centre) weights[l]``.
It is fitted in one of several ways: on values or on changes, on a target's own lags or on those of all
columns, and with a penalty, each of which is chosen on the validation part, once for each horizon and
for all its targets: choosing for each target by itself follows the noise of short series. Afterwards
the coefficients can be fitted anew, the same way, on the rows that are learnt and those of validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnsim.data.row_blocks import blocks
from rnnsim.numerics.threads import one_numpy_thread
from rnnsim.typing import Array, Bools, Integers

LAGS = 10
PENALTIES = tuple(10.0**power for power in range(-6, 5))  # times the number of rows, of scaled lags
MOST_ROWS = 10_000  # the last ones, from which coefficients are found and by which ways are judged
MOST_REGRESSORS = 1000  # with more columns, fewer lags of all columns are taken
NO_VARIANCE = 1e-12  # in terms of the largest number: its rounding error
TINY = float(np.finfo(np.float64).tiny)


class Way(NamedTuple):
    """How the coefficients of a horizon are fitted.

    Attributes
    ----------
    of_changes : bool
        Whether the change d(t + h) - d(t) is regressed on changes, or d(t + h) on values.
    own_lags : bool
        Whether on those of the target alone, or of all columns.
    penalty : float
        On the squares of the coefficients of standardised lags, times the number of rows.
    lags : int
    """

    of_changes: bool
    own_lags: bool
    penalty: float
    lags: int = LAGS


class LinearPath(NamedTuple):
    """Coefficients, in the units of the columns.

    Attributes
    ----------
    centre : (m0,) array
    weights : (lags + 1, m0, k) array
    constant : (k,) array
    """

    centre: Array
    weights: Array
    constant: Array


class Regression(NamedTuple):
    """What is to be forecast, and from what.

    Attributes
    ----------
    x : (rows, m0) array
        Inputs in units, finite (missing ones carried forward).
    truth : (rows, k) array
        d(t + h) at row t, ordered by horizon and then by target; nan where there is none.
    starts : (rows,) bool array
        Where a sequence begins; lags do not reach back beyond it.
    horizons : tuple of int
    own : tuple of int
        Of each of the k0 targets: which input it is, -1 where it is none.
    """

    x: Array
    truth: Array
    starts: Bools
    horizons: tuple[int, ...]
    own: tuple[int, ...]


def ways(
    regression: Regression, of_changes: tuple[bool, ...] = (False, True),
    own_lags: tuple[bool, ...] = (True, False), penalties: tuple[float, ...] = PENALTIES,
) -> tuple[Way, ...]:  # fmt: skip
    """All ways to choose among, the simpler ones first."""
    columns = regression.x.shape[1]
    has_own = columns > 1 and any(own >= 0 for own in regression.own)
    scopes = own_lags if has_own else (False,)
    of_all = max(1, min(LAGS, MOST_REGRESSORS // columns))
    return tuple(
        Way(change, own, penalty, LAGS if own else of_all)
        for own in scopes
        for change in of_changes
        for penalty in penalties
    )


class Judged(NamedTuple):
    """How well each way forecasts validation, fitted to what is learnt.

    Attributes
    ----------
    among : tuple of Way
    errors : (H, ways) array
        The mean squared error over the variance, a sum over the targets.
    """

    among: tuple[Way, ...]
    errors: Array

    def best(self, of_changes: tuple[bool, ...] = (False, True)) -> tuple[Way, ...]:
        """The best way for each horizon, of those on values, on changes, or on both."""
        some = [i for i, way in enumerate(self.among) if way.of_changes in of_changes]
        return tuple(self.among[some[int(np.argmin(errors[some]))]] for errors in self.errors)


@one_numpy_thread()
def judged(
    regression: Regression, learnt: Bools, validation: Bools, among: tuple[Way, ...] | None = None
) -> Judged:
    """Fit by each way to what is learnt, and look how well it forecasts validation.

    Parameters
    ----------
    regression : Regression
    learnt, validation : (rows, k) bool arrays
        Whether the target is one of that part. Where validation has none, the last fifth of what is
        learnt stands in its place.
    among : tuple of Way, optional
        Those to choose among; by default :func:`ways`.
    """
    among = ways(regression) if among is None else among
    k0 = len(regression.own)
    of_horizon = [slice(j * k0, (j + 1) * k0) for j in range(len(regression.horizons))]
    errors = [
        _errors_of_ways(regression, j, learnt[:, outputs], validation[:, outputs], among)
        for j, outputs in enumerate(of_horizon)
    ]
    return Judged(among, np.array(errors))


@one_numpy_thread()
def fitted(regression: Regression, rows: Bools, chosen: tuple[Way, ...]) -> LinearPath:
    """Fit the coefficients by the way chosen for each horizon.

    Parameters
    ----------
    regression : Regression
    rows : (rows, k) bool array
        Whether a target may be learnt from.
    chosen : tuple of Way
        One for each horizon.
    """
    k0, columns = len(regression.own), regression.x.shape[1]
    most = max((way.lags for way in chosen), default=LAGS) + 1
    centre = _centre(regression, rows)
    weights = np.zeros((most, columns, regression.truth.shape[1]))
    constant = np.zeros(regression.truth.shape[1])
    for j, way in enumerate(chosen):
        data = _rows(regression, j, rows[:, j * k0 : (j + 1) * k0], centre, complete=True)
        for targets in _groups(regression, j, data.known, way):
            fit = _fits(regression, j, targets, data, (way,))[0]
            outputs = [j * k0 + i for i in targets]
            found, constant[outputs] = fit.in_units(way, columns, most, centre)
            weights[:, :, outputs] = found
    return LinearPath(centre, weights, constant)


@one_numpy_thread()
def forecasts(path: LinearPath, x: Array, starts: Bools) -> Array:
    """base (rows, k), each row of which depends on earlier rows of its sequence and on no later one.

    Before a sequence begins its columns are taken to be as in its first row.

    Parameters
    ----------
    path : LinearPath
    x : (rows, m0) array
        Inputs in units, finite.
    starts : (rows,) bool array
    """
    most, m0 = len(path.weights) - 1, x.shape[1]
    base = np.empty((len(x), len(path.constant)))
    weights = np.ascontiguousarray(path.weights[::-1]).reshape((most + 1) * m0, -1)
    for block in blocks(len(x)):
        before = max(block.start - most, 0)
        centred = x[before : block.stop] - path.centre
        lacking = most - (block.start - before)
        centred = np.concatenate([np.repeat(centred[:1], lacking, axis=0), centred])
        # a row and those before it are one piece of memory, the earliest first
        rows = sliding_window_view(centred.reshape(-1), (most + 1) * m0)[::m0]
        np.matmul(np.ascontiguousarray(rows), weights, out=base[block])
        base[block] += path.constant
    rows = np.flatnonzero(~has_lags(starts, most))
    window = windows(x, starts, rows, most + 1) - path.centre
    base[rows] = path.constant + np.einsum("tlm,lmk->tk", window, path.weights)
    return base


def begin_of(starts: Bools) -> Integers:
    """Of each row: the first row of its sequence."""
    rows = np.arange(len(starts))
    return np.maximum.accumulate(np.where(starts, rows, 0))


def lagged_rows(values: Array, begins: Integers, lag: int) -> Array:
    """The row that is ``lag`` before each one, or the first of its sequence."""
    return values[np.maximum(np.arange(len(values)) - lag, begins)] if lag else values


def windows(x: Array, starts: Bools, rows: Integers, length: int) -> Array:
    """Of each of some rows: itself and those before it in its sequence, (rows, length, m0).

    The latest comes first; what is before the sequence is taken to be as its first row.
    """
    begins = begin_of(starts)[rows]
    found: Array = x[np.maximum(rows[:, None] - np.arange(length), begins[:, None])]
    return found


def has_lags(starts: Bools, lags: int) -> Bools:
    """Whether a row has so many rows before it in its sequence."""
    begins = starts.copy()
    begins[:1] = True
    lacks = np.zeros(len(starts), np.bool_)
    for lag in range(min(lags, len(starts))):
        lacks[lag:] |= begins[: len(begins) - lag]
    return ~lacks


# --- one regression ------------------------------------------------------------------------------------


class _Fit(NamedTuple):
    """Coefficients of some targets of one horizon, for one penalty."""

    columns: tuple[int, ...]  # whose lags they are of
    weights: Array  # (lags of columns, targets), of lags as they are
    constant: Array
    anchors: tuple[int, ...]  # the input from which a change is counted; -1: none

    def in_units(self, way: Way, m0: int, most: int, centre: Array) -> tuple[Array, Array]:
        """Weights (lags + 1, m0, targets) of centred values, and the constant."""
        own = self.weights.reshape(way.lags, len(self.columns), -1)
        weights = np.zeros((most, m0, own.shape[2]))
        weights[: way.lags, self.columns] = own
        if way.of_changes:
            weights[1 : way.lags + 1, self.columns] -= own
        constant = self.constant.copy()
        for target, anchor in enumerate(self.anchors):
            if anchor >= 0:
                weights[0, anchor, target] += 1
                constant[target] += centre[anchor]
        return weights, constant


def _columns(regression: Regression, j: int, target: int, way: Way) -> tuple[int, ...]:
    """The columns whose lags a target is regressed on; with h = 0 not those that are targets."""
    own = regression.own[target]
    targets = set(regression.own) if regression.horizons[j] == 0 else set()
    if way.own_lags and own >= 0 and own not in targets:
        return (own,)
    return tuple(i for i in range(regression.x.shape[1]) if i not in targets)


class _Rows(NamedTuple):
    """Rows of the data, with the lags that regressions use, counted from a centre."""

    rows: Integers
    windows: Array  # (rows, lags + 1, m0)
    known: Bools  # (rows, k0): whether a target counts

    def lags(self, columns: tuple[int, ...], used: Bools, way: Way) -> Array:
        """Regressors (rows, lags of columns) of the rows that are used: the latest lag first."""
        chosen = self.windows if used.all() else self.windows[used]
        if len(columns) < chosen.shape[2]:
            chosen = chosen[:, :, list(columns)]
        lags = chosen[:, : way.lags]
        if way.of_changes:
            lags = lags - chosen[:, 1 : way.lags + 1]
        return lags.reshape(len(lags), way.lags * len(columns))


def _rows(regression: Regression, j: int, counted: Bools, centre: Array, complete: bool) -> _Rows:
    """The last rows with a target that counts, where possible those with all lags."""
    k0 = len(regression.own)
    known = counted & np.isfinite(regression.truth[:, j * k0 : (j + 1) * k0])
    rows = np.flatnonzero(known.any(axis=1))
    if complete and len(whole := rows[rows - begin_of(regression.starts)[rows] >= LAGS]):
        rows = whole
    rows = rows[-MOST_ROWS:]
    window = windows(regression.x, regression.starts, rows, LAGS + 1) - centre
    return _Rows(rows, window, known[rows])


def _centre(regression: Regression, rows: Bools) -> Array:
    used = np.flatnonzero(rows.any(axis=1))[-MOST_ROWS:]
    return regression.x[used].mean(axis=0) if len(used) else np.zeros(regression.x.shape[1])


def _groups(regression: Regression, j: int, known: Bools, way: Way) -> list[list[int]]:
    """Targets that are fitted together, having the same regressors and rows."""
    groups: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for i in range(len(regression.own)):
        key = (_columns(regression, j, i, way), np.packbits(known[:, i]).tobytes())
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _aims(
    regression: Regression, j: int, targets: list[int], rows: Integers, way: Way
) -> tuple[Array, tuple[int, ...]]:
    """What is regressed, (rows, targets), and the inputs from which changes are counted."""
    k0 = len(regression.own)
    d = regression.truth[rows][:, [j * k0 + i for i in targets]]
    counted = way.of_changes and regression.horizons[j] > 0
    anchors = tuple(regression.own[i] if counted else -1 for i in targets)
    for column, anchor in enumerate(anchors):
        if anchor >= 0:
            d[:, column] -= regression.x[rows, anchor]
    return d, anchors


def _fits(
    regression: Regression, j: int, targets: list[int], data: _Rows, alike: tuple[Way, ...]
) -> list[_Fit]:
    """Ridge for ways that differ in their penalty alone, by one eigendecomposition."""
    way, used = alike[0], data.known[:, targets[0]]
    columns = _columns(regression, j, targets[0], way)
    aims, anchors = _aims(regression, j, targets, data.rows[used], way)
    if not len(aims) or not columns:
        mean = aims.mean(axis=0) if len(aims) else np.zeros(len(targets))
        nothing = np.zeros((way.lags * len(columns), len(targets)))
        return [_Fit(columns, nothing, mean, anchors)] * len(alike)
    lags = data.lags(columns, used, way)
    mean, aim = lags.mean(axis=0), aims.mean(axis=0)
    size = np.abs(lags).max(axis=0)
    lags = lags - mean
    unit = np.sqrt(np.square(lags).mean(axis=0))
    unit = np.where(unit > NO_VARIANCE * size, unit, np.inf)
    lags /= unit
    values, vectors = np.linalg.eigh(lags.T @ lags)
    turned = vectors.T @ (lags.T @ (aims - aim))
    fits = []
    for one in alike:
        ridge = np.maximum(values, 0) + one.penalty * len(lags)
        weights = vectors @ (turned / ridge[:, None]) / unit[:, None]
        fits.append(_Fit(columns, weights, aim - mean @ weights, anchors))
    return fits


# --- the choice ----------------------------------------------------------------------------------------


def _errors_of_ways(
    regression: Regression, j: int, learnt: Bools, validation: Bools, among: tuple[Way, ...]
) -> Array:
    """Of each way: mean squared errors over the variance, a sum over the targets."""
    k0 = len(regression.own)
    known = np.isfinite(regression.truth[:, j * k0 : (j + 1) * k0])
    if not (validation & known).any():
        learnt, validation = _last_fifth(learnt & known)
    centre = _centre(regression, learnt)
    fit_to = _rows(regression, j, learnt, centre, complete=True)
    judged = _rows(regression, j, validation, centre, complete=False)
    errors = np.zeros(len(among))
    for numbers in _alike(among):
        alike = tuple(among[number] for number in numbers)
        for targets in _groups(regression, j, fit_to.known, alike[0]):
            fits = _fits(regression, j, targets, fit_to, alike)
            errors[list(numbers)] += _errors(regression, j, targets, judged, alike[0], fits)
    return errors


def _alike(among: tuple[Way, ...]) -> Iterator[tuple[int, ...]]:
    """The numbers of ways that differ in their penalty alone."""
    groups: dict[Way, list[int]] = {}
    for number, way in enumerate(among):
        groups.setdefault(way._replace(penalty=0.0), []).append(number)
    yield from map(tuple, groups.values())


def _errors(
    regression: Regression, j: int, targets: list[int], data: _Rows, way: Way, fits: list[_Fit]
) -> Array:
    """Of each fit: squared errors over the variance, a sum over the targets."""
    everything = np.ones(len(data.rows), np.bool_)
    lags = data.lags(fits[0].columns, everything, way)
    aims, _ = _aims(regression, j, targets, data.rows, way)
    k0 = len(regression.own)
    total = np.zeros(len(fits))
    weights = np.concatenate([fit.weights for fit in fits], axis=1)
    said = (lags @ weights).reshape(len(lags), len(fits), len(targets))
    said += np.stack([fit.constant for fit in fits])
    for place, i in enumerate(targets):
        counted = data.known[:, i]
        if not counted.any():
            continue
        d = regression.truth[data.rows[counted], j * k0 + i]
        floor = max(np.square(NO_VARIANCE * float(np.abs(d).max())), TINY)
        errors = np.square(said[counted, :, place] - aims[counted, place, None])
        total += errors.mean(axis=0) / max(float(d.var()), floor)
    return total


def _last_fifth(learnt: Bools) -> tuple[Bools, Bools]:
    """What is learnt, divided into its earlier rows and its last fifth."""
    index = np.flatnonzero(learnt.any(axis=1))
    later = np.zeros_like(learnt)
    later[index[len(index) - len(index) // 5 :]] = True
    return learnt & ~later, learnt & later
