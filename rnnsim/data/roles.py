"""What each column is for: an input, a target, the time, a sequence's name, or left out, and why."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rnnsim.data.cells import Style
from rnnsim.data.columns import (
    BOOLEAN,
    CATEGORY,
    CONSTANT,
    EMPTY,
    NUMBER,
    ROW_NUMBERS,
    TIME,
    TIME_STAMPS,
    YEARS,
    Column,
    Columns,
    is_one_hot,
)
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown

Names = str | Sequence[str]

MOST_CLASSES = 1000
MOST_SEQUENCES = 0.5  # of the rows: what a column may have of different values to name sequences
DATE_PARTS = re.compile(
    r"(?i)quarter|qtr|month|mon?|week|day|dy|doy|hour|hr|minute|quartal|monat|woche|tag|stunde"
)
NONE = "no"  # in place of the name of a column of time: there is none


class Roles(NamedTuple):
    """The columns by what they are for.

    Attributes
    ----------
    inputs, targets : tuple of str
        Their names.
    time, sequence : str or None
        The column that tells when a row was, and the one whose value tells its sequence.
    left_out : mapping of str to str
        Why each of the others is not used.
    classes : bool
        Whether the target is to be classified.
    notes : tuple of str
        What else a user may want to know: a column that looks like the name of a sequence.
    units : mapping of str to str
        The units of those targets of which the data tell them.
    form : str
        How the times are written, where they are dates (:attr:`rnnsim.data.columns.Column.form`).
    style : Style
        How numbers are written in the text that was read.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    time: str | None = None
    sequence: str | None = None
    left_out: Mapping[str, str] = {}
    classes: bool = False
    notes: tuple[str, ...] = ()
    units: Mapping[str, str] = {}
    form: str = ""
    style: Style = Style()


class Asked(NamedTuple):
    """What the user says of the columns; what is empty is found out.

    Attributes
    ----------
    inputs, target : str or sequence of str
        Names; in one text with commas between them, one with a comma in it in quotes.
    time, sequence : str
        Names; ``no`` as the time, where no column is called so, is none.
    kind : "auto", "number" or "class"
        What the target is.
    ahead : int
        Rows from an input to its target; with 0 a target is no input unless it is asked for.
    """

    inputs: Names = ""
    target: Names = ""
    time: str = ""
    sequence: str = ""
    kind: str = "auto"
    ahead: int = 1


