"""What the preparation of tables is to do, again in plain loops. Nothing here imports rnnsim."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def carried_forward(x: Array, starts: Array, at_first: Array) -> Array:
    """Row by row: the last value that is known in this sequence."""
    out = x.copy()
    for t in range(len(x)):
        for j in range(x.shape[1]):
            if math.isnan(x[t, j]):
                out[t, j] = at_first[j] if starts[t] else out[t - 1, j]
    return out


def ahead(d: Array, starts: Array, t: int, h: int) -> Array | None:
    """d(t + h), or None beyond the end or after a reset."""
    if t + h >= len(d) or any(starts[t + 1 : t + h + 1]):
        return None
    return d[t + h]


def before(values: Array, starts: Array, t: int, lag: int) -> Array:
    """The row ``lag`` rows before t, zeros where the sequence has none."""
    if t - lag < 0 or any(starts[t - lag + 1 : t + 1]):
        return np.zeros(values.shape[1])
    return values[t - lag]


def scaling(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column over the values that are known."""
    pairs = []
    for column in values.T:
        known = [value for value in column if not math.isnan(value)]
        mean = math.fsum(known) / len(known)
        variance = math.fsum((value - mean) ** 2 for value in known) / len(known)
        pairs.append((mean, math.sqrt(variance)))
    mean, scale = np.array(pairs).T
    return mean, scale


def last_rows(sequence: Array, share: float, taken: Array) -> Array:
    """The last rows of each sequence, among those that are not taken: a share of all its rows."""
    out = np.zeros(len(sequence), bool)
    for name in set(sequence.tolist()):
        rows = [t for t in range(len(sequence)) if sequence[t] == name]
        number = round(share * len(rows))
        free = [t for t in rows if not taken[t]]
        for t in free[max(0, len(free) - number) :]:
            out[t] = True
    return out
