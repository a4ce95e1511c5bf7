"""The columns of the user's data, once they are read: numbers, with what each column is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rnnsim.typing import Array

NUMBER, BOOLEAN, TIME, CATEGORY, EMPTY = "number", "boolean", "time", "category", "empty"


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
    """

    name: str
    kind: str
    values: Array
    categories: tuple[str, ...] = ()
    remark: str = ""


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
    """

    source: str
    columns: Mapping[str, Column]
    rows: int
    lengths: tuple[int, ...]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    place: Callable[[int], str] = "row {} (from 0)".format
