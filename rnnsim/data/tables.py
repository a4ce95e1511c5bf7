"""Tables as they were read, one or several; put together, they are the user's data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnsim.data.cells import PLAIN, Style
from rnnsim.data.columns import BOOLEAN, CATEGORY, EMPTY, EVERYWHERE, NUMBER, TIME, Column, Columns
from rnnsim.data.judging import judged
from rnnsim.errors import RnnsimError, nearest


@dataclass
class Table:
    """What one file, array or frame holds.

    Attributes
    ----------
    source : str
        For messages.
    columns : list of Column
    rows : int
    notes : list of str
        What was said when it was read.
    place : Callable
        ``place(row)`` tells where a row is.
    options : frozenset of str
        The options of reading that mean something there.
    style : Style
        How numbers are written there, if it is text.
    """

    source: str
    columns: list[Column]
    rows: int
    notes: list[str] = field(default_factory=list)
    place: Callable[[int], str] = "row {} (from 0)".format
    options: frozenset[str] = EVERYWHERE
    style: Style = PLAIN


def named_apart(names: Sequence[str], blank: Sequence[bool]) -> tuple[list[str], list[str]]:
    """Give each column a name of its own; and what to say of it.

    A column without a name is ``index`` if it is the first, else ``column 3`` by its place; the name is
    empty if nothing is in it. Of two columns of one name the second is called ``a.1``.
    """
    given: list[str] = []
    notes = []
    for i, name in enumerate(" ".join(name.split()) for name in names):
        chosen = name
        if not name:
            if blank[i]:
                given.append("")
                notes.append(f"column {i + 1} has no name and is empty: dropped")
                continue
            chosen = name = "index" if i == 0 else f"column {i + 1}"
        count = 0
        while chosen in given or (count and chosen in names):
            count += 1
            chosen = f"{name}.{count}"
        if count:
            notes.append(f"there are several columns {name!r}: one is now {chosen!r}")
        given.append(chosen)
    return given, notes


def joined(tables: Sequence[Table], source: str = "") -> Columns:
    """Put tables one after the other, each a sequence, and say what numbers in them are no data.

    Raises
    ------
    RnnsimError
        If their columns are not the same.
    """
    first = tables[0]
    by_name = [{column.name: column for column in table.columns} for table in tables]
    for table, columns in zip(tables[1:], by_name[1:]):
        for name in by_name[0]:
            if name not in columns:
                raise RnnsimError(
                    f"{table.source}: {nearest('column', name, columns)}; {first.source} has it, and "
                    f"all must have the same columns"
                )
        for name in columns:
            if name not in by_name[0]:
                raise RnnsimError(f"{table.source} has a column {name!r}, which {first.source} has not; "
                                  f"all must have the same columns")  # fmt: skip
    lengths = tuple(table.rows for table in tables)
    if not first.columns:
        raise RnnsimError(f"{first.source} has no columns")
    if empty := next((table.source for table in tables if not table.rows), ""):
        raise RnnsimError(f"{empty} has columns but no rows")
    columns = {
        name: judged(_together([columns[name] for columns in by_name], tables), lengths)
        for name in by_name[0]
    }
    columns, said = _with_times_of_day(columns)
    several = len(tables) > 1
    notes = [
        f"{table.source}: {note}" if several else note for table in tables for note in _notes(table)
    ] + said
    names = tuple(table.source for table in tables) if several else ()
    starts = np.cumsum([0, *lengths])

    def place(row: int) -> str:
        at = int(np.searchsorted(starts[1:-1], row, side="right"))
        where = tables[at].place(int(row - starts[at]))
        return f"{tables[at].source}, {where}" if several else where

    options = frozenset[str]().union(*(table.options for table in tables))
    return Columns(
        source or first.source, columns, sum(lengths), lengths, names, tuple(notes), place, options,
        first.style,
    )  # fmt: skip


def _with_times_of_day(columns: dict[str, Column]) -> tuple[dict[str, Column], list[str]]:
    """Put a column of dates and one of times of day together, in the former; and what to say of it."""
    times = [column for column in columns.values() if column.kind == TIME]
    dates = [column for column in times if "%d" in column.form and "%H" not in column.form]
    clocks = [column for column in times if column.form.startswith(("%H", "%I"))]
    if len(dates) != 1 or len(clocks) != 1:
        return columns, []
    date, clock = dates[0], clocks[0]
    moments = date._replace(values=date.values + clock.values, form=f"{date.form} {clock.form}")
    return {**columns, date.name: moments}, [f"{date.name} and {clock.name} are one time, {date.name}"]


def _notes(table: Table) -> list[str]:
    own = [f"the column {column.name}: {column.note}" for column in table.columns if column.note]
    return [*table.notes, *own]


def _together(parts: Sequence[Column], tables: Sequence[Table]) -> Column:
    """One column of the parts that several tables have of it."""
    if len(parts) == 1:
        return parts[0]
    values = [part.values for part in parts]
    there = [part for part in parts if part.kind != EMPTY]
    if not there:
        return parts[0]._replace(values=np.concatenate(values))
    kinds = {part.kind for part in there}
    if kinds == {NUMBER, BOOLEAN}:
        kinds = {NUMBER}
    if len(kinds) > 1:
        one = there[0]
        other = next(i for i, part in enumerate(parts) if part.kind not in (EMPTY, one.kind))
        raise RnnsimError(
            f"{tables[other].source}: the column {one.name} is of kind {parts[other].kind}, and of kind "
            f"{one.kind} in {tables[parts.index(one)].source}"
        )
    kind = kinds.pop()
    categories: tuple[str, ...] = ()
    if kind == CATEGORY:
        categories = tuple(sorted({text for part in there for text in part.categories}))
        place: Mapping[str, int] = {text: i for i, text in enumerate(categories)}
        for i, part in enumerate(parts):
            if part.kind == CATEGORY:
                values[i] = _replaced(part, place)
    remarks = {part.remark for part in there}
    trouble = next((part.trouble for part in there if part.trouble), "")
    form = there[0].form
    remark = remarks.pop() if len(remarks) == 1 else ""
    return Column(
        there[0].name, kind, np.concatenate(values), categories, remark, there[0].unit, form, trouble
    )


def _replaced(part: Column, place: Mapping[str, int]) -> np.ndarray:
    to = np.array([place[text] for text in part.categories] or [0], np.float64)
    missing = np.isnan(part.values)
    return np.where(missing, np.nan, to[np.where(missing, 0, part.values).astype(np.int64)])
