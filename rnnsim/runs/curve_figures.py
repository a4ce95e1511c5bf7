"""Figures over the steps of learning, of one run or several: learning curves, norms of the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.runs.curves import (
    WHOLE,
    Learnt,
    Quantity,
    baselines_of,
    error_of,
    gradients_of,
    losses_of,
    monitors_of,
    norms_of,
)
from rnnsim.runs.figures import (
    BESIDE,
    EVENT,
    MAIN,
    MEDIUM,
    OTHER,
    SMALL,
    as_text,
    draw_spread,
    figure_type,
    look,
    saved,
    scale_of_lines,
    title_of,
)
from rnnsim.runs.spreads import spread_of
from rnnsim.runs.telling_apart import Group, groups_of
from rnnsim.training.monitors import NORMS

WIDTH, PANEL, LEGEND = 5.5, 1.7, 1.1  # inches: about a column of print, in which text stays readable
MOST_PANELS = 8
LONGEST, LONGEST_ABOVE = 26, 40  # letters of a line beside a panel, and beside the first of one run
LEVEL: dict[str, Any] = {"color": BESIDE, "ls": (0, (1, 2)), "lw": 1.2}  # of what stays as it is
TIME = "time step"


# --- learning curves ----------------------------------------------------------------------------------


def learning_curves(runs: Sequence[Learnt], path: str | Path | None = None) -> Any:
    """Draw the learning curves of runs: loss, loss on validation data, score, monitors.

    Of monitors the norm of the gradient is drawn, and those that recorded one number each time. One run
    has both losses in a panel, the baseline, and the step at which it was solved. Of the user's own
    numbers it is the error in the target's unit, or beside that of the linear path, and what the
    network learns, which is scaled, on a second axis.

    Of several, each quantity has a panel, and each run a line. Runs that differ by their seed alone are
    one line, their median, in a band between the quartiles (:func:`rnnsim.runs.spreads.spread_of`). A
    star marks where a run solved its task.

    Parameters
    ----------
    runs : sequence of Learnt
        Their ``metrics`` are ``step``, ``loss``, and the task's score under its name; the loss on
        validation data, if there is one; and what monitors recorded.
    path : path, optional
        Where to save the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    if len(runs) == 1:
        return _curves_of_one(runs[0], path)
    every, note = _shown([*losses_of(runs), *monitors_of(runs)], runs)
    figure, panels = _side_by_side(every, runs, path, note)
    _draw_baselines(panels[0], runs)
    return _finished(figure, panels, path, solved=any(run.solved_at is not None for run in runs))


def _curves_of_one(run: Learnt, path: str | Path | None) -> Any:
    loss, validation, *others = [*losses_of([run]), *monitors_of([run])]
    others, note = _shown(others, [run])
    figure, (upper, *lower) = _panels(1 + len(others), path, first=1.6)
    looks = ({"color": MAIN, "label": "while it learns"},
             {"color": OTHER, "ls": "--", "label": "validation data"})  # fmt: skip
    for quantity, how in zip((loss, validation), looks):
        if (curve := quantity.curve(run)) is not None:
            upper.plot(curve.step, curve.values, lw=1.2, **how)
    scale_of_lines(upper)
    _draw_baselines(upper, [run])
    _name(upper, loss.label, LONGEST_ABOVE)
    if (error := error_of(run)) is not None:
        learnt = upper.secondary_yaxis("right", functions=(error.loss, error.at))
        _name(learnt, "loss per target, of what is learnt, scaled", LONGEST_ABOVE)
    for axes, quantity in zip(lower, others):
        _draw_group(axes, Group("", [run]), quantity, {"color": MAIN}, star=False)
        _finish_panel(axes, quantity)
    if run.solved_at is not None:
        for axes in (upper, *lower):
            axes.axvline(run.solved_at, color=EVENT, ls="-.", lw=1.5,
                         label=f"solved at step {run.solved_at:,}")  # fmt: skip
    figure.suptitle(title_of(run) + note, fontsize=MEDIUM)
    return _finished(figure, [upper, *lower], path)


def _draw_baselines(axes: Any, runs: Sequence[Learnt]) -> None:
    """Draw what is reached without learning, if that is one thing for all runs."""
    found = baselines_of(runs)
    if len(found) == 1:
        ((label, value),) = found
        axes.axhline(value, **LEVEL, label=label)


# --- norms of the gradient ----------------------------------------------------------------------------


def gradient_norms(runs: Sequence[Learnt], path: str | Path | None = None) -> Any:
    """Draw the norm of the gradient over the steps: of the whole, and of the array of each parameter.

    Of one run they are in one panel, of several in a panel each, where seeds are drawn together as in
    :func:`learning_curves`.

    Parameters
    ----------
    runs : sequence of Learnt
        With the monitor ``grad-norm``, ``grad``, or those of single arrays, such as ``grad.W``. The
        first is of gradients before they are clipped, the others are of clipped ones.
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If one has no such monitor, matplotlib is not installed, or the file cannot be written.
    """
    for run in runs:
        if not norms_of(run):
            which = "this run" if len(runs) == 1 or run.folder is None else f"the run {run.folder}"
            raise RnnsimError(f"{which} did not record gradients; one with --monitor {NORMS} "
                              f'(monitor="{NORMS}") does')  # fmt: skip
    if len(runs) == 1:
        return _norms_of_one(runs[0], path)
    every, note = _shown(gradients_of(runs), runs)
    named = [each._replace(label=f"norm of the gradient\n({each.label})") for each in every]
    figure, panels = _side_by_side(named, runs, path, note)
    clips = {run.experiment.clip for run in runs}
    if len(clips) == 1 and every[0].label == WHOLE:
        _draw_clip(panels[0], clips.pop())
    return _finished(figure, panels, path)


