"""The figure of a comparison of rules, in the style of all figures (:mod:`rnnsim.runs.figures`).

Each rule has a colour and a line style. Numbers stand in the cells of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.data.forecasting import called
from rnnsim.runs.figures import BESIDE, SMALL, as_text, figure_type, look, saved
from rnnsim.training.experiment import Experiment
from rnnsim.training.following import mean_over
from rnnsim.typing import Array

PARTS = 64  # points of a line: neighbours are merged, as single windows fluctuate


def draw(
    experiment: Experiment,
    rules: Sequence[str],
    step: Array,
    alignment: Array,
    norm_ratio: Array,
    losses: Array,
    path: str | Path | None = None,
) -> Any:
    """Draw a comparison, and save the figure if ``path`` is given.

    Parameters
    ----------
    experiment, rules, step, alignment, norm_ratio, losses
        As in :class:`rnnsim.runs.comparison.Comparison`.
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    figure = figure_type(path)(figsize=(10, 7), layout="constrained")
    rules = [as_text(name) for name in rules]
    axes = figure.subplot_mosaic([["matrix", "alignment"], ["norms", "losses"]])
    task = experiment.task
    draw_matrix(axes["matrix"], rules, mean_over(alignment, (0, 1)))
    leader, seeds = rules[0], len(losses)
    lines = draw_lines(axes["alignment"], step, alignment[:, :, :, 0])
    axes["alignment"].set(ylabel=f"alignment with {leader}", xlabel="time step")
    draw_lines(axes["norms"], step, norm_ratio[:, :, :, 0])
    axes["norms"].set(ylabel=f"norm over that of {leader}", xlabel="time step", yscale="log")
    draw_lines(axes["losses"], step, losses)
    axes["losses"].set(ylabel="loss per target, each rule leading", xlabel="time step")
    draw_floors(axes["losses"], task.floors or {"best constant answer": task.baseline})
    figure.legend(lines, rules, loc="outside lower center", ncols=min(len(rules), 5), frameon=False)
    several = f", mean and range of {seeds} seeds" if seeds > 1 else ""
    figure.suptitle(f"{as_text(called(task))}: gradients beside those of {leader}, which leads{several}")
    return saved(figure, path)


def draw_matrix(axes: Any, rules: Sequence[str], values: Array) -> None:
    """Draw the mean alignment of each pair, with its number."""
    axes.imshow(values, cmap="Blues", vmin=min(0.0, np.nanmin(values)), vmax=1.0)
    names = [name.replace(":", "\n") for name in rules]
    axes.set_xticks(range(len(rules)), names, rotation=30, ha="right", fontsize=SMALL)
    axes.set_yticks(range(len(rules)), names, fontsize=SMALL)
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.2f}" if np.isfinite(value) else "none"
        axes.text(j, i, text, ha="center", va="center", color="white" if value > 0.6 else "black")
    axes.set_title("mean alignment", fontsize="medium")


def draw_lines(axes: Any, step: Array, values: Array) -> list[Any]:
    """Draw values (seeds, points, R) over time: the mean of each rule as a line, and its range."""
    lines = []
    step, values = merged(step[None, :, None], np.max)[0, :, 0], merged(values, mean_over)
    for i in range(values.shape[2]):
        of_rule = values[:, :, i]
        mean = mean_over(of_rule, 0)
        shown = np.isfinite(mean)
        (line,) = axes.plot(step[shown], mean[shown], lw=1.5, **look(i, "ls"))
        lines.append(line)
        if len(of_rule) > 1 and shown.any():
            low, high = np.nanmin(of_rule[:, shown], axis=0), np.nanmax(of_rule[:, shown], axis=0)
            axes.fill_between(step[shown], low, high, color=line.get_color(), alpha=0.12, lw=0)
    return lines


def merged(values: Array, merge: Any) -> Array:
    """Merge neighbouring points (axis 1) so that there are about as many as ``PARTS``."""
    points = values.shape[1]
    parts = np.array_split(np.arange(points), min(points, PARTS))
    return np.stack([merge(values[:, part], 1) for part in parts], axis=1)


def draw_floors(axes: Any, floors: Any) -> None:
    """Draw losses that tell what was learnt, with their names."""
    for name, loss in floors.items():
        axes.axhline(loss, color=BESIDE, ls=(0, (1, 2)), lw=1)
        axes.annotate(name, (1, loss), xycoords=("axes fraction", "data"), xytext=(3, 0), va="center",
                      textcoords="offset points", fontsize=SMALL, color="0.3")  # fmt: skip
