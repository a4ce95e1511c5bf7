"""Distribution of work over processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

from rnnsim.errors import RnnsimError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Iterable[Result]]

READY = "ready"  # the first message of a worker; the others are pairs (whether it failed, what)
OUTSIDE = ", as happens where an index is out of bounds (RNNSIM_CHECK_BOUNDS=1 names the line)"
HINTS = {"SIGKILL": ", as happens where memory runs out", "SIGSEGV": OUTSIDE, "SIGBUS": OUTSIDE}
SOON = 5.0  # seconds within which a process that has closed its connection ends

spawn = multiprocessing.get_context("spawn")  # a forked process may use one thread only


class Death(NamedTuple):
    """How a process ended before its work."""

    exit_status: int  # or minus the number of the signal

    def __str__(self) -> str:
        if self.exit_status >= 0:
            return f"ended with exit status {self.exit_status}"
        try:
            name = signal.Signals(-self.exit_status).name
        except ValueError:
            name = f"signal {-self.exit_status}"
        return f"was ended by {name}{HINTS.get(name, '')}"


def in_processes(
    work: Work[Item, Result], items: Sequence[Item], jobs: int, at_a_time: int = 1
) -> Iterator[tuple[Item, Result | Death]]:
    """Do work in processes; yield each item and its result as soon as there is one.

    A process that dies costs the item that it was at; another takes its place.

    Parameters
    ----------
    work : Callable
        Takes items and yields a result for each, in their order.
    items : sequence
    jobs : int
        Maximum number of processes.
    at_a_time : int
        Number of items that a process takes at a time.

    Raises
    ------
    RnnsimError
        If a process dies before it can begin. Exceptions of ``work`` are raised here too.
    """
    waiting, workers = deque(items), list[_Worker[Item, Result]]()
    try:
        while True:
            workers = [worker for worker in workers if worker.death is None]
            busy = sum(bool(worker.items) for worker in workers)
            while len(workers) < min(jobs, len(waiting) + busy):
                workers.append(_Worker(work))
            for worker in workers:
                if worker.ready and not worker.items and waiting:
                    worker.give([waiting.popleft() for _ in range(min(at_a_time, len(waiting)))])
            if not waiting and not any(worker.items for worker in workers):
                return
            arrived = wait([worker.connection for worker in workers])
            for worker in workers:
                if worker.connection in arrived:
                    yield from worker.results()
                    if worker.death is not None:
                        if worker.items:
                            yield worker.items.popleft(), worker.death
                        waiting.extendleft(reversed(worker.items))
                        worker.end()
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Item, Result]):
    """A process, and the items that it was given and has sent no result of."""

    def __init__(self, work: Work[Item, Result]) -> None:
        self.connection, other = spawn.Pipe()
        self.items: deque[Item] = deque()
        self.ready = False
        self.death: Death | None = None
        self._process = spawn.Process(target=_serve, args=(work, other), daemon=True)
        with _interrupts_blocked():  # the process inherits that
            self._process.start()
        other.close()

    def give(self, items: list[Item]) -> None:
        self.items.extend(items)
        with suppress(OSError):  # it has died, which shows when its results are read
            self.connection.send(items)

    def results(self) -> Iterator[tuple[Item, Result]]:
        """Read what has arrived: results, an exception, or that the process has died."""
        while (message := self._receive()) is not None:
            if message == READY:
                self.ready = True
                continue
            failed, what = message
            if failed:
                raise what
            yield self.items.popleft(), what
        if self.death is not None and not self.ready:
            raise RnnsimError(f"a process {self.death} before it could begin; in a script, what calls "
                              'for several stands under `if __name__ == "__main__":`')  # fmt: skip

    def _receive(self) -> Any:
        try:
            return self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            self._process.join(SOON)
            self.death = Death(self._process.exitcode or 0)
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C, which on a terminal reaches all processes: the main one ends the others."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in the other process ---


def _serve(work: Work[Item, Result], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the main process is gone
        connection.send(READY)
        while True:
            items = connection.recv()
            try:
                for result in work(items):
                    connection.send((False, result))
            except Exception as error:  # noqa: BLE001 (raised in the main process)
                connection.send((True, _portable(error)))


def _end_with_parent() -> None:
    """End at once when the main process is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """An exception that can be sent, with the traceback that it has here as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (a user's exception may fail in any way)
        return RnnsimError(f"{type(error).__name__}: {error}")
    return error
