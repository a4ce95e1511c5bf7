"""Rows that arrive one by one, as lines of text with a header: read at once, as a file would be."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from rnnsim.data.blocks import is_comment
from rnnsim.data.cells import Style, is_number, number_in
from rnnsim.data.columns import Reading
from rnnsim.data.dialect import (
    SPACE,
    comment_in,
    of_two_lines,
    separator_in,
    separator_said,
    style_in,
)
from rnnsim.data.roles import Roles
from rnnsim.data.tables import named_apart
from rnnsim.data.times import rewritten
from rnnsim.errors import RnnsimError, UnknownName, nearest


class Line(NamedTuple):
    """A row as it arrived.

    Attributes
    ----------
    time, sequence : str
        As text, the time as tables of forecasts have it; empty where there is no such column.
    cells : dict of str
        What stands in the columns that are used; empty where a value is missing.
    number : int
        That of the line, from 1.
    styles : tuple of Style
        How its numbers may be written.
    """

    time: str
    sequence: str
    cells: dict[str, str]
    number: int
    styles: tuple[Style, ...] = (Style(),)


def lines_of(
    text: Iterable[str],
    roles: Roles,
    source: str,
    options: Reading = Reading(),  # noqa: B008
) -> Iterator[Line]:
    """Read lines as they come, each at once; blank lines and comments are passed over.

    Parameters
    ----------
    text : iterable of str
        Lines; the first has the names of the columns, or the first two, unless ``header`` is no.
    roles : Roles
        The columns that a model needs, and how they were written where it was learnt. Those of targets
        and of the time may be absent.
    source : str
        Where the lines are from, for messages.
    options : Reading
        By which the data were read that were learnt; what it does not say, the header tells.

    Raises
    ------
    UnknownName
        If a column is absent.
    RnnsimError
        If there is no header, or a line has another number of cells.
    """
    kept = _Kept(text, options.comment)
    first = next(kept, "")
    if not first:
        raise RnnsimError(f"{source} has no lines; the first must be the names of the columns")
    if said := separator_said(first):
        first = next(kept, "")
    separator = separator_in(first, options.separator or said)
    names, ahead = _header(first, kept.above, separator, options.header == "no")
    needed = [*roles.inputs, *([roles.sequence] if roles.sequence else [])]
    if not {*needed} <= {*names} and options.header != "no":
        names = _of_two_lines(first, next(kept, ""), separator) or names
    for name in needed:
        if name not in names:
            raise UnknownName(f"{source}: {nearest('column', name, names)}")
    used = [name for name in dict.fromkeys([*roles.inputs, *roles.targets]) if name in names]
    styles = _styles(source, roles, separator, options)
    may_be_units = not ahead and options.header != "no"
    for cells in _cells(chain(ahead, kept), separator):
        if len(cells) == len(names) + 1 and not cells[-1]:
            cells.pop()
        if len(cells) != len(names):
            raise RnnsimError(f"{source}, line {kept.number}: {len(cells)} cells; there must be as many "
                              f"as columns, {len(names)}")  # fmt: skip
        row = dict(zip(names, cells))
        if may_be_units and _holds_units(row, roles):
            continue
        may_be_units = False
        yield Line(
            rewritten(row.get(roles.time or "", ""), roles.form),
            row.get(roles.sequence or "", ""),
            {name: "" if _is_sentinel(row[name], options.sentinels, styles) else row[name]
             for name in used},
            kept.number,
            styles,
        )  # fmt: skip


class _Kept:
    """The lines that are neither blank nor comments, as they come.

    Attributes
    ----------
    number : int
        That of the last line, from 1.
    above : str
        The comment before the first of them, without its mark.
    """

    def __init__(self, text: Iterable[str], comment: str) -> None:
        self.number, self.above = 0, ""
        self._text, self._comment = iter(text), comment
        self._began = False

    def __iter__(self) -> _Kept:
        return self

    def __next__(self) -> str:
        for line in self._text:
            self.number += 1
            line = line.lstrip("\ufeff") if self.number == 1 else line
            if not line.strip():
                continue
            if not self._began and not self._comment:
                self._comment = comment_in([line])
            if not is_comment(line.lstrip(), self._comment):
                self._began = True
                return line
            if not self._began:
                self.above = line.strip().removeprefix(self._comment)
        raise StopIteration


def _header(first: str, above: str, separator: str, without: bool) -> tuple[list[str], list[str]]:
    """The names of the columns, and the first line once more if it is one of the rows."""
    cells = next(_cells([first], separator), [])
    if without:
        return [f"x{i + 1}" for i in range(len(cells))], [first]
    ahead = []
    if above and all(map(is_number, cells)):  # numpy.savetxt writes the names as a comment
        names = next(_cells([above], separator), [])
        if len(names) == len(cells) and not any(map(is_number, names)):
            cells, ahead = names, [first]
    return named_apart(cells, [False] * len(cells))[0], ahead


def _of_two_lines(above: str, below: str, separator: str) -> list[str]:
    """The names of the columns that two lines hold together; none if they do not."""
    cells = [next(_cells([line], separator), []) for line in (above, below)]
    return of_two_lines(*cells)


def _cells(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    texts = (" ".join(line.split()) + "\n" if separator == SPACE else line for line in lines)
    for cells in csv.reader(texts, delimiter=separator, skipinitialspace=True):
        yield [cell.strip() for cell in cells]


def _styles(source: str, roles: Roles, separator: str, options: Reading) -> tuple[Style, ...]:
    """How numbers may be written: as where the model was learnt, and otherwise if that is certain."""
    if options.decimal or options.thousands:
        return (style_in(source, (), options),)
    if roles.style.thousands:
        return (roles.style,)
    other = () if separator == "," else (Style(","),)
    return tuple(dict.fromkeys([roles.style, Style(), *other]))


def _holds_units(row: dict[str, str], roles: Roles) -> bool:
    there = [row[name].strip("[]()") == unit for name, unit in roles.units.items() if name in row]
    return bool(there) and all(there)


def _is_sentinel(cell: str, sentinels: tuple[str, ...], styles: tuple[Style, ...]) -> bool:
    """Whether a cell is text, or a number, that means that a value is missing."""
    if cell in sentinels:
        return True
    value = number_in(cell, styles) if sentinels else None
    return value is not None and value in (number_in(text, (Style(), *styles)) for text in sentinels)
