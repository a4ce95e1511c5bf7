"""The rows of a task that a run learns, drawn as they are used up.

With delayed targets (theory.md 7) a row is learnt once its target is known, ``target_delay`` rows after
the network has acted on it. Both read the same rows of one buffer:

    rows      0 ... h-1   h ... filled-1   filled ... filled+h-1
    learnt   |--------- filled rows -----|
    present              |---------- filled rows -----------------|

The rows that are present, and not learnt yet, go to the front before others are drawn. At first these
are blank: they have no target, and the first row of the data begins with a reset.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.network import Stream
from rnnsim.training.checkpoints import (
    FILLED,
    ROWS,
    check_unchanged,
    copied_arrays,
    digest,
    digests,
    is_small,
    rows_left,
    set_source,
    source_arrays,
)
from rnnsim.training.delays import Rows
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import Clock
from rnnsim.training.loop_arrays import alike, named_arrays
from rnnsim.typing import Array

# Results do not depend on these.
CHUNK = 1024  # a stream holds at least about this many steps
STREAM = 1 << 19  # bytes up to which a stream holds more, at most sixteen times as many


class TaskRows:
    """The rows that are learnt, each in the step in which the network acts on it.

    Parameters
    ----------
    experiment : Experiment
    resumable : bool
        Whether a source that takes no time to copy is kept as it was before the present rows were drawn,
        so that a checkpoint need not hold them.

    Attributes
    ----------
    learnt : Stream
    given : Stream or Rows
        What the loop is given.
    seconds : float
        The time that drawing took.
    """

    given: Any

    def __init__(self, experiment: Experiment, resumable: bool) -> None:
        task = experiment.task
        self._experiment, self._resumable = experiment, resumable
        self._allocate()
        self._fill = compiled(task.fill(), task.name)
        self._source = self._new_source()
        self._before: dict[str, Array] | None = None  # the source, before it filled the stream
        self.seconds = 0.0

    def _allocate(self) -> None:
        experiment = self._experiment
        self.learnt = self.given = experiment.task.allocate(
            rows_at_a_time(experiment), experiment.batch, experiment.network.dtype
        )

    def refill(self, clock: Clock) -> None:
        """Draw other rows: those that are there are learnt."""
        start = time.perf_counter()
        if self._resumable and is_small(self._source):
            self._before = copied_arrays(source_arrays(self._source))
        clock.filled[0] = self._draw(clock)
        clock.row[0] = 0
        self.seconds += time.perf_counter() - start

    def _draw(self, clock: Clock) -> int:
        """Draw rows; how many can be learnt."""
        return int(self._fill(self._source, self.learnt, len(self.learnt.losses)))

    # --- checkpoints ---

    def arrays(self, clock: Clock) -> tuple[dict[str, Array], dict[str, str]]:
        """Where it is, as arrays; and of each of those that have not changed yet, a digest instead."""
        source = self._before
        if source is None:
            source = source_arrays(self._source) | self._left(clock)
        data = {name: was for name, was in self._data.items() if digest(source[name]) == was}
        return {name: array for name, array in source.items() if name not in data}, data

    def _left(self, clock: Clock) -> dict[str, Array]:
        """The rows that are not learnt yet, as views."""
        return rows_left(self.learnt, clock)

    def restore(self, arrays: Mapping[str, Array], data: Mapping[str, str], clock: Clock) -> None:
        """Go on from where it was, when the clock stood so.

        Raises
        ------
        RnnsimError
            If the data of the run have changed.
        KeyError, ValueError
            If an array is missing, or has another shape or type.
        """
        self._source = self._new_source()  # what is unchanged since then is so in this one
        set_source(self._source, arrays, data)
        if self._before is not None:
            row, filled = int(clock.row[0]), int(clock.filled[0])
            self.refill(clock)
            clock.row[0], clock.filled[0] = row, filled
            rows_left(self.learnt, clock)  # there are such rows
        else:
            self._set_left(arrays, clock)

    def _set_left(self, arrays: Mapping[str, Array], clock: Clock) -> None:
        for name, own in self._left(clock).items():
            own[...] = alike(name, own, arrays)

    def check_unchanged(self, data: Mapping[str, str]) -> None:
        """Check that the data are those whose digests these are.

        Raises
        ------
        RnnsimError
            If they are not.
        """
        check_unchanged(self._data if data else {}, data)

    @cached_property
    def _data(self) -> dict[str, str]:
        """Digests of the source before anything was drawn from it."""
        return digests(self._new_source())

    def _new_source(self) -> Any:
        experiment = self._experiment
        rng = np.random.default_rng([experiment.seed, 1])
        return experiment.task.source(rng, experiment.batch, experiment.network.dtype)


class DelayedRows(TaskRows):
    """The rows that are learnt, and the present ones, some rows ahead; a checkpoint has all of them."""

    def _allocate(self) -> None:
        experiment = self._experiment
        task, unit = experiment.task, unit_of(experiment)
        self._delay, self._used = task.target_delay, task.target_delay
        least = -(-self._delay // unit) + 2  # an episode that is not learnt to its end, and another
        rows = unit * max(least, rows_at_a_time(experiment) // unit)
        self._all = task.allocate(self._delay + rows, experiment.batch, experiment.network.dtype)
        blank = self._part(0, self._delay)
        blank.mask[:] = 0
        blank.ends[-1:] = task.episode_length is not None
        self.learnt = self._part(0, rows)._replace(
            outputs=np.zeros_like(self._all.outputs[:rows]), losses=np.zeros(rows)
        )
        self.given = Rows(self.learnt, self._part(self._delay, self._delay + rows))

    def _part(self, begin: int, end: int) -> Stream:
        """Some of all rows, as views."""
        return self._all._replace(**{
            name: array[begin:end]
            for name, array in self._all._asdict().items()
            if name != "masks_outputs" and len(array)
        })  # fmt: skip

    def _draw(self, clock: Clock) -> int:
        is_first = clock.filled[0] == 0
        learnt, kept = int(clock.filled[0]), self._used - int(clock.filled[0])
        for array in self._fields():
            array[:kept] = array[learnt : self._used]
        free = self._part(kept, len(self._all.losses))
        free.resets[:] = free.ends[:] = free.legal[:] = False  # not every task writes all of them
        drawn = int(self._fill(self._source, free, len(free.losses)))
        self._used = kept + drawn
        if is_first:
            self._all.resets[self._delay] = True
        ready = self._used - self._delay
        if self._experiment.task.episode_length is None:
            return ready
        return int(np.flatnonzero(self._all.ends[:ready])[-1]) + 1  # no episode is cut

    def _fields(self) -> Iterator[Array]:
        return (array for name in FILLED if len(array := getattr(self._all, name)))

    def _left(self, clock: Clock) -> dict[str, Array]:
        used = self._part(int(clock.row[0]), self._used)
        fields = {name: getattr(used, name) for name in FILLED}
        return named_arrays({ROWS: {name: x for name, x in fields.items() if len(x)}})

    def _set_left(self, arrays: Mapping[str, Array], clock: Clock) -> None:
        row, filled = int(clock.row[0]), int(clock.filled[0])
        self._used = row + len(arrays[f"{ROWS}.mask"])
        if not 0 <= row <= filled <= self._used - self._delay <= len(self.learnt.losses):
            raise ValueError(f"rows {row} to {filled} of {self._used}")
        super()._set_left(arrays, clock)


def rows_of(experiment: Experiment, resumable: bool) -> TaskRows:
    """The rows of an experiment, of which a checkpoint is made if it is ``resumable``."""
    if not experiment.task.target_delay:
        return TaskRows(experiment, resumable)
    return DelayedRows(experiment, resumable=False)  # what is present is not all that is drawn


def unit_of(experiment: Experiment) -> int:
    """The rows of an episode or a window, which are not cut."""
    return experiment.task.episode_length or experiment.window


def rows_at_a_time(experiment: Experiment) -> int:
    """How many rows a task is to fill at a time; windows and episodes are not cut."""
    task, unit = experiment.task, unit_of(experiment)
    row_bytes = experiment.batch * (task.n_in + 2 * task.n_out) * experiment.network.dtype.itemsize
    return unit * max(1, max(CHUNK, min(16 * CHUNK, STREAM // row_bytes)) // unit)
