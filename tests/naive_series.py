"""Linear forecasts of series as loops say them, and by least squares of NumPy; nothing of rnnsim."""

from __future__ import annotations

import numpy as np


def begin(starts, t):
    while not starts[t]:
        t -= 1
    return t


def row_before(x, starts, t, lag):
    """The row that is ``lag`` before t, or the first of its sequence."""
    return x[max(t - lag, begin(starts, t))]


def regressors(x, starts, t, columns, lags, of_changes):
    """Lag by lag, the columns' values or changes."""
    found = []
    for lag in range(lags):
        row = row_before(x, starts, t, lag)
        if of_changes:
            row = row - row_before(x, starts, t, lag + 1)
        found += [row[i] for i in columns]
    return np.array(found)


def ridge(A, y, penalty):
    """Coefficients and constant for standardised regressors, by lstsq with the penalty as more rows."""
    mean, unit = A.mean(axis=0), A.std(axis=0)
    unit[unit == 0] = np.inf
    q = A.shape[1]
    more = np.sqrt(penalty * len(A)) * np.eye(q)
    scaled = np.vstack([(A - mean) / unit, more])
    w = np.linalg.lstsq(scaled, np.append(y - y.mean(), np.zeros(q)), rcond=None)[0] / unit
    return w, y.mean() - mean @ w


def linear_forecasts(x, d, starts, rows, h, own, columns, lags, of_changes, penalty, complete=10):
    """Forecasts of one target d(t + h) at all rows, fitted to some of them."""
    fit_to = [t for t in rows if t - begin(starts, t) >= complete] or rows
    A = np.array([regressors(x, starts, t, columns, lags, of_changes) for t in fit_to])
    counted = of_changes and own >= 0
    anchor = np.array([row[own] if counted else 0.0 for row in x])
    y = np.array([d[t + h] - anchor[t] for t in fit_to])
    w, free = ridge(A, y, penalty)
    said = [regressors(x, starts, t, columns, lags, of_changes) @ w + free for t in range(len(x))]
    return np.array(said) + anchor


def recursive_own(x, h, lags=10):
    """What least squares on all pairs so far forecasts at each row of one column, as one sequence.

    The regressors are a constant, the level since the first row and the last changes; the penalty of
    the constant is 1, that of the others the mean square of the changes when they first are not 0.
    """
    n, starts = len(x), np.arange(len(x)) == 0
    column = x[:, None]
    rows = [
        np.concatenate([
            [1.0, x[t] - x[0]],
            regressors(column, starts, t, [0], lags - 1, True),
        ])
        for t in range(n)
    ]  # fmt: skip
    said, penalty, pairs = np.array(x, float), None, []
    for t in range(n):
        changes = np.diff(x[: t + 1])
        if t > 0 and t >= h:
            if penalty is None and np.any(changes):
                weights = 0.999 ** np.arange(len(changes))[::-1]
                mean = (weights * changes**2).sum() / weights.sum()
                penalty = np.array([1.0] + [mean] * lags)
            pairs.append((rows[t - h], x[t] - x[t - h]))
        if penalty is not None and pairs:
            A, y = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
            w = np.linalg.lstsq(
                np.vstack([A, np.diag(np.sqrt(penalty))]), np.append(y, 0 * penalty), rcond=None
            )[0]
            said[t] = x[t] + rows[t] @ w
    return said


def followed(simple, richer, d, h, memory=0.995):
    """simple + factor (richer - simple), by the errors that are known at each row of one sequence."""
    said = np.empty(len(d))
    for t in range(len(d)):
        known = np.arange(max(t - h + 1, 0))
        age = memory ** (len(known) - 1 - known)
        added = (richer - simple)[known]
        errors = d[known + h] - simple[known]
        size = (age * added**2).sum()
        factor = min(max((age * errors * added).sum() / size, 0), 1) if size > 0 else 0.0
        said[t] = simple[t] + factor * (richer[t] - simple[t])
    return said


def last_values(d, starts, h, season=None):
    """Persistence, or the value of whole seasons before; nan where none is known."""
    out = np.full(len(d), np.nan)
    for t in range(len(d)):
        first, last = begin(starts, t), t if h > 0 else t - 1
        for back in range(last, first - 1, -1):
            if not np.isnan(d[back]):
                out[t] = d[back]
                break
        if season is not None:
            at = t + h - season
            while at > last:
                at -= season
            if at >= first and not np.isnan(d[at]):
                out[t] = d[at]
    return out
