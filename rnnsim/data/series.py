"""From columns to series of numbers: rows in the order of time, one sequence after the other."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rnnsim.data.classes import classes_of, target_columns
from rnnsim.data.columns import BOOLEAN, CATEGORY, TIME, Column, Columns
from rnnsim.data.roles import Roles
from rnnsim.data.row_blocks import blocks
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array, Bools, Integers

MOST_CATEGORIES = 100  # of an input, each of which is an input of the network
LONGEST_STEP = 1.5  # in median steps; a longer one is a gap


class Feature(NamedTuple):
    """One input: a column of numbers, or one category of a column of categories.

    Attributes
    ----------
    column : str
    category : str or None
    """

    column: str
    category: str | None = None

    def __str__(self) -> str:
        return self.column if self.category is None else f"{self.column}={self.category}"


@dataclass(frozen=True)
class Series:
    """What a network is to learn from, in the columns' units.

    Attributes
    ----------
    features : tuple of Feature
    x : (rows, m0) float64 array
        The inputs; nan where a value is missing.
    targets : tuple of str
        The names of the target columns.
    d : (rows, k0) float64 array
        The targets, the same array where they are the inputs; of classes the index of the class, in
        one column; nan where a value is missing.
    classes : tuple of str
        Of a target that is a class, their names.
    starts : (rows,) bool array
        Where a sequence begins, or goes on after a gap at which it is reset.
    sequence : (rows,) int array
        To which sequence a row belongs.
    names : tuple of str
        The names of the sequences; empty where there is one without a name.
    time : (rows,) float64 array or None
        Seconds since 1970, or whatever numbers the column of time holds.
    time_is_number : bool
        Which of the two.
    order : (rows,) int array
        Which row of the data each row was.
    notes : tuple of str
        What a user should know of it.
    """

    features: tuple[Feature, ...]
    x: Array
    targets: tuple[str, ...]
    d: Array
    classes: tuple[str, ...]
    starts: Bools
    sequence: Integers
    names: tuple[str, ...]
    time: Array | None
    order: Integers
    time_is_number: bool = False
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.starts)

    def between(self, begin: int, end: int) -> Series:
        """Some rows, as views; a sequence that begins before them has no start among them."""
        rows = slice(begin, end)
        return replace(
            self, x=self.x[rows], d=self.d[rows], starts=self.starts[rows], sequence=self.sequence[rows],
            time=None if self.time is None else self.time[rows], order=self.order[rows],
        )  # fmt: skip

    def select(self, kept: Bools) -> Series:
        """The rows that are kept; a sequence begins with the first of its own."""
        begins = _begins(self.sequence[kept])
        # a reset whose row is gone is one of the row that follows
        resets = np.cumsum(self.starts)[kept]
        begins[1:] |= np.diff(resets) > 0
        x = self.x[kept]
        return replace(
            self, x=x, d=x if self.d is self.x else self.d[kept], starts=begins,
            sequence=self.sequence[kept], time=None if self.time is None else self.time[kept],
            order=self.order[kept],
        )  # fmt: skip


def series_of(
    columns: Columns, roles: Roles, *, features: tuple[Feature, ...] | None = None,
    classes: tuple[str, ...] | None = None, resets_at_gaps: bool = False,
) -> Series:  # fmt: skip
    """Arrange the columns as series, by the roles that they have.

    Parameters
    ----------
    columns : Columns
    roles : Roles
    features : tuple of Feature, optional
        The inputs, where a model has them already; by default those of ``roles.inputs``.
    classes : tuple of str, optional
        The classes, where a model has them already; none for numbers.
    resets_at_gaps : bool
        Whether a sequence is reset where steps of time are missing.

    Raises
    ------
    RnnsimError
        If a column cannot be used as what it is for, or rows have no time or no sequence.
    """
    notes: list[str] = []
    named, sequence = _sequences(columns, roles.sequence)
    clock = None if roles.time is None else columns.columns[roles.time]
    time = None if clock is None else clock.values
    if clock is not None:
        _check_known(columns, clock, "the time")
    order = _order(sequence, time, notes)
    features = _features(columns, roles.inputs) if features is None else features
    x = [_values(columns.columns[one.column], one) for one in features]
    if classes is None:
        classes = classes_of(columns, roles.targets) if roles.classes else ()
    targets = target_columns(columns, roles, classes)
    sequence, time = sequence[order], None if time is None else time[order]
    starts = _begins(sequence)
    if time is not None:
        _check_steps(columns, roles.time or "", time, starts, order)
        gaps = _gaps(time, starts, roles.time or "", resets_at_gaps, notes)
        starts = starts | gaps if resets_at_gaps else starts
    inputs = _stacked(x, order)
    are_inputs = len(x) == len(targets) and all(map(operator.is_, x, targets))
    return Series(
        features=features, x=inputs, targets=roles.targets,
        d=inputs if are_inputs else _stacked(targets, order), classes=classes,
        starts=starts, sequence=sequence, names=named, time=time, order=order,
        time_is_number=clock is not None and clock.kind != TIME, notes=tuple(notes),
    )  # fmt: skip


def _check_known(columns: Columns, column: Column, what: str) -> None:
    if not (known := np.isfinite(column.values)).all():
        place = columns.place(int(np.flatnonzero(~known)[0]))
        raise RnnsimError(
            f"{columns.source}, {place}: {column.name}, {what}, has no value; give one, or "
            "leave the row out"
        )


def _features(columns: Columns, inputs: tuple[str, ...]) -> tuple[Feature, ...]:
    found: list[Feature] = []
    for name in inputs:
        column = columns.columns[name]
        if column.kind != CATEGORY:
            found.append(Feature(name))
            continue
        if len(column.categories) > MOST_CATEGORIES:
            raise RnnsimError(
                f"{columns.source}: {name} has {len(column.categories):,} different texts, and as an "
                f"input at most {MOST_CATEGORIES}; leave it out of inputs"
            )
        found += [Feature(name, category) for category in column.categories]
    return tuple(found)


def _values(column: Column, feature: Feature) -> Array:
    if feature.category is None:
        return column.values
    if feature.category not in column.categories:
        return np.where(np.isnan(column.values), np.nan, 0.0)
    hot = column.values == column.categories.index(feature.category)
    return np.where(np.isnan(column.values), np.nan, hot)


def _stacked(parts: list[Array], order: Integers) -> Array:
    """Columns side by side, in this order of rows."""
    is_sorted = bool((np.diff(order) == 1).all())
    out = np.empty((len(order), len(parts)))
    for rows in blocks(len(order)):
        for j, part in enumerate(parts):
            out[rows, j] = part[rows] if is_sorted else part[order[rows]]
    return out


# --- sequences -----------------------------------------------------------------------------------------


def _sequences(columns: Columns, name: str | None) -> tuple[tuple[str, ...], Integers]:
    """The names of the sequences, and which one each row belongs to."""
    if name is None:
        return columns.names, np.repeat(np.arange(len(columns.lengths)), columns.lengths)
    column = columns.columns[name]
    _check_known(columns, column, "the name of the sequence")
    values, first, index = np.unique(column.values, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    rank = np.empty(len(values), np.int64)
    rank[by_appearance] = np.arange(len(values))
    return tuple(_name(column, value) for value in values[by_appearance]), rank[index]


def _name(column: Column, value: float) -> str:
    if column.kind == CATEGORY:
        return column.categories[int(value)]
    if column.kind == BOOLEAN:
        return "true" if value else "false"
    if column.kind == TIME:
        return str(np.datetime64(int(value), "s"))
    return f"{value:.15g}"


def _begins(sequence: Integers) -> Bools:
    begins = np.ones(len(sequence), np.bool_)
    begins[1:] = np.diff(sequence) != 0
    return begins


def _order(sequence: Integers, time: Array | None, notes: list[str]) -> Integers:
    """Rows by sequence, in each by time, and otherwise as they came."""
    if time is None:
        return np.argsort(sequence, kind="stable")
    order = np.lexsort((time, sequence))
    back = (np.diff(time) < 0) & (np.diff(sequence) == 0)
    if back.any():
        notes.append("the rows are sorted by time, in which they did not come")
    return np.asarray(order)


# --- steps of time -------------------------------------------------------------------------------------


def _check_steps(
    columns: Columns, name: str, time: Array, starts: Bools, order: Integers
) -> None:  # fmt: skip
    """Refuse two rows of one time in a sequence."""
    again = np.flatnonzero((np.diff(time) == 0) & ~starts[1:])
    if len(again):
        where = columns.place(int(order[again[0] + 1]))
        raise RnnsimError(
            f"{columns.source}, {where}: two rows of one sequence have the same {name}; if the rows are "
            "of several sequences, name their column by sequence="
        )


def _gaps(time: Array, starts: Bools, name: str, resets: bool, notes: list[str]) -> Bools:
    """Where steps of time are missing."""
    gaps = np.zeros(len(time), np.bool_)
    steps, inside = np.diff(time), ~starts[1:]
    if not inside.any():
        return gaps
    usual = float(np.median(steps[inside]))
    gaps[1:] = inside & (steps > LONGEST_STEP * usual)
    if gaps.any():
        places = "one place" if gaps.sum() == 1 else f"{int(gaps.sum()):,} places"
        longest = float(steps[inside].max()) / usual
        what = "a new sequence begins there" if resets else "gaps=reset begins a new sequence there"
        notes.append(
            f"{name} leaves out steps at {places}; the longest gap is {longest:.3g} steps long; {what}"
        )
    return gaps
