"""Worker processes behind the interface of :mod:`concurrent.futures`.

One that dies costs the call that it was at, and no other: Python's own pool of processes is then broken
as a whole.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, ParamSpec, TypeVar

from rnnsim.errors import RnnsimError

P = ParamSpec("P")
R = TypeVar("R")

READY = "ready"  # the first message of a worker; the others are pairs (whether it failed, what)
OUTSIDE = ", as happens where an index is out of bounds (RNNSIM_CHECK_BOUNDS=1 names the line)"
HINTS = {"SIGKILL": ", as happens where memory runs out", "SIGSEGV": OUTSIDE, "SIGBUS": OUTSIDE}
SOON = 5.0  # seconds within which a process that has closed its connection ends

spawn = multiprocessing.get_context("spawn")  # a forked process may use one thread only


class Died(RnnsimError):
    """A process ended before its work; the message says how."""


def how_it_ended(exit_status: int) -> str:
    """Say how a process ended, by its exit status or minus the number of the signal."""
    if exit_status >= 0:
        return f"ended with exit status {exit_status}"
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:
        name = f"signal {-exit_status}"
    return f"was ended by {name}{HINTS.get(name, '')}"


class NotBegun(Died):
    """A process could not even begin, so that another would not either."""


class Call(NamedTuple):
    """A function with its arguments, and where its result goes."""

    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]


class Processes(Executor):
    """Calls functions in other processes, each of which begins with the first call that it gets.

    The future of a call whose process dies has the exception :class:`Died`; another process takes the
    place of that one.

    Parameters
    ----------
    count : int
        How many processes there are at most.
    """

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._workers: set[_Worker] = set()
        self._ended = self._at_once = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in a process, once one is free."""
        if self._ended:
            raise RuntimeError("the processes have ended")
        future: Future[R] = Future()
        self._calls.put(Call(future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, after the calls that were submitted or, if these are cancelled, at once."""
        self._ended, self._at_once = True, cancel_futures
        if cancel_futures:
            with suppress(Empty):
                while (call := self._calls.get_nowait()) is not None:
                    call.future.cancel()
            for worker in list(self._workers):
                worker.end()
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the processes: at once after an exception, such as that of Ctrl-C."""
        self.shutdown(cancel_futures=kind is not None)

    def _serve(self) -> None:
        """Of one process after the other, in a thread for each that there may be at once."""
        worker: _Worker | None = None
        while (call := self._calls.get()) is not None:
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None:
                    worker = _Worker()
                    self._workers.add(worker)
                    if self._at_once:  # it was on its way when the others were ended
                        worker.end()
                result = worker.call(call)
            except BaseException as error:  # noqa: BLE001 (whoever waits for the result raises it)
                if isinstance(error, Died) and worker is not None:
                    self._workers.discard(worker)
                    worker.end()
                    worker = None
                call.future.set_exception(error)
            else:
                call.future.set_result(result)
        if worker is not None:
            worker.end()


class _Worker:
    """A process that calls functions, one at a time."""

    def __init__(self) -> None:
        self._connection, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other,), daemon=True)
        with _interrupts_blocked():  # the process inherits that
            self._process.start()
        other.close()
        self._begun = False

    def call(self, call: Call) -> Any:
        """Call a function there, and wait for its result.

        Raises
        ------
        Died
            If the process ends before, or (:class:`NotBegun`) cannot begin.
        """
        message = pickle.dumps(call[1:])
        try:
            if not self._begun:
                self._begun = self._connection.recv() == READY
            self._connection.send_bytes(message)
            failed, what = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(SOON)
            how = how_it_ended(self._process.exitcode or 0)
            if self._begun:
                raise Died(f"its process {how}") from None
            raise NotBegun(f"a process {how} before it could begin; in a script, what calls for several "
                       'stands under `if __name__ == "__main__":`') from None  # fmt: skip
        if failed:
            raise what
        return what

    def end(self) -> None:
        self._process.kill()
        self._process.join()


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


def _serve(connection: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the main process is gone
        connection.send(READY)
        while True:
            function, arguments, named = pickle.loads(connection.recv_bytes())
            try:
                message = (False, function(*arguments, **named))
            except Exception as error:  # noqa: BLE001 (raised in the main process)
                message = (True, _portable(error))
            connection.send(message)


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
