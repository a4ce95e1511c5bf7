"""Hands out the runs of a sweep, and writes down what comes of them."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import cached_property
from typing import Any, NamedTuple

from rnnsim.errors import RnnsimError, described
from rnnsim.runs.processes import NotBegun
from rnnsim.sweeps.batches import Run, Waiting
from rnnsim.sweeps.cells import Planned
from rnnsim.sweeps.places import Place
from rnnsim.sweeps.store import Outcome, Store
from rnnsim.sweeps.working import Batch, Refused, Work, carry_out, prepare, versions_here

ATTEMPTS = 3  # of a run whose worker dies
AT_A_TIME = 2  # batches for each worker, so that none waits for the next
PATIENCE = 5.0  # seconds between looks whether work is lost
OFTEN = 0.05  # seconds between looks at futures that cannot be waited for


class Job(NamedTuple):
    """A cell that has a number, and the seeds with which it is to be run."""

    id: int
    planned: Planned
    seeds: Sequence[int]


class Coordinator:
    """Carries out cells at some place; results that are there are not computed again.

    Parameters
    ----------
    store : Store
    place : Place
    seconds : float
        How long a batch is to take.
    show : Callable
        Is given how many runs are done.
    again : sequence of str
        Runs that ended so are carried out again.
    """

    def __init__(
        self, store: Store, place: Place, seconds: float, show: Callable[[int], Any],
        again: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._store, self._place, self._seconds, self._show = store, place, seconds, show
        self._again = again
        self._works: dict[int, Work] = {}
        self._prepared: set[str] = set()
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._in_flight: dict[Any, list[Run]] = {}
        self.done = 0

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        return versions_here()

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Carry out the runs of some cells that have no result yet.

        Raises
        ------
        RnnsimError
            If they cannot be sent to workers, a worker has other versions and cannot be left out, or no
            worker can begin.
        """
        there = self._store.done(but=self._again)
        self._refuse([job for job in jobs if job.planned.problem], there)
        jobs = [job for job in jobs if not job.planned.problem]
        runs = [
            Run(job.id, seed, job.planned.kernels, job.planned.cell.steps)
            for job in jobs
            for seed in job.seeds
            if (job.id, seed) not in there
        ]
        left = list(dict.fromkeys(runs))  # several rates have one control
        self._count(sum(len(job.seeds) for job in jobs) - len(left))
        if not left:
            return
        self._store.add_versions(self._versions)
        wanted = {run.cell for run in left}
        self._works |= {job.id: self._work(job) for job in jobs if job.id in wanted}
        self._prepare(wanted)
        self._run(Waiting(left, self._seconds))

    def _refuse(self, jobs: Sequence[Job], there: set[tuple[int, int]]) -> None:
        """Write down of runs that there can be none."""
        for job in jobs:
            self._store.add(
                Outcome(job.id, seed, "refused", error=job.planned.problem)
                for seed in job.seeds
                if (job.id, seed) not in there
            )
            self._count(len(job.seeds))

    def _work(self, job: Job) -> Work:
        recipe, kernels, data = job.planned.recipe, job.planned.kernels, job.planned.data
        if self._place.is_here:
            return Work(job.id, recipe, kernels, data)
        try:
            return Work(job.id, pickle.dumps(recipe), kernels, data)
        except (pickle.PicklingError, AttributeError, TypeError, RnnsimError) as error:
            raise RnnsimError(f"this sweep cannot be sent to other processes ({error}); use jobs=1, or "
                              "names and options in place of what is made") from None  # fmt: skip

    def _prepare(self, cells: set[int]) -> None:
        """Compile the kernels that the cells need, each once, before any run asks for them."""
        new = {work.kernels: work for work in self._works.values() if work.id in cells}
        begun = [
            future
            for kernels, work in new.items()
            if kernels not in self._prepared
            for future in self._place.prepare(prepare, work, self._versions, not self._place.is_here)
        ]
        for future in begun:
            try:
                found = future.result()
            except NotBegun:
                raise
            except Exception:  # noqa: BLE001 (its worker has died; the runs are tried as often as others)
                continue
            if isinstance(found, Refused):
                self._place.refused(*found)
        self._prepared |= new.keys()

    def _run(self, waiting: Waiting) -> None:
        try:
            while waiting or self._in_flight:
                workers = self._place.workers if waiting else 0
                while waiting and len(self._in_flight) < AT_A_TIME * workers:
                    self._send(waiting.take(workers))
                    if self._place.is_here:
                        break
                for future in self._ended():
                    self._take(future, self._in_flight.pop(future), waiting)
        finally:
            for future in self._in_flight:
                future.cancel()
            self._in_flight.clear()

    def _send(self, runs: list[Run]) -> None:
        places = {cell: i for i, cell in enumerate(dict.fromkeys(run.cell for run in runs))}
        batch = Batch(
            tuple(self._works[cell] for cell in places),
            tuple((places[run.cell], run.seed) for run in runs),
            self._versions,
        )
        self._in_flight[self._place.submit(carry_out, batch, not self._place.is_here)] = runs

    def _ended(self) -> Iterator[Any]:
        """Wait for some of what is in flight, and give what has ended or is lost."""
        futures = list(self._in_flight)
        if all(isinstance(future, Future) for future in futures):
            ended = wait(futures, PATIENCE, FIRST_COMPLETED).done
        else:
            time.sleep(OFTEN)
            ended = {future for future in futures if future.done()}
        yield from ended or [future for future in futures if self._place.is_lost(future)]

    def _take(self, future: Any, runs: list[Run], waiting: Waiting) -> None:
        """Write down what a batch came to; where its worker has died, its runs are sent again."""
        try:
            found = future.result() if future.done() else None
        except NotBegun:
            raise
        except Exception as error:  # noqa: BLE001 (of the executor: each run catches its own)
            self._retry(runs, error, waiting)
            return
        if found is None:  # lost
            waiting.again(runs)
        elif isinstance(found, Refused):
            self._place.refused(*found)
            waiting.again(runs)
        else:
            self._store.add(found)
            for run, outcome in zip(runs, found):
                waiting.learn(run, outcome)
            self._count(len(found))

    def _retry(self, runs: list[Run], error: Exception, waiting: Waiting) -> None:
        self._deaths.update((run.cell, run.seed) for run in runs)
        given_up = [run for run in runs if self._deaths[run.cell, run.seed] >= ATTEMPTS]
        said = str(error) if isinstance(error, RnnsimError) else described(error)
        self._store.add(
            Outcome(run.cell, run.seed, "failed", error=f"{said}; {ATTEMPTS} times") for run in given_up
        )
        self._count(len(given_up))
        waiting.again([run for run in runs if run not in given_up])

    def _count(self, runs: int) -> None:
        self.done += runs
        self._show(self.done)
