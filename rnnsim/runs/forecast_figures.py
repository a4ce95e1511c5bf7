"""Figures of forecasts, in the style of all figures (:mod:`rnnsim.runs.figures`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.data import stamps
from rnnsim.data.forecast import Forecast
from rnnsim.errors import RnnsimError
from rnnsim.runs.figures import (
    COLOURS,
    MAIN,
    OTHER,
    SMALL,
    as_text,
    figure_type,
    look,
    saved,
)
from rnnsim.runs.forecast_reports import NAMES, Report, Row
from rnnsim.typing import Array

SHOWN = 300  # rows: so many can be told apart
MOST_PANELS = 12
TRUTH, NEAR, FAR = COLOURS[0], MAIN, OTHER
MOST_WRITTEN = 12  # classes: the cells of more would not hold their numbers


def forecasts(forecast: Forecast, title: str, path: str | Path | None = None) -> Any:
    """Draw forecasts with their interval, and the truth: a panel for each column.

    The forecasts of the nearest horizon are drawn, and of the farthest if there are several, each where
    the row stands that it is of. Of many rows the last are drawn, and the figure says so. Of classes,
    the panel has a lane for each, with the most probable one and the one that it was.

    Parameters
    ----------
    forecast : Forecast
    title : str
    path : path, optional
        Where to save the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, the file cannot be written, or there is no forecast.
    """
    Figure = figure_type(path)
    if not len(forecast):
        raise RnnsimError("there is nothing to draw: forecasts must be of one row at least")
    shown = forecast.last(SHOWN)
    columns = shown.targets[:MOST_PANELS]
    figure = Figure(figsize=(9, 1.4 + 2.1 * len(columns)), layout="constrained")
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for i, (axes, column) in enumerate(zip(panels, columns)):
        if shown.classes:
            _draw_classes(axes, shown)
            axes.set_ylabel(as_text(column))
        else:
            _draw_column(axes, shown, i)
            unit = shown.units.get(column)
            axes.set_ylabel(as_text(f"{column} [{unit}]" if unit else column))
    panels[-1].set_xlabel(as_text(shown.time.name if shown.time is not None else "row"))
    lines = {line.get_label(): line for axes in panels for line in axes.get_legend_handles_labels()[0]}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4, frameon=False)
    notes = [as_text(title), *_left_out(forecast, len(columns))]
    figure.suptitle("\n".join(notes), fontsize="medium")
    return saved(figure, path)


def _left_out(forecast: Forecast, columns: int) -> list[str]:
    """What the figure does not show, in a line."""
    parts = []
    if len(forecast) > SHOWN:
        parts.append(f"the last {SHOWN} of {len(forecast):,} rows")
    if columns < len(forecast.targets):
        parts.append(f"the first {columns} of {len(forecast.targets)} columns")
    return [", ".join(parts)] if parts else []


def _draw_column(axes: Any, forecast: Forecast, i: int) -> None:
    """A column: what came, and what was said of it, each where its row stands."""
    H = len(forecast.horizons)
    axes.plot(*_truth(forecast, i), color=TRUTH, lw=1.2, label="truth", zorder=3)
    if forecast.low is not None and forecast.high is not None and not np.isnan(forecast.low).all():
        x, low = _line(forecast, 0, forecast.low[:, 0, i])
        _, high = _line(forecast, 0, forecast.high[:, 0, i])
        label = f"interval that is to cover {forecast.level:.5g}"
        axes.fill_between(x, low, high, color=NEAR, alpha=0.22, lw=0, label=label, zorder=1)
    for j, colour, style in ((0, NEAR, "--"), (H - 1, FAR, ":"))[: min(H, 2)]:
        label = f"forecast, {_ahead(forecast.horizons[j])}"
        x, y = _line(forecast, j, forecast.values[:, j, i])
        axes.plot(x, y, color=colour, ls=style, lw=1.4, label=label, zorder=4 - j)
    _mark_sequences(axes, forecast)


def _draw_classes(axes: Any, forecast: Forecast) -> None:
    """The class that was most probable and the one that came, a lane for each class."""
    truth = np.where(np.isnan(forecast.truth[:, 0]).any(axis=1), np.nan,
                     np.nan_to_num(forecast.truth[:, 0]).argmax(axis=1))  # fmt: skip
    said = np.where(forecast.most_probable[:, 0] < 0, np.nan, forecast.most_probable[:, 0])
    x = _places(forecast, 0)
    axes.plot(x, truth, "o", color=TRUTH, ms=6, mfc="none", label="truth")
    label = f"forecast, {_ahead(forecast.horizons[0])}"
    axes.plot(x, said, "x", color=FAR, ms=4, label=label)
    axes.set_yticks(range(len(forecast.classes)), [as_text(name) for name in forecast.classes])
    _mark_sequences(axes, forecast)


def _truth(forecast: Forecast, i: int) -> tuple[Array, Array]:
    """What came, as far as a forecast of any horizon was of it; broken between sequences."""
    H, group = len(forecast.horizons), np.cumsum(~forecast.follows)
    x = np.concatenate([_places(forecast, j) for j in range(H)])
    y, groups = np.concatenate([*forecast.truth[:, :, i].T]), np.tile(group, H)
    order = np.lexsort((np.isnan(y), x, groups))  # of the same row, what is known comes first
    x, y, groups = x[order], y[order], groups[order]
    first = np.append(True, (x[1:] != x[:-1]) | (groups[1:] != groups[:-1]))
    return _broken(x[first], y[first], np.diff(groups[first]) > 0)


def _line(forecast: Forecast, j: int, values: Array) -> tuple[Array, Array]:
    """Where the rows stand that forecasts of a horizon are of, and values; broken between sequences."""
    return _broken(_places(forecast, j), values, ~forecast.follows[1:])


def _places(forecast: Forecast, j: int) -> Array:
    """Where the rows stand that forecasts of a horizon are of: their time or their number."""
    if forecast.time is not None and forecast.times is not None and _by_time(forecast):
        return stamps.moments(forecast.time._replace(values=forecast.times[:, j]))
    return np.asarray(forecast.rows + forecast.horizons[j])


def _broken(x: Array, y: Array, breaks: Array) -> tuple[Array, Array]:
    """A line with a gap after each point where there is a break (points - 1,)."""
    begins = np.flatnonzero(breaks) + 1
    return np.insert(x, begins, x[begins]), np.insert(y, begins, np.nan)


def _by_time(forecast: Forecast) -> bool:
    """Whether rows can be drawn over time: it is known, and sequences do not lie over one another."""
    if forecast.time is None or forecast.times is None or np.isnan(forecast.times).any():
        return False
    return bool((np.diff(forecast.times, axis=0) > 0).all())


def _mark_sequences(axes: Any, forecast: Forecast) -> None:
    if _by_time(forecast):
        return
    for begin in np.flatnonzero(~forecast.follows[1:]) + 1:
        axes.axvline(forecast.rows[begin], color="0.75", lw=0.8, zorder=0)


def _ahead(horizon: int) -> str:
    if horizon == 0:
        return "of the same row"
    return f"{horizon} row{'' if horizon == 1 else 's'} ahead"


def errors(report: Report, title: str, path: str | Path | None = None) -> Any:
    """Draw the error by horizon, beside those of simple methods: a panel for each column.

    With one horizon, a bar for each method stands for it.

    Parameters
    ----------
    report : Report
    title, path
        As for :func:`forecasts`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    columns = [*dict.fromkeys(row.column for row in report.rows)]
    shown, what = columns[:MOST_PANELS], "accuracy" if report.classes else "rmse"
    across = min(len(shown), 3)
    down = -(-len(shown) // across)
    figure = Figure(figsize=(1.5 + 3.6 * across, 1.5 + 2.6 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    several = len({row.horizon for row in report.rows}) > 1
    for axes, column in zip(grid, shown):
        rows = [row for row in report.rows if row.column == column]
        (_draw_by_horizon if several else _draw_bars)(axes, rows, what)
        unit = report.units.get(column)
        label = f"{NAMES.get(what, what)} [{unit}]" if unit else NAMES.get(what, what)
        (axes.set_ylabel if several else axes.set_xlabel)(as_text(label))
        axes.set_title(as_text(column), fontsize="medium")
    if several:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    left = "" if len(shown) == len(columns) else f"\nthe first {len(shown)} of {len(columns)} columns"
    figure.suptitle(as_text(title) + left, fontsize="medium")
    return saved(figure, path)


def _draw_by_horizon(axes: Any, rows: list[Row], what: str) -> None:
    names = [*dict.fromkeys(row.forecaster for row in rows)]
    for i, name in enumerate(names):
        own = sorted((row.horizon, getattr(row.found, what)) for row in rows if row.forecaster == name)
        axes.plot(*zip(*own), ms=4, lw=1.5, label=as_text(name), **look(i, "ls", "marker"))
    axes.set_xticks(sorted({row.horizon for row in rows}))
    axes.set_xlabel("rows ahead")
    axes.set_ylim(bottom=0)


def _draw_bars(axes: Any, rows: list[Row], what: str) -> None:
    values = [getattr(row.found, what) for row in rows]
    colours = [MAIN, *["0.7"] * (len(rows) - 1)]
    axes.barh(range(len(rows)), np.nan_to_num(values), color=colours, edgecolor="black", lw=0.8)
    for i, value in enumerate(values):
        text = f" {value:.3g}" if np.isfinite(value) else " none"
        axes.text(np.nan_to_num(value), i, text, va="center", fontsize=SMALL)
    axes.set_yticks(range(len(rows)), [as_text(row.forecaster) for row in rows], fontsize=SMALL)
    axes.invert_yaxis()
    axes.margins(x=0.2)


def confusion(report: Report, title: str, path: str | Path | None = None) -> Any:
    """Draw the confusions of the network: a panel for each horizon, the share of each class by colour.

    Parameters
    ----------
    report, title, path
        As for :func:`errors`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If the forecasts are of numbers, matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    if not report.classes:
        raise RnnsimError("a figure of confusions must be of forecasts of classes; these are of numbers")
    own = {h: n for (name, h), n in report.confusions.items() if name == report.rows[0].forecaster}
    names, C = [as_text(name) for name in report.classes], len(report.classes)
    size = 2.2 + 0.45 * min(C, 24)
    figure = Figure(figsize=(size * len(own), size + 0.4), layout="constrained")
    for axes, (horizon, counts) in zip(figure.subplots(1, len(own), squeeze=False)[0], own.items()):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(C), names, rotation=30, ha="right", fontsize=SMALL)
        axes.set_yticks(range(C), names, fontsize=SMALL)
        axes.set(xlabel="forecast", ylabel="was", title=_ahead(horizon) if len(own) > 1 else "")
        for (i, j), count in np.ndenumerate(counts) if C <= MOST_WRITTEN else ():
            colour = "white" if shares[i, j] > 0.6 else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", color=colour, fontsize=SMALL)
    figure.suptitle(as_text(title), fontsize="medium")
    return saved(figure, path)
