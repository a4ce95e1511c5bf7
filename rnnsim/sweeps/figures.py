"""Figures of a sweep: a panel for each task, a line for each rule.

Rules differ in colour and in line style or marker, so that they can be told apart in print and by the
colour-blind. Where a rule has several settings in a panel, that which did best is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.runs.figures import draw_spread, figure_type, saved, scale_by, scale_of_lines
from rnnsim.runs.spreads import Curve, spread_of
from rnnsim.sweeps import statistics
from rnnsim.sweeps.panels import Curves, Data, Line, Sheet, best_of, lines_of, of_several, panels_of
from rnnsim.sweeps.ranking import has_criterion, identity
from rnnsim.sweeps.statistics import DIVERGED, MEDIAN, QUANTILES, ratio
from rnnsim.sweeps.store import OUTCOMES, Cell, Runs
from rnnsim.typing import Array

PIXELS = (880, 560)  # in a notebook
QUARTILES = [list(QUANTILES).index(name) for name in ("q25", "median", "q75")]


def draw(
    what: str, cells: Sequence[Cell], runs: Runs, curves: Curves, path: str | Path | None = None
) -> Any:
    """Draw a figure of a sweep, and save it if ``path`` is given.

    Parameters
    ----------
    what : str
        One of ``FIGURES``.
    cells : sequence of Cell
        All, in the order of the plan.
    runs : Runs
    curves : Callable
        Gives the cell, the seed and the learning curve of each run of some cells.
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If there is no such figure or nothing to draw in it, matplotlib is not installed, or the file
        cannot be written.
    """
    draw_it = FIGURES[checks.known_name("figure of a sweep", what, FIGURES)]
    figure_type(path)
    results = statistics.results_of(cells, runs)
    data = Data(cells, runs, results, statistics.statistics(cells, runs, results), curves)
    return saved(draw_it(data), path)


# --- learning curves ----------------------------------------------------------------------------------


def draw_curves(data: Data) -> Any:
    """Draw the loss over the steps: the median over seeds, and a band between the quartiles."""
    places = data.of_role("result")
    panels = panels_of(data, places, "this sweep has no learning curves to draw yet")
    sheet = Sheet(panels, [data.cells[i].rule for i in places])
    drawn = list[Line]()
    for title, (axes,) in sheet.axes.items():
        for line in lines_of(data, panels[title]):
            spread = spread_of_curves(data, best_of(data, line.places))
            handle = draw_spread(axes, *spread, lw=1.5, **sheet.look(line.rule, "ls"))
            sheet.name(line.rule, handle)
            drawn.append(line)
        scale_of_lines(axes)
        axes.set(xlabel="time step", ylabel="loss per target")
    return sheet.finish(
        "learning curves: median and quartiles over the seeds",
        "a run that ends early keeps its last loss; one that diverged counts as worse than any",
        *of_several(drawn),
    )


def spread_of_curves(data: Data, place: int) -> tuple[Array, Array]:
    """The steps (P,) and the quartiles and median (3, P) of the loss of a cell over its seeds."""
    id, runs = data.cells[place].id, data.runs
    own = (runs.cell == id) & np.isin(runs.outcome, [OUTCOMES.index(name) for name in DIVERGED])
    diverged = set(runs.seed[own].tolist())
    return spread_of(
        Curve(curve["step"], curve["loss"], seed in diverged)
        for _, seed, curve in data.curves([id])
        if "step" in curve
    )


# --- learning rates -----------------------------------------------------------------------------------


def draw_rates(data: Data) -> Any:
    """Draw what came of each learning rate: the loss on validation data, and the share solved."""
    places = [i for i in data.of_role("trial", "result") if (data.cells[i].learning_rate or 0) > 0]
    lacking = "this sweep has no learning rates that were tried; give tune, or learning_rate in the grid"
    panels = {
        title: lines
        for title, own in panels_of(data, places, lacking).items()
        if (lines := [line for line in map(partial(tried, data), lines_of(data, own)) if line.places])
    }
    if not panels:
        raise RnnsimError(lacking)
    shown = [i for lines in panels.values() for line in lines for i in line.places]
    solved = bool(data.found.solved[shown].any())
    validated = bool(np.isfinite(data.found.validation_loss[shown]).any())
    loss = data.found.validation_loss if validated else data.found.loss
    sheet = Sheet(panels, [data.cells[i].rule for i in places], below=1 + solved)
    for title, (upper, *lower) in sheet.axes.items():
        for line in panels[title]:
            _draw_rates(data, sheet, upper, line, loss)
            for axes in lower:
                _draw_rates(data, sheet, axes, line, data.found.share_solved[:, None])
        scale_by(upper, [loss[line.places, MEDIAN] for line in panels[title]])
        upper.set(ylabel="validation loss" if validated else "loss on test data", xscale="log")
        for axes in lower:
            axes.set(ylabel="share solved", ylim=(-0.04, 1.04), xscale="log")
        (lower or [upper])[-1].set_xlabel("learning rate")
    return sheet.finish(
        "learning rates: median and quartiles over the seeds",
        "a ring: the rate that was chosen; a cross at the top: the median diverged",
    )


def tried(data: Data, line: Line) -> Line:
    """The cells of a rule with different learning rates, and nothing else that differs.

    They are those of the setting that did best; trials where there are some, else results.
    """
    results = [i for i in line.places if data.cells[i].role == "result"]
    setting = identity(data.cells[best_of(data, results or line.places)])
    alike = [i for i in line.places if identity(data.cells[i]) == setting]
    for role in ("trial", "result"):
        own = {data.cells[i].learning_rate: i for i in alike if data.cells[i].role == role}
        if len(own) > 1:
            return Line(line.rule, [own[rate] for rate in sorted(own)])  # type: ignore[type-var]
    return Line(line.rule, [])


def _draw_rates(data: Data, sheet: Sheet, axes: Any, line: Line, values: Array) -> None:
    """Draw a line of a rule: quantiles (C, Q) of the cells, or one value (C, 1) of each."""
    look = sheet.look(line.rule, "ls", "marker")
    rates = np.array([data.cells[i].learning_rate for i in line.places])
    own = values[line.places]
    if own.shape[1] == 1:
        middle = own[:, 0]
        (handle,) = axes.plot(rates, middle, lw=1.2, ms=4.5, **look)
    else:
        middle = own[:, MEDIAN]
        handle = draw_spread(axes, rates, own[:, QUARTILES].T, lw=1.2, ms=4.5, **look)
        lost = np.isinf(middle)
        axes.plot(rates[lost], np.full(lost.sum(), 0.97), "x", color=look["color"], ms=6,
                  transform=axes.get_xaxis_transform())  # fmt: skip
    sheet.name(line.rule, handle)
    chosen = np.isfinite(middle) & (rates == (_chosen_rate(data, line) or 0.0))
    axes.plot(rates[chosen], middle[chosen], "o", color=look["color"], ms=11, mfc="none", mew=1.5)


def _chosen_rate(data: Data, line: Line) -> float | None:
    """The learning rate that was chosen by these trials."""
    first = data.cells[line.places[0]]
    alike = (
        cell.learning_rate
        for cell in data.cells
        if cell.role == "result" and cell.choice and cell.rule == first.rule
        and identity(cell) == identity(first)
    )  # fmt: skip
    return next(alike, None)


# --- the share that solved their task -----------------------------------------------------------------


def draw_solved(data: Data) -> Any:
    """Draw the share of the seeds that solved the task by each step."""
    places = [i for i in data.of_role("result") if has_criterion(data.cells[i])]
    panels = panels_of(data, places, "this sweep has no results of a task that can be solved")
    sheet = Sheet(panels, [data.cells[i].rule for i in places])
    drawn, controls = list[Line](), False
    for title, (axes,) in sheet.axes.items():
        end = last_step(data, panels[title])
        for line in lines_of(data, panels[title]):
            best = best_of(data, line.places)
            look = sheet.look(line.rule, "marker")
            sheet.name(line.rule, _draw_share(data, axes, best, end, lw=1.5, ms=5, **look))
            drawn.append(line)
            for control in controls_of(data, best):
                _draw_share(data, axes, control, end, lw=1.2, ms=5, ls="--", mfc="none", **look)
                controls = True
        axes.set(xlabel="time step", ylabel="share solved", ylim=(-0.04, 1.04), xlim=(0, end))
    dashed = ["dashed: with a learning rate of 0"] if controls else []
    return sheet.finish("seeds that have solved the task", *dashed, *of_several(drawn))


def share_over_time(data: Data, place: int, end: float) -> tuple[Array, Array]:
    """The steps at which seeds of a cell solved the task, and the share of all that then have.

    The first step is 0 and the last ``end``.
    """
    at = np.sort(data.results.solved_at[data.results.place == place])
    steps = np.unique(at[at <= end])
    share = ratio(np.searchsorted(at, steps, "right"), np.array(len(at)))
    last = share[-1] if len(share) else 0.0
    return np.concatenate([[0], steps, [end]]), np.concatenate([[0], share, [last]])


def last_step(data: Data, places: Sequence[int]) -> float:
    """A little beyond the step at which the last seed of some cells solved the task."""
    limit = max(data.cells[i].steps for i in places)
    at = data.results.solved_at[np.isin(data.results.place, places)]
    at = at[np.isfinite(at)]
    return min(limit, 1.15 * float(at.max())) if at.size else limit


def controls_of(data: Data, place: int) -> list[int]:
    """The control of a cell, if it has one with a result."""
    cell = data.cells[place]
    alike = [
        i for i in data.of_role("control")
        if data.cells[i].rule == cell.rule and identity(data.cells[i]) == identity(cell)
    ]  # fmt: skip
    same = [i for i in alike if data.cells[i].place == cell.place]
    return (same or alike)[:1]


def _draw_share(data: Data, axes: Any, place: int, end: float, **look: Any) -> Any:
    steps, share = share_over_time(data, place, end)
    every = max(1, len(steps) // 6)
    (handle,) = axes.plot(steps, share, drawstyle="steps-post", markevery=every, **look)
    return handle


FIGURES: dict[str, Callable[[Data], Any]] = {
    "curves": draw_curves,
    "rates": draw_rates,
    "solved": draw_solved,
}
