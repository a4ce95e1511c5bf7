"""The columns of the user's data, once they are read: numbers, with what each column is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnsim.data.cells import PLAIN, Style
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

ROW_NUMBERS, IDENTIFIERS, YEARS = "row numbers", "identifiers", "years"
TIME_STAMPS, CONSTANT = "time stamps", "the same in all rows"

NUMBER, BOOLEAN, TIME, CATEGORY, EMPTY = "number", "boolean", "time", "category", "empty"

EVERYWHERE = frozenset(["na", "decimal", "thousands"])  # options of reading
APPLY_TO = {
    "header": "text files and workbooks", "comment": "text files and workbooks",
    "separator": "text files", "encoding": "text files", "sheet": "workbooks",
    "key": "several arrays by name",
}  # fmt: skip


class Column(NamedTuple):
    """A column, judged by all its values.

    Attributes
    ----------
    name : str
    kind : "number", "boolean", "time", "category" or "empty"
    values : (rows,) float64 array
        Numbers as they are; 0 and 1; seconds since 1970; the index of a category; nan where a value is
        missing. Infinite numbers are kept.
    categories : tuple of str
        The text of each category.
    remark : str
        Why it is no data unless it is asked for: ``row numbers``, ``identifiers``, ``years``,
        ``time stamps``, ``the same in all rows``; empty for data.
    unit : str
        What a line of units under the header says.
    form : str
        How times were written: a format of ``strftime``, ``quarters``, or ``epoch seconds``,
        ``epoch milliseconds``, ``epoch microseconds``, ``epoch nanoseconds``.
    trouble : str
        Why it cannot be used, as a whole message: text among numbers, a sign of percent. It is for
        whoever is to use the column; the others of the table can be read all the same.
    note : str
        What was decided of it that could be otherwise: the order of day and month.
    """

    name: str
    kind: str
    values: Array
    categories: tuple[str, ...] = ()
    remark: str = ""
    unit: str = ""
    form: str = ""
    trouble: str = ""
    note: str = ""


@dataclass(frozen=True)
class Columns:
    """What was read.

    Attributes
    ----------
    source : str
        What it was read from, for messages: ``weather.csv``, ``a DataFrame``.
    columns : mapping
        Columns by name, in their order.
    rows : int
    lengths : tuple of int
        The rows of each sequence, where several came apart: files, or arrays of a list.
    names : tuple of str
        Their names, such as those of the files.
    notes : tuple of str
        What was said of it when it was read: an encoding, a column that is empty.
    place : Callable
        ``place(row)`` tells a user where a row is: ``line 17``, ``row 15 (from 0)``.
    options : frozenset of str
        Those of :class:`Reading` that mean something where it was read from.
    style : Style
        How numbers are written, where they were read from text.
    """

    source: str
    columns: Mapping[str, Column]
    rows: int
    lengths: tuple[int, ...]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    place: Callable[[int], str] = "row {} (from 0)".format
    options: frozenset[str] = EVERYWHERE
    style: Style = PLAIN


def is_one_hot(columns: Sequence[Column]) -> bool:
    """Whether several columns hold 0 and 1, in each row a single 1."""
    if len(columns) < 2 or any(one.kind not in (NUMBER, BOOLEAN) for one in columns):
        return False
    values = np.stack([one.values for one in columns])
    known = ~np.isnan(values).any(axis=0)
    hot = values[:, known]
    return bool(known.any() and ((hot == 0) | (hot == 1)).all() and (hot.sum(axis=0) == 1).all())


class Reading(NamedTuple):
    """How to read what is given; empty is what is found out.

    Attributes
    ----------
    header : "auto", "yes" or "no"
        Whether the first line, or row of a sheet, holds the names of the columns.
    separator : str
        What is between the columns of a text file: a character, or ``tab``, ``space`` (any number of
        them), ``comma``, ``semicolon``, ``bar``.
    decimal, thousands : str
        What is written in numbers that are text: ``.`` or ``,``; between thousands also ``'`` or
        ``space``.
    encoding : str
        Of a text file, as Python names it.
    comment : str
        What a line begins with that is none of the data.
    sheet : str
        The name of a sheet of a workbook (default: the first).
    key : str
        The name of an array of an .npz or .mat file, or of a mapping (default: all).
    na : str, number, or sequence of them
        Values that mean "missing", besides the usual words; as one text they are comma-separated.
    """

    header: str = "auto"
    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    encoding: str = ""
    comment: str = ""
    sheet: str = ""
    key: str = ""
    na: str | float | Sequence[str | float] = ""

    @property
    def sentinels(self) -> tuple[str, ...]:
        """The values that mean "missing", each as text."""
        given = self.na
        parts = given.split(",") if isinstance(given, str) else given
        several = parts if isinstance(parts, Sequence) else [parts]
        texts = (f"{part:.15g}" if isinstance(part, float) else str(part).strip() for part in several)
        return tuple(text for text in texts if text)

    def check_used(self, columns: Columns) -> None:
        """Refuse options that mean nothing where columns were read from.

        Raises
        ------
        RnnsimError
            The message names the first.
        """
        for name, value in self._asdict().items():
            if value != self._field_defaults[name] and name not in columns.options:
                raise RnnsimError(f"{name}= is for {APPLY_TO[name]}, which {columns.source} is not; "
                                  "leave it out")  # fmt: skip
