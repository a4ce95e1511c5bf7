"""How a text file is written, by its beginning: what is between its columns, and where they begin."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from rnnsim.data.blocks import is_comment
from rnnsim.data.cells import Style, Unsure, is_missing, is_number, style_of
from rnnsim.data.columns import Reading
from rnnsim.data.times import read_times
from rnnsim.errors import RnnsimError, shown

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
WORDS = {separator: word for word, separator in SEPARATORS.items()}
SPACE = " "  # any number of spaces and tabs
NOTHING = "\x1f"  # between the columns of a file that has only one
COMMENTS = ("#", "%", "//", "!")
ROWS = 200  # rows that are looked at
UNITS = frozenset([
    "s", "sec", "ms", "min", "h", "hr", "hours", "d", "days", "m", "km", "cm", "mm", "nm", "in",
    "ft", "mi", "kg", "g", "mg", "t", "lb", "k", "c", "f", "degc", "degf", "pa", "hpa", "kpa",
    "mpa", "bar", "mbar", "psi", "v", "mv", "kv", "a", "ma", "w", "kw", "mw", "gw", "wh", "kwh",
    "mwh", "j", "kj", "hz", "khz", "mhz", "l", "ml", "mol", "rpm", "n", "kn", "db", "ppm", "usd",
    "eur", "gbp",
])  # fmt: skip
UNTIL_YEAR, FROM_YEAR = 2200, 1500


class Line(NamedTuple):
    """A line of the file, from 1, and its cells."""

    number: int
    cells: list[str]


class Dialect(NamedTuple):
    """How a text file is written.

    Attributes
    ----------
    separator : str
        One character; a space is any number of them.
    begin : int
        The number of lines before the first row.
    names, units : list of str
        Of each column; empty if nothing is said.
    comment : str
        What a line begins with that is none of the data; empty if no line is a comment.
    style : Style
        How its numbers are written.
    notes : tuple of str
        What was found that a user may want to know.
    sample : list of list of str
        The cells of the first rows.
    """

    separator: str
    begin: int
    names: list[str]
    units: list[str]
    comment: str
    style: Style
    notes: tuple[str, ...]
    sample: list[list[str]]


def dialect_of(file: str, text: str, options: Reading) -> Dialect:
    """Tell how a file is written by its first lines.

    Parameters
    ----------
    file : str
        Its name, for messages.
    text : str
        Its beginning: whole lines, with ``\\n`` between them.

    Raises
    ------
    RnnsimError
        If that is not certain; the message says which option decides it.
    """
    raw = text.split("\n")
    if said := separator_said(raw[0]):
        options, raw[0] = options._replace(separator=options.separator or said), ""
    comment = options.comment or comment_in(raw)
    separator = _separator(file, raw, comment, options)
    lines = list(cells_of(raw, separator, comment))
    if not lines:
        raise RnnsimError(f"{file} is empty; it needs a line of column names, then the rows")
    title, lines = _after_titles(lines)
    at = lines[0].number
    notes = [f"the lines before line {at} are no data"] if title else []
    header, rows, more = _header(file, lines, raw[: at - 1], comment, separator, options)
    notes += more
    width = (
        Counter(len(line.cells) for line in rows[:ROWS]).most_common(1)[0][0] if rows else len(header)
    )
    if not header:
        header = [f"x{i + 1}" for i in range(width)]
    units = []
    if rows and options.header != "no" and (units := _units(rows)):
        if names := of_two_lines(header, units):
            header, units = names, []
            notes.append(f"lines {at} and {rows[0].number} hold the names of columns together")
        else:
            notes.append(f"line {rows[0].number} holds units")
        rows = rows[1:]
    header = _fitting(file, header, rows, width)
    sample = [line.cells for line in rows[:ROWS] if len(line.cells) == width]
    style = style_in(file, list(zip(*sample)), options)
    begin = rows[0].number - 1 if rows else len(raw)
    return Dialect(separator, begin, header, units, comment, style, tuple(notes), sample)


def cells_of(lines: Sequence[str], separator: str, comment: str, first: int = 1) -> Iterator[Line]:
    """Split lines into cells; blank lines and comments are passed over."""
    kept = [
        (first + i, line)
        for i, line in enumerate(lines)
        if line.strip() and not is_comment(line, comment)
    ]
    texts = (" ".join(line.split()) if separator == SPACE else line for _, line in kept)
    reader = csv.reader((text + "\n" for text in texts), delimiter=separator, skipinitialspace=True)
    before = 0
    try:
        for cells in reader:
            yield Line(kept[before][0], [cell.strip() for cell in cells])
            before = reader.line_num
    except csv.Error:
        return


# --- what is between the columns -----------------------------------------------------------------------


def comment_in(lines: Sequence[str]) -> str:
    """The mark of comments, if the first line is one."""
    first = next((line.lstrip() for line in lines if line.strip()), "")
    return next((mark for mark in COMMENTS if is_comment(first, mark)), "")


def _separator(file: str, lines: Sequence[str], comment: str, options: Reading) -> str:
    """Tell what is between columns: what divides nearly all lines into as many."""
    if options.separator:
        return _given_separator(options.separator)
    for separator in ("\t", ";", "|", ",", SPACE):
        _, some = _after_titles(list(cells_of(lines[:ROWS], separator, comment)))
        width = _width(some)
        alike = sum(len(line.cells) == width for line in some)
        if width < 2 or alike < len(some) / 2 or abs(len(some[0].cells) - width) > 1:
            continue
        if separator == "," and width == 2 and _one_column(lines[:ROWS], comment):
            continue
        if separator == SPACE and not all(map(_is_value, some[-1].cells)):
            continue  # words of text
        return separator
    return NOTHING


def separator_said(line: str) -> str:
    """What a first line of Excel's own, ``sep=;``, says is between columns; empty for any other line."""
    found = re.fullmatch(r"\ufeff?\"?sep=(.)\"?", line.rstrip("\r\n"), re.IGNORECASE)
    return found[1] if found else ""


