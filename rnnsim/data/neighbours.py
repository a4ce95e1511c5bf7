"""Rows beside others: those before and after them in their sequence."""

from __future__ import annotations

import numpy as np

from rnnsim.typing import Array, Bools, Integers


def together(rows: Integers) -> slice | Integers:
    """Rows, in their order, as a slice where each follows the one before: what is taken is no copy."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def run_of(starts: Bools) -> Integers:
    """To which run, without resets, a row belongs."""
    return np.cumsum(starts)


def ahead_of(d: Array, starts: Bools, h: int) -> Array:
    """d(t + h) at row t (rows, k0), nan where that is beyond the end of a sequence, or after a reset."""
    if h == 0:
        return d
    out = np.full(d.shape, np.nan)
    if h >= len(d):
        return out
    if not starts[1:].any():  # a single sequence
        out[: len(d) - h] = d[h:]
        return out
    run = run_of(starts)
    same = run[h:] == run[: len(run) - h]
    out[: len(d) - h][same] = d[h:][same]
    return out


def lagged(values: Array, starts: Bools, lags: int) -> Array:
    """Each row with the ``lags`` rows before it behind it, 0 where there are none in its sequence."""
    if lags == 0:
        return values
    rows, columns = values.shape
    out = np.zeros((rows, (1 + lags) * columns))
    run = run_of(starts)
    for lag in range(min(lags, rows - 1) + 1):
        same = run[lag:] == run[: rows - lag]
        out[lag:, lag * columns : (lag + 1) * columns][same] = values[: rows - lag][same]
    return out


def ends(starts: Bools) -> Bools:
    """Whether a row is the last of its sequence."""
    return np.append(starts[1:], True)
