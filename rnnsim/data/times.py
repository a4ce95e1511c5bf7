"""Columns of text that are times: dates, with or without a time of day and a zone, months, quarters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from rnnsim.typing import Array

DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d %Y",
    "%B %d %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
MONTHS = (
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%YM%m",
    "%Ym%m",
    "%b %Y",
    "%B %Y",
    "%Y %b",
    "%Y-%b",
    "%b-%Y",
    "%b-%y",
)
CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p")
QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])|[Qq]([1-4])[- /]?(\d{4})")
QUARTERS = "quarters"
WEEK = re.compile(r"(\d{4})-?W(\d\d)(?:-?([1-7]))?")
WEEKS = "weeks"  # of ISO 8601
EPOCH = {
    "epoch seconds": 1.0,
    "epoch milliseconds": 1e3,
    "epoch microseconds": 1e6,
    "epoch nanoseconds": 1e9,
}
TRIED = 30  # values on which forms are tried before all are read

_CODES = {
    "%Y": r"\d{4}", "%y": r"\d\d", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}", "%p": "[AaPp][Mm]",
    **dict.fromkeys(("%m", "%d", "%H", "%I"), r"\d{1,2}"), **dict.fromkeys(("%M", "%S"), r"\d\d"),
}  # fmt: skip
_CLOCK = r"(?P<clock>\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp][Mm])?)"
_PARTS = re.compile(
    rf"(?:(?P<date>[^:T]+?)(?:(?P<gap>[T ]){_CLOCK})?|{_CLOCK.replace('clock', 'alone')})"
    r"(?P<zone> ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
)


class Times(NamedTuple):
    """Times that were read.

    Attributes
    ----------
    seconds : (rows,) array
        Since 1970, nan where nothing is.
    form : str
        How they are written, as for ``strftime``.
    note : str
        What was decided that could be otherwise; empty if nothing.
    """

    seconds: Array
    form: str
    note: str = ""


def read_times(cells: pl.Series) -> Times | None:
    """Read a column of text as times, all of one form; None if they are none.

    Parameters
    ----------
    cells : (rows,) series of str
        Without spaces around them, null where a time is missing.
    """
    there = cells.drop_nulls()
    if not len(there):
        return None
    if re.search(r":\d\d,\d", there[0]):
        return read_times(cells.str.replace(r"(:\d\d),(\d)", "${1}.${2}"))
    trial = there.gather(np.linspace(0, len(there) - 1, min(TRIED, len(there))).astype(int)).unique()
    read = []
    for form in forms_of(there[0]):
        if _seconds(trial, form).null_count():
            continue
        moments = _seconds(cells, form)
        if moments.null_count() == cells.null_count():
            read.append((form, moments.fill_null(np.nan).to_numpy(writable=True)))
    if not read:
        return None
    ascending = [pair for pair in read if _ascends(pair[1])]
    form, seconds = (ascending or read)[0]
    shown = form.replace("%.f", ".%f" if there.str.contains(r":\d+\.\d").any() else "").replace(
        "%#z", "%z"
    )
    other = [
        pair for pair in (ascending or read)[1:] if not np.array_equal(pair[1], seconds, equal_nan=True)
    ]
    note = f"{there[0]} is taken as {written(seconds[~np.isnan(seconds)][0])}" if other else ""
    return Times(seconds, shown, note)


def others_among_times(cells: pl.Series) -> list[int]:
    """The rows, in their order, that are no times, if most are times, of one form."""
    there = cells.drop_nulls()
    for form in forms_of(there[0]) if len(there) else ():
        others = np.flatnonzero((_seconds(cells, form).is_null() & cells.is_not_null()).to_numpy())
        if len(others) < len(there) / 2:
            return [int(row) for row in others]
    return []


def forms_of(cell: str) -> list[str]:
    """The forms that a time may have that is written like this one."""
    if QUARTER.fullmatch(cell):
        return [QUARTERS]
    if WEEK.fullmatch(cell):
        return [WEEKS]
    if re.fullmatch(r"\d{8}T\d{6}Z?", cell):
        return ["%Y%m%dT%H%M%S" + "%#z" * cell.endswith("Z")]
    parts = _PARTS.fullmatch(cell)
    if parts is None:
        return []
    date, clock, zone = parts["date"] or "", parts["clock"] or parts["alone"] or "", parts["zone"] or ""
    dates = [form for form in (*DATES, *(() if clock else MONTHS)) if _looks(date, form)]
    clocks = [form for form in CLOCKS if _looks(clock, form)] if clock else [""]
    zoned = zone if zone.strip() in ("UTC", "GMT") else zone and " " * (zone[0] == " ") + "%#z"
    gap = parts["gap"] or ""
    if clock and clock[-1] in "mM":  # where afternoons are told like this, months come first
        dates.sort(key=lambda form: not form.startswith("%m"))
    return [f"{day}{gap}{hour}{zoned}" for day in (dates if date else [""]) for hour in clocks]


def _looks(text: str, form: str) -> bool:
    pattern = form.replace(".", r"\.").replace(r"%S%\.f", r"%S(?:\.\d+)?")
    for code, what in _CODES.items():
        pattern = pattern.replace(code, what)
    return re.fullmatch(pattern, text) is not None


def _seconds(cells: pl.Series, form: str) -> pl.Series:
    """Seconds since 1970, null for what is not of a form."""
    if form == QUARTERS:
        year = pl.coalesce(cells.str.extract(QUARTER.pattern, 1), cells.str.extract(QUARTER.pattern, 4))
        quarter = pl.coalesce(
            cells.str.extract(QUARTER.pattern, 2), cells.str.extract(QUARTER.pattern, 3)
        )
        month = quarter.cast(pl.Int32) * 3 - 2
        text = pl.format("{}-{}-01", year, month)
        return _seconds(pl.select(pl.when(year.is_not_null()).then(text)).to_series(), "%Y-%m-%d")
    if form == WEEKS:  # those that name no day begin with their Monday
        of_year, week, day = (cells.str.extract(f"^{WEEK.pattern}$", i) for i in (1, 2, 3))
        dated = pl.format("{}-{}-{}", of_year, week, day.fill_null("1"))
        return _seconds(pl.select(pl.when(week.is_not_null()).then(dated)).to_series(), "%G-%V-%u")
    if form.startswith(("%H", "%I")):
        cells, form = pl.select(pl.lit("1970-01-01 ") + cells).to_series(), f"%Y-%m-%d {form}"
    if form in MONTHS:
        cells, form = pl.select(pl.lit("01 ") + cells).to_series(), f"%d {form}"
    zone = "UTC" if form.endswith("%#z") else None
    exact = cells.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False)
    return exact.dt.epoch("us").cast(pl.Float64) / 1e6


def _ascends(seconds: Array) -> bool:
    there = seconds[~np.isnan(seconds)]
    return bool((np.diff(there) >= 0).all())


def written(seconds: float, form: str = "") -> str:
    """Write a time in the form in which the times of its column were written."""
    if form in EPOCH:
        return f"{seconds * EPOCH[form]:.0f}"
    moment = datetime.fromtimestamp(seconds, UTC)
    if form == QUARTERS:
        return f"{moment.year}Q{(moment.month + 2) // 3}"
    if form == WEEKS:
        return moment.strftime("%G-W%V" + "-%u" * (moment.weekday() > 0))
    if not form:
        form = "%Y-%m-%d" if seconds % 86400 == 0 else "%Y-%m-%d %H:%M:%S"
    return moment.strftime(form)


def rewritten(cell: str, form: str) -> str:
    """A time of a column in this form as tables of forecasts have it; other text as it stands."""
    if not form or not cell:
        return cell
    try:
        if form in EPOCH:
            seconds: float | None = float(cell) / EPOCH[form]
        else:
            exact = form.replace(".%f", "%.f").replace("%z", "%#z")
            seconds = _seconds(pl.Series([cell]), exact)[0]
    except ValueError:
        return cell
    if seconds is None:
        return cell
    has_clock = form in EPOCH or "%H" in form or "%I" in form
    shown = "%Y-%m-%d" + (" %H:%M:%S" + "%.f" * (".%f" in form)) * has_clock
    moment = pl.Series([round(seconds * 1e6)]).cast(pl.Datetime("us"))
    return str(moment.dt.to_string(shown)[0])


def dates_as_numbers(values: Array) -> Array | None:
    """Seconds since 1970 of dates that are written as numbers, 20201231; None if they are none."""
    there = values[~np.isnan(values)]
    if not len(there) or there.min() < 1.5e7 or there.max() > 2.3e7 or (np.floor(there) != there).any():
        return None
    text = pl.Series(there.astype(np.int64)).cast(pl.String)
    read = text.str.to_datetime("%Y%m%d", strict=False)
    if read.null_count():
        return None
    out = np.full(len(values), np.nan)
    out[~np.isnan(values)] = read.dt.epoch("s").to_numpy()
    return out


def epoch_of(values: Sequence[float] | Array) -> str:
    """The unit of numbers that count from 1970, if all are between 1990 and 2100: seconds or a part."""
    low, high = float(np.min(values)), float(np.max(values))
    for name, unit in EPOCH.items():
        if 6.3e8 * unit <= low and high <= 4.1e9 * unit:
            return name
    return ""
