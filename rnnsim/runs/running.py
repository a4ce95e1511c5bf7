"""A whole run: training a network on a task by a rule."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from rnnsim import checks, folders
from rnnsim.compiler import checking_bounds
from rnnsim.criterion import Criterion
from rnnsim.errors import RnnsimError, RnnsimWarning, reports_memory
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.runs.progress import progress_bar
from rnnsim.runs.result import Run, result_of
from rnnsim.task import Task
from rnnsim.training.experiment import configure
from rnnsim.training.monitors import Monitors
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Params


@reports_memory
def run(
    rule: str | Rule,
    task: str | Task,
    *,
    network: str | Network | None = None,
    settings: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    hidden: int | None = None,
    optimizer: str | Optimizer | None = None,
    learning_rate: Any = None,
    clip: float | None = None,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    schedule_steps: int | None = None,
    reduction: str = "sum",
    window: int | None = None,
    batch: int | None = None,
    dtype: Any = None,
    params: Params | None = None,
    criterion: str | Criterion | None = None,
    stop: bool = True,
    tailored: bool = False,
    keep: str = "last",
    monitor: Any = None,
    monitor_every: int | None = None,
    save: str | Path | None = None,
    progress: bool = False,
    check_bounds: bool = False,
    **options: Any,
) -> Run:
    """Train a network on a task by a learning rule.

    Arguments that are not given take the values that the task suggests for the rule: settings that
    work, and by ``settings="published"`` those of a paper, where there is one.

    Parameters
    ----------
    rule : str or Rule
        A name (``rnnsim.rules()``), or a rule object.
    task : str or Task
        A name (``rnnsim.tasks()``), or a task object.
    network : str or Network, optional
        A kind, ``recurrent``, ``gru`` or ``fast-weight``, or a network object that fits the task; by
        default the kind that the rule is for.
    settings : str, optional
        Which of the task's settings supply the defaults, where it has several for the kind of network
        (``tuned``, ``published``); by default the first of them.
    steps : int, optional
        Maximum number of time steps; each advances all ``batch`` sequences by one step.
    seed : int
        Seed of the initial weights and of all random draws: the same seed gives the same result, to
        the last bit.
    hidden : int, optional
        Number of hidden units; a fast-weight network may have none.
    optimizer : str or Optimizer, optional
        ``sgd``, ``momentum``, ``rmsprop`` or ``adam``, or an optimizer object.
    learning_rate : float, or mapping or NamedTuple of floats and arrays, optional
        One for all parameters, or one for each by name (a number, or an array of its shape); 0 freezes,
        and so does leaving a parameter out of a mapping.
    clip : float, optional
        Maximum norm of the gradient, which is scaled down to it; ``inf`` for no clipping.
    weight_decay : float
        Each update takes this part of the weights away, times the learning rate; not by way of the
        gradient [Loshchilov & Hutter 2019].
    schedule : "constant", "linear", "cosine" or "step"
        How the learning rate falls: to 0 over ``schedule_steps``, or to a tenth after each of them.
    schedule_steps : int, optional
        By default all steps of the run, or for ``step`` a third of them.
    reduction : "sum" or "mean"
        Whether the gradient of a window is a sum over its steps, so that it grows with the window, or a
        mean over its targets.
    window : int, optional
        Steps between updates: 1 is on-line learning. By default an episode, or in a stream without
        episodes what the task or the rule suggests.
    batch : int, optional
        Number of sequences that are processed in parallel.
    dtype : "float64" or "float32", optional
    params : NamedTuple of arrays, optional
        The parameters to begin with, such as those of another run; by default they are drawn.
    criterion : str or Criterion, optional
        The criterion by which the task counts as solved: the name of one of the task's, or an object.
    stop : bool
        Whether to stop at the very step at which the task counts as solved.
    tailored : bool
        Whether to compile the loop for the exact array sizes: small networks then learn up to five
        times as fast, but each size is compiled separately. Sums may differ by rounding.
    keep : "last" or "best"
        With ``best``, the result has the parameters that did best on validation data beside the last;
        they are looked at about fifty times in ``steps``.
    monitor : str, sequence of str, or mapping, optional
        What to record into ``metrics`` while the network learns: names, or a mapping from a name of
        yours to a name or a function. A function is given a :class:`~rnnsim.training.monitors.Seen`
        (``step``, ``params``, ``grad``, ``state``, ``network``; arrays that cannot be written to), and
        returns a number or an array. The names are ``params``, ``grad``, ``state``,
        ``spectral-radius`` (of W), and those of single arrays: ``params.W``, ``grad.b``. The run is the
        same to the bit without them.
    monitor_every : int, optional
        Steps between records, which are made at the end of a window, and at the end of the run; by
        default a hundredth of ``steps``.
    save : path, optional
        A folder to save the run in. If it cannot be written to any more at the end (the disk is full), a
        warning says so, and the result is returned all the same.
    progress : bool
        Whether to show a progress bar, on a terminal and in a notebook.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule, the task, the optimizer, and the network: ``loss``, and ``scheme`` and
        ``gain`` of its initial weights; for a recurrent network ``activation`` and ``leak``; for a
        fast-weight network ``architecture``, ``sigma``, ``tau`` and the others of its class.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If an argument is invalid.
    Diverged
        If a loss or a parameter is not finite, with the step at which that happened.
    NoSteadyState
        If a network does not converge to a steady state.
    """
    checks.boolean("progress", progress)
    if monitor_every is not None and monitor is None:
        raise RnnsimError("monitor_every is given, and there is nothing to record: give monitor, too")
    if save is not None:
        folders.check_writable(save)
    with checking_bounds(check_bounds):
        experiment = configure(
            rule, task, network=network, settings=settings, steps=steps, seed=seed, hidden=hidden,
            optimizer=optimizer, learning_rate=learning_rate, clip=clip, weight_decay=weight_decay,
            schedule=schedule, schedule_steps=schedule_steps, reduction=reduction, window=window,
            batch=batch, dtype=dtype, params=params, criterion=criterion, stop=stop, tailored=tailored,
            keep=keep, options=options,
        )  # fmt: skip
        monitors = None if monitor is None else Monitors(experiment, monitor, monitor_every)
        trainer = TaskTraining(experiment, monitors)
        with progress_bar(trainer, shown=progress) as show:
            for _ in trainer.chunks():
                show()
        result = result_of(trainer)
    if save is not None:
        try:
            result.save(save)
        except RnnsimError as error:
            warnings.warn(f"{error}; its method save tries again", RnnsimWarning, stacklevel=2)
    return result
