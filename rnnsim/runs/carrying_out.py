"""Carrying a run out, from where it is to its end: progress, checkpoints, signals, and saving."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rnnsim import checks
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.runs.keeping import Keeper, interval
from rnnsim.runs.progress import progress_bar
from rnnsim.runs.stopping import Stopped, signals_deferred
from rnnsim.training.task_training import TaskTraining

R = TypeVar("R", bound=Any)


def carry_out(
    trainer: TaskTraining,
    result_of: Callable[[str], R],
    save: str | Path | None,
    checkpoint_every: int | str | None,
    progress: bool,
) -> R:
    """Learn to the end of a run, or until a signal asks it to end.

    Parameters
    ----------
    trainer : TaskTraining
    result_of : Callable
        ``result_of(outcome)`` makes the :class:`~rnnsim.Run` as it is now.
    save, checkpoint_every, progress
        As for :func:`rnnsim.run`.

    Raises
    ------
    Stopped
        If a signal asked it to end: a KeyboardInterrupt that holds the result.
    RnnsimError
        If an argument is invalid, or another process keeps a run in the folder.
    """
    every = interval(checkpoint_every)
    if save is None:
        return _learn(trainer, result_of, None, progress)
    path = checks.path("save, the folder of a run,", save)

    def write(durable: bool) -> None:
        result_of("running").write(path, durable=durable)

    with Keeper(path, every, write) as keeper:
        return _learn(trainer, result_of, keeper, progress)


def _learn(
    trainer: TaskTraining, result_of: Callable[[str], R], keeper: Keeper | None, progress: bool
) -> R:
    with signals_deferred() as asked:
        if keeper is not None:
            keeper.begin()
        with progress_bar(trainer, shown=progress) as show:
            before = trainer.step
            for _ in trainer.chunks(every=keeper.every.steps if keeper else None):
                show()
                if asked:
                    break
                if keeper is not None and not trainer.ended:
                    keeper.look(before, trainer.step)
                before = trainer.step
        result = result_of("interrupted" if asked else "stopped")
        if keeper is not None:
            try:
                result.write(keeper.folder)
            except RnnsimError as error:
                warnings.warn(f"{error}; its method save tries again", RnnsimWarning, stacklevel=4)
    if asked.number is not None:
        raise Stopped(result, asked.number)
    return result
