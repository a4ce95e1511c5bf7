"""Figures by matplotlib (the extra ``plot``), which is imported only when one is drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, files
from rnnsim.data.forecasting import called
from rnnsim.data.learnt_error import LearntError, learnt_error
from rnnsim.errors import RnnsimError, reports_memory, shown_path
from rnnsim.network import Stream
from rnnsim.task import Task
from rnnsim.training import best
from rnnsim.training.evaluation import plain_forward, run_held_out
from rnnsim.training.experiment import Experiment
from rnnsim.typing import Array, Params

FORMATS = ("png", "svg", "pdf")
MOST_SHOWN = 10_000  # steps: more are not told apart


def figure_type(path: str | Path | None = None) -> Any:
    """Return matplotlib's ``Figure`` class, after checking that a figure can be written to ``path``.

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, the format is not supported, or the folder does not exist.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RnnsimError("figures need matplotlib: pip install 'rnnsim[plot]'") from None
    if path is not None:
        file, shown = checks.path("the file of a figure", path), shown_path(path)
        if file.suffix.lower().lstrip(".") not in FORMATS:
            raise RnnsimError(f"cannot draw into {shown}: the file must end in .{', .'.join(FORMATS)}")
        folder = file.parent
        if not folder.is_dir():
            raise RnnsimError(f"cannot draw into {shown}: there is no folder {shown_path(folder)}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise RnnsimError(f"cannot draw into {shown}: {shown_path(folder)} cannot be written to")
    return Figure


def learning_curve(
    experiment: Experiment,
    metrics: Mapping[str, Array],
    solved_at: int | None,
    path: str | Path | None = None,
) -> Any:
    """Draw loss and score over the steps, with the baseline and the step at which it was solved.

    Of the user's own numbers it is the error in the target's unit, or beside that of the linear path,
    and what the network learns, which is scaled, on a second axis.

    Parameters
    ----------
    experiment : Experiment
    metrics : mapping of arrays
        ``step``, ``loss``, and the task's score under its name; the loss on validation data, if there
        is one.
    solved_at : int or None
        The step that completed the criterion.
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
    Figure = figure_type(path)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    error = learnt_error(experiment.task, experiment.network)
    if error is None:
        panels = _loss_and_score(figure, experiment.task, metrics)
    else:
        panels = [_errors(figure, error, experiment.task.baseline, metrics)]
    for axes in panels if solved_at is not None else ():
        axes.axvline(solved_at, color="C2", lw=1.5, label=f"solved at step {solved_at:,}")
    panels[0].legend(loc="lower left", fontsize="small")
    panels[-1].set(xlabel="time step")
    figure.suptitle(as_text(f"{experiment.rule.name} on {called(experiment.task)}"))
    return saved(figure, path)


def _loss_and_score(figure: Any, task: Task, metrics: Mapping[str, Array]) -> list[Any]:
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(metrics["step"], metrics["loss"], color="C0", lw=1)
    if best.STEP in metrics:
        upper.plot(metrics[best.STEP], metrics[best.LOSS], color="C3", lw=1, label="validation data")
    upper.axhline(task.baseline, color="0.5", ls="--", lw=1, label="best constant answer")
    upper.set(ylabel="loss per target", yscale="log")
    lower.plot(metrics["step"], metrics[task.score], color="C1", lw=1)
    lower.set(ylabel=task.score)
    return [upper, lower]


def _errors(figure: Any, error: LearntError, baseline: float, metrics: Mapping[str, Array]) -> Any:
    axes = figure.subplots()
    axes.plot(metrics["step"], error.at(metrics["loss"]), color="C0", lw=1, label="while it learns")
    if best.STEP in metrics:
        looked = error.at(metrics[best.LOSS])
        axes.plot(metrics[best.STEP], looked, color="C3", lw=1, label="validation data")
    axes.axhline(error.at(baseline), color="0.5", ls="--", lw=1,
                 label=f"{error.alone}, where it is learnt")  # fmt: skip
    axes.set(ylabel=as_text(error.label), yscale="log")
    learnt = axes.secondary_yaxis("right", functions=(error.loss, error.at))
    learnt.set_ylabel("loss per target, of what is learnt, scaled")
    return axes


def as_text(name: str) -> str:
    """A name as matplotlib takes it, which would read mathematics between two dollars."""
    return name.replace("$", r"\$")


def saved(figure: Any, path: str | Path | None) -> Any:
    """Save a figure if a path is given, and return it; an earlier file is replaced as a whole."""
    if path is not None:
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=150, format=Path(path).suffix.lower().lstrip("."))
        try:
            files.replace(Path(path), drawn.getvalue())
        except OSError as error:
            why = error.strerror or error
            raise RnnsimError(f"cannot draw into {shown_path(path)}: {why}") from None
    return figure


@reports_memory
def behaviour(
    experiment: Experiment,
    params: Params,
    learnt: int,
    path: str | Path | None = None,
    *,
    shown: int = 60,
) -> Any:
    """Draw the behaviour of a trained network on held-out data: inputs, state, outputs and targets.

    The state is drawn as an image over time: the activations, or the fast weights [S92], which shows
    when they open and close. Each column is the state from which the step's output was read: in a
    fast-weight network the one entering the step.

    Parameters
    ----------
    experiment : Experiment
    params : NamedTuple of arrays
        Parameters of the trained network.
    learnt : int
        Number of training steps, for the title.
    path : path, optional
        Where to save the figure.
    shown : int
        Number of steps to draw; as many before them are run but not drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    steps = checks.whole("steps", shown, 2, MOST_SHOWN)
    network, task = experiment.network, experiment.task
    rows = max(2 * steps, task.episode_length or 0)
    forward_pass = plain_forward(network, experiment.rule.settler() if task.steady else None)
    stream, trajectory = run_held_out(network, params, task, experiment.seed, rows, 1, forward_pass)
    filled = len(trajectory.states)
    last = slice(max(0, filled - steps), filled)
    states = trajectory.entering if network.reads == "entering" else trajectory.states
    names = network.state_names(task.input_names, task.output_names)
    heights = [min(max(n, 2), 12) for n in (task.n_in, len(names), 1.5 * task.n_out)]
    figure = Figure(figsize=(9, 1.6 + 0.22 * sum(heights)), layout="constrained")
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    draw_image(upper, stream.inputs[last, 0], task.input_names, "Greys")
    image = draw_image(middle, states[last, 0], names, "viridis")
    figure.colorbar(image, ax=middle, pad=0.01, aspect=12)
    draw_answers(lower, stream, last, task.output_names)
    upper.set_title("events", loc="left", fontsize="medium")
    what = "fast weights" if network.kind == "fast-weight" else "state"
    middle.set_title(what, loc="left", fontsize="medium")
    lower.set_title("output (line) and target (dots)", loc="left", fontsize="medium")
    lower.set_xlabel("time step")
    title = f"{experiment.rule.name} on {called(task)}, after {learnt:,} steps of learning"
    figure.suptitle(as_text(title))
    return saved(figure, path)


def draw_image(axes: Any, values: Array, names: Sequence[str], colours: str) -> Any:
    """Draw values (T, n) as an image over time, with row names if there are not too many."""
    image = axes.imshow(values.T, aspect="auto", interpolation="nearest", cmap=colours)
    if len(names) <= 40:
        axes.set_yticks(range(len(names)), names, fontsize="x-small" if len(names) > 12 else "small")
    return image


def draw_answers(axes: Any, stream: Stream, shown: slice, names: Sequence[str]) -> None:
    """Draw each output with its targets on a baseline of its own."""
    outputs, targets, mask = stream.outputs[shown, 0], stream.targets[shown, 0], stream.mask[shown, 0]
    times, lane = np.arange(len(outputs)), 1.25
    for o in range(len(names)):
        base = -lane * o
        axes.axhline(base, color="0.85", lw=0.8)
        axes.step(times, base + outputs[:, o], where="mid", color="C0", lw=1.2)
        asked = mask > 0
        axes.plot(times[asked], base + targets[asked, o], ".", color="C3", ms=4)
    axes.set_yticks([-lane * o for o in range(len(names))], names, fontsize="small")
