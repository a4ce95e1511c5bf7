"""Keeping a run while it is in progress: checkpoints in a folder that no other process writes to."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim import checks, files, folders
from rnnsim.errors import RnnsimError, RnnsimWarning, shown
from rnnsim.runs.run_folder import FILE
from rnnsim.training.task_training import TaskTraining, multiple_after

SECONDS = 30.0  # between checkpoints, where the user does not say
SHARE = 0.01  # of a run's time that they may then take
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Interval(NamedTuple):
    """How often a checkpoint is made.

    Attributes
    ----------
    steps : int or None
        At the end of the window that reaches a multiple of so many steps.
    seconds : float or None
        After so much time.
    bounded : bool
        Whether it is less often where that would take more than a hundredth of the time.
    """

    steps: int | None = None
    seconds: float | None = None
    bounded: bool = False


NEVER = Interval()


def interval(given: Any) -> Interval:
    """How often a checkpoint is made, as a user says it: 1000 (steps), "30s", "5min", "never", None.

    Raises
    ------
    RnnsimError
        If it is none of these.
    """
    if given is None:
        return Interval(seconds=SECONDS, bounded=True)
    if isinstance(given, str) and given == "never":
        return NEVER
    if isinstance(given, str) and not re.fullmatch(r"[0-9]{1,16}", given):
        found = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+) ?(s|min|h)", given)
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not 0 < seconds < math.inf:
            raise RnnsimError(f"checkpoint_every is {shown(given)}; it is a number of steps, a time "
                              "such as 30s, 5min or 1h, or never")  # fmt: skip
        return Interval(seconds=seconds)
    steps = int(given) if isinstance(given, str) else given
    return Interval(steps=checks.whole("checkpoint_every", steps, 1, checks.LARGEST))


@contextmanager
def kept_alone(folder: Path) -> Iterator[None]:
    """Let no other process keep a run in a folder, which is created if necessary.

    Raises
    ------
    RnnsimError
        If another process keeps a run there, or there can be no such folder.
    """
    made, lock = folders.absent_folders(folder), files.FolderLock(folder)
    try:
        free = lock.acquire()
    except OSError as error:
        raise RnnsimError(f"cannot save the run in {folder}: {error.strerror or error}") from None
    if not free:
        raise RnnsimError(f"another process is running in {folder}; wait for its end, or choose another "
                          "folder")  # fmt: skip
    try:
        yield
    finally:
        lock.release()
        folders.remove_empty(made)  # if nothing could be written


class Keeper:
    """Keeps a run in a folder, as one of its lookers, and a context in which no other process can.

    Parameters
    ----------
    folder : path
    every : Interval
    write : Callable
        ``write(trainer, durable)`` writes the run as it is into the folder.

    Raises
    ------
    RnnsimError
        If another process keeps a run there, or there can be no such folder.
    """

    def __init__(
        self, folder: Path, every: Interval, write: Callable[[TaskTraining, bool], None]
    ) -> None:
        self.folder, self.every, self._write = folder, every, write
        self._alone = kept_alone(folder)
        self._last = self._cost = 0.0
        self._fails = False

    def __enter__(self) -> Keeper:
        self._alone.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._alone.__exit__(*error)

    def next_cut(self, step: int) -> int:
        return checks.LARGEST if self.every.steps is None else multiple_after(step, self.every.steps)

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        """Make a checkpoint if it is time; at its end the run is saved by others."""
        if not ended and trainer.step == before:
            self._begin(trainer)
        elif not ended and self._is_due(trainer.step, before):
            self._make(trainer, durable=True)
        return False

    def _begin(self, trainer: TaskTraining) -> None:
        """Write the run before its first step: whenever it is killed, there is something to resume.

        Another run that is there stands until there is a checkpoint.
        """
        self._last = time.monotonic()
        if self.every != NEVER and files.absent(self.folder, (FILE,)):
            self._make(trainer, durable=False)  # which takes a short run no time

    def _is_due(self, step: int, before: int) -> bool:
        steps, seconds, bounded = self.every
        if steps is not None:
            return step >= self.next_cut(before)
        if seconds is None:
            return False
        wait = max(seconds, self._cost / SHARE) if bounded else seconds
        return time.monotonic() - self._last >= wait

    def _make(self, trainer: TaskTraining, durable: bool) -> None:
        start = time.monotonic()
        try:
            self._write(trainer, durable)
        except RnnsimError as error:
            if not self._fails:
                warnings.warn(
                    f"{error}; the run goes on without checkpoints", RnnsimWarning, stacklevel=2
                )
            self._fails = True
        self._last = time.monotonic()
        self._cost = self._last - start
