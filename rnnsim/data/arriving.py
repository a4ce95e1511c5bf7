"""Rows that arrive one by one, as lines of text with a header: read, and prepared with those before."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

from rnnsim.data.cells import BOOLEANS, is_missing
from rnnsim.data.columns import CATEGORY, NUMBER, Column, Columns
from rnnsim.data.preparation import Preparation
from rnnsim.data.roles import Roles
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown

SEPARATORS = (",", ";", "\t")
TRUTH = {word: float(value) for pair in BOOLEANS for value, word in enumerate(pair)}
PAST = 1000  # rows before the present one that a forecast may be made from


class Line(NamedTuple):
    """A row as it arrived.

    Attributes
    ----------
    time, sequence : str
        As text; empty where there is no such column.
    cells : dict of str
        What stands in the columns that are used.
    number : int
        That of the line, from 1.
    decimal : "." or ","
        The decimal mark: a comma where it does not separate columns.
    """

    time: str
    sequence: str
    cells: dict[str, str]
    number: int
    decimal: str = "."


def lines_of(text: Iterable[str], roles: Roles, source: str, has_header: bool = True) -> Iterator[Line]:
    """Read lines as they come, each at once.

    Parameters
    ----------
    text : iterable of str
        Lines; the first has the names of the columns, if there is a header.
    roles : Roles
        The columns that a model needs. Those of targets and of the time may be absent.
    source : str
        Where the lines are from, for messages.
    has_header : bool
        Without one, columns are called ``x1``, ``x2``, ....

    Raises
    ------
    UnknownName
        If a column is absent.
    RnnsimError
        If there is no header, or a line has another number of cells.
    """
    lines = iter(text)
    head = next(lines, "").lstrip("\ufeff")
    if not head.strip():
        raise RnnsimError(f"{source} has no lines; the first must be the names of the columns")
    separator = max(SEPARATORS, key=head.count)
    header = [name.strip() for name in next(csv.reader([head], delimiter=separator))]
    if not has_header:
        header, lines = [f"x{i + 1}" for i in range(len(header))], chain([head], lines)
    needed = [*roles.inputs, *([roles.sequence] if roles.sequence else [])]
    for name in needed:
        if name not in header:
            raise UnknownName(f"{source}: {nearest('column', name, header)}")
    used = [name for name in dict.fromkeys([*roles.inputs, *roles.targets]) if name in header]
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        number = reader.line_num + has_header
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise RnnsimError(f"{source}, line {number}: {len(cells)} cells; there must be as many as "
                              f"columns, {len(header)}")  # fmt: skip
        row = dict(zip(header, (cell.strip() for cell in cells)))
        yield Line(
            row.get(roles.time or "", ""),
            row.get(roles.sequence or "", ""),
            {name: row[name] for name in used},
            number,
            "." if separator == "," else ",",
        )


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

    def add(self, line: Line) -> bool:
        """Take one more row; whether it is the first of its sequence.

        Raises
        ------
        RnnsimError
            If a cell holds no number, and should.
        """
        first = not self._values or line.sequence != self._sequence
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
        try:
            word = TRUTH.get(cell.lower())
            return float(cell.replace(line.decimal, ".")) if word is None else word
        except ValueError:
            raise RnnsimError(f"{self.source}, line {line.number}: {name} is {shown(cell)}; it must be "
                              "a number, or empty where it is missing") from None  # fmt: skip


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