def _given_separator(said: str) -> str:
    given = SEPARATORS.get(said.casefold(), said.replace("\\t", "\t"))
    if len(given) != 1 or given in "\"\n\r.'" or given.isalnum():
        raise RnnsimError(f"separator is one character, or {', '.join(SEPARATORS)}; not {shown(said)}")
    return given


def separator_in(header: str, said: str = "") -> str:
    """What is between columns: what is said, or else what is most often between names."""
    if said:
        return _given_separator(said)
    found = max((",", ";", "\t", "|"), key=header.count)
    return found if found in header else SPACE if SPACE in header.strip() else ","


def _one_column(lines: Sequence[str], comment: str) -> bool:
    """Whether lines are a name, and then numbers with decimal commas."""
    first, *others = cells_of(lines, NOTHING, comment)
    return "," not in first.cells[0] and all(
        re.fullmatch(r"[+-]?\d+(,\d+)?", line.cells[0]) for line in others
    )


def _is_value(cell: str) -> bool:
    return is_number(cell) or is_missing(cell) or bool(re.fullmatch(r"[\d.,:/TZ+-]+|\w+", cell))


def _width(lines: Sequence[Line]) -> int:
    """The number of cells that most lines have."""
    counts = Counter(len(line.cells) for line in lines[:ROWS])
    return counts.most_common(1)[0][0] if counts else 0