def _norms_of_one(run: Learnt, path: str | Path | None) -> Any:
    figure, (axes,) = _panels(1, path, first=2)
    quantities, norms = gradients_of([run]), norms_of(run)
    others = 0
    for quantity in quantities:
        whole, curve = quantity.label == WHOLE, quantity.curve(run)
        assert curve is not None
        others += not whole
        axes.plot(curve.step, curve.values, **look(0 if whole else others, "ls"), lw=2 if whole else 1.2,
                  zorder=3 if whole else 2, label=as_text(quantity.label))  # fmt: skip
    scale_of_lines(axes)
    _draw_clip(axes, run.experiment.clip)
    left = "" if all((values > 0).all() for values in norms.values()) else "\n(where it is not 0)"
    _name(axes, f"norm of a window's gradient{left}", LONGEST_ABOVE)
    figure.suptitle(title_of(run), fontsize=MEDIUM)
    return _finished(figure, [axes], path, columns=4)


def _draw_clip(axes: Any, clip: float) -> None:
    if np.isfinite(clip):
        axes.axhline(clip, **LEVEL, label=f"clipped at {clip:g}")


# --- panels -------------------------------------------------------------------------------------------


def _shown(every: list[Quantity], runs: Sequence[Learnt]) -> tuple[list[Quantity], str]:
    """The quantities that are drawn, of those that some run has, and what the title says of others."""
    some = [each for each in every if any(each.curve(run) is not None for run in runs)]
    left = len(some) - MOST_PANELS
    return some[:MOST_PANELS], f"\n{left} more are not drawn" if left > 0 else ""


def _panels(number: int, path: str | Path | None, first: float = 1.0) -> tuple[Any, list[Any]]:
    """A figure with panels below one another; the first is as many times as high as the others."""
    height = LEGEND + PANEL * (number - 1 + first)
    figure = figure_type(path)(figsize=(WIDTH, height), layout="constrained")
    heights = [first] + [1.0] * (number - 1)
    return figure, [*figure.subplots(number, 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]]


def _side_by_side(
    every: Sequence[Quantity], runs: Sequence[Learnt], path: str | Path | None, note: str
) -> tuple[Any, list[Any]]:
    """Draw the curves of several runs: a panel for each quantity, a line for each group of runs."""
    groups = groups_of(runs)
    figure, panels = _panels(len(every), path)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.1 * len(groups))
    for quantity, axes in zip(every, panels):
        for i, group in enumerate(groups):
            _draw_group(axes, group, quantity, look(i, "ls"))
        _finish_panel(axes, quantity)
    if any(len(group.runs) > 1 for group in groups):
        note = "\nmedian and quartiles over seeds; a run that ends early keeps its last value" + note
    figure.suptitle(title_of(*runs) + note, fontsize=MEDIUM)
    return figure, panels


def _draw_group(
    axes: Any, group: Group[Learnt], quantity: Quantity, how: dict[str, Any], star: bool = True
) -> None:
    """Draw runs that differ by their seed alone."""
    curves = [curve for run in group.runs if (curve := quantity.curve(run)) is not None]
    if not curves:
        return
    label = as_text(group.label)
    if len(group.runs) == 1:
        step, values = curves[0].step, curves[0].values
        axes.plot(step, values, lw=1.4, label=label, **how)
    else:
        step, spread = spread_of(curves)
        values = spread[1]
        draw_spread(axes, step, spread, lw=1.8, label=label, **how)
    at = [run.solved_at for run in group.runs if run.solved_at is not None]
    if star and at and len(step):
        axes.plot(at, np.interp(at, step, values), "*", color=how["color"], ms=9, mec="white", mew=0.5,
                  zorder=4)  # fmt: skip


def _finish_panel(axes: Any, quantity: Quantity) -> None:
    if not quantity.is_score:
        scale_of_lines(axes)
    _name(axes, quantity.label)


def _name(axes: Any, label: str, longest: int = LONGEST) -> None:
    """Name a panel's values, in several lines of about one length if need be."""
    lines = list[str]()
    for part in label.split("\n"):
        width = math.ceil(len(part) / math.ceil(len(part) / longest))
        lines += wrap(part, min(longest, width + 3))
    axes.set_ylabel(as_text("\n".join(lines)), fontsize=SMALL if len(lines) > 1 else MEDIUM)


def _finished(
    figure: Any, panels: Sequence[Any], path: str | Path | None, columns: int = 2, solved: bool = False
) -> Any:
    """Name the axis of time, set the legend, and save the figure."""
    panels[-1].set_xlabel(TIME)
    named = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels())
    }
    if solved:
        (named["solved"],) = panels[0].plot([], [], "*", color=BESIDE, ms=9)
    figure.legend([*named.values()], [*named], loc="outside lower center", fontsize=SMALL, frameon=False,
                  ncols=1 if max(map(len, named), default=0) > 40 else columns,
                  handlelength=3)  # fmt: skip
    return saved(figure, path)
