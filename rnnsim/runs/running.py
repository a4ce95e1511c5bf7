"""A whole run: training a network on a task by a rule."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rnnsim import checks, folders
from rnnsim.compiler import checking_bounds
from rnnsim.criterion import Criterion
from rnnsim.data.reading import showing_progress
from rnnsim.errors import RnnsimError, reports_memory, shown_path
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.runs import bars
from rnnsim.runs.carrying_out import Around, carry_out
from rnnsim.runs.provenance import provenance_of
from rnnsim.runs.repeating import arguments_of, read_file
from rnnsim.runs.result import Run, result_of
from rnnsim.runs.run_file import chosen_options, file_of
from rnnsim.training.as_data import OWN
from rnnsim.training.experiment import Experiment, configure
from rnnsim.training.monitors import Monitors
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array, Params


@reports_memory
def run(
    rule: str | Rule,
    task: Any,
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
    keep: str | None = None,
    keep_every: int | None = None,
    patience: int | None = None,
    monitor: Any = None,
    monitor_every: int | None = None,
    callback: Any = None,
    callback_every: int | None = None,
    log: str | Path | None = None,
    save: str | Path | None = None,
    checkpoint_every: int | str | None = None,
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
    task : str or Task, or data
        A name (``rnnsim.tasks()``), or a task object. In its place your own data, which the task
        for tables takes: the path of a file or a folder (``-``: standard input), an array (rows,) or
        (rows, columns), a mapping from names to arrays, a frame of pandas, polars or Arrow, or a list of
        such, each a sequence.
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
    keep : "last" or "best", optional
        With ``best``, the result has the parameters that did best on validation data beside the last;
        they may be those before the first step. By default ``last``, unless the task suggests the other.
    keep_every : int, optional
        Steps between looks at validation data; by default a fiftieth of ``steps``.
    patience : int, optional
        With ``keep="best"``: the run ends after so many looks without an improvement (early stopping);
        0: it does not, the default unless the task suggests a number.
    monitor : str, sequence of str, or mapping, optional
        What to record into ``metrics`` while the network learns: names, or a mapping from a name of
        yours to a name or a function. A function is given a :class:`~rnnsim.training.seen.Seen`
        (``step``, ``params``, ``grad``, ``state``, ``network``; arrays that cannot be written to), and
        returns a number or an array. The names are ``params``, ``grad``, ``state``, ``grad-norm`` (the
        norm of the whole gradient, then that of each of its arrays, in order, before it is clipped),
        ``spectral-radius`` (of W), and those of single arrays: ``params.W``, ``grad.b``. The run is the
        same to the bit without them.
    monitor_every : int, optional
        Steps between records, which are made at the end of a window, and at the end of the run; by
        default a hundredth of ``steps``.
    callback : function or sequence of functions, optional
        What to call while the network learns: before the first step, then whenever compiled code
        returns (after about a hundredth of a second, and at least a window), and at the end of the run.
        Each function is given a :class:`~rnnsim.training.seen.Seen`: what monitors see, the ``metrics``
        so far, the configuration (``experiment``), and whether the run has ``ended``, as in the last
        call. One that returns True ends the run in order, after the steps that it has seen; otherwise
        it returns nothing, or False. Up to there the run is the same to the bit without them. Plugins
        may add callbacks of their own to all runs.
    callback_every : int, optional
        Steps between calls: they are made at the end of the window that reaches each multiple of it.
    log : path, optional
        A file for the learning curve, written as the run goes: a line of JSON for each point, with
        ``step``, ``loss`` and the task's score as in ``metrics``, and ``seconds``, the run time so far.
        Points are merged later in ``metrics``, and not here, so that the log is finest at the beginning.
        A file that is there is replaced. If it cannot be written to any more (the disk is full), a
        warning says so, and the run goes on.
    save : path, optional
        A folder to keep the run in: from its beginning, with checkpoints, so that it can go on wherever
        it was interrupted (:meth:`Run.resume`). Another run that is there is replaced, at the first
        checkpoint or at the end. If the folder cannot be written to any more at the end (the disk is
        full), a warning says so, and the result is returned all the same.
    checkpoint_every : int or str, optional
        With ``save``: steps between checkpoints, a time (``30s``, ``5min``, ``1h``), or ``never``. By
        default 30 s, and so long that they take at most a hundredth of the time.
    progress : bool
        Whether to show a progress bar, on a terminal and in a notebook; and on standard error what was
        found in your own data: what each column is for, and what was left out.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule, the task, the optimizer, and the network: ``loss``, and ``scheme``,
        ``gain`` and ``readout_scale`` of its initial weights; for a recurrent network ``activation`` and
        ``leak``; for a fast-weight network ``architecture``, ``sigma``, ``tau`` and the others of its
        class.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If an argument is invalid, or a monitor or a callback fails.
    Diverged
        If a loss or a parameter is not finite, with the step at which that happened.
    NoSteadyState
        If a network does not converge to a steady state.
    KeyboardInterrupt
        On Ctrl-C, once the run has ended in order and is saved; its attribute ``run`` is the result.
    """
    checks.boolean("progress", progress)
    if monitor_every is not None and monitor is None:
        raise RnnsimError("monitor_every is given, and there is nothing to record: give monitor, too")
    if save is not None:
        folders.check_writable(save)
    with checking_bounds(check_bounds):
        with showing_progress(progress and bars.can_be_shown()):
            experiment = configure(
                rule, task, network=network, settings=settings, steps=steps, seed=seed, hidden=hidden,
                optimizer=optimizer, learning_rate=learning_rate, clip=clip, weight_decay=weight_decay,
                schedule=schedule, schedule_steps=schedule_steps, reduction=reduction, window=window,
                batch=batch, dtype=dtype, params=params, criterion=criterion, stop=stop,
                tailored=tailored, keep=keep, keep_every=keep_every, patience=patience, options=options,
            )  # fmt: skip
        if progress and (told := experiment.task.told()):
            print(told, file=sys.stderr)
        monitors = None if monitor is None else Monitors(experiment, monitor, monitor_every)
        begin = partial(TaskTraining, experiment, monitors, resumable=True)
        around = Around(save, checkpoint_every, callback, callback_every, log, progress)
        made = provenance_of(experiment)
        return carry_out(experiment, begin, partial(result_of, made=made), around)


