"""Which runs are sent to a worker together: for about a second or more, one after the other.

How long a run takes is learnt from those that are done: of the same cell, or else a step of cells with
the same kernels.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnsim.sweeps.store import Outcome


class Run(NamedTuple):
    """A run that waits: its cell, which kernels and steps it has, and its seed."""

    cell: int
    seed: int
    kernels: str
    steps: int


class Mean:
    """A mean over numbers that come one by one."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, value: float) -> None:
        self.total, self.count = self.total + value, self.count + 1

    @property
    def value(self) -> float:
        return self.total / self.count


class Waiting:
    """The runs that wait, in their order, and those that are sent by themselves.

    Parameters
    ----------
    runs : iterable of Run
    seconds : float
        How long a batch is to take.
    """

    def __init__(self, runs: Iterable[Run], seconds: float) -> None:
        self._runs, self._seconds = deque(runs), seconds
        self._singles: deque[Run] = deque()
        self._of_cell: defaultdict[int, Mean] = defaultdict(Mean)
        self._of_step: defaultdict[str, Mean] = defaultdict(Mean)

    def __len__(self) -> int:
        return len(self._runs) + len(self._singles)

    def take(self, workers: int) -> list[Run]:
        """Take the runs of the next batch, and leave some to each of the workers."""
        if self._singles:
            return [self._singles.popleft()]
        most, seconds = -(-len(self._runs) // (2 * workers)), 0.0
        taken: list[Run] = []
        while self._runs and len(taken) < most:
            expected = self._expected(self._runs[0])
            if taken and (expected is None or seconds + expected > self._seconds):
                break
            taken.append(self._runs.popleft())
            if expected is None:
                break
            seconds += expected
        return taken

    def again(self, runs: Sequence[Run]) -> None:
        """Let runs whose worker has died be sent once more, each by itself."""
        self._singles.extend(runs)

    def learn(self, run: Run, outcome: Outcome) -> None:
        """Take note of how long a run took."""
        self._of_cell[run.cell].add(outcome.seconds)
        self._of_step[run.kernels].add(outcome.seconds / max(run.steps, 1))

    def _expected(self, run: Run) -> float | None:
        """Seconds that a run will take; None where no such run is done."""
        if run.cell in self._of_cell:
            return self._of_cell[run.cell].value
        if run.kernels in self._of_step:
            return self._of_step[run.kernels].value * run.steps
        return None
