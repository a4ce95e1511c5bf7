"""Figures of what a trained network does on held-out data: its behaviour, its fast weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim import checks
from rnnsim.data.forecasting import Forecasting, softmax
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import Network
from rnnsim.numerics.principal_components import principal_plane
from rnnsim.runs.figures import (
    MAIN,
    MEDIUM,
    MOST_NAMED,
    MOST_SHOWN,
    OTHER,
    SMALL,
    as_text,
    draw_image,
    figure_type,
    look,
    saved,
    title_of,
)
from rnnsim.runs.telling_apart import Told
from rnnsim.training.evaluation import plain_forward, run_held_out
from rnnsim.training.experiment import Experiment
from rnnsim.typing import Array, Bools, Params

STEPS = 60  # that are shown by default
ROW = 0.22  # inches of a row of an image with its name
LANE = 1.4  # how far outputs lie apart, in the span of what they are to say
MOST_LINES = 14  # fast weights drawn as lines
MANY = 300  # steps from which points are small
FAST, ENTERING = "fast-weight", "entering"  # of the kind of a network, and of the state that it reads


class Trained(Told, Protocol):
    """What is drawn of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    params: Params


class Behaviour(NamedTuple):
    """What a network does over T steps of held-out data.

    Attributes
    ----------
    inputs : (T, m) array
    states : (T, N) array
        The state from which the output of each step was read.
    outputs, targets : (T, k) array
        Probabilities where the loss takes outputs for logits.
    asked : (T, k) bool array
        Whether there is a target.
    begins : (T,) bool array
        Whether the state begins anew before the step, or it is the first.
    names : sequence of str
        Of the numbers of the state.
    """

    inputs: Array
    states: Array
    outputs: Array
    targets: Array
    asked: Bools
    begins: Bools
    names: Sequence[str]


@reports_memory
def behaviour_of(run: Trained, steps: int, seed: int | None = None) -> Behaviour:
    """Run a trained network over held-out data, of which the last steps are shown.

    As many steps before them are run too; of the user's own data all of the test part. Other data are
    those of a seed, by default that of the run.

    Raises
    ------
    RnnsimError
        If the number of steps is out of bounds, or there are no held-out data.
    """
    steps = checks.whole("steps", steps, 2, MOST_SHOWN)
    experiment = run.experiment
    network, task = experiment.network, experiment.task
    rows = max(2 * steps, task.episode_length or 0)
    if isinstance(task, Forecasting):
        rows = task.held_out_shape()[0]
    forward_pass = plain_forward(network, experiment.rule.settler() if task.steady else None)
    seed = experiment.seed if seed is None else seed
    stream, trajectory = run_held_out(network, run.params, task, seed, rows, 1, forward_pass)
    filled = len(trajectory.states)
    if filled < 2:
        raise RnnsimError(f"a figure of held-out data needs two steps at least; there are {filled}")
    last = slice(max(0, filled - steps), filled)
    states = trajectory.entering if network.reads == ENTERING else trajectory.states
    begins = stream.resets[last, 0].copy()
    begins[0] = True
    asked = np.repeat(stream.mask[last, 0, None] > 0, task.n_out, axis=1)
    if stream.masks_outputs[0]:
        asked &= stream.output_mask[last, 0] > 0
    outputs = probabilities(network) or (lambda outputs: outputs)
    return Behaviour(
        stream.inputs[last, 0], states[last, 0], outputs(stream.outputs[last, 0]),
        stream.targets[last, 0], asked, begins,
        network.state_names(task.input_names, task.output_names),
    )  # fmt: skip


def probabilities(network: Network) -> Callable[[Array], Array] | None:
    """What makes probabilities of a network's outputs, if its loss takes them for logits."""
    loss = getattr(network, "loss", None)
    return PROBABILITIES.get(loss) if isinstance(loss, str) else None


def logistic(logits: Array) -> Array:
    """The probability of each output alone."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2)


PROBABILITIES = {"softmax-cross-entropy": softmax, "logistic-cross-entropy": logistic}


# --- inputs, state, outputs ---------------------------------------------------------------------------


def behaviour(run: Trained, path: str | Path | None = None, *, steps: int = STEPS) -> Any:
    """Draw the behaviour of a trained network on held-out data: inputs, state, outputs and targets.

    The state is drawn as an image over time: the activations, or the fast weights [S92], which shows
    when they open and close. Each column is the state from which the step's output was read: in a
    fast-weight network the one entering the step. Units that are too many to be named are in the order
    of their parts in the first principal component.

    Parameters
    ----------
    run : Trained
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
        If matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    task, network = run.experiment.task, run.experiment.network
    found = behaviour_of(run, steps)
    n, k = len(found.names), len(task.output_names)
    heights = [_rows(task.n_in), _rows(n), min(max(1.5 * k, 4), 12)]
    figure = Figure(figsize=(9, 1.8 + ROW * sum(heights)), layout="constrained")
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    draw_inputs(figure, upper, found.inputs, task.input_names)
    states, names, is_fast = found.states, found.names, network.kind == FAST
    title = "fast weights" if is_fast else "state"
    if n > MOST_NAMED:
        states = states[:, np.argsort(principal_plane(states).directions[:, 0], kind="stable")]
        title += f", {n} units in the order of their parts in the first principal component"
    image = draw_image(middle, states, names)
    label = "fast weight" if is_fast else "state"
    _draw_scale(figure, middle, image, n, label)
    draw_answers(lower, found, task.output_names)
    middle.set_title(title, loc="left", fontsize=MEDIUM)
    scale = ", scaled" if isinstance(task, Forecasting) else ""
    if probabilities(network) is not None:
        scale = ", probabilities"
    lower.set_title(f"output (line) and target (dots){scale}", loc="left", fontsize=MEDIUM)
    lower.set_xlabel(time_of(run.experiment))
    figure.suptitle(f"{title_of(run)} of learning; held-out data", fontsize=MEDIUM)
    return saved(figure, path)