def _after_titles(lines: list[Line]) -> tuple[bool, list[Line]]:
    """Pass over the lines before the table: they hold something in their first cell alone."""
    if _width(lines[len(lines) // 2 :]) < 2 and _width(lines) < 2:
        return False, lines
    for i, line in enumerate(lines):
        if any(line.cells[1:]):
            return i > 0, lines[i:]
    return False, lines


# --- the header ----------------------------------------------------------------------------------------


def _header(
    file: str, lines: list[Line], above: Sequence[str], comment: str, separator: str, options: Reading
) -> tuple[list[str], list[Line], list[str]]:
    """The names of the columns, the lines after them, and what to say of it."""
    first, rest = lines[0], lines[1:]
    if options.header == "no":
        return [], lines, []
    if options.header == "yes" or _names_columns(first.cells, [line.cells for line in rest[:ROWS]]):
        numbers = [cell for cell in first.cells if cell]
        years = all(map(is_number, numbers)) and options.header != "yes"
        return first.cells, rest, [f"line {first.number} holds the names of columns"] * years
    for line in reversed(above):  # numpy.savetxt writes the names as a comment
        text = line.strip()
        if comment and text.startswith(comment):
            cells = next(iter(cells_of([text.removeprefix(comment)], separator, "")), Line(0, [])).cells
            if len(cells) == len(first.cells) and not any(map(is_number, cells)):
                return cells, lines, ["the comment above the first row holds the names of columns"]
            break
    raise RnnsimError(
        f"{file} has no header: line {first.number} holds values, not names of columns; "
        f"header=no calls the columns x1, x2, ..., header=yes takes the values as names"
    )


def _names_columns(first: list[str], rows: list[list[str]]) -> bool:
    """Whether a line holds names: text above numbers or times, or years or indices above others."""
    values = [(cell, kind) for i, cell in enumerate(first) if (kind := _kind_below(rows, i))]
    if not values:
        return not all(map(is_number, filter(None, first))) or not any(first)
    if any(not _of_kind(cell, kind) and not is_missing(cell) for cell, kind in values):
        return True
    return _counts(first, rows)


def _counts(first: list[str], rows: list[list[str]]) -> bool:
    """Whether numbers of a first line are years one after the other, or 0, 1, ... beside a blank."""
    counted = [int(cell) for cell in first if cell.isdigit()]
    others = [cell for cell in first if cell and not cell.isdigit()]
    if len(counted) < 2 or any(map(is_number, others)):
        return False
    step = counted[1] - counted[0]
    if step <= 0 or any(b - a != step for a, b in pairwise(counted)):
        return False
    if not first[0] and counted[0] in (0, 1) and step == 1:
        return True
    years = counted[0] >= FROM_YEAR and counted[-1] <= UNTIL_YEAR
    below = [
        cell
        for row in rows[:3]
        for cell in row
        if cell.isdigit() and FROM_YEAR <= int(cell) <= UNTIL_YEAR
    ]
    return years and not below


def _kind_below(rows: list[list[str]], column: int) -> str:
    """What most of a column is: ``number``, ``time``, or else nothing."""
    cells = [row[column] for row in rows if column < len(row) and not is_missing(row[column])]
    if not cells:
        return ""
    if (
        sum(bool(re.fullmatch(r"[+-]?[\d.,' ]*\d[\d.,' ]*([eE][+-]?\d+)?", cell)) for cell in cells)
        > len(cells) / 2
    ):
        return "number"
    return "time" if read_times(pl.Series(cells[:5])) is not None else ""


def _of_kind(cell: str, kind: str) -> bool:
    if kind == "number":
        return bool(re.fullmatch(r"[+-]?[\d.,' ]*\d[\d.,' ]*([eE][+-]?\d+)?|[+-]?(inf|nan)", cell))
    return bool(cell) and read_times(pl.Series([cell])) is not None


def _units(rows: list[Line]) -> list[str]:
    """The units in a line under the header: text above every number of the next lines."""
    first, below = rows[0].cells, [line.cells for line in rows[1:ROWS]]
    above = [cell for i, cell in enumerate(first) if _kind_below(below, i) == "number"]
    there = [cell for cell in above if cell and cell != "-"]
    numbers = any(re.match(r"[+-]?[.,]?\d", cell) for cell in first)
    if not there or numbers or any(map(is_missing, there)):
        return []
    if not any(map(_is_unit, there)) and len(there) < 2:
        return []  # one word above numbers may be any
    return [cell.strip("[]()") for cell in first]


def of_two_lines(above: list[str], below: list[str]) -> list[str]:
    """The names of columns of which the upper line names groups; none if each has a name of its own.

    The name of a group is above each of its columns, or above the first, with blanks beside it.
    """
    alike = [cell for cell in above if cell]
    there = [cell for cell in below if cell]
    if len(above) != len(below) or sum(map(_is_unit, there)) > len(there) / 2:  # min may be a name
        return []
    several = len(set(alike)) < len(alike) or any(not cell for cell in above[1:])
    groups = [next((cell for cell in reversed(above[: i + 1]) if cell), "") for i in range(len(above))]
    names = [" ".join(filter(None, pair)) for pair in zip(groups, below)]
    return names if several and len(set(names)) == len(names) else []


def _is_unit(cell: str) -> bool:
    return cell.casefold() in UNITS or re.search(r"[°%/^²³µ]|^[\[(]", cell) is not None


def _fitting(file: str, header: list[str], rows: list[Line], width: int) -> list[str]:
    """Give each column a name, where rows have one column more or less than the header."""
    if len(header) == width:
        return header
    cells = [line.cells for line in rows[:ROWS] if len(line.cells) == width]
    if len(header) == width + 1 and not header[-1]:
        return header[:-1]
    if len(header) == width - 1 and all(not row[-1] for row in cells):
        return [*header, ""]
    if len(header) == width - 1 and (_row_names([row[0] for row in cells])):
        return ["", *header]
    line = next(line for line in rows if len(line.cells) == width)
    raise RnnsimError(ragged(file, line, len(header)))


def ragged(file: str, line: Line, width: int) -> str:
    """The message on a line that has not as many cells as there are columns."""
    found = f"{len(line.cells)} value{'s' * (len(line.cells) != 1)}"
    what = f" ({shown(line.cells[0])})" if len(line.cells) == 1 else ""
    columns = f"{width} column{'s' * (width != 1)}"
    return (
        f"{file}, line {line.number}: {found}{what}; the header names {columns}: delete the line, or "
        f"separator= says what is between columns"
    )


def _row_names(cells: list[str]) -> bool:
    """Whether a column without a name holds row numbers, times or text."""
    if not all(map(is_number, cells)):
        return all(not is_number(cell) for cell in cells)
    return all(float(b) - float(a) == 1 for a, b in pairwise(cells)) and float(cells[0]) in (0, 1)


def style_in(file: str, columns: Iterable[Collection[str]], options: Reading) -> Style:
    """How numbers are written in some columns.

    Raises
    ------
    RnnsimError
        If they can be read in two ways.
    """
    for name, given, known in (
        ("decimal", options.decimal, ".,"),
        ("thousands", options.thousands, ",.'"),
    ):
        words = ("space", " ") if name == "thousands" else ()
        if given and given not in (*known, *words):
            raise RnnsimError(
                f"{name} is one of {' '.join(known)}{' space' * bool(words)}, not {shown(given)}"
            )
    thousands = options.thousands.replace("space", " ")
    if options.decimal and options.decimal == thousands:
        raise RnnsimError(f"decimal and thousands are both {shown(thousands)}; they must differ")
    style = style_of(columns, options.decimal, thousands)
    if isinstance(style, Unsure):
        raise RnnsimError(
            f"{file}: {style.example!r} can be read in two ways; decimal=, says that its comma begins "
            f"decimals, thousands=, that it stands between thousands"
        )
    return style if style is not None else Style(options.decimal or ".", thousands)
