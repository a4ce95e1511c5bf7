"""Rows that arrive one by one, prepared with those before."""

from __future__ import annotations

import contextlib
import math

import numpy as np

from rnnsim.data.cells import BOOLEANS, is_missing, number_in
from rnnsim.data.columns import CATEGORY, NUMBER, Column, Columns
from rnnsim.data.lines import Line
from rnnsim.data.preparation import Preparation
from rnnsim.data.roles import Roles
from rnnsim.errors import RnnsimError, shown

TRUTH = {word: float(value) for pair in BOOLEANS for value, word in enumerate(pair)}
PAST = 1000  # rows before the present one that a forecast may be made from


class Arriving:
    """The last rows of a sequence, of which one more arrives at a time.

    Parameters
    ----------
    roles : Roles
    preparation : Preparation
    source : str
        Where the rows are from, for messages.
    """

    def __init__(self, roles: Roles, preparation: Preparation, source: str) -> None:
        self.roles, self.source = roles, source
        self._texts = _texts_of(roles, preparation)
        self._room = PAST + preparation.choices.lags + max(preparation.choices.horizons)
        self._values: dict[str, list[float]] = {}
        self._sequence = ""
        self._time: float | None = None

    def add(self, line: Line) -> bool:
        """Take one more row; whether it is the first of its sequence.

        Raises
        ------
        RnnsimError
            If a cell holds no number, and should, or the row is not after the one before.
        """
        first = not self._values or line.sequence != self._sequence
        before, self._time = None if first else self._time, _moment(line.time)
        if before is not None and self._time is not None and self._time <= before:
            raise RnnsimError(f"{self.source}, line {line.number}: {self.roles.time} is {line.time}, "
                              "which is not after the row before; rows are to come in the order of "
                              "time")  # fmt: skip
        if first:
            self._values, self._sequence = {name: [] for name in line.cells}, line.sequence
        for name, cell in line.cells.items():
            column = self._values[name]
            column.append(self._value(name, cell, line))
            del column[: -self._room]
        return first

    def columns(self) -> Columns:
        """The rows so far, at most so many as are needed; without their time."""
        rows = len(next(iter(self._values.values())))
        found = {}
        for name, values in self._values.items():
            texts = self._texts.get(name)
            found[name] = Column(name, NUMBER if texts is None else CATEGORY, np.array(values),
                                 texts or ())  # fmt: skip
        if self.roles.sequence:
            name = self.roles.sequence
            found[name] = Column(name, CATEGORY, np.zeros(rows), (self._sequence,))
        return Columns(self.source, found, rows, (rows,))

    def _value(self, name: str, cell: str, line: Line) -> float:
        if is_missing(cell):
            return math.nan
        texts = self._texts.get(name)
        if texts is not None:
            return _place(cell, texts)
        value = TRUTH.get(cell.lower(), number_in(cell, line.styles))
        if value is None:
            raise RnnsimError(f"{self.source}, line {line.number}: {name} is {shown(cell)}; it must be "
                              "a number, or empty where it is missing")  # fmt: skip
        return value


def _moment(time: str) -> float | None:
    """A time as tables of forecasts have it, as a number; None if it is none."""
    with contextlib.suppress(ValueError):
        return float(time)
    with contextlib.suppress(ValueError):
        moment = np.datetime64(time, "us")
        return None if np.isnat(moment) else float(moment.astype(np.int64))
    return None


def _texts_of(roles: Roles, preparation: Preparation) -> dict[str, tuple[str, ...]]:
    """The texts that columns of categories may have, by the names of these columns."""
    found: dict[str, tuple[str, ...]] = {}
    for feature in preparation.features:
        if feature.category is not None:
            found[feature.column] = (*found.get(feature.column, ()), feature.category)
    if preparation.is_class and len(roles.targets) == 1:
        found.setdefault(roles.targets[0], preparation.targets)
    return found


def _place(cell: str, texts: tuple[str, ...]) -> float:
    """The index of a text; nan of one that was not there when the model was made."""
    said = [cell, cell.lower()]
    with contextlib.suppress(ValueError):
        said.append(f"{float(cell):.15g}")  # as a class of a column of numbers is called
    return next((float(texts.index(text)) for text in said if text in texts), math.nan)
