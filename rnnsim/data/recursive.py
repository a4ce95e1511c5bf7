"""Forecasts that go on learning row by row: the base from which a network learns on-line (theory.md 7).

A forecast made at row t depends on rows up to t alone. It begins as persistence; to it is added, times a
factor, what recursive least squares on a target's own lags say otherwise, and to that, times another,
what least squares on the lags of all columns say otherwise. Each factor is the least-squares one of the
errors that are known by then, between 0 and 1, older errors counting less: what does not help is left
out, so that a random walk is forecast by its last value, nearly.

At row t a target d(t) is known; what is then learnt for horizon h is the pair (lags at t - h, d(t)).
With h = 0 the forecast of d(t) is made before d(t) is learnt, from columns that are not targets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.compiler.compose import compiled
from rnnsim.data.recursive_kernels import advance_kernel, follow_kernel
from rnnsim.typing import Array, Bools, Integers

LAGS = 10
MOST_REGRESSORS = 100  # with more columns, fewer lags of all columns are taken, or none


class Squares(NamedTuple):
    """Recursive least squares for groups of targets with the same regressors.

    Attributes
    ----------
    columns : (groups, columns) int array
        The inputs whose lags are regressors; -1 for none.
    targets : (groups, targets) int array
    weights : (H, groups, targets, q) array
        Of a constant, and for each column its level, counted from the first row, and its last changes.
    inverse : (H, groups, q, q) array
        The inverse of the regressors' products.
    begun : (H, groups, columns) bool array
        Which columns have moved, and are regressors since.
    lags : (1,) int array
    """

    columns: Integers
    targets: Integers
    weights: Array
    inverse: Array
    begun: Bools
    lags: Integers


class Factors(NamedTuple):
    """What is known of how far an addition to a forecast is to be followed.

    Attributes
    ----------
    products : (k,) array
        The sum of error times addition, older ones counting less.
    squares : (k,) array
        The sum of the squares of the addition.
    simple, added : (most + 1, k) array
        What was said at the last rows, the latest first: the forecast, and what may be added to it.
    rows : (1,) int array
        How many rows of the sequence there were.
    """

    products: Array
    squares: Array
    simple: Array
    added: Array
    rows: Integers


class Recursive(NamedTuple):
    """All that is kept from row to row; arrays, which can be saved.

    Attributes
    ----------
    horizons : (H,) int array
    own : (k0,) int array
        Which input a target is; -1 for none.
    first : (m0,) array
        The first row of all.
    past : (most + lags, m0) array
        The last rows of the sequence, the latest first.
    rows : (2,) int array
        How many rows of the sequence there were, and in all.
    changes : (2, m0) array
        Discounted sums of the squares of changes, and of 1.
    errors : (3, k) array
        The same of the errors of the base, and the latest of them; 0 where it is not known.
    bases : (most + 1, k) array
        The last forecasts, the latest first.
    on_own, on_all : Squares
    by_own, by_all : Factors
    """

    horizons: Integers
    own: Integers
    first: Array
    past: Array
    rows: Integers
    changes: Array
    errors: Array
    bases: Array
    on_own: Squares
    on_all: Squares
    by_own: Factors
    by_all: Factors


class _Room(NamedTuple):
    """Where a row is worked on: (q,) arrays, and (k,) arrays."""

    phi: Array
    v: Array
    anchor: Array
    added: Array
    factor: Array


class Advanced(NamedTuple):
    """What is said at rows that were advanced by.

    Attributes
    ----------
    base : (rows, k) array
        Forecasts, in units: o = j k0 + i of horizon j and target i.
    scale : (rows, k) array
        The root mean square of the errors of the base that are known by then; 1 before there are any.
    signals : (rows, m0 + k) array
        What a network sees: the last change of each input over its root mean square, and the last known
        error of each forecast over its scale; between -5 and 5.
    """

    base: Array
    scale: Array
    signals: Array


def recursive(columns: int, own: tuple[int, ...], horizons: tuple[int, ...]) -> Recursive:
    """Begin, before the first row.

    Parameters
    ----------
    columns : int
        m0, the number of inputs.
    own : tuple of int
        Of each target: which input it is; -1 for none.
    horizons : tuple of int
    """
    H, k0, most = len(horizons), len(own), max(horizons)
    of_all = min(LAGS, MOST_REGRESSORS // columns) if columns > 1 or min(own) < 0 else 0
    every = np.arange(columns if of_all else 0)[None]
    return Recursive(
        horizons=np.array(horizons, np.int64),
        own=np.array(own, np.int64),
        first=np.zeros(columns),
        past=np.zeros((most + LAGS, columns)),
        rows=np.zeros(2, np.int64),
        changes=np.zeros((2, columns)),
        errors=np.zeros((3, H * k0)),
        bases=np.zeros((most + 1, H * k0)),
        on_own=_squares(H, np.array(own, np.int64)[:, None], np.arange(k0)[:, None], LAGS),
        on_all=_squares(H, every, np.arange(k0)[None], of_all),
        by_own=factors(k0, horizons),
        by_all=factors(k0, horizons),
    )


def _squares(H: int, columns: Integers, targets: Integers, lags: int) -> Squares:
    groups, number = columns.shape
    q = 1 + number * lags
    inverse = np.zeros((H, groups, q, q))
    inverse[:, :, 0, 0] = 1.0
    return Squares(
        columns=columns.astype(np.int64),
        targets=targets.astype(np.int64),
        weights=np.zeros((H, groups, targets.shape[1], q)),
        inverse=inverse,
        begun=np.zeros((H, groups, number), np.bool_),
        lags=np.array([lags], np.int64),
    )


def factors(k0: int, horizons: tuple[int, ...]) -> Factors:
    """Begin to follow an addition to forecasts of k0 targets: not at all."""
    k, most = k0 * len(horizons), max(horizons)
    return Factors(
        products=np.zeros(k),
        squares=np.zeros(k),
        simple=np.zeros((most + 1, k)),
        added=np.zeros((most + 1, k)),
        rows=np.zeros(1, np.int64),
    )


def advance(state: Recursive, x: Array, d: Array, starts: Bools) -> Advanced:
    """Go on by any number of rows, one by one or all at once with the same result; the state moves.

    Parameters
    ----------
    state : Recursive
    x : (rows, m0) array
        Inputs in units, finite (missing ones carried forward).
    d : (rows, k0) array
        The targets of these rows; nan where one is missing, or not known.
    starts : (rows,) bool array
        Where a sequence begins: what is learnt stays, rows before it are not looked at.
    """
    k = len(state.own) * len(state.horizons)
    base, scale = np.empty((2, len(x), k))
    signals = np.empty((len(x), x.shape[1] + k))
    q = max(part.weights.shape[3] for part in (state.on_own, state.on_all))
    room = _Room(np.empty(q), np.empty(q), np.empty(k), np.empty(k), np.empty(k))
    compiled(advance_kernel)(state, room, *_rows(x, d, starts), base, scale, signals)
    return Advanced(base, scale, signals)


def follow(
    state: Factors, horizons: tuple[int, ...], base: Array, addition: Array, d: Array, starts: Bools
) -> Array:
    """How far an addition to the base, such as what a network says, is to be followed; the state moves.

    Parameters
    ----------
    state : Factors
    horizons : tuple of int
    base, addition : (rows, k) arrays
        In units: a forecast is ``base + factor * addition``.
    d : (rows, k0) array
        The targets of these rows; nan where one is not known.
    starts : (rows,) bool array

    Returns
    -------
    (rows, k) array
        Factors between 0 and 1, each of which depends on rows up to its own.
    """
    factor = np.empty(base.shape)
    a, b = np.ascontiguousarray(base, float), np.ascontiguousarray(addition, float)
    known, begins = _rows(d, d, starts)[1:]
    compiled(follow_kernel)(state, np.array(horizons, np.int64), a, b, known, begins, factor)
    return factor


def _rows(x: Array, d: Array, starts: Bools) -> tuple[Array, Array, Bools]:
    return (
        np.ascontiguousarray(x, np.float64),
        np.ascontiguousarray(d, np.float64),
        np.ascontiguousarray(starts, np.bool_),
    )
