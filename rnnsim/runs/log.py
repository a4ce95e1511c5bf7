"""The log of a run: a line of JSON for each point of its learning curve, written as the run goes.

The curve has a limited number of points, which are merged in pairs whenever they are used up
(:mod:`rnnsim.training.observing`). The log has each point as it is when its last step is done, or its
last window where that merges points: so it is finest at the beginning. What it says does not depend on
how the run is cut into chunks, since the log looks at each window from which points may be merged.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, RnnsimWarning, shown_path
from rnnsim.training.experiment import Experiment
from rnnsim.training.observing import CURVE, curve_every, curve_metrics
from rnnsim.training.task_training import TaskTraining

BEGIN = b'{"step":'  # of each line
LONGEST = 1000  # bytes of a line
ENCODER = msgspec.json.Encoder()  # which writes null for what is not finite


class Line(msgspec.Struct):
    """What is read of a line."""

    step: int


class Log:
    """Writes the log of a run; a context, at the end of which the file is closed.

    Parameters
    ----------
    path : path
        The file, which begins anew.
    experiment : Experiment
    resumed_at : int, optional
        The step from which the run goes on: the file stands up to there, and what follows is dropped (a
        killed process leaves lines after its last checkpoint, and perhaps an incomplete one).

    Raises
    ------
    RnnsimError
        If the file cannot be written, or is no log that can be gone on with.
    """

    def __init__(
        self, path: str | os.PathLike[str], experiment: Experiment, resumed_at: int | None = None
    ) -> None:
        self._path, self._window = checks.path("log", path), experiment.window
        self._score = experiment.task.score
        self._done = 0 if resumed_at is None else settled(resumed_at, self._window)
        self._trainer: TaskTraining | None = None  # once it has begun
        try:
            goes_on = resumed_at is not None and self._path.is_file()
            self._size = bytes_up_to(self._path, self._done) if goes_on else 0
            self._file: io.FileIO | None = self._path.open("ab", buffering=0)
        except OSError as error:
            raise RnnsimError(f"log is a file that can be written; {shown_path(self._path)} cannot be: "
                              f"{error.strerror or error}") from None  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Write what is there of a run that fails or is interrupted, perhaps while writing."""
        if error is not None and self._trainer is not None:
            self._cut()
            self._write(self._trainer, ended=False)
        self._trainer = None  # which has this log, too
        if self._file is not None:
            self._file.close()

    def next_cut(self, step: int) -> int:
        """The first step from which on the next window may be beyond the points of the curve."""
        return max(step + 1, CURVE * curve_every(step) - self._window + 1)

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        """Write the points that are complete, and at the end of the run also the last one."""
        if self._trainer is None:
            self._trainer = trainer
            self._cut()
        self._write(trainer, ended)
        return False

    def _write(self, trainer: TaskTraining, ended: bool) -> None:
        until = trainer.step if ended else settled(trainer.step, self._window)
        if self._file is None or until <= self._done:
            return
        lines = self._lines(trainer, until)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._cut()
            self._file.close()
            self._file = None
            warnings.warn(f"the log {shown_path(self._path)} ends at step {self._done}, as it cannot be "
                          f"written any more: {error.strerror or error}", RnnsimWarning,
                          stacklevel=2)  # fmt: skip
        else:
            self._done, self._size = until, self._size + len(lines)

    def _lines(self, trainer: TaskTraining, until: int) -> bytes:
        """The points after those that are written, to the one with a step; none without targets."""
        metrics = curve_metrics(trainer.curve, until, self._score)
        first = np.searchsorted(metrics["step"], self._done, side="right")
        points = zip(*(values[first:].tolist() for values in metrics.values()))
        seconds = round(trainer.seconds, 6)
        return ENCODER.encode_lines([{**dict(zip(metrics, p)), "seconds": seconds} for p in points])

    def _cut(self) -> None:
        """Let the file end with the last whole line; what is no plain file has no end."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self._size)


@contextmanager
def logs_of(path: Any, experiment: Experiment, resumed_at: int | None = None) -> Iterator[list[Log]]:
    """The log of a run while it runs, in a list that is empty if there is no path."""
    if path is None:
        yield []
        return
    with Log(path, experiment, resumed_at) as log:
        yield [log]


def settled(step: int, window: int) -> int:
    """The last step of the points that can be written when so many steps are done.

    They are complete together with those that they will be merged with, whether in time or by the next
    window, of at most ``window`` steps. So it makes no difference whether the log looks before, too.
    """
    every = max(2 * curve_every(step), curve_every(step + window))
    return step // every * every


def bytes_up_to(path: Path, step: int) -> int:
    """The size of the part of a log up to a step.

    Raises
    ------
    RnnsimError
        If the file is no log.
    OSError
        If it cannot be read.
    """
    size = 0
    with path.open("rb") as file:
        for line in iter(partial(file.readline, LONGEST), b""):
            if not line.endswith(b"\n") and len(line) < LONGEST and BEGIN.startswith(line[: len(BEGIN)]):
                break  # the end of the file, within a line
            try:
                if msgspec.json.decode(line, type=Line).step > step:
                    break
            except msgspec.MsgspecError:
                raise RnnsimError(f"log is that of the run so far, or a new file; {shown_path(path)} "
                                  "has a line that is none of a log") from None  # fmt: skip
            size += len(line)
    return size