def names_in(given: Names, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The names that a text holds, with commas between them; one that is the name of a column is one.

    >>> names_in('temperature, "wind, north"')
    ('temperature', 'wind, north')
    """
    if not isinstance(given, str):
        return tuple(given)
    if given in names:
        return (given,)
    parts = next(csv.reader([given], skipinitialspace=True), [])
    return tuple(part.strip() for part in parts if part.strip())


def roles_of(columns: Columns, asked: Asked = Asked()) -> Roles:  # noqa: B008
    """Say what each column is for.

    Without inputs that are asked for, all numbers and booleans are inputs, but for those that are no
    data: time, row numbers, identifiers, years, what is the same in all rows, and text. Without targets,
    the inputs are the targets.

    Raises
    ------
    UnknownName
        If there is no column of a name.
    RnnsimError
        If a column is asked for that cannot be what it is asked for, or there is no input.
    """
    if asked.kind not in ("auto", "number", "class"):
        raise RnnsimError(f"kind is auto, number or class, not {shown(asked.kind)}")
    columns = _by_sequence(columns, asked.sequence)
    by_name = columns.columns
    inputs = _known(columns, names_in(asked.inputs, list(by_name)), "inputs")
    targets = _known(columns, names_in(asked.target, list(by_name)), "target")
    time, sequence = _place_of(columns, asked, (*inputs, *targets))
    left_out: dict[str, str] = {}
    years = [name for name, column in by_name.items() if column.remark == YEARS and not time]
    dated = {name for year in years for name in parts_of_date(columns, year, asked.sequence)}
    if not inputs:
        kept_out = {time, sequence, *(targets if asked.ahead == 0 else ())}
        for name, column in by_name.items():
            why = _why_not(column) or "part of the date" * (name in dated)
            if name in kept_out:
                continue
            if column.trouble and name not in targets:
                raise RnnsimError(column.trouble)
            if why and name not in targets:
                left_out[name] = why
            elif not why and column.kind in (NUMBER, BOOLEAN):
                inputs.append(name)
            elif name in targets and column.kind in (NUMBER, TIME):
                inputs.append(name)  # what is to be forecast is known up to now
    if not inputs:
        raise RnnsimError(
            f"{columns.source} has no column of numbers to take as an input" + _because(left_out)
        )
    for name in (*inputs, *targets):
        if by_name[name].trouble:
            raise RnnsimError(by_name[name].trouble)
        if by_name[name].kind == EMPTY:
            raise RnnsimError(f"{columns.source}: the column {name} is empty")
    targets = targets or [name for name in inputs if by_name[name].kind in (NUMBER, BOOLEAN, TIME)]
    if not targets:
        raise RnnsimError(
            f"the inputs {', '.join(inputs)} are text; target= names what is to be predicted"
        )
    both = sorted(set(inputs) & set(targets))
    if asked.ahead == 0 and both:
        raise RnnsimError(f"with ahead=0 the target {both[0]} is an input of the same row; "
                          f"use ahead=1 or more, or another target")  # fmt: skip
    classes = _are_classes(columns, targets, asked, bool(names_in(asked.target)))
    used = {*inputs, *targets, time, sequence}
    for name, column in by_name.items():
        if name not in used and name not in left_out:
            left_out[name] = _why_not(column) or "not asked for"
    notes = () if sequence else tuple(_looks_like_sequences(columns, used - set(inputs)))
    if dated - used:
        date = ", ".join([*years, *(name for name in by_name if name in dated)])
        notes += (f"{date} tell the time together, which is not used; one column of dates would be",)
    units = {name: unit for name in targets if (unit := by_name[name].unit)}
    form = by_name[time].form if time and by_name[time].kind == TIME else ""
    return Roles(tuple(inputs), tuple(targets), time, sequence, left_out, classes, notes, units, form,
                 columns.style)  # fmt: skip


def _by_sequence(columns: Columns, sequence: str) -> Columns:
    """The columns, with numbers called what they are in each sequence: its row numbers, its time."""
    from rnnsim.data.judging import judged  # late: it needs polars, which runs on other tasks do not

    if sequence not in columns.columns:
        return columns
    of = columns.columns[sequence].values
    order = np.argsort(of, kind="stable")
    lengths = np.diff(np.flatnonzero(np.diff(of[order], prepend=np.nan, append=np.nan))).tolist()
    found = {}
    for name, column in columns.columns.items():
        if column.kind == NUMBER and not column.remark and name != sequence:
            there = judged(column._replace(values=column.values[order]), lengths)
            if there.kind == NUMBER and there.remark in (ROW_NUMBERS, TIME_STAMPS):
                column = column._replace(remark=there.remark)
        found[name] = column
    return replace(columns, columns=found)


def _known(columns: Columns, names: Sequence[str], option: str) -> list[str]:
    for name in names:
        if name not in columns.columns:
            raise UnknownName(f"{columns.source}: {nearest('column', name, columns.columns)}")
    if len(set(names)) < len(names):
        raise RnnsimError(f"a column is named twice in {option}; name each once")
    return list(names)


def _place_of(columns: Columns, asked: Asked, used: Sequence[str]) -> tuple[str | None, str | None]:
    """The columns of time and of sequences."""
    has_none = asked.time == NONE and NONE not in columns.columns
    time, sequence = "" if has_none else asked.time, asked.sequence or None
    for option, name in (("time", time), ("sequence", sequence)):
        if name:
            _known(columns, [name], option)
    if time and columns.columns[time].kind not in (TIME, NUMBER):
        raise RnnsimError(
            f"{columns.source}: the column {time} is no time, but {_called(columns.columns[time])}; "
            "dates are read as 2020-12-31, 31.12.2020, 12/31/2020 and the like"
        )
    if time and time == sequence:
        raise RnnsimError(f"{time} is named as time and as sequence; they are two columns")
    if time or has_none:
        return time or None, sequence
    found = [name for name, column in columns.columns.items() if column.kind == TIME]
    counted = (TIME_STAMPS, YEARS)
    found += [
        name
        for name, column in columns.columns.items()
        if column.kind == NUMBER and column.remark in counted
    ]
    free = [name for name in found if name not in used and name != sequence]
    if not free or parts_of_date(columns, free[0], asked.sequence):
        return None, sequence
    return free[0], sequence


def parts_of_date(columns: Columns, year: str, sequence: str = "") -> tuple[str, ...]:
    """The columns that tell the time together with one of years, each of which has several rows.

    They are those of months, days and the like, coarse ones first, if the rows are in their order.
    """
    if columns.columns[year].remark != YEARS:
        return ()
    parts = [name for name, column in columns.columns.items()
             if column.kind == NUMBER and DATE_PARTS.fullmatch(name)]  # fmt: skip
    inside = np.ones(max(columns.rows - 1, 0), np.bool_)
    inside[np.cumsum(columns.lengths)[:-1] - 1] = False
    if sequence:
        inside &= np.diff(columns.columns[sequence].values) == 0
    order = np.zeros(len(inside))
    for name in (year, *parts):
        repeats = order == 0
        order[repeats] = np.sign(np.diff(columns.columns[name].values))[repeats]
        if name == year and not (repeats & inside & (order == 0)).any():
            return ()
    return tuple(parts) if (order[inside] > 0).all() else ()


def _why_not(column: Column) -> str:
    """Why a column is no input unless it is asked for; nothing if it is one."""
    if column.trouble:
        return "not numbers throughout"
    if column.kind == EMPTY:
        return "empty"
    if column.remark:
        return column.remark
    if column.kind == TIME:
        return "time stamps"
    return f"text of {len(column.categories)} kinds" if column.kind == CATEGORY else ""


def _because(left_out: Mapping[str, str]) -> str:
    first = [f"{name}: {why}" for name, why in left_out.items()][:3]
    return f" ({'; '.join(first)}); inputs= takes one all the same" if first else ""


def _called(column: Column) -> str:
    return {CATEGORY: "text", BOOLEAN: "true and false", EMPTY: "empty"}.get(column.kind, column.kind)


def target_is_class(columns: Columns, asked: Asked) -> bool:
    """Whether the target that the user names is a class.

    Raises
    ------
    UnknownName
        If there is no column of its name.
    """
    targets = _known(columns, names_in(asked.target, list(columns.columns)), "target")
    return bool(targets) and _are_classes(columns, targets, asked, True)


def _are_classes(columns: Columns, targets: Sequence[str], asked: Asked, named: bool) -> bool:
    """Whether what is predicted is a class; booleans are, where they are the targets asked for."""
    if named and asked.kind != "number" and is_one_hot([columns.columns[name] for name in targets]):
        return True
    kinds = {columns.columns[name].kind for name in targets}
    text = kinds == {CATEGORY} or (named and kinds == {BOOLEAN})
    if CATEGORY in kinds and (len(targets) > 1 or asked.kind == "number"):
        name = next(name for name in targets if columns.columns[name].kind == CATEGORY)
        why = "kind=number" if asked.kind == "number" else f"{len(targets)} targets"
        raise RnnsimError(
            f"{columns.source}: the target {name} is text, which goes with kind=class and with no other "
            f"target; here: {why}"
        )
    if asked.kind == "number" or (asked.kind == "auto" and not (text and len(targets) == 1)):
        return False
    if len(targets) != 1:
        raise RnnsimError(f"kind=class needs one target, not {len(targets)}; target= names it")
    as_categories(columns.columns[targets[0]])
    return True


def as_categories(column: Column) -> Column:
    """A column of whole numbers, or of true and false, as categories in ascending order.

    Raises
    ------
    RnnsimError
        If a number is not whole, there is no number, or there are too many different ones.
    """
    values, names = column.values, column.categories
    if column.kind == BOOLEAN:
        names = ("false", "true")
    elif column.kind != CATEGORY:
        there = np.unique(values[~np.isnan(values)])
        odd = there[~(np.isfinite(there) & (there == np.floor(there)))]
        if column.kind != NUMBER or not len(there) or len(odd):
            found = f"it holds {odd[0]:g}" if len(odd) else f"it is {_called(column)}"
            raise RnnsimError(
                f"the target {column.name} cannot be classes: {found}; classes are text or whole numbers"
            )
        places = np.searchsorted(there, values).astype(np.float64)
        values = np.where(np.isnan(values), np.nan, places)
        names = tuple(f"{value:.0f}" for value in there)
    if len(names) > MOST_CLASSES or (
        column.kind == CATEGORY and column.remark and column.remark != CONSTANT
    ):
        raise RnnsimError(f"the target {column.name} has {len(names)} classes, which are rather "
                          f"{column.remark or 'numbers'}")  # fmt: skip
    return column._replace(kind=CATEGORY, values=values, categories=names)


def _looks_like_sequences(columns: Columns, used: set[Any]) -> list[str]:
    """What to say of a column of text, or of whole numbers called id, that seems to name sequences."""
    if columns.rows < 4 or len(columns.lengths) > 1:
        return []
    for name, column in columns.columns.items():
        text = column.kind == CATEGORY and not column.remark
        if name in used or not (text or column.remark == "identifiers") or np.isnan(column.values).any():
            continue
        changes = int(np.count_nonzero(np.diff(column.values)))
        several = len(np.unique(column.values))
        blocks = changes == several - 1 and 1 < several <= MOST_SEQUENCES * columns.rows
        if blocks or (1 < several <= MOST_SEQUENCES * columns.rows and _starts_again(columns, column)):
            return [f"{name} looks like the name of a sequence: sequence={name} keeps its rows together"]
    return []


def _starts_again(columns: Columns, column: Column) -> bool:
    """Whether time goes back in the table, and never among the rows of one value of a column."""
    for time in columns.columns.values():
        if time.kind != TIME and time.remark != YEARS:
            continue
        steps = np.diff(time.values)
        order = np.argsort(column.values, kind="stable")
        inside = np.diff(column.values[order]) == 0
        if (steps <= 0).any() and (np.diff(time.values[order])[inside] > 0).all():
            return True
    return False
