"""Data that are in memory: arrays of NumPy, and the frames and series of pandas, polars and Arrow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from rnnsim.data.cells import without
from rnnsim.data.columns import BOOLEAN, EVERYWHERE, NUMBER, TIME, TIME_STAMPS, Column, Reading
from rnnsim.data.dialect import style_in
from rnnsim.data.judging import column_of_text
from rnnsim.data.tables import Table, named_apart
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown
from rnnsim.typing import Array

UNNAMED = "x"
CACHED = 512  # rows that are turned into columns at a time


def is_frame(given: Any) -> bool:
    """Whether something is a frame or a series that narwhals knows."""
    given = _with_names_apart(given)[0]
    return nw.from_native(given, pass_through=True, allow_series=True) is not given or isinstance(
        given, nw.DataFrame | nw.LazyFrame | nw.Series
    )


def table_of_frame(given: Any, options: Reading, source: str = "") -> Table:
    """Read a frame or a series.

    Raises
    ------
    RnnsimError
        If a column holds what is neither numbers, times nor text.
    """
    source = source or f"the {type(given).__name__}"
    given, names = _with_names_apart(given)
    frame = nw.from_native(given, allow_series=True)
    if isinstance(frame, nw.Series):
        frame = frame.alias(str(frame.name or f"{UNNAMED}1")).to_frame()
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    series = [frame.get_column(name) if isinstance(name, str) else frame[:, i]
              for i, name in enumerate(frame.columns)]  # fmt: skip
    index = _index(nw.to_native(frame))
    names = [*(str(one.name or "index") for one in index), *map(str, names or frame.columns)]
    series = [*index, *series]
    names, notes = named_apart(names, [False] * len(names))
    columns = [_column(name, each, options, source) for name, each in zip(names, series)]
    return Table(source, columns, len(frame), notes)


def _with_names_apart(given: Any) -> tuple[Any, list[Any]]:
    """A frame of pandas of which several columns have one name, with others; and the names it had."""
    names = [*getattr(given, "columns", ())] if hasattr(given, "set_axis") else []
    if len(set(names)) == len(names):
        return given, []
    return given.set_axis([f"{i}" for i in range(len(names))], axis=1), names


def _index(native: Any) -> list[Any]:
    """The index of a frame of pandas as series, one a level, unless it only counts the rows."""
    index = nw.maybe_get_index(nw.from_native(native, pass_through=True, allow_series=True))
    if index is None:
        return []
    if index.nlevels > 1:
        levels = [index.get_level_values(i) for i in range(index.nlevels)]
    else:
        counts = index.name is None and getattr(index.dtype, "kind", "") in "iu"
        levels = [] if counts else [index]
    return [nw.from_native(level.to_series(), series_only=True) for level in levels]


def _column(name: str, series: nw.Series[Any], options: Reading, source: str) -> Column:
    kind = series.dtype

    def place(row: int) -> str:
        return f"{source}, row {row} (from 0)"

    if kind.is_numeric():
        return _number(name, series.cast(nw.Float64), options)
    if kind == nw.Boolean:
        return Column(name, BOOLEAN, _floats(series.cast(nw.Float64)))
    if kind == nw.Datetime:
        zone = getattr(kind, "time_zone", None)
        moments = series if zone is None else series.dt.convert_time_zone("UTC")
        return _moments(name, _floats(moments.dt.timestamp("us").cast(nw.Float64)) / 1e6, zone)
    if kind == nw.Date:
        days = series.cast(nw.Datetime("us"))
        return _moments(name, _floats(days.dt.timestamp("us").cast(nw.Float64)) / 1e6)
    if kind == nw.Duration:
        return _number(name, series.dt.total_microseconds().cast(nw.Float64) / 1e6, options)
    if kind in (nw.Categorical, nw.Enum, nw.String):
        cells = pl.Series(name, [None if _is_none(value) else str(value) for value in series.to_list()],
                          dtype=pl.String)  # fmt: skip
        return column_of_text(name, cells, style_in(source, (), options), options.sentinels, place)
    return _of_objects(name, series.to_list(), options, source)


def _of_objects(name: str, values: Sequence[Any], options: Reading, source: str) -> Column:
    """A column of objects of Python: numbers, times or text."""
    values = [getattr(value, "start_time", value) for value in values]  # pandas.Period
    there = [value for value in values if not _is_none(value)]
    for kinds, to in ((bool, float), ((int, float, np.number), float), ((datetime, date), _seconds)):
        if there and all(isinstance(value, kinds) for value in there):
            numbers = np.array(
                [np.nan if _is_none(value) else to(value) for value in values], np.float64
            )
            if to is _seconds:
                return _moments(name, numbers)
            if kinds is bool:
                return Column(name, BOOLEAN, numbers)
            return Column(name, NUMBER, without(numbers, options.sentinels))
    plain = (str, bool, int, float, np.generic, datetime, date)
    strange = next(
        (value for value in there if not isinstance(value, plain) and not hasattr(value, "__float__")),
        None,
    )
    if strange is not None:
        raise RnnsimError(
            f"{source}, column {name}: {shown(strange)} is neither a number, a time nor text"
        )
    cells = pl.Series(
        name, [None if _is_none(value) else str(value) for value in values], dtype=pl.String
    )
    style = style_in(source, (), options)
    return column_of_text(
        name, cells, style, options.sentinels, lambda row: f"{source}, row {row} (from 0)"
    )


def _seconds(moment: date) -> float:
    whole = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
    return (whole.replace(tzinfo=None) - (whole.utcoffset() or datetime.min - datetime.min)
            - datetime(1970, 1, 1)).total_seconds()  # fmt: skip


def _moments(name: str, seconds: Array, zone: str | None = None) -> Column:
    """A column of times, which are written as dates where all are at midnight."""
    days = bool((seconds[~np.isnan(seconds)] % 86400 == 0).all())
    form = "%Y-%m-%d" if days else "%Y-%m-%d %H:%M:%S" + "%z" * bool(zone)
    return Column(name, TIME, seconds, remark=TIME_STAMPS, form=form)


def _is_none(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, NaT, pandas.NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _number(name: str, series: nw.Series[Any], options: Reading) -> Column:
    return Column(name, NUMBER, without(_floats(series), options.sentinels))


def _floats(series: nw.Series[Any]) -> Array:
    """Floats that may be written to, nan where nothing is."""
    values = series.fill_null(math.nan) if series.null_count() else series
    array = np.asarray(values.to_numpy(), np.float64)
    native = nw.to_native(values)
    return array.copy() if not array.flags.writeable or np.shares_memory(array, _view(native)) else array


def _view(native: Any) -> Array:
    try:
        return np.asarray(native)
    except Exception:  # noqa: BLE001 (of another package's series)
        return np.empty(0)


# --- arrays --------------------------------------------------------------------------------------------


def table_of_arrays(given: Mapping[str, Any], options: Reading, source: str) -> Table:
    """Read arrays by name: (rows,) is a column, (rows, c) the columns ``name[0]``, ``name[1]``, ...

    Of several only one is read where ``key`` names it.

    Raises
    ------
    UnknownName
        If there is no array of this name.
    RnnsimError
        If one is of another shape, of what is no data, or has another number of rows.
    """
    if options.key:
        if options.key not in given:
            raise UnknownName(f"{source}: {nearest('array', options.key, list(map(str, given)))}")
        given = {options.key: given[options.key]}
    named: dict[str, Array] = {}
    own: set[str] = set()  # copied already
    first, rows = "", 0
    for key, value in given.items():
        array = _array(str(key), value, source)
        if first and len(array) != rows:
            raise RnnsimError(
                f"{source}: {key} has {len(array)} rows and {first} has {rows}; all arrays must have "
                f"the same number, or key= names one"
            )
        first, rows = str(key), len(array)
        if array.dtype.names:
            named |= {field: _array(field, array[field], source) for field in array.dtype.names}
        elif array.ndim == 1:
            named[str(key)] = array
        else:
            copied = _in_columns(array)
            several = {f"{key}[{j}]": column for j, column in enumerate(copied)}
            named |= several
            own |= set() if copied.base is array else set(several)
    columns = [_column_of_array(name, array, options, source, name not in own)
               for name, array in named.items()]  # fmt: skip
    return Table(source, columns, rows, options=EVERYWHERE | {"key"})


def table_of_array(given: Any, options: Reading, source: str) -> Table:
    """Read an array without a name: its columns are ``x1``, ``x2``, ..., or its fields."""
    array = _array("it", given, source)
    if array.dtype.names:
        return table_of_arrays({field: array[field] for field in array.dtype.names}, options, source)
    flat = array[:, None] if array.ndim == 1 else array
    copied = _in_columns(flat)
    fresh = copied.base is not flat and copied.base is not array
    columns = [
        _column_of_array(f"{UNNAMED}{j + 1}", column, options, source, not fresh)
        for j, column in enumerate(copied)
    ]
    return Table(source, columns, len(array))


def _in_columns(array: Array) -> Array:
    """The columns of an array: a view, or copied by blocks of rows, which stay in the cache."""
    if array.dtype.kind not in "iuf" or not array.flags.c_contiguous:
        return array.T
    columns = np.empty(array.T.shape)
    for row in range(0, len(array), CACHED):
        columns[:, row : row + CACHED] = array[row : row + CACHED].T
    return columns


def _array(name: str, value: Any, source: str) -> Array:
    if np.ma.isMaskedArray(value):
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value)
    except Exception as error:  # noqa: BLE001 (an object that is to become an array may fail in any way)
        raise RnnsimError(f"{source}: {name} cannot be read as an array: {error}") from None
    if array.ndim not in (1, 2) or (array.dtype.kind not in "biufMmUSO" and not array.dtype.names):
        raise RnnsimError(
            f"{source}: {name} is of {array.dtype} and shape {array.shape}; it must be of real numbers, "
            f"times or text, (rows,) or (rows, columns)"
        )
    return array


def _column_of_array(
    name: str, array: Array, options: Reading, source: str, copy: bool = True
) -> Column:
    kind = array.dtype.kind
    if kind == "b":
        return Column(name, BOOLEAN, array.astype(np.float64))
    if kind in "iuf":
        floats = np.array(array, np.float64, order="C") if copy else array
        return Column(name, NUMBER, without(floats, options.sentinels))
    if kind in "Mm":
        exact = array.astype("datetime64[us]" if kind == "M" else "timedelta64[us]")
        seconds = np.where(np.isnat(exact), np.nan, exact.astype(np.int64) / 1e6)
        if kind == "m":
            return Column(name, NUMBER, seconds)
        return _moments(name, seconds)
    values = [value.decode("latin-1") for value in array.tolist()] if kind == "S" else array.tolist()
    return _of_objects(name, values, options, source)
