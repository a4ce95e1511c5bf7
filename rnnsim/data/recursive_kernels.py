"""The kernels of :mod:`rnnsim.data.recursive`: what is done at a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.typing import Array, Bools, Integers

MEMORY = 0.995  # how much an error counts after one more, where factors are found
SCALE_MEMORY = 0.999  # the same of the scales of changes and errors
MOST_SIGNAL = 5.0
MOST_ERROR = (
    30.0  # scales: a larger error counts as that in the scale, which else it would rule for long
)
MOST_LEVERAGE = 1e12  # of a row; beyond, the inverse would be rounding error


@kernel(allocates=False)
def advance_kernel(
    state: Any, room: Any, x: Array, d: Array, starts: Bools, base: Array, scale: Array, signals: Array
) -> None:
    """Advance by rows: learn what is known at each, then forecast."""
    total, count, latest = state.errors[0], state.errors[1], state.errors[2]
    for t in range(len(x)):
        if starts[t]:
            state.rows[0], state.by_own.rows[0], state.by_all.rows[0] = 0, 0, 0
            for o in range(len(latest)):
                latest[o] = 0.0
        _take_in(state, x[t], signals[t])
        _learn_all(state, room, d[t], False)
        _forecast(state, room, x[t], base[t])
        for o in range(len(latest)):
            scale[t, o] = np.sqrt(total[o] / count[o]) if total[o] > 0 else 1.0
            signals[t, x.shape[1] + o] = _scaled(latest[o], total[o], count[o])
        _put_first(base[t], state.bases)
        _learn_all(state, room, d[t], True)


@kernel(allocates=False)
def follow_kernel(
    state: Any, horizons: Integers, base: Array, addition: Array, d: Array, starts: Bools, factor: Array
) -> None:
    """Find, row by row, how far an addition to a forecast is to be followed."""
    for t in range(len(base)):
        if starts[t]:
            state.rows[0] = 0
        _judge(state, horizons, d[t], False)
        _say(state, base[t], addition[t], factor[t])
        _judge(state, horizons, d[t], True)


@kernel(allocates=False)
def _learn_all(state: Any, room: Any, d: Array, at_once: bool) -> None:
    """Learn what d tells: before the forecast of its row, of h = 0 after it."""
    for j in range(len(state.horizons)):
        if (state.horizons[j] == 0) == at_once:
            _learn(state, state.on_own, room, j, d)
            _learn(state, state.on_all, room, j, d)
    _judge(state.by_own, state.horizons, d, at_once)
    _judge(state.by_all, state.horizons, d, at_once)
    _note_errors(state, d, at_once)


@kernel(allocates=False)
def _forecast(state: Any, room: Any, row: Array, base: Array) -> None:
    """Persistence, what own lags add to it, and what all lags add to that."""
    anchor, added, factor = room.anchor, room.added, room.factor
    k0 = len(state.own)
    for o in range(len(base)):
        column = state.own[o % k0]
        anchor[o] = row[column] if column >= 0 and state.horizons[o // k0] > 0 else 0.0
        base[o] = anchor[o]
    _regress(state, state.on_own, room, added)
    _say(state.by_own, base, added, factor)
    for o in range(len(base)):
        base[o] += factor[o] * added[o]
        added[o] = 0.0
    if state.on_all.lags[0] > 0:
        _regress(state, state.on_all, room, added)
        for o in range(len(base)):
            added[o] += anchor[o] - base[o]
    _say(state.by_all, base, added, factor)
    for o in range(len(base)):
        base[o] += factor[o] * added[o]


# --- rows ----------------------------------------------------------------------------------------------


@kernel(allocates=False)
def _put_first(row: Array, rows: Array) -> None:
    """Put a row before those that there are, the last of which is forgotten."""
    for back in range(len(rows) - 1, 0, -1):
        for i in range(len(row)):
            rows[back, i] = rows[back - 1, i]
    for i in range(len(row)):
        rows[0, i] = row[i]


@kernel(allocates=False)
def _take_in(state: Any, row: Array, signals: Array) -> None:
    """Put a row before the past ones; the change of each column, scaled, is a signal."""
    past, squares, count = state.past, state.changes[0], state.changes[1]
    _put_first(row, past)
    for i in range(len(row)):
        if state.rows[1] == 0:
            state.first[i] = row[i]
        if state.rows[0] == 0:  # what was before is taken to be as the first row
            for back in range(1, len(past)):
                past[back, i] = row[i]
        change = past[0, i] - past[1, i]
        if state.rows[0] > 0:
            squares[i] = SCALE_MEMORY * squares[i] + change * change
            count[i] = SCALE_MEMORY * count[i] + 1
        signals[i] = _scaled(change, squares[i], count[i])
    state.rows[0] += 1
    state.rows[1] += 1


@kernel(allocates=False)
def _scaled(value: float, total: float, count: float) -> float:
    if not total > 0:
        return 0.0
    return float(min(max(value / np.sqrt(total / count), -MOST_SIGNAL), MOST_SIGNAL))


@kernel(allocates=False)
def _regressors(state: Any, squares: Any, j: int, g: int, back: int, phi: Array) -> None:
    """A constant, and of each column its level and its last changes, at ``back`` rows ago."""
    lags = squares.lags[0]
    phi[0] = 1.0
    for c in range(squares.columns.shape[1]):
        column, at = squares.columns[g, c], 1 + c * lags
        usable = column >= 0
        if usable and state.horizons[j] == 0:  # the present row of a target would tell it
            for i in range(len(state.own)):
                usable = usable and state.own[i] != column
        for lag in range(lags):
            if not usable:
                phi[at + lag] = 0.0
            elif lag == 0:
                phi[at] = state.past[back, column] - state.first[column]
            else:
                phi[at + lag] = state.past[back + lag - 1, column] - state.past[back + lag, column]


# --- recursive least squares ---------------------------------------------------------------------------


@kernel(allocates=False)
def _learn(state: Any, squares: Any, room: Any, j: int, d: Array) -> None:
    """Learn the pair (lags h rows ago, d), where there is one."""
    if squares.lags[0] == 0 or state.rows[0] <= state.horizons[j]:
        return
    for g in range(len(squares.columns)):
        known = False
        for c in range(squares.targets.shape[1]):
            known = known or not np.isnan(d[squares.targets[g, c]])
        if known:
            _begin(state, squares, j, g)
            _learn_group(state, squares, room, j, g, d)


@kernel(allocates=False)
def _learn_group(state: Any, squares: Any, room: Any, j: int, g: int, d: Array) -> None:
    h, P = state.horizons[j], squares.inverse[j, g]
    q = len(P)
    phi, v = room.phi, room.v
    _regressors(state, squares, j, g, h, phi)
    for a in range(q):
        v[a] = 0.0
    for b in range(q):  # P is symmetric: by rows, which is vectorised
        for a in range(q):
            v[a] += P[b, a] * phi[b]
    size = 0.0
    for a in range(q):
        size += phi[a] * v[a]
    if not abs(size) <= MOST_LEVERAGE:
        _begin_again(state, squares, j, g)
        return
    size = 1.0 + max(size, 0.0)
    for c in range(squares.targets.shape[1]):
        i = squares.targets[g, c]
        if np.isnan(d[i]):
            continue
        w, column = squares.weights[j, g, c], state.own[i]
        error = d[i] - (state.past[h, column] if column >= 0 and h > 0 else 0.0)
        for a in range(q):
            error -= w[a] * phi[a]
        for a in range(q):
            w[a] += v[a] * (error / size)
    for a in range(q):
        part = v[a] / size
        for b in range(q):
            P[a, b] -= part * v[b]


@kernel(allocates=False)
def _begin(state: Any, squares: Any, j: int, g: int) -> None:
    """Let columns be regressors from when they first move: before, they are 0.

    The penalty of their coefficients is the mean square of their changes, as if one row had been seen.
    """
    lags = squares.lags[0]
    for c in range(squares.columns.shape[1]):
        column = squares.columns[g, c]
        if column >= 0 and not squares.begun[j, g, c] and state.changes[0, column] > 0:
            squares.begun[j, g, c] = True
            for lag in range(lags):
                at = 1 + c * lags + lag
                squares.inverse[j, g, at, at] = state.changes[1, column] / state.changes[0, column]


@kernel(allocates=False)
def _begin_again(state: Any, squares: Any, j: int, g: int) -> None:
    """Forget what was learnt, where a row is of another size than all before."""
    P = squares.inverse[j, g]
    for a in range(len(P)):
        for b in range(len(P)):
            P[a, b] = 0.0
        for c in range(squares.targets.shape[1]):
            squares.weights[j, g, c, a] = 0.0
    P[0, 0] = 1.0
    for c in range(squares.columns.shape[1]):
        squares.begun[j, g, c] = False
    _begin(state, squares, j, g)


@kernel(allocates=False)
def _regress(state: Any, squares: Any, room: Any, added: Array) -> None:
    """What regression on the last rows adds to the anchor."""
    k0, q, phi = len(state.own), squares.weights.shape[3], room.phi
    for j in range(len(state.horizons)):
        for g in range(len(squares.columns)):
            _regressors(state, squares, j, g, 0, phi)
            for c in range(squares.targets.shape[1]):
                w, total = squares.weights[j, g, c], 0.0
                for a in range(q):
                    total += w[a] * phi[a]
                added[j * k0 + squares.targets[g, c]] = total


# --- factors and errors --------------------------------------------------------------------------------


@kernel(allocates=False)
def _judge(factors: Any, horizons: Integers, d: Array, at_once: bool) -> None:
    """Learn from the errors that d tells of, of forecasts of h rows ago."""
    for o in range(len(factors.products)):
        h, i = horizons[o // len(d)], o % len(d)
        back = h if at_once else h - 1  # before the forecast of a row, the latest is of the row before
        if (h == 0) == at_once and factors.rows[0] > back and not np.isnan(d[i]):
            error, added = d[i] - factors.simple[back, o], factors.added[back, o]
            factors.products[o] = MEMORY * factors.products[o] + error * added
            factors.squares[o] = MEMORY * factors.squares[o] + added * added


@kernel(allocates=False)
def _say(factors: Any, simple: Array, added: Array, factor: Array) -> None:
    """Note a forecast and what may be added to it, and find how much is."""
    _put_first(simple, factors.simple)
    _put_first(added, factors.added)
    factors.rows[0] += 1
    for o in range(len(simple)):
        size = factors.squares[o]
        factor[o] = min(max(factors.products[o] / size, 0.0), 1.0) if size > 0 else 0.0


@kernel(allocates=False)
def _note_errors(state: Any, d: Array, at_once: bool) -> None:
    """Note the errors of the base that d tells of."""
    for o in range(len(state.bases[0])):
        h, i = state.horizons[o // len(d)], o % len(d)
        if (h == 0) != at_once:
            continue
        state.errors[2, o] = 0.0
        if state.rows[0] > h and not np.isnan(d[i]):
            error = d[i] - state.bases[0 if at_once else h - 1, o]
            square, total = error * error, state.errors[0, o]
            if total > 0:
                square = min(square, MOST_ERROR * MOST_ERROR * total / state.errors[1, o])
            state.errors[0, o] = SCALE_MEMORY * total + square
            state.errors[1, o] = SCALE_MEMORY * state.errors[1, o] + 1
            state.errors[2, o] = error