def _rows(n: int) -> float:
    """How many rows of text an image of n rows is high: so that names do not overlap."""
    return min(max(n, 2), 12) + (0.5 * max(0, n - 12) if n <= MOST_NAMED else 2)


def _draw_scale(figure: Any, axes: Any, image: Any, n: int, label: str) -> None:
    """Draw the bar of colours beside an image of n rows, with no more numbers than have room."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=min(int(_rows(n)), 8), steps=[1, 2, 2.5, 5, 10])
    figure.colorbar(image, ax=axes, pad=0.01, aspect=max(8.0, 2 * _rows(n)), label=label, ticks=ticks)


def time_of(experiment: Experiment) -> str:
    """What a step of held-out data is."""
    if isinstance(experiment.task, Forecasting):
        return "row"
    return "pattern" if experiment.task.steady else "time step"


def draw_inputs(figure: Any, axes: Any, inputs: Array, names: Sequence[str]) -> None:
    """Draw inputs (T, m) as an image; events, which are there or not, in black and white."""
    image = draw_image(axes, inputs, names, "Greys")
    are_events = bool(np.isin(inputs, (0, 1)).all())
    if not are_events:
        _draw_scale(figure, axes, image, len(names), "input")
    axes.set_title("events" if are_events else "inputs", loc="left", fontsize=MEDIUM)


def draw_answers(axes: Any, found: Behaviour, names: Sequence[str]) -> None:
    """Draw each output with its targets: a single one by a scale, several in a lane each.

    A lane is as high as what is asked of outputs is wide.
    """
    T, k = found.outputs.shape
    times = np.arange(T)
    lane, size = lane_of(found), 4 if T <= MANY else 2
    for o in range(k):
        base = -lane * o
        axes.axhline(base, color="0.85", lw=0.8)
        axes.step(times, base + found.outputs[:, o], where="mid", color=MAIN, lw=1.2)
        asked = found.asked[:, o]
        axes.plot(times[asked], base + found.targets[asked, o], ".", color=OTHER, ms=size)
    if k == 1:
        axes.set_ylabel(as_text(names[0]))
    else:
        size_of_text = "x-small" if k > 8 else SMALL
        axes.set_yticks([-lane * o for o in range(k)], [as_text(name) for name in names],
                        fontsize=size_of_text)  # fmt: skip


def lane_of(found: Behaviour) -> float:
    """How far outputs lie apart: somewhat more than the widest span of the targets of one."""
    spans = [np.ptp(d[asked]) for d, asked in zip(found.targets.T, found.asked.T) if asked.any()]
    return LANE * float(max(spans, default=0.0) or 1.0)


# --- fast weights -------------------------------------------------------------------------------------


def fast_weights(run: Trained, path: str | Path | None = None, *, steps: int = STEPS) -> Any:
    """Draw the fast weights of a trained network over held-out data as lines, below the events.

    Each is the one that enters the step. Of many, those are drawn that vary most.

    Parameters
    ----------
    run, path, steps
        As for :func:`behaviour`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If it is another network, matplotlib is not installed, or the file cannot be written.
    """
    Figure, experiment = figure_type(path), run.experiment
    if experiment.network.kind != FAST:
        raise RnnsimError(f"the figure fast-weights is of fast-weight networks, and that of this run is "
                          f"{experiment.network.kind}; behaviour shows its state")  # fmt: skip
    found, task = behaviour_of(run, steps), experiment.task
    which = np.sort(np.argsort(-found.states.var(axis=0), kind="stable")[:MOST_LINES])
    height = _rows(task.n_in)
    figure = Figure(figsize=(9, 4.4 + ROW * height), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[ROW * height, 3])
    draw_inputs(figure, upper, found.inputs, task.input_names)
    for line, i in enumerate(which):
        lower.step(range(len(found.states)), found.states[:, i], where="mid", lw=1.4,
                   label=as_text(found.names[i]), **look(line, "ls"))  # fmt: skip
    n = len(found.names)
    most = f", the {len(which)} of {n} that vary most" if len(which) < n else ""
    lower.set_title(f"fast weights{most}", loc="left", fontsize=MEDIUM)
    lower.set(xlabel=time_of(experiment), ylabel="fast weight")
    figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False)
    figure.suptitle(f"{title_of(run)} of learning; held-out data", fontsize=MEDIUM)
    return saved(figure, path)
