"""Figures over the steps of learning: the learning curves of runs, and the norms of a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim.data.forecasting import called
from rnnsim.data.learnt_error import LearntError, learnt_error
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.runs.figures import (
    BESIDE,
    COLOURS,
    EVENT,
    MAIN,
    MEDIUM,
    OTHER,
    SMALL,
    STYLES,
    as_text,
    figure_type,
    saved,
    scale_by,
    title_of,
)
from rnnsim.runs.telling_apart import Group, groups_of
from rnnsim.training import best
from rnnsim.training.experiment import Experiment
from rnnsim.training.monitors import NORMS, STEP, Recorded
from rnnsim.typing import Array

SIZE = (5.5, 4.5)  # inches: about the width of a column of print, in which text stays readable
PARTS = 64  # points of a median: neighbours are merged, as single windows fluctuate
WHOLE = "all"  # how the norm of the whole gradient is called
TIME = "time step"


class Learnt(Protocol):
    """What is drawn of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    experiment: Experiment
    metrics: dict[str, Array]
    solved_at: int | None
    steps: int
    folder: Path | None


# --- learning curves ----------------------------------------------------------------------------------

Line = tuple[Array, Array]  # steps and values


class Panel(NamedTuple):
    """What is drawn of runs in a panel.

    Attributes
    ----------
    label : str
    line : Callable
        The steps and values of a run; None where it has none.
    is_score : bool
        Whether they are scores, and not losses.
    """

    label: str
    line: Callable[[Learnt], Line | None]
    is_score: bool = False


def panels_of(runs: Sequence[Learnt]) -> list[Panel]:
    """The panels of runs: loss, loss on validation data, and score.

    In place of the first two, errors where they are of one kind in all runs; then there is no score,
    which would be the same.
    """
    errors = [_error(run) for run in runs]
    error = errors[0]
    if error is not None and all(e is not None and e.label == error.label for e in errors):
        return [Panel(error.label, partial(_line, converted=True)),
                Panel("error on validation data", partial(_line_of_looks, converted=True))]  # fmt: skip
    scores = {run.experiment.task.score for run in runs}
    score = scores.pop() if len(scores) == 1 else "score"
    return [Panel("loss per target", _line), Panel("loss on validation data", _line_of_looks),
            Panel(score, _line_of_scores, is_score=True)]  # fmt: skip


def _line(run: Learnt, converted: bool = False) -> Line:
    return run.metrics["step"], _converted(run, run.metrics["loss"], converted)


def _line_of_looks(run: Learnt, converted: bool = False) -> Line | None:
    if best.STEP not in run.metrics:
        return None
    return run.metrics[best.STEP], _converted(run, run.metrics[best.LOSS], converted)


def _line_of_scores(run: Learnt) -> Line:
    return run.metrics["step"], run.metrics[run.experiment.task.score]


def _error(run: Learnt) -> LearntError | None:
    return learnt_error(run.experiment.task, run.experiment.network)


def _converted(run: Learnt, losses: Array, to_errors: bool) -> Array:
    error = _error(run) if to_errors else None
    return losses if error is None else np.asarray(error.at(losses))


