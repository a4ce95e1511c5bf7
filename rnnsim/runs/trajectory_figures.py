"""The figure of trajectories: states of one run or several in the plane in which they vary most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.numerics.principal_components import principal_plane
from rnnsim.runs.behaviour_figures import Trained, behaviour_of, time_of
from rnnsim.runs.figures import (
    BESIDE,
    MAIN,
    MEDIUM,
    OTHER,
    SEQUENTIAL,
    SMALL,
    as_text,
    figure_type,
    saved,
    title_of,
)
from rnnsim.runs.telling_apart import names_of
from rnnsim.typing import Array, Bools

STEPS = 200  # that are shown by default
MANY = 300  # steps from which points are small
ACROSS, MOST_PANELS = 3, 12


def trajectories(runs: Sequence[Trained], path: str | Path | None = None, *, steps: int = STEPS) -> Any:
    """Draw the path of the state over held-out data in the plane of its first two principal components.

    The colour is time: since the state began anew, where it does. A ring marks each beginning. Steady
    states, which follow from no state before, are points of one colour.

    Several runs have a panel each, and one plane: that of all their states together, with one scale.
    They are run over the same held-out data, those of the first, where their tasks are the same.

    Parameters
    ----------
    runs : sequence of Trained
    path : path, optional
        Where to save the figure.
    steps : int
        Number of steps to draw; as many before them are run but not drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If a state is a single number, states are of different sizes, there are too many runs,
        matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    _check(runs)
    found = [behaviour_of(run, steps, runs[0].experiment.seed) for run in runs]
    plane = principal_plane(np.concatenate([each.states for each in found]))
    figure, panels = _panels(Figure, len(runs))
    latest = max(max(ages_of(each.begins)) for each in found)
    many = any(each.begins.sum() > 1 for each in found)
    for axes, run, each in zip(panels, runs, found):
        points = plane.of(each.states)
        if run.experiment.task.steady:
            axes.scatter(*points.T, color=MAIN, s=20)
        else:
            _draw_paths(axes, points, each.begins, latest, "beginnings" if many else "first step")
        axes.axhline(0, color=BESIDE, lw=0.4, zorder=0)
        axes.axvline(0, color=BESIDE, lw=0.4, zorder=0)
        axes.set(xlabel=f"principal component 1\n({plane.shares[0]:.0%} of the variance)",
                 ylabel=f"principal component 2\n({plane.shares[1]:.0%})")  # fmt: skip
    if len(runs) > 1:
        for axes, name in zip(panels, names_of(runs)):
            axes.set_title(as_text(name), fontsize=MEDIUM)
            axes.label_outer()
    _set_legend(figure, panels, time_of(runs[0].experiment), many)
    figure.suptitle(f"{title_of(*runs)}; held-out data", fontsize=MEDIUM)
    return saved(figure, path)


def _check(runs: Sequence[Trained]) -> None:
    sizes = [run.experiment.network.n_state for run in runs]
    if min(sizes) < 2:
        raise RnnsimError("the figure trajectories needs a state of two numbers at least; this network "
                          "has one")  # fmt: skip
    if len(set(sizes)) > 1:
        raise RnnsimError("the figure trajectories is of states of one size, which share a plane; these "
                          f"runs have {min(sizes)} and {max(sizes)} numbers")  # fmt: skip
    if len(runs) > MOST_PANELS:
        raise RnnsimError(f"the figure trajectories is of {MOST_PANELS} runs at most, not {len(runs)}")


def _panels(Figure: Any, number: int) -> tuple[Any, list[Any]]:
    """A figure with so many panels in rows, of one scale."""
    across = number if number <= ACROSS else min(ACROSS, math.ceil(math.sqrt(number)))
    down = math.ceil(number / across)
    size = (6, 5) if number == 1 else (1.4 + 2.8 * across, 1.2 + 2.6 * down)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[number:]:
        axes.set_axis_off()
    return figure, [*grid[:number]]


def ages_of(begins: Bools) -> Array:
    """Steps since the last beginning (T,)."""
    t = np.arange(len(begins))
    return np.asarray(t - np.maximum.accumulate(np.where(begins, t, 0)))


def _draw_paths(axes: Any, points: Array, begins: Bools, latest: int, name: str) -> None:
    """Draw the states as points, with lines to those that follow from them, and mark the beginnings."""
    from matplotlib.collections import LineCollection

    ages, follows, scale = ages_of(begins), np.flatnonzero(~begins), (0, max(latest, 1))
    pieces = np.stack([points[follows - 1], points[follows]], axis=1)
    lines = LineCollection(list(pieces), cmap=SEQUENTIAL, lw=0.8, alpha=0.8)
    lines.set_array(ages[follows])
    lines.set_clim(*scale)
    axes.add_collection(lines)
    axes.scatter(*points.T, c=ages, cmap=SEQUENTIAL, s=5 if len(points) > MANY else 14, zorder=3, lw=0,
                 vmin=scale[0], vmax=scale[1])  # fmt: skip
    axes.scatter(*points[begins].T, s=60, facecolors="none", edgecolors=OTHER, lw=1.5, zorder=4,
                 label=name)  # fmt: skip


def _set_legend(figure: Any, panels: Sequence[Any], time: str, many: bool) -> None:
    """Say what colours and rings are, of the first panel that has them."""
    for axes in panels:
        if axes.get_legend_handles_labels()[1]:
            _, dots, rings = axes.collections
            figure.legend(handles=[rings], loc="outside lower center", fontsize=SMALL, frameon=False)
            label = f"{time} since the state began anew" if many else time
            figure.colorbar(dots, ax=panels, label=label)
            return
