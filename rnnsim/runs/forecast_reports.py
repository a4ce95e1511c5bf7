"""How good forecasts are, beside those of simple methods: by column and horizon, as text and data."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks, files
from rnnsim.data import measures
from rnnsim.data.forecast import Forecast
from rnnsim.data.measures import ClassMeasures, Measures
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.runs import html_tables
from rnnsim.runs.plain_data import plain
from rnnsim.runs.seeds import table
from rnnsim.typing import Array

NAMES = {"rmse": "RMSE", "mae": "MAE", "nrmse": "nRMSE", "cross_entropy": "cross-entropy"}
Tabulate = Callable[[Sequence[tuple[str, Mapping[str, str]]], str], str]
FORMS = ("text", "csv", "markdown")
MOST_ROWS = 40  # of a table in a summary; of more there are medians
MOST_CLASSES = 20  # a larger table of confusions is in the data alone


class Row(NamedTuple):
    """How good a forecaster is, of a column at a horizon.

    Attributes
    ----------
    forecaster, column : str
    horizon : int
    found : Measures or ClassMeasures
    coverage : float or None
        The share of truths in their interval; None where there are no intervals.
    """

    forecaster: str
    column: str
    horizon: int
    found: Measures | ClassMeasures
    coverage: float | None = None

    def figures(self) -> dict[str, Any]:
        """What was measured, by name."""
        found = self.found._asdict()
        return found if self.coverage is None else {**found, "coverage": self.coverage}


@dataclass(frozen=True)
class Report:
    """How good forecasts are; all forecasters are scored on the same rows.

    Attributes
    ----------
    rows : tuple of Row
        Column by column, horizon by horizon, forecaster by forecaster; the first is the network.
    level : float or None
        The share of truths that intervals were to cover.
    classes : tuple of str
        The names of the classes; empty for numbers.
    confusions : mapping
        By forecaster and horizon, how often each class (row) was held to be each (column).
    left_out : int
        The rows that do not count, since one of the forecasters has no forecast there.
    units : mapping of str
        The units of columns, where they are known.
    """

    rows: tuple[Row, ...]
    level: float | None = None
    classes: tuple[str, ...] = ()
    confusions: Mapping[tuple[str, int], Array] = field(default_factory=dict, repr=False)
    left_out: int = 0
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> dict[tuple[str, int], str]:
        """Who is best, by column and horizon: has the lowest RMSE, or the highest accuracy.

        Of those that are equal, the one with the lower cross-entropy; else another than the network;
        else the one that comes first. Where nothing could be scored, none.
        """
        found: dict[tuple[str, int], tuple[tuple[float, float, bool], str]] = {}
        for row in self.rows:
            what, at = row.found, (row.column, row.horizon)
            if isinstance(what, ClassMeasures):
                merit = (-what.accuracy, what.cross_entropy, row.forecaster == self.rows[0].forecaster)
            else:
                merit = (what.rmse, 0.0, row.forecaster == self.rows[0].forecaster)
            if not math.isnan(merit[0]) and (at not in found or merit < found[at][0]):
                found[at] = (merit, row.forecaster)
        return {at: name for at, (_, name) in found.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """The RMSE of the network over that of each of the others: the median over columns and horizons.

        Of classes there are none.
        """
        of_network: dict[tuple[str, int], float] = {}
        found: dict[str, list[float]] = {}
        for row in self.rows:
            if not isinstance(row.found, Measures):
                continue
            if row.forecaster == self.rows[0].forecaster:
                of_network[row.column, row.horizon] = row.found.rmse
            elif row.found.rmse > 0:
                ratio = of_network[row.column, row.horizon] / row.found.rmse
                found.setdefault(row.forecaster, []).append(ratio)
        return {name: float(np.nanmedian(each)) for name, each in found.items()
                if not np.isnan(each).all()}  # fmt: skip

    # --- as text ---

    def text(self) -> str:
        """The measures in aligned columns, who is best, and the confusions of the network."""
        return "\n\n".join(self._parts(aligned))

    def brief(self) -> str:
        """What :meth:`text` says, or of many columns and horizons a line for each forecaster."""
        if len(self.rows) <= MOST_ROWS:
            return self.text()
        table_of_all = aligned(self._in_the_middle(), "forecast")
        return "\n\n".join([table_of_all, *self._sentences()])

    def _in_the_middle(self) -> list[tuple[str, dict[str, str]]]:
        """Of each forecaster the medians over all columns and horizons, and in how many it is best."""
        measured: dict[str, list[Measures]] = {}
        for row in self.rows:
            if isinstance(row.found, Measures):
                measured.setdefault(row.forecaster, []).append(row.found)
        best, found = [*self.best.values()], []
        for name, each in measured.items():
            known = [one.nrmse for one in each if not math.isnan(one.nrmse)]
            middle = _number(float(np.median(known))) if known else "none"
            found.append((name, {"median nRMSE": middle, "best in": f"{best.count(name):,}"}))
        return found

    def markdown(self) -> str:
        """The same with tables of Markdown."""
        return "\n\n".join(self._parts(markdown_table))

    def as_text(self, form: str) -> str:
        """The report as ``text``, ``csv`` or ``markdown``, as a file holds it."""
        form = checks.known_name("form of a report", form, FORMS)
        made = {"text": self.text, "csv": self.csv, "markdown": self.markdown}[form]()
        return made.rstrip("\n") + "\n"

    def save(self, path: str | Path, form: str = "text") -> Path:
        """Write it into a file as ``text``, ``csv`` or ``markdown``; an earlier file is replaced.

        Raises
        ------
        UnknownName
            If it is another form.
        RnnsimError
            If it cannot be written.
        """
        file, text = check_place(path), self.as_text(form)
        try:
            files.replace(file, text.encode("utf-8", "replace"))
        except OSError as error:
            why = error.strerror or error
            raise RnnsimError(f"cannot write the report into {shown_path(file)}: {why}") from None
        return file

    def _parts(self, tabulate: Tabulate) -> Iterator[str]:
        yield tabulate([(row.column, self._cells(row)) for row in self.rows], "column")
        yield from self._sentences()
        for (name, horizon), counts in self.confusions.items():
            if name == self.rows[0].forecaster and len(counts) <= MOST_CLASSES:
                yield self._confusion(horizon, counts, tabulate)

    def csv(self) -> str:
        """A line for each forecaster, column and horizon, with a header; what is undefined is empty."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        names = ["forecaster", "column", "horizon", *self._names()]
        writer.writerow(names)
        for row in self.rows:
            about = row._asdict() | row.figures()
            cells = [about.get(name) for name in names]
            writer.writerow("" if _is_undefined(cell) else cell for cell in cells)
        return text.getvalue()

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data.

        Returns
        -------
        dict
            ``level``, ``left_out``; ``measures``, a list with ``forecaster``, ``column``, ``horizon``,
            how many were ``scored``, and the measures of each; ``best``, a list with ``column``,
            ``horizon`` and ``forecaster``; of classes ``classes`` and ``confusion``, a list with
            ``forecaster``, ``horizon`` and ``counts``. A number that is not finite is None.
        """
        found: dict[str, Any] = {
            "level": self.level,
            "left_out": self.left_out,
            "measures": [
                {"forecaster": row.forecaster, "column": row.column, "horizon": row.horizon,
                 **row.figures()}
                for row in self.rows
            ],
            "best": [{"column": column, "horizon": horizon, "forecaster": name}
                     for (column, horizon), name in self.best.items()],
        }  # fmt: skip
        if self.classes:
            found["classes"] = self.classes
            found["confusion"] = [{"forecaster": name, "horizon": horizon, "counts": counts}
                                  for (name, horizon), counts in self.confusions.items()]  # fmt: skip
        data: dict[str, Any] = plain(found)
        return data

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        if len(self.rows) > MOST_ROWS:
            cells, what = self._in_the_middle(), "forecast"
        else:
            cells, what = [(row.column, self._cells(row)) for row in self.rows], "column"
        return html_tables.grid("; ".join(self._sentences()), cells, what)

    def __str__(self) -> str:
        return self.text()

    def _names(self) -> list[str]:
        return [*dict.fromkeys(name for row in self.rows for name in row.figures())]

    def _cells(self, row: Row) -> dict[str, str]:
        figures = row.figures()
        cells = {"ahead": str(row.horizon), "forecast": row.forecaster}
        for name in self._names():
            value = figures.get(name)
            text = "" if value is None else f"{value:,}" if name == "scored" else _number(value)
            cells[NAMES.get(name, name)] = text
        is_best = self.best.get((row.column, row.horizon)) == row.forecaster
        cells["best"] = "*" if is_best and len(self.rows) > len(self.best) else ""
        return cells

    def _sentences(self) -> Iterator[str]:
        by = "accuracy" if self.classes else "RMSE"
        names = [*dict.fromkeys(row.forecaster for row in self.rows)]
        if len(names) > 1 and (best := self.best):
            counts = {name: sum(each == name for each in best.values()) for name in names}
            if len(best) == 1:
                yield f"best by {by}: {next(iter(best.values()))}"
            else:
                told = ", ".join(f"{name} in {count}" for name, count in counts.items() if count)
                yield f"best by {by}, of {len(best)} columns and horizons: {told}"
                if ratios := ", ".join(f"{name} {x:.3g}" for name, x in self.ratios.items()):
                    yield f"RMSE of {names[0]} over that of others (medians): {ratios}"
        if self.left_out:
            rows = "1 row is" if self.left_out == 1 else f"{self.left_out:,} rows are"
            yield f"{rows} left out, where one of the methods has no forecast"
        if self.level is not None:
            yield f"coverage is the share of truths in intervals that are to cover {self.level:.5g}"

    def _confusion(self, horizon: int, counts: Array, tabulate: Tabulate) -> str:
        rows = [(name, {other: f"{n:,}" for other, n in zip(self.classes, of_class)})
                for name, of_class in zip(self.classes, counts)]  # fmt: skip
        ahead = f", {horizon} ahead" if len({row.horizon for row in self.rows}) > 1 else ""
        return tabulate(rows, f"was (down), forecast (across){ahead}")


def check_place(path: str | Path) -> Path:
    """Check that a report can be written to a file: its folder.

    Raises
    ------
    RnnsimError
        If not.
    """
    file = checks.path("the file of a report", path)
    if not file.parent.is_dir() or file.is_dir():
        what = "it is a folder" if file.is_dir() else f"there is no folder {shown_path(file.parent)}"
        raise RnnsimError(f"cannot write the report into {shown_path(path)}: {what}")
    return file


def report_on(forecast: Forecast, references: Mapping[str, Array], name: str) -> Report:
    """Score forecasts beside others, on the rows where all of them have one.

    Parameters
    ----------
    forecast : Forecast
        With the truth.
    references : mapping of (T, H, k0) arrays
        Other forecasts of the same, by who made them; nan where there is none. One that has none at all
        of a column at a horizon does not count there.
    name : str
        Who made ``forecast``.

    Returns
    -------
    Report

    Raises
    ------
    RnnsimError
        If no truth is known.
    """
    truth = forecast.truth
    if np.isnan(truth).all():
        raise RnnsimError("no forecast can be scored: the truth of none is known; there must be rows "
                          "with values of the targets")  # fmt: skip
    by_name = {name: forecast.values, **references}
    counted = ~np.isnan(truth)
    for values in by_name.values():
        missing = np.isnan(values)
        counted &= ~missing | missing.all(axis=0)
    left_out = int((~np.isnan(truth) & ~counted).any(axis=(1, 2)).sum())
    scored = np.where(counted, truth, np.nan)
    rows = [
        row
        for each, values in by_name.items()
        for row in _rows(replace(forecast, values=values, truth=scored), each, each == name)
    ]
    order = {at: i for i, at in enumerate((c, h) for c in forecast.targets for h in forecast.horizons)}
    confusions = {
        (each, h): measures.confusion(values[:, j], scored[:, j])
        for each, values in by_name.items() for j, h in enumerate(forecast.horizons)
    } if forecast.classes else {}  # fmt: skip
    return Report(
        rows=tuple(sorted(rows, key=lambda row: order[row.column, row.horizon])),
        level=forecast.level, classes=forecast.classes, confusions=confusions, left_out=left_out,
        units=forecast.units,
    )  # fmt: skip


def _rows(forecast: Forecast, name: str, has_intervals: bool) -> Iterator[Row]:
    values, truth, follows = forecast.values, forecast.truth, forecast.follows
    for j, h in enumerate(forecast.horizons):
        if forecast.classes:
            found = measures.of_classes(values[:, j], truth[:, j], follows)
            yield Row(name, forecast.targets[0], h, found)
            continue
        for i, column in enumerate(forecast.targets):
            at = (slice(None), j, i)
            covers = None
            if has_intervals and forecast.low is not None and forecast.high is not None:
                covers = measures.coverage(forecast.low[at], forecast.high[at], truth[at])
            yield Row(name, column, h, measures.of_numbers(values[at], truth[at], follows), covers)


def _is_undefined(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _number(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.4g}"


def markdown_table(rows: Sequence[tuple[str, Mapping[str, str]]], what: str) -> str:
    """Labelled rows as a table of Markdown, whose columns a bar in a name would end."""
    return table(
        [(_escaped(label), {_escaped(name): _escaped(cell) for name, cell in cells.items()})
         for label, cells in rows],
        what,
    )  # fmt: skip


def aligned(rows: Sequence[tuple[str, Mapping[str, str]]], what: str) -> str:
    """Labelled rows in aligned columns, leaving out columns without any entry."""
    columns = [name for name in rows[0][1] if any(cells[name] for _, cells in rows)]
    lines = [[what, *columns], *([label, *(cells[name] for name in columns)] for label, cells in rows)]
    lines = [[" ".join(cell.split()) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join([f"{label:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells, widths[1:]))]).rstrip()
        for label, *cells in lines
    )


def _escaped(name: str) -> str:
    return " ".join(name.replace("|", "\\|").split())
