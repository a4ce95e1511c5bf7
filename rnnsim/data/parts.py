"""The parts of data: what is learnt, what choices are made by (validation), and the test."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.data.series import Series
from rnnsim.errors import RnnsimError, shown
from rnnsim.typing import Array, Bools, Integers

LEARNT, VALIDATION, TEST = 0, 1, 2
RECENT = 20_000  # rows of a part, the last, in which a linear path is found
NAMES = ("learnt", "validation", "test")


def parts_of(series: Series, validation: Any, test: Any, whole: bool = False) -> Integers:
    """Divide rows into those that are learnt, for validation, and for the test.

    Parameters
    ----------
    series : Series
    validation, test : float or str
        A share of the rows of each sequence, its last ones (the test part after that for validation),
        or, where there are more sequences than rows in any of them, of whole sequences, the last ones;
        or a time, from which on rows belong to it; or the names of sequences, separated by commas.
    whole : bool
        Whether a share is one of whole sequences in any case.

    Returns
    -------
    (rows,) int array of LEARNT, VALIDATION and TEST

    Raises
    ------
    RnnsimError
        If one of them is no such thing, or a part has no rows.
    """
    whole = whole or many_and_short(series)
    part = np.full(series.rows, LEARNT)
    is_test = _chosen(series, "test", test, np.ones(series.rows, np.bool_), whole)
    part[is_test] = TEST
    part[_chosen(series, "validation", validation, ~is_test, whole) & ~is_test] = VALIDATION
    for number, name in enumerate(NAMES):
        asked = (None, validation, test)[number]
        if not (part == number).any() and not (number and asked in (0, 0.0, "0", "")):
            raise RnnsimError(
                f"of {series.rows:,} rows none is left for the {name} part; choose other validation= "
                "and test=, shares of the rows (0.2), times or sequences"
            )
    return part


def many_and_short(series: Series) -> bool:
    """Whether there are more sequences than rows in any of them."""
    rows = np.bincount(series.sequence)
    return bool(np.count_nonzero(rows) > rows.max(initial=0))


def is_share(asked: Any, series: Series) -> bool:
    """Whether a part is asked for as a share."""
    return _share(asked, series) is not None


def _chosen(series: Series, name: str, asked: Any, left: Bools, whole: bool) -> Bools:
    share = _share(asked, series)
    if share is not None:
        if not 0 <= share < 1:
            raise RnnsimError(f"{name} is {shown(asked)}; as a share it is at least 0 and below 1")
        return _last_sequences(series, share, left) if whole else _last_rows(series, share, left)
    text = str(asked)
    names = [one.strip() for one in text.split(",")]
    if series.names and all(one in series.names for one in names):
        chosen: Bools = np.isin(series.sequence, [series.names.index(one) for one in names])
        return chosen
    if series.time is None:
        raise RnnsimError(
            f"{name} is {shown(text)}; it is a share of the rows (0.2), a time where a column tells it, "
            "or the names of sequences where they have names"
        )
    return series.time >= _time(name, text, series)


def _share(asked: Any, series: Series) -> float | None:
    """The share that is asked for; where the time is a number, such as a year, larger ones are times."""
    try:
        share = float(asked)
    except ValueError:
        return None
    return None if share >= 1 and series.time is not None else share


def _time(name: str, text: str, series: Series) -> float:
    try:
        if series.time_is_number:
            return float(text)
        return float(np.datetime64(text.replace(" ", "T"), "us").astype(np.int64)) / 1e6
    except ValueError:
        such = "a number as in the data" if series.time_is_number else "2020-01-31 or 2020-01-31T12:00"
        raise RnnsimError(
            f"{name} is {shown(text)}, which is no share (0.2), no sequence, and no time ({such})"
        ) from None


def _last_rows(series: Series, share: float, left: Bools) -> Bools:
    """The last rows of each sequence, so many of those that it has in all."""
    index, count = _place_from_end(series.sequence, left)
    total = np.bincount(series.sequence)[series.sequence]
    wanted = np.round(share * total)
    return left & (index < np.minimum(wanted, count))


def _place_from_end(sequence: Array, left: Bools) -> tuple[Array, Array]:
    """Of each row among those left in its sequence: how many come after it, and how many there are."""
    count = np.bincount(sequence, weights=left)[sequence]
    seen = np.cumsum(left)
    first = np.searchsorted(sequence, sequence)
    before = np.where(first > 0, seen[first - 1], 0)
    return count - (seen - before), count


def _last_sequences(series: Series, share: float, left: Bools) -> Bools:
    free = np.unique(series.sequence[left])
    number = round(share * len(np.unique(series.sequence)))
    number = max(number, 1) if share > 0 else 0
    return np.isin(series.sequence, free[len(free) - number :]) if number else np.zeros_like(left)


def recent(series: Series, part: Integers, most: int = RECENT) -> tuple[Series, Integers]:
    """The last rows that are learnt and the last for validation, at most so many each, and their parts.

    What is found in them does not depend on the test, nor on how long the data are.
    """
    chosen = np.zeros(series.rows, np.bool_)
    for one in (LEARNT, VALIDATION):
        chosen[np.flatnonzero(part == one)[-most:]] = True
    return (series, part) if chosen.all() else (series.select(chosen), part[chosen])