def learning_curve(run: Learnt, path: str | Path | None = None) -> Any:
    """Draw loss and score over the steps, with the baseline and the step at which it was solved.

    Of the user's own numbers it is the error in the target's unit, or beside that of the linear path,
    and what the network learns, which is scaled, on a second axis.

    Parameters
    ----------
    run : Learnt
        Its ``metrics`` are ``step``, ``loss``, and the task's score under its name; the loss on
        validation data, if there is one.
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
    figure = figure_type(path)(figsize=SIZE, layout="constrained")
    loss, validation, *score = panels_of([run])
    upper, *lower = figure.subplots(1 + len(score), 1, sharex=True, squeeze=False)[:, 0]
    looks = ({"color": MAIN, "label": "while it learns"},
             {"color": OTHER, "ls": "--", "label": "validation data"})  # fmt: skip
    for panel, look in zip((loss, validation), looks):
        if (line := panel.line(run)) is not None:
            upper.plot(*line, lw=1.2, **look)
    scale_by(upper, [np.asarray(line.get_ydata()) for line in upper.lines])
    _draw_baselines(upper, [run])
    upper.set_ylabel(as_text(loss.label))
    if (error := _error(run)) is not None:
        learnt = upper.secondary_yaxis("right", functions=(error.loss, error.at))
        learnt.set_ylabel("loss per target, of what is learnt, scaled", fontsize=SMALL)
        upper.yaxis.label.set_fontsize(SMALL)  # it is long
    for axes, panel in zip(lower, score):
        axes.plot(*_line_of_scores(run), color=MAIN, lw=1.2)
        axes.set_ylabel(as_text(panel.label))
    if run.solved_at is not None:
        for axes in (upper, *lower):
            axes.axvline(run.solved_at, color=EVENT, ls="-.", lw=1.5,
                         label=f"solved at step {run.solved_at:,}")  # fmt: skip
    (lower or [upper])[-1].set_xlabel(TIME)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  fontsize=SMALL, frameon=False)  # fmt: skip
    figure.suptitle(title_of(run.experiment, run.steps), fontsize=MEDIUM)
    return saved(figure, path)


def learning_curves(runs: Sequence[Learnt], path: str | Path | None = None) -> Any:
    """Draw the learning curves of several runs: loss, loss on validation data if any, and score.

    Runs that differ by their seed alone have one colour and thin lines; a thick one is their median, as
    long as all of them learn (:func:`median_of`). A star marks where a run solved its task.

    Parameters
    ----------
    runs : sequence of runs
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        As :func:`learning_curve`.
    """
    Figure = figure_type(path)
    panels = [panel for panel in panels_of(runs) if any(panel.line(run) for run in runs)]
    groups = groups_of(runs)
    width, height = SIZE
    height += 1.5 * (len(panels) - 2) + 0.2 * len(groups)
    figure = Figure(figsize=(width, height), layout="constrained")
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, axes in zip(panels, every):
        for group, colour, style in zip(groups, cycle(COLOURS), cycle(STYLES)):
            _draw_group(axes, group, panel, {"color": colour, "ls": style})
        if not panel.is_score:
            scale_by(axes, [np.asarray(line.get_ydata()) for line in axes.lines])
        axes.set_ylabel(as_text(panel.label))
    _draw_baselines(every[0], runs)
    every[-1].set_xlabel(TIME)
    handles, labels = every[0].get_legend_handles_labels()
    if any(run.solved_at is not None for run in runs):
        handles += every[0].plot([], [], "*", color=BESIDE, ms=9)
        labels.append("solved")
    figure.legend(handles, labels, loc="outside lower center", fontsize=SMALL, frameon=False,
                  ncols=1 if max(map(len, labels), default=0) > 30 else 2)  # fmt: skip
    figure.suptitle(as_text(_in_common(runs)), fontsize=MEDIUM)
    return saved(figure, path)


def _draw_group(axes: Any, group: Group[Learnt], panel: Panel, style: Mapping[str, Any]) -> None:
    """Draw runs that differ by their seed alone."""
    curves = [(run, *line) for run in group.runs if (line := panel.line(run)) is not None]
    several, label = len(group.runs) > 1, as_text(group.label)
    thin = {"lw": 0.6, "alpha": 0.4} if several else {"lw": 1.4, "label": label}
    for run, step, values in curves:
        axes.plot(step, values, **style, **thin)
        if run.solved_at is not None and len(values):
            axes.plot(run.solved_at, np.interp(run.solved_at, step, values), "*", color=style["color"],
                      ms=9, mec="white", mew=0.5, zorder=4)  # fmt: skip
    if several and curves:
        median = median_of([(step, values) for _, step, values in curves])
        axes.plot(*median, **style, lw=2.2, zorder=3, label=f"{label} and their median")


def median_of(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The median of curves, in parts of the steps that all of them have gone.

    A part is a number of points of the coarsest curve, of which there are at most ``PARTS``. A curve's
    value is its mean over the part.

    Parameters
    ----------
    curves : sequence of pairs of (points,) arrays
        Steps in rising order, and values.

    Returns
    -------
    steps, values : (parts,) array
        The last steps of parts.
    """
    end = min((step[-1] if len(step) else -1) for step, _ in curves)
    at = min((step[step <= end] for step, _ in curves), key=len)
    if not len(at):
        return at, at.astype(float)
    ends = np.array([part[-1] for part in np.array_split(at, min(PARTS, len(at)))])
    means = []
    for step, values in curves:
        part = np.searchsorted(ends, step)
        within = part < len(ends)
        sums = np.bincount(part[within], values[within], len(ends))
        with np.errstate(invalid="ignore"):
            means.append(sums / np.bincount(part[within], minlength=len(ends)))
    return ends, median_without_gaps(means)


