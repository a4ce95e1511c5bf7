"""What a column is, judged by all its values: numbers, times, true and false, categories."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence, Sized

import numpy as np
import polars as pl

from rnnsim.data.cells import BOOLEANS, MISSING, NOT_THERE, Parsed, Style, is_number_somehow, numbers
from rnnsim.data.columns import (
    BOOLEAN,
    CATEGORY,
    CONSTANT,
    EMPTY,
    IDENTIFIERS,
    NUMBER,
    ROW_NUMBERS,
    TIME,
    TIME_STAMPS,
    YEARS,
    Column,
)
from rnnsim.data.times import EPOCH, dates_as_numbers, epoch_of, others_among_times, read_times
from rnnsim.errors import shown
from rnnsim.typing import Array

LEADING_ZEROS = r"^\s*[+-]?0\d\d+\s*$"
EXACT = 2.0**53  # whole numbers beyond are not told apart as float64
FEWEST = 3  # rows from which row numbers, identifiers and constants are called so
TIME_NAMES = re.compile(
    r"(?i)(unix|epoch|time|timestamp|date|datetime|ts|t|when)([ _-]?(unix|epoch|s|ms|us|ns|utc))*"
    r"( ?[\[(].*[\])])?"
)
YEAR_NAMES = re.compile(r"(?i)(year|years|yr|jahr|annee|année|año|ano|anno)")
ID_NAMES = re.compile(r"(?i)(.*[ _-])?(id|ids|uuid|guid)|.*[a-z]I[Dd]")
MARKED = re.compile(
    r"(?P<before>[$€£¥₹]|[A-Z]{3} )? ?(?P<number>[+-]?[\d.,']*\d) ?"
    r"(?P<behind>[%‰$€£¥₹]|[^\W\d_][^\s\d]{0,9})?"
)

Place = Callable[[int], str]  # row -> "weather.csv, line 17"


# --- from text -----------------------------------------------------------------------------------------


def column_of_text(
    name: str, cells: pl.Series, style: Style, sentinels: Collection[str], place: Place
) -> Column:
    """Judge a column by its cells.

    Parameters
    ----------
    name : str
    cells : (rows,) series of str
        Null where a cell is empty.
    style : Style
        How its numbers are written.
    sentinels : collection of str
        Further values that mean "missing".
    place : Callable
        ``place(row)`` tells where a row is, with the name of the file.
    """
    cells = cells.str.strip_chars()
    parsed = numbers(cells, style, sentinels)
    there = cells.drop_nulls()
    several = there.unique()
    words = {word for text in several.head(1000) if (word := text.casefold()) not in MISSING}
    words -= {text.casefold() for text in sentinels}
    if not words and len(several) <= 1000 and np.isnan(parsed.values).all():
        return Column(name, EMPTY, np.full(len(cells), np.nan))
    if words and len(several) <= 1000:
        for pair in BOOLEANS:
            if words <= set(pair):
                return Column(name, BOOLEAN, _found(cells, pair))
    if not parsed.texts:
        if not cells.str.contains(LEADING_ZEROS).any():
            return Column(name, NUMBER, parsed.values)
        return _category(name, _without(cells, NOT_THERE, sentinels), IDENTIFIERS)
    dated = _without(cells, MISSING, sentinels)
    times = read_times(dated)
    if times is not None:
        return Column(name, TIME, times.seconds, remark=TIME_STAMPS, form=times.form, note=times.note)
    if trouble := _trouble(name, parsed, place) or _trouble_of_times(name, dated, place):
        return Column(name, CATEGORY, *_indices(_without(cells, NOT_THERE, sentinels)), trouble=trouble)
    return _category(name, _without(cells, NOT_THERE, sentinels))


def _without(cells: pl.Series, missing: Collection[str], sentinels: Collection[str]) -> pl.Series:
    """The cells, null where something is missing."""
    gone = cells.str.to_lowercase().is_in(sorted(missing)) | cells.is_in(sorted(sentinels))
    kept = cells.to_frame("cells").select(pl.when(~gone).then(pl.col("cells")))
    return kept.to_series().rename(cells.name)


def _found(cells: pl.Series, pair: Sequence[str]) -> Array:
    """0 and 1 for two words."""
    lower = cells.str.to_lowercase()
    values = np.full(len(cells), np.nan)
    for value, word in enumerate(pair):
        values[(lower == word).fill_null(False).to_numpy()] = value
    return values


def _category(name: str, cells: pl.Series, remark: str = "") -> Column:
    values, categories = _indices(cells)
    there = int((~np.isnan(values)).sum())
    if not there:
        return Column(name, EMPTY, values)
    if not remark and there >= FEWEST and len(categories) == there:
        remark = IDENTIFIERS
    return Column(name, CATEGORY, values, categories, remark)


def _indices(cells: pl.Series) -> tuple[Array, tuple[str, ...]]:
    """The place of each cell in the sorted categories, nan where nothing is; and these."""
    several = cells.drop_nulls().unique().sort()
    places = cells.to_frame("cells").join(
        pl.DataFrame({"cells": several, "place": np.arange(len(several), dtype=np.float64)}),
        on="cells", how="left", maintain_order="left",
    )["place"]  # fmt: skip
    return places.fill_null(np.nan).to_numpy(writable=True), tuple(several.to_list())


def _trouble(name: str, parsed: Parsed, place: Place) -> str:
    """Why a column of text is none of categories: numbers with a sign or a unit, text among numbers."""
    first, text = int(parsed.rows[0]), parsed.texts[0]
    where = f"{place(first)}, column {name}: {shown(text)}"
    marked = {(found["before"], found["behind"]) for cell in parsed.texts
              if (found := MARKED.fullmatch(cell))}  # fmt: skip
    alike = len(marked) == 1 and all(map(MARKED.fullmatch, parsed.texts))
    if alike and marked != {(None, None)}:
        before, behind = next(iter(marked))
        mark = " and ".join(filter(None, ((before or "").strip(), behind)))
        return f"{where} is no plain number; take {mark} out of the column, or leave it out by inputs="
    others = len(parsed.rows)
    written_otherwise = all(map(is_number_somehow, parsed.texts))
    if int(np.count_nonzero(~np.isnan(parsed.values))) <= others and not written_otherwise:
        return ""
    more = f" (and {others - 1} more)" if others > 1 else ""
    remedy = _totals(first, parsed.values) + f"na={text} takes it as missing"
    if "," in text:
        remedy = "decimal=, says that decimals have a comma"
    return f"{where}{more} is no number, as the others are; {remedy}, inputs= leaves the column out"


def _trouble_of_times(name: str, cells: pl.Series, place: Place) -> str:
    """Why a column is none of times: most of its cells are."""
    others = others_among_times(cells)
    if not others:
        return ""
    first, text = others[0], cells[others[0]]
    remedy = _totals(first, cells) + f"na={text} takes it as missing"
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    return (
        f"{place(first)}, column {name}: {shown(text)}{more} is no time, as the others are; {remedy}, "
        "inputs= leaves the column out"
    )


def _totals(row: int, rows: Sized) -> str:
    """The remedy for a last row, whose other numbers may be those of all rows together."""
    return "delete the row if it holds totals, " if row == len(rows) - 1 else ""


# --- from numbers --------------------------------------------------------------------------------------


def judged(column: Column, lengths: Sequence[int]) -> Column:
    """A column of numbers with what they are, if they are no data; times where they count from 1970.

    Parameters
    ----------
    column : Column
    lengths : sequence of int
        The rows of each sequence.
    """
    values = column.values
    there = values if not np.isnan(values).any() else values[~np.isnan(values)]
    if not len(there):
        return column._replace(kind=EMPTY, categories=(), remark="")
    if column.kind == NUMBER and len(there) >= FEWEST and not column.remark:
        whole = bool(np.isfinite(there[0]) and there[0] == np.floor(there[0]))
        if whole and _are_row_numbers(values, lengths):
            return column._replace(remark=ROW_NUMBERS)
        if TIME_NAMES.fullmatch(column.name) and _goes_by_steps(values, lengths):
            timed = _as_times(column, there, lengths)
            return timed if timed is not None else column._replace(remark=TIME_STAMPS)
        if (timed := _as_times(column, there, lengths)) is not None:
            return timed
        if whole and _are_years(column.name, there, lengths):
            return column._replace(remark=YEARS)
        if whole and _are_large_whole(there):
            return column._replace(remark=IDENTIFIERS)
        if whole and ID_NAMES.fullmatch(column.name) and (there == np.floor(there)).all():
            return column._replace(remark=IDENTIFIERS)
    if (
        not column.remark
        and len(there) >= FEWEST
        and there[0] == there[-1]
        and (there == there[0]).all()
    ):
        return column._replace(remark=CONSTANT)
    return column


def _are_large_whole(there: Array) -> bool:
    """Whether whole numbers, of 64 bits, are too large to be told apart; all larger ones are whole."""
    largest = float(np.abs(there).max())
    return EXACT <= largest < 2.0**64 and bool((there == np.floor(there)).all())


def _are_row_numbers(values: Array, lengths: Sequence[int]) -> bool:
    """Whether numbers are 0, 1, ... or 1, 2, ... in each sequence, or go on from one to the next."""
    if values[0] not in (0, 1) or len(values) < FEWEST or values[1] - values[0] != 1:
        return False
    steps = np.diff(values)
    begin = np.cumsum(lengths)[:-1]
    again = values[begin] == values[0] if len(begin) else np.ones(0, bool)
    on = steps[begin - 1] == 1 if len(begin) else again
    inside = np.ones(len(steps), bool)
    inside[begin - 1] = False
    return bool((steps[inside] == 1).all() and (again.all() or on.all()))


def _goes_by_steps(values: Array, lengths: Sequence[int]) -> bool:
    """Whether numbers go up by nearly the same step from row to row of each sequence."""
    steps = _steps(values, lengths)
    return len(steps) > 1 and bool((steps > 0).all() and steps.max() < 1.01 * steps.min())


def _as_times(column: Column, there: Array, lengths: Sequence[int]) -> Column | None:
    """Numbers that count from 1970, or are dates, as times; None if they are none."""
    whole_file = len(there) == len(column.values)
    named = TIME_NAMES.fullmatch(column.name) is not None
    form = epoch_of([there[0], there[-1]]) and epoch_of(there)
    if form and (named or not _are_large_whole(there)):  # numbers of 64 bits may be anything
        steps = _steps(column.values, lengths)
        regular = len(steps) > 1 and bool((steps > 0).all()) and (steps == np.median(steps)).mean() > 0.8
        if named or (regular and whole_file):
            return column._replace(
                kind=TIME, values=column.values / EPOCH[form], remark=TIME_STAMPS, form=form
            )
    if 1.5e7 <= there[0] <= 2.3e7 and (named or (_steps(column.values, lengths) > 0).all()):
        seconds = dates_as_numbers(column.values)
        if seconds is not None:
            return column._replace(kind=TIME, values=seconds, remark=TIME_STAMPS, form="%Y%m%d")
    return None


def _are_years(name: str, there: Array, lengths: Sequence[int]) -> bool:
    """Whether numbers are years: called so, or one after the other by the same step."""
    if not 1000 <= there[0] <= 3000 or there.min() < 1000 or there.max() > 3000:
        return False
    if (there != np.floor(there)).any():
        return False
    if YEAR_NAMES.fullmatch(name):
        return True
    steps = _steps(there, lengths if sum(lengths) == len(there) else (len(there),))
    return len(steps) > 1 and bool((steps == 1).all()) and there[0] >= 1500 and there[-1] <= 2200


def _steps(values: Array, lengths: Sequence[int]) -> Array:
    """The differences from row to row inside sequences."""
    steps = np.diff(values)
    inside = np.ones(len(steps), bool)
    inside[np.cumsum(lengths)[:-1] - 1] = False
    return steps[inside]