def repeat(original: Run | str | Path, **changes: Any) -> Run:
    """Run again what a run's file says, with changes or without.

    Parameters
    ----------
    original : Run or path
        A run, the folder of one, or a file such as ``run.toml``, which may be written by hand.
    **changes
        Arguments and options of :func:`rnnsim.run`, in place of those of the file.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If there is no such file, it is damaged, or an argument is invalid.
    """
    return run(**arguments_to_repeat(original, changes))


def arguments_to_repeat(original: Run | str | Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`rnnsim.run` by which :func:`repeat` repeats a run."""
    names = inspect.signature(run).parameters.keys() - {"options"}
    if not isinstance(original, Run):
        file, beside = read_file(original)
        with folders.problem_reported(f"the run of {shown_path(original)} cannot be repeated"):
            return arguments_of(file, beside, changes, names)
    arrays: dict[str, Array] = {}
    experiment = original.experiment
    file = file_of(experiment, arrays)
    written = {
        "rule": file.rule and file.rule.name, "task": file.task and file.task.name,
        "optimizer": file.optimizer and file.optimizer.name, "criterion": file.settings.criterion,
    }  # fmt: skip
    own = {part: getattr(experiment, part) for part, name in written.items() if name == OWN}
    if file.network is not None and file.network.kind == OWN:
        own |= _network_arguments(experiment)
    if original.recorded is not None:
        own["monitor_every"] = original.recorded.every
        if "monitor" not in changes:
            own["monitor"] = original.recorded.again(None)
    return arguments_of(file, arrays, {**own, **changes}, names)


def _network_arguments(experiment: Experiment) -> dict[str, Any]:
    """The arguments that choose its network; made by them anew, it has the same initial weights."""
    network, sized = experiment.network, experiment.sized
    if sized is None:
        return {"network": network}
    sizes = {"hidden": sized.hidden, "dtype": sized.dtype}
    return {"network": network.kind, **sizes, **chosen_options(network, sized), **experiment.init}