def median_without_gaps(values: Sequence[Array]) -> Array:
    """The median of each column, without those that are nan; nan where all are."""
    array = np.array(values)
    some = ~np.isnan(array).all(axis=0)
    found = np.full(array.shape[1], np.nan)
    found[some] = np.nanmedian(array[:, some], axis=0)
    return found


def _draw_baselines(axes: Any, runs: Sequence[Learnt]) -> None:
    """Draw what is reached without learning, if that is one thing for all runs of a panel of losses."""
    (loss, *_), found = panels_of(runs), set()
    for run in runs:
        error, baseline = _error(run), run.experiment.task.baseline
        if error is None or loss.label != error.label:
            found.add(("best constant answer", baseline))
        else:
            found.add((f"{error.alone}, where it is learnt", float(error.at(baseline))))
    if len(found) == 1:
        ((label, value),) = found
        axes.axhline(value, color=BESIDE, ls=(0, (1, 2)), lw=1.2, label=label)


def _in_common(runs: Sequence[Learnt]) -> str:
    """What runs have in common, for the title."""
    rules = {run.experiment.rule.name for run in runs}
    tasks = {called(run.experiment.task) for run in runs}
    most = max(run.steps for run in runs)
    what = f"{rules.pop()} on " if len(rules) == 1 and len(tasks) == 1 else ""
    where = tasks.pop() if len(tasks) == 1 else f"{len(tasks)} tasks"
    return f"{what}{where}, {len(runs)} runs of up to {most:,} steps"


# --- norms of the gradient ----------------------------------------------------------------------------


class Monitored(Learnt, Protocol):
    """The same with what its monitors are."""

    recorded: Recorded | None


def gradient_norms(run: Monitored, path: str | Path | None = None) -> Any:
    """Draw the norm of the gradient over the steps: of the whole, and of the array of each parameter.

    Parameters
    ----------
    run : Monitored
        With the monitor ``grad-norm``, ``grad``, or those of single arrays, such as ``grad.W``. The
        first is of gradients before they are clipped, the others are of clipped ones.
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If it has no such monitor, matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    experiment, norms, clip = run.experiment, norms_of(run), run.experiment.clip
    if not norms:
        raise RnnsimError(f"this run did not record gradients; one with --monitor {NORMS} "
                          f'(monitor="{NORMS}") does')  # fmt: skip
    figure = Figure(figsize=SIZE, layout="constrained")
    axes, step = figure.subplots(), run.metrics[STEP]
    looks = zip(cycle(COLOURS[1:]), cycle(STYLES[1:]))
    for name, values in norms.items():
        whole = name == WHOLE
        colour, style = (COLOURS[0], STYLES[0]) if whole else next(looks)
        some = values > 0  # a window without targets has no gradient
        axes.plot(step[some], values[some], color=colour, ls=style, lw=2 if whole else 1.2,
                  zorder=3 if whole else 2, label=as_text(name))  # fmt: skip
    scale_by(axes, [values[values > 0] for values in norms.values()])
    if np.isfinite(clip):
        axes.axhline(clip, color=BESIDE, ls=(0, (1, 2)), lw=1.2, label=f"clipped at {clip:g}")
    left = "" if all((values > 0).all() for values in norms.values()) else "\n(where it is not 0)"
    axes.set(xlabel=TIME, ylabel=f"norm of a window's gradient{left}")
    figure.legend(loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False)
    figure.suptitle(title_of(experiment, run.steps), fontsize=MEDIUM)
    return saved(figure, path)


def norms_of(run: Monitored) -> dict[str, Array]:
    """What monitors recorded of the norm of the gradient: of the whole, and by parameter."""
    network, found = run.experiment.network, dict[str, Array]()
    for name, what in run.recorded.given.items() if run.recorded is not None else ():
        values = run.metrics[name]
        if what == NORMS:
            found |= dict(zip((WHOLE, *network.shapes), values.T))
        elif what == "grad":
            found |= _norms_of_all(network, values)
        elif isinstance(what, str) and what.startswith("grad."):
            found[what.removeprefix("grad.")] = _norms(values)
    return found


def _norms_of_all(network: Network, values: Array) -> dict[str, Array]:
    """Of records (R, P) of the whole gradient."""
    arrays = [network.views(row) for row in values]
    return {WHOLE: _norms(values)} | {
        name: _norms([getattr(each, name) for each in arrays]) for name in network.shapes
    }


def _norms(records: Iterable[Array]) -> Array:
    return np.array([np.linalg.norm(record) for record in records])
