"""Carrying a run out, from where it is to its end: progress, checkpoints, signals, and saving."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rnnsim import checks
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.runs.keeping import Keeper, interval
from rnnsim.runs.log import logs_of
from rnnsim.runs.progress import progress_bar
from rnnsim.runs.stopping import Asked, Stopped, signals_deferred
from rnnsim.training.callbacks import callbacks_of
from rnnsim.training.experiment import Experiment
from rnnsim.training.task_training import Looker, TaskTraining

R = TypeVar("R", bound=Any)


class Around(NamedTuple):
    """What there is around a run, which changes nothing of it: as for :func:`rnnsim.run`."""

    save: str | Path | None = None
    checkpoint_every: int | str | None = None
    callback: Any = None
    callback_every: int | None = None
    log: str | Path | None = None
    progress: bool = False


def carry_out(
    experiment: Experiment,
    begin: Callable[[Sequence[Looker]], TaskTraining],
    result_of: Callable[[TaskTraining, str], R],
    around: Around,
    resumed_at: int | None = None,
) -> R:
    """Learn to the end of a run, or until a signal asks it to end.

    Parameters
    ----------
    experiment : Experiment
    begin : Callable
        Makes the trainer, with these lookers.
    result_of : Callable
        ``result_of(trainer, outcome)`` makes the :class:`~rnnsim.Run` as it is now.
    around : Around
    resumed_at : int, optional
        The step from which it goes on.

    Raises
    ------
    Stopped
        If a signal asked it to end: a KeyboardInterrupt that holds the result.
    RnnsimError
        If an argument is invalid, or another process keeps a run in the folder.
    """
    every = interval(around.checkpoint_every)
    callbacks = callbacks_of(around.callback, around.callback_every)
    path = None if around.save is None else checks.path("save, the folder of a run,", around.save)
    if path is None and around.checkpoint_every is not None:
        raise RnnsimError("checkpoint_every is given, and the run is not kept: give save, too")
    asked = Asked()

    def write(trainer: TaskTraining, durable: bool) -> None:
        result_of(trainer, "running").write(path, durable=durable)

    with ExitStack() as stack:
        keepers = [] if path is None else [stack.enter_context(Keeper(path, every, write))]
        logs = stack.enter_context(logs_of(around.log, experiment, resumed_at))
        # The log has all points up to a checkpoint, which is made before a callback may fail.
        trainer = begin([*logs, *keepers, *callbacks, asked])
        with signals_deferred(asked):
            with progress_bar(trainer, shown=around.progress) as show:
                for _ in trainer.chunks():
                    show()
            result = result_of(trainer, "interrupted" if asked.number else "stopped")
            if path is not None:
                _save(result, path)
    if asked.number is not None:
        raise Stopped(result, asked.number)
    return result


def _save(result: Any, path: Path) -> None:
    try:
        result.write(path)
    except RnnsimError as error:
        warnings.warn(f"{error}; its method save tries again", RnnsimWarning, stacklevel=4)
