"""Forecasts of the user's columns, in their own unit: with intervals, time stamps, and the truth."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, files
from rnnsim.data import stamps
from rnnsim.data.stamps import Stamps
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.typing import Array

ENDINGS = (".csv", ".parquet")
SHOWN = 10  # rows in a text
FORMS = ("wide", "long")


@dataclass(frozen=True)
class Forecast:
    """What was said at each of T rows of k0 columns at H horizons, and what came.

    Attributes
    ----------
    targets : tuple of str
        The names of the columns; of classes, the one column.
    horizons : tuple of int
        So many rows ahead.
    rows : (T,) int array
        The row at which each forecast was made.
    values : (T, H, k0) array
        The forecasts, in the unit of the column; of classes, the probability of each (T, H, C). nan
        where none was made.
    truth : (T, H, k0) array
        What came; of classes, 1 for the one that it was and 0 for the others. nan where it is not known.
    low, high : (T, H, k0) array, or None
        The interval; nan where there is none.
    level : float or None
        The share of truths that intervals are to cover.
    time : Stamps or None
        When each row was.
    sequence : (T,) array of str, or None
        The name of each row's sequence.
    classes : tuple of str
        The names of the classes; empty for numbers.
    units : mapping of str
        The units of columns, where they are known.
    starts : (T,) bool array, or None
        Where the entry before is not of the row before in the same sequence; by default where the
        sequence changes.
    """

    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    rows: Array = field(repr=False)
    values: Array = field(repr=False)
    truth: Array = field(repr=False)
    low: Array | None = field(default=None, repr=False)
    high: Array | None = field(default=None, repr=False)
    level: float | None = None
    time: Stamps | None = field(default=None, repr=False)
    sequence: Array | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    starts: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.horizons), len(self.classes or self.targets))
        for name in ("values", "truth", "low", "high"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise RnnsimError(f"{name} of a forecast must be {shape}, not {array.shape}")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def follows(self) -> Array:
        """Whether the entry before each (T,) is of the row before, of the same sequence."""
        found = np.ones(len(self), bool)
        found[:1] = False
        if self.starts is not None:
            found[1:] = ~self.starts[1:]
        elif self.sequence is not None:
            found[1:] = self.sequence[1:] == self.sequence[:-1]
        return found

    @cached_property
    def times(self) -> Array | None:
        """The time (T, H) that each forecast is of; nan where it is not known (:func:`stamps.later`)."""
        if self.time is None:
            return None
        each = [stamps.later(self.time, self.follows, h) for h in self.horizons]
        return np.stack(each, axis=1) if each else np.zeros((len(self), 0))

    @property
    def most_probable(self) -> Array:
        """The index (T, H) of the most probable class, -1 where there is no forecast.

        Raises
        ------
        RnnsimError
            If these are forecasts of numbers.
        """
        if not self.classes:
            raise RnnsimError("these are forecasts of numbers; most_probable is for those of classes")
        made = np.asarray(~np.isnan(self.values).any(axis=2))
        return np.where(made, np.where(made[:, :, None], self.values, 0).argmax(axis=2), -1)

    def last(self, count: int) -> Forecast:
        """The forecasts made at the last rows, at most so many."""
        begin = max(0, len(self) - checks.whole("count", count, 0))
        return self.at(np.arange(len(self)) >= begin)

    def at(self, chosen: Array) -> Forecast:
        """The forecasts made at those rows where ``chosen`` (T,) is true."""
        cut: dict[str, Any] = {
            name: None if (array := getattr(self, name)) is None else array[chosen]
            for name in ("rows", "values", "truth", "low", "high", "sequence")
        }
        if self.time is not None:
            cut["time"] = self.time._replace(values=self.time.values[chosen])
        parts = np.cumsum(~self.follows)[chosen]
        index = np.flatnonzero(chosen)
        starts = np.ones(len(index), bool)
        starts[1:] = (np.diff(index) > 1) | (np.diff(parts) > 0)
        return replace(self, **cut, starts=starts)

    # --- as a table ---

    def frame(self, form: str | None = None) -> Any:
        """Give the forecasts as a table.

        Each line begins with ``row``, the number of the row at which the forecast was made (from 0), the
        time of that row, its sequence, and ``for``, the time that the forecast is of; as far as there
        are any. In the wide form, a line for each row, follow for each column its forecast under its own
        name, ``NAME low``, ``NAME high`` and ``NAME truth``, for each horizon (``NAME +5``). In the long
        form, a line for each row, horizon and column, follow ``horizon``, ``column``, ``forecast``,
        ``low``, ``high`` and ``truth``. Of a class, the forecast is the most probable one, and beside it
        stand the probabilities, ``p(CLASS)``. What is not known is null.

        Parameters
        ----------
        form : "wide" or "long", optional
            By default wide if there is one horizon.

        Returns
        -------
        polars.DataFrame

        Raises
        ------
        UnknownName
            If it is another form.
        """
        import polars as pl

        if form is None:
            form = "wide" if len(self.horizons) == 1 else "long"
        checks.known_name("form", form, FORMS)
        columns = self._wide() if form == "wide" else self._long()
        found: dict[str, Any] = {}
        for name, column in columns:
            while name in found:  # a column of the user's may have any name
                name += "_"
            found[name] = column
        return pl.DataFrame(found)

    def _about(self) -> tuple[list[tuple[str, Any]], list[Any]]:
        """The columns that tell the row, and for each horizon the series of times that it is of."""
        import polars as pl

        columns: list[tuple[str, Any]] = [("row", pl.Series(self.rows))]
        of: list[Any] = []
        if self.time is not None and self.times is not None:
            own, *of = stamps.series(self.time, *self.times.T)
            columns.append((self.time.name, own))
        if self.sequence is not None:
            columns.append(("sequence", pl.Series([str(name) for name in self.sequence])))
        return columns, of

    def _wide(self) -> Iterator[tuple[str, Any]]:
        about, of = self._about()
        yield from about
        for j, h in enumerate(self.horizons):
            ahead = f" +{h}" if len(self.horizons) > 1 else ""
            if of:
                yield f"for{ahead}", of[j]
            if self.classes:
                yield from self._of_class(j, f"{self.targets[0]}{ahead}", ahead)
                continue
            for i, target in enumerate(self.targets):
                for what, array in self._of_number():
                    yield f"{target}{ahead}{what}", _series(array[:, j, i])

    def _of_number(self) -> Iterator[tuple[str, Array]]:
        yield "", self.values
        if self.low is not None and self.high is not None:
            yield " low", self.low
            yield " high", self.high
        yield " truth", self.truth

    def _of_class(self, j: int, name: str, ahead: str) -> Iterator[tuple[str, Any]]:
        import polars as pl

        known = np.asarray(~np.isnan(self.truth[:, j]).any(axis=1))
        truth = np.where(known, np.where(known[:, None], self.truth[:, j], 0).argmax(axis=1), -1)
        texts = np.array([*self.classes, None], object)  # None is at -1
        yield name, pl.Series(texts[self.most_probable[:, j]].tolist(), dtype=pl.String)
        for i, each in enumerate(self.classes):
            yield f"p({each}){ahead}", _series(self.values[:, j, i])
        yield f"{name} truth", pl.Series(texts[truth].tolist(), dtype=pl.String)

    def _long(self) -> Iterator[tuple[str, Any]]:
        """Each line of the rows, then of the horizons, then of the columns."""
        import polars as pl

        H, k0 = len(self.horizons), 1 if self.classes else len(self.targets)
        about, of = self._about()
        each = np.repeat(np.arange(len(self)), H * k0)
        for name, column in about:
            yield name, column.gather(each)
        if of:
            by_row = np.repeat(np.arange(len(self) * H).reshape(H, len(self)).T.ravel(), k0)
            yield "for", pl.concat(of).gather(by_row)
        yield "horizon", pl.Series(np.tile(np.repeat(self.horizons, k0), len(self)))
        if self.classes:
            yield "column", pl.Series([self.targets[0]] * len(each), dtype=pl.String)
            parts = [[*self._of_class(j, "forecast", "")] for j in range(H)]
            order = np.arange(len(self) * H).reshape(H, len(self)).T.ravel()
            for i, (name, _) in enumerate(parts[0]):
                column = pl.concat([part[i][1] for part in parts]).gather(order)
                yield ("truth" if name == "forecast truth" else name), column
            return
        names = np.array(self.targets, object)[np.tile(np.arange(k0), len(self) * H)]
        yield "column", pl.Series(names.tolist(), dtype=pl.String)
        for what, array in self._of_number():
            yield what.strip() or "forecast", _series(array.ravel())

    # --- kept, and shown ---

    def as_csv(self, form: str | None = None) -> str:
        """The table as text with a header, as :meth:`frame` has it; what is not known is empty."""
        times = () if self.times is None else (*self.times.T,)
        kind = None if self.time is None else stamps.time_format(self.time, *times)
        text: str = self.frame(form).write_csv(datetime_format=kind)
        return text

    def save(self, path: str | Path, form: str | None = None) -> Path:
        """Write the table into a .csv or a .parquet file; a file that is there is replaced as a whole.

        Parameters
        ----------
        path : path
        form : "wide" or "long", optional
            As for :meth:`frame`.

        Returns
        -------
        Path

        Raises
        ------
        RnnsimError
            If the file has another ending, or cannot be written.
        """
        file = check_savable(path)
        if file.suffix.lower() == ".csv":
            content = self.as_csv(form).encode("utf-8", "replace")
        else:
            buffer = io.BytesIO()
            self.frame(form).write_parquet(buffer)
            content = buffer.getvalue()
        try:
            files.replace(file, content)
        except OSError as error:
            why = error.strerror or error
            raise RnnsimError(f"cannot write {shown_path(file)}: {why}") from None
        return file

    def __str__(self) -> str:
        import polars as pl

        frame = self.frame()
        with pl.Config(tbl_formatting="ASCII_MARKDOWN", tbl_hide_column_data_types=True,
                       tbl_hide_dataframe_shape=True, tbl_rows=SHOWN, tbl_cols=-1,
                       tbl_width_chars=10_000, float_precision=None):  # fmt: skip
            return f"{self.title}\n{frame}"

    @property
    def title(self) -> str:
        """What these are forecasts of, in a line."""
        rows = "row" if self.horizons == (1,) else "rows"
        ahead = f"{', '.join(map(str, self.horizons))} {rows} ahead"
        if self.horizons == (0,):
            ahead = "of the same row"
        interval = "" if self.low is None else f", intervals that are to cover {self.level:.5g}"
        if self.low is not None and len(self) and np.isnan(self.low).all():
            interval = ", without intervals: there are too few rows for validation"
        return f"{', '.join(self.targets)}, {ahead}, at {len(self):,} rows{interval}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first and the last lines of the table."""
        table: str = self.frame()._repr_html_()
        return f"<div>{html.escape(self.title)}</div>{table}"


def check_savable(path: str | Path) -> Path:
    """Check that forecasts can be written to a file: its ending, and its folder.

    Raises
    ------
    RnnsimError
        If not.
    """
    file = checks.path("the file of forecasts", path)
    if file.suffix.lower() not in ENDINGS:
        raise RnnsimError(f"cannot write forecasts into {shown_path(path)}: the file must end in "
                          f"{' or '.join(ENDINGS)}")  # fmt: skip
    if not file.parent.is_dir():
        raise RnnsimError(f"cannot write forecasts into {shown_path(path)}: there is no folder "
                          f"{shown_path(file.parent)}")  # fmt: skip
    return file


def _series(values: Array) -> Any:
    import polars as pl

    return pl.Series(values).fill_nan(None)
