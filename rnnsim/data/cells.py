"""What a cell of text is: a number, however it is written, or the word for one that is missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnnsim.typing import Array

if TYPE_CHECKING:
    import polars as pl  # late below: what only names a style is imported with rnnsim itself

# Beside text the first are missing, beside numbers and times all of these.
SPREADSHEET_ERRORS = ("#n/a", "#ref!", "#div/0!", "#value!", "#num!", "#name?", "#null!")
NOT_THERE = frozenset({"", "na", "n/a", "n.a.", "#na", "<na>", "nan", "-nan", "null", "nat"}).union(
    SPREADSHEET_ERRORS
)
MISSING = NOT_THERE | {
    "none",
    "nil",
    "missing",
    "?",
    "-",
    "--",
    "---",
    ".",
    "..",
    "...",
    "*",
    "\u2013",
    "\u2014",
}
BOOLEANS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("off", "on"))
MOST_TEXTS = 1000
INFINITE = {"∞": np.inf, "+∞": np.inf, "-∞": -np.inf, "inf.": np.inf, "-inf.": -np.inf}
SPACES = "\u00a0\u2009\u202f"  # no-break, thin, narrow no-break

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPECIAL = re.compile(r"[+-]?(?:inf|infinity)", re.I)
_MARKED = re.compile(r"[+-]?[\d.,' " + SPACES + r"]*\d[\d.,' " + SPACES + r"]*(?:[eE][+-]?\d+)?")


class Style(NamedTuple):
    """How numbers are written.

    Attributes
    ----------
    decimal : "." or ","
    thousands : str
        The mark between thousands: none, or one of ``.``, ``,``, ``'``, a space.
    """

    decimal: str = "."
    thousands: str = ""


PLAIN = Style()


class Parsed(NamedTuple):
    """Cells as numbers.

    Attributes
    ----------
    values : (rows,) array
        nan where nothing is, or what is no number.
    rows : (others,) array of int
        Where there is something that is neither a number nor the word for a missing one.
    texts : list of str
        What is there: each text once, in the order in which they come, and no more than many.
    """

    values: Array
    rows: Array
    texts: list[str]


def is_number(cell: str) -> bool:
    """Whether a cell is a plain number."""
    text = cell.strip()
    return bool(_PLAIN.fullmatch(text) or _SPECIAL.fullmatch(text))


def is_number_somehow(cell: str) -> bool:
    """Whether a cell is a number in one of the styles."""
    return any(_pattern(style).fullmatch(cell.strip().strip(SPACES)) for style in _STYLES)


def number_in(cell: str, styles: Collection[Style] = (Style(),)) -> float | None:
    """The number that a cell is in the first of these styles that is its own; None if in none."""
    text = cell.strip().strip(SPACES).replace("\u2212", "-")
    if text in INFINITE or _SPECIAL.fullmatch(text):
        return INFINITE.get(text) or float(text)
    for style in styles:
        if _pattern(style).fullmatch(text):
            marks = f" {SPACES}" if style.thousands == " " else style.thousands
            return float(text.translate(dict.fromkeys(map(ord, marks))).replace(style.decimal, "."))
    return None


def is_missing(cell: str) -> bool:
    """Whether a cell says that a number is missing."""
    return cell.strip().casefold() in MISSING


def numbers(cells: pl.Series, style: Style = Style(), sentinels: Collection[str] = ()) -> Parsed:  # noqa: B008
    """Read cells of text as numbers, rounded correctly."""
    import polars as pl

    read = _plainly(cells, style).cast(pl.Float64, strict=False)
    if read.null_count() == cells.null_count():
        return Parsed(without(_values(read), sentinels, style), np.empty(0, np.int64), [])
    tidy = cells.str.strip_chars().str.strip_chars(SPACES).str.replace("\u2212", "-", literal=True)
    read = _plainly(tidy, style).cast(pl.Float64, strict=False)
    values = _values(read)
    rows = (read.is_null() & cells.is_not_null()).arg_true().to_numpy().astype(np.int64)
    words = tidy.gather(rows)
    for word, value in INFINITE.items():
        values[rows[(words == word).to_numpy()]] = value
    known = words.str.to_lowercase().is_in(sorted(MISSING)) | words.is_in([*INFINITE, *sentinels])
    others = words.filter(~known)
    first = others.unique(maintain_order=True).head(MOST_TEXTS).to_list()
    return Parsed(without(values, sentinels, style), rows[~known.to_numpy()], first)


def _values(read: pl.Series) -> Array:
    """Numbers as an array that may be written to, nan where nothing is."""
    full = read.fill_null(np.nan) if read.null_count() else read
    return full.to_numpy(writable=True)


def without(values: Array, sentinels: Collection[str], style: Style = Style()) -> Array:  # noqa: B008
    """Numbers, in place, without those that mean "missing"."""
    import polars as pl

    for text in sentinels:
        for one in {Style(), style}:  # an option is written plainly, or as the file is
            read = numbers(pl.Series([text]), one)
            if not read.texts:
                values[values == read.values[0]] = np.nan
    return values


def _plainly(cells: pl.Series, style: Style) -> pl.Series:
    """Write numbers of a style as they are written plainly; null for what is not of the style."""
    import polars as pl

    if style == Style():
        return cells
    text = pl.col("cells")
    if not style.thousands:
        mixed = text.str.contains(".", literal=True)
        chosen = pl.when(~mixed).then(text.str.replace(style.decimal, ".", literal=True))
        return cells.to_frame("cells").select(chosen).to_series()
    pattern = f"^(?:{_pattern(style).pattern})$"
    if style.thousands == " ":
        text = text.str.replace_all(f"[{SPACES}]", " ")
    bare = text.str.replace_all(style.thousands, "", literal=True)
    bare = bare.str.replace(style.decimal, ".", literal=True)
    word = text.str.contains(r"(?i)^[+-]?(?:inf|infinity|nan)$")
    said = pl.when(text.str.contains(pattern)).then(bare).when(word).then(text)
    return cells.to_frame("cells").select(said).to_series()


# --- how numbers are written, judged by many -----------------------------------------------------------


class Unsure(NamedTuple):
    """That numbers can be read in two ways, by an example."""

    example: str


def style_of(
    columns: Iterable[Collection[str]], decimal: str = "", thousands: str = ""
) -> Style | Unsure | None:
    """Tell how numbers are written, by the cells of several columns; None if no style is that of all.

    Columns that are not numbers for the most part do not matter.

    Parameters
    ----------
    columns : iterable of collections of str
    decimal, thousands : str
        What is known of it.
    """
    fit = [
        style
        for style in _STYLES
        if decimal in ("", style.decimal) and thousands in ("", style.thousands)
    ]
    if not fit:
        return Style(decimal or ".", thousands)
    doubtful = ""
    for cells in columns:
        marked = [c for cell in cells if _MARKED.fullmatch(c := cell.strip().strip(SPACES))]
        there = sum(not is_missing(cell) for cell in cells)
        here = [style for style in fit if all(_pattern(style).fullmatch(cell) for cell in marked)]
        if 2 * len(marked) < there or not any(
            all(_pattern(style).fullmatch(cell) for cell in marked) for style in _STYLES
        ):
            continue
        if not here:
            return None
        doubtful = doubtful or next((cell for cell in marked if "," in cell), "")
        fit = here
    if fit[0] == Style(",") and Style(".", ",") in fit and doubtful:
        return Unsure(doubtful)
    return fit[0]


# the plainest first
_STYLES = [
    Style(), Style(","),
    *(Style(decimal, mark) for mark in (",", "'", " ", ".") for decimal in ".," if decimal != mark),
]  # fmt: skip


@lru_cache
def _pattern(style: Style) -> re.Pattern[str]:
    mark, decimal = re.escape(style.thousands), re.escape(style.decimal)
    if style.thousands == " ":
        mark = f"[ {SPACES}]"
    whole = rf"(?:[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|\d+)" if style.thousands else r"\d+"
    return re.compile(rf"[+-]?(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?")
