"""Text files of columns: comma-separated values and their relatives.

polars splits blocks of the file into cells and reads numbers. Beside DuckDB and pandas it takes the
least time and memory for a large file and needs no other package. It gives a column as text, exactly as
it stands, where that is asked for, so that what a column is can be judged by all its values; readers
that guess types by themselves do not tell what they made of a cell.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rnnsim.data.blocks import (
    SAMPLE,
    WESTERN,
    Lines,
    Progress,
    TextSource,
    count,
    decoded,
    encoding_of,
    lines_of,
)
from rnnsim.data.cells import MOST_TEXTS, Parsed, Style, numbers, without
from rnnsim.data.columns import EVERYWHERE, NUMBER, Column, Reading
from rnnsim.data.dialect import SPACE, Dialect, Line, cells_of, dialect_of, ragged, style_in
from rnnsim.data.judging import LEADING_ZEROS, Place, column_of_text
from rnnsim.data.tables import Table, named_apart
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

MOST_PASSES = 4
OPTIONS = EVERYWHERE | {"header", "separator", "encoding", "comment"}


def read_text(source: TextSource, options: Reading, progress: Progress | None = None) -> Table:
    """Read a text file.

    Raises
    ------
    RnnsimError
        If it cannot be read with certainty; the message names the line and what to do.
    """
    encoding = encoding_of(source, options.encoding)
    tried = (encoding,) if options.encoding or encoding != "utf-8" else (encoding, *WESTERN)
    for name in tried:
        try:
            table = _TextFile(source, name, options, progress).read()
        except UnicodeDecodeError as error:
            why = f"byte {error.object[error.start]:#04x} is none of it"
            continue
        if name in WESTERN:
            table.notes.insert(0, f"it is no UTF-8; read as {name}")
        return table
    raise RnnsimError(f"{source.name} is not in {encoding}: {why}; encoding= says which it is")


class Row(NamedTuple):
    """Where the rows of a block begin."""

    row: int
    lines: Lines


class _TextFile:
    """A text file whose encoding is known."""

    def __init__(
        self, source: TextSource, encoding: str, options: Reading, progress: Progress | None
    ) -> None:
        self.source, self.encoding, self.options, self.progress = source, encoding, options, progress
        self.dialect = self._dialect()
        self.style = self.dialect.style
        self.starts: list[Row] = []
        self.odd: dict[int, list[str]] = {}  # what was no number in any pass

    def _dialect(self) -> Dialect:
        start = b""
        for block in decoded(self.source, self.encoding, size=SAMPLE):
            start += block
            if len(start) >= SAMPLE:
                break
        return dialect_of(self.source.name, start.decode().removesuffix("\n"), self.options)

    def place(self, row: int) -> str:
        """Tell where a row is."""
        at = self.starts[bisect.bisect_right([start.row for start in self.starts], row) - 1]
        return f"{self.source.line} {at.lines.at(row - at.row)}"

    def read(self) -> Table:
        """Read all rows; again, where what a column is turns out only late."""
        width = len(self.dialect.names)
        found = self._gather({i: _Gathered() for i in range(width)})
        for _ in range(MOST_PASSES):
            style = self._style(found)
            again = range(width) if style != self.style else [i for i in found if found[i].wants_text]
            if not again:
                break
            self.style = style
            found |= self._gather({i: _Gathered(found[i].wants_text or None) for i in again})
        names, notes = named_apart(self.dialect.names, [found[i].blank for i in range(width)])
        file = self.source.name
        columns = []
        for i, name in enumerate(names):
            if name:
                unit = self.dialect.units[i] if i < len(self.dialect.units) else ""
                column = found[i].judged(name, self.style, self.options.sentinels, self._named_place)
                columns.append(column._replace(unit=unit))
        rows = len(columns[0].values) if columns else 0
        notes = [*self.dialect.notes, *notes]
        return Table(file, columns, rows, notes, self.place, OPTIONS, self.style)

    def _named_place(self, row: int) -> str:
        return f"{self.source.name}, {self.place(row)}"

    def _style(self, found: dict[int, _Gathered]) -> Style:
        """How numbers are written, if what was not read as numbers is looked at too."""
        odd = {i: column.odd for i, column in found.items() if column.odd}
        if not odd:
            return self.style
        self.odd |= odd
        sample = list(zip(*self.dialect.sample))
        columns = [[*cells, *self.odd.get(i, ())] for i, cells in enumerate(sample)]
        return style_in(self.source.name, columns, self.options)

    def _gather(self, wanted: dict[int, _Gathered]) -> dict[int, _Gathered]:
        """Read some of the columns from all blocks."""
        dialect, line, row = self.dialect, 1, 0
        self.starts = [Row(0, Lines(b"", dialect.begin + 1, None))]
        frame = None
        for block in decoded(self.source, self.encoding, self.progress):
            if line <= dialect.begin:
                ends = count(block, b"\n")
                passed = min(ends, dialect.begin + 1 - line)
                line += passed
                block = block.split(b"\n", passed)[-1]
            if not block:
                continue
            plain = self.style == Style() or (self.style == Style(",") and b"." not in block)
            floats = {i for i, column in wanted.items() if column.fast and plain}
            frame, lines = frame_of(
                self.source.name, Lines(block, line, None), dialect, floats, self.style.decimal
            )
            line += frame.height if lines.block is block and b'"' not in block else count(block, b"\n")
            self.starts.append(Row(row, lines._replace(block=b"")))
            for i, column in wanted.items():
                column.add(frame[:, i], self.style, self.options.sentinels)
            row += frame.height
        trailing = 0
        while frame is not None and trailing < frame.height and not any(
            cell not in (None, "") for cell in frame.row(frame.height - 1 - trailing)
        ):  # fmt: skip
            trailing += 1
        for column in wanted.values():
            column.end(row - trailing)
        return wanted


def frame_of(
    file: str, lines: Lines, dialect: Dialect, floats: Collection[int], decimal: str
) -> tuple[pl.DataFrame, Lines]:
    """Split a block into cells; columns of floats are read as such at once, if all their cells are.

    Returns
    -------
    frame : of a column of text, or of floats, for each name
    lines : Lines
        Those that hold its rows.

    Raises
    ------
    RnnsimError
        If a line has not as many cells as there are columns.
    """
    comment, spaces = dialect.comment.encode(), dialect.separator == SPACE
    tidy = len(dialect.names) > 1 and not spaces and not (comment and comment in lines.block)
    # blank lines are noticed in what comes out, which is faster than to look for them
    frame = _frame(lines.block, dialect, floats, decimal) if tidy else None
    if frame is None:
        lines = lines_of(lines.block, lines.first, comment, spaces)
        frame = _frame(lines.block, dialect, ()) if lines.numbers is not None or not tidy else None
    return (frame, lines) if frame is not None else _plain_frame(file, lines, dialect)


def _frame(
    block: bytes, dialect: Dialect, floats: Collection[int], decimal: str = "."
) -> pl.DataFrame | None:
    """Let polars split a block; None if it cannot, or if a line has not as many cells as it must."""
    width, quoted = len(dialect.names), b'"' in block
    spaced = quoted and b' "' in block and re.search(rb'[^"\n] +"', block)
    if quoted and (dialect.separator == SPACE or spaced):
        return None
    schema: dict[str, Any] = {f"{i}": pl.Float64 if i in floats else pl.String for i in range(width)}
    try:
        frame = pl.read_csv(
            block, has_header=False, schema=schema, separator=dialect.separator,
            quote_char='"' if quoted else None, decimal_comma=bool(floats) and decimal == ",",
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        return _frame(block, dialect, ()) if floats else None
    # of a line that is too short nothing is said, but separators are missing
    if quoted:
        full = frame.height == count(block, b"\n") and not frame[:, -1].null_count()
    else:
        full = count(block, dialect.separator.encode()) == frame.height * (width - 1)
    return frame if full else None


def _plain_frame(file: str, lines: Lines, dialect: Dialect) -> tuple[pl.DataFrame, Lines]:
    """The same by a slower reader, which tells every line."""
    width = len(dialect.names)
    rows, numbers = [], []
    for at, cells in cells_of(lines.block.decode().split("\n")[:-1], dialect.separator, ""):
        line = Line(lines.at(at - 1), cells)
        if len(cells) == width + 1 and not cells[-1]:
            cells.pop()
        elif len(cells) == width - 1 and not dialect.names[-1]:
            cells.append("")
        if len(cells) != width:
            raise RnnsimError(ragged(file, line, width))
        rows.append(cells)
        numbers.append(line.number)
    columns = list(zip(*rows)) if rows else [()] * width
    frame = pl.DataFrame(
        {f"{i}": [cell or None for cell in cells] for i, cells in enumerate(columns)},
        schema={f"{i}": pl.String for i in range(width)},
    )
    return frame, lines._replace(numbers=np.array(numbers, np.int64))


class _Gathered:
    """What was read of a column so far: numbers as they come, or text as it stands.

    Attributes
    ----------
    text : bool or None
        Whether it is kept as text; None before anything was there.
    odd : list of str
        What is no number among numbers, or where text was first.
    wants_text : bool
        Whether the column must be read again, as text, to judge it.
    fast : bool
        Whether its numbers have decimals, so that they may be read as floats at once: whole numbers may
        have zeros before them, and then they are none.
    blank : bool
        Whether all its cells are empty.
    """

    def __init__(self, text: bool | None = None) -> None:
        self.text = text
        self.wants_text = self.fast = False
        self.blank = True
        self.odd: list[str] = []
        self._values: list[Array] = []
        self._cells: list[pl.Series] = []

    def add(self, cells: pl.Series, style: Style, sentinels: Collection[str]) -> None:
        """Take the cells of a block, or its numbers."""
        if self.text:
            self.blank = self.blank and cells.null_count() == len(cells)
            self._cells.append(cells)
        elif cells.dtype == pl.Float64:
            self._values.append(
                without(cells.fill_null(np.nan).to_numpy(writable=True), sentinels, style)
            )
        elif cells.null_count() == len(cells):
            self._values.append(np.full(len(cells), np.nan))
        else:
            self.blank = False
            self._add_text(cells, numbers(cells, style, sentinels))

    def _add_text(self, cells: pl.Series, parsed: Parsed) -> None:
        finite = parsed.values[np.isfinite(parsed.values)]
        whole = bool((finite == np.floor(finite)).all())
        zeros = whole and cells.str.contains(LEADING_ZEROS).any()
        if self.text is None and (len(parsed.rows) > len(finite) or zeros):
            self.text, self.wants_text = True, bool(self._values)
            self.odd = parsed.texts
            self._cells.append(cells)
            return
        self.text = False if len(finite) else self.text
        self.odd += parsed.texts[: MOST_TEXTS - len(self.odd)]
        self.wants_text = self.wants_text or bool(parsed.texts) or zeros
        self.fast = bool(len(finite)) and not whole
        self._values.append(parsed.values)

    def end(self, rows: int) -> None:
        """Put the blocks together, without the empty rows at the end."""
        if self.text:
            self._cells = [pl.concat(self._cells)[:rows]] if self._cells else []
        else:
            self._values = [np.concatenate([*self._values, np.empty(0)])[:rows]]

    def judged(self, name: str, style: Style, sentinels: Collection[str], place: Place) -> Column:
        """What the column is."""
        if self.text:
            return column_of_text(name, self._cells[0], style, sentinels, place)
        return Column(name, NUMBER, self._values[0])
