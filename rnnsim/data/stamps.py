"""When rows were: time stamps as the data have them, and those of later rows where steps are regular."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.typing import Array

SECOND = 1_000_000  # microseconds, which is how exactly a float64 holds the present time
REGULAR = 0.95  # the share of steps that are alike from which on they count as regular


class Stamps(NamedTuple):
    """The time of each row.

    Attributes
    ----------
    name : str
        That of the column.
    values : (T,) float64 array
        Seconds since 1970 of dates and times, or the numbers of the column, such as years; nan where
        one is missing.
    is_date : bool
        Whether they are dates or times.
    """

    name: str
    values: Array
    is_date: bool = True


def later(stamps: Stamps, follows: Array, rows: int) -> Array:
    """The time of the row that comes so many rows after each (T,).

    That is the time of a row of the same sequence, where the data go on that far; after their end it is
    by steps, if these are regular (in seconds, or in whole months); else nan.

    Parameters
    ----------
    stamps : Stamps
    follows : (T,) bool array
        Whether the entry before is of the row before, of the same sequence.
    rows : int
        At least 0.
    """
    values = stamps.values
    begins = np.cumsum(~follows) if len(follows) else np.zeros(0, int)
    found = _by_steps(stamps, follows, rows) if rows else values.copy()
    if 0 < rows < len(values):
        goes_on = begins[rows:] == begins[:-rows]
        found[:-rows][goes_on] = values[rows:][goes_on]
    return found


def _by_steps(stamps: Stamps, follows: Array, rows: int) -> Array:
    values = stamps.values
    found = np.full(len(values), np.nan)
    successive = np.zeros(len(values), bool)
    successive[1:] = follows[1:] & np.isfinite(np.diff(values))
    if not successive.any():
        return found
    if stamps.is_date and (months := _month_steps(values, successive, rows)) is not None:
        return months
    steps = np.diff(values)[successive[1:]]
    common = float(np.median(steps))
    alike = np.abs(steps - common) <= 1e-6 * abs(common)
    if common and alike.mean() >= REGULAR:
        found = values + rows * common
    return found


def _month_steps(values: Array, successive: Array, rows: int) -> Array | None:
    """The later times, if steps are of whole months from the same moment of a month, or from its end."""
    finite = np.isfinite(values)
    moments = _moments(np.where(finite, values, 0))
    months = moments.astype("M8[M]")
    into = (moments - months).astype(np.int64)
    left = ((months + 1) - moments).astype(np.int64)
    steps = np.diff(months.astype(np.int64))[successive[1:]]
    step = int(np.median(steps))
    same, same_left = (len(np.unique(part[finite])) == 1 for part in (into, left))
    if step < 1 or not (same or same_left) or (steps == step).mean() < REGULAR:
        return None
    later_months = months + rows * step
    length = ((later_months + 1).astype("M8[us]") - later_months).astype(np.int64)
    found = later_months.astype("M8[us]") + (np.minimum(into, length - 1) if same else length - left)
    return np.where(finite, found.astype(np.int64) / SECOND, np.nan)


def _moments(seconds: Array) -> Array:
    return np.round(seconds * SECOND).astype(np.int64).astype("M8[us]")


def moments(stamps: Stamps) -> Array:
    """Stamps as matplotlib draws them: numbers, or datetime64 (T,)."""
    if not stamps.is_date:
        return stamps.values
    found = np.full(len(stamps.values), np.datetime64("NaT", "us"))
    finite = np.isfinite(stamps.values)
    found[finite] = _moments(stamps.values[finite])
    return found


def series(stamps: Stamps, *more: Array) -> list[Any]:
    """Stamps, and more of the same kind, as series of polars.

    They are dates if all of them are at midnight, else dates with times; whole numbers if all of them
    are whole, else numbers. What is missing is null.
    """
    import polars as pl

    arrays = [stamps.values, *more]
    together = np.concatenate([array[np.isfinite(array)] for array in arrays])
    if not stamps.is_date:
        whole = (together == np.round(together)).all() and (np.abs(together) < 2**53).all()
        numbers = [pl.Series(array).fill_nan(None) for array in arrays]
        return [each.cast(pl.Int64) for each in numbers] if whole else numbers
    kind: Any = pl.Date if (_moments(together).astype(np.int64) % (86_400 * SECOND) == 0).all() else None
    found = []
    for array in arrays:
        dates = pl.Series(moments(stamps._replace(values=array)))
        found.append(dates.cast(kind) if kind is not None else dates)
    return found


def time_format(stamps: Stamps, *more: Array) -> str:
    """How dates with times are written: with parts of a second if there are any."""
    together = np.concatenate([array[np.isfinite(array)] for array in (stamps.values, *more)])
    parts = (_moments(together).astype(np.int64) % SECOND).any() if stamps.is_date else False
    return "%Y-%m-%d %H:%M:%S%.f" if parts else "%Y-%m-%d %H:%M:%S"
