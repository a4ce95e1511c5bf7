"""Distribution of work over processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rnnsim.errors import RnnsimError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int
) -> Iterator[Result]:
    """Call ``work`` on each piece in a pool of ``jobs`` processes; yield the results as they finish.

    The processes are spawned, since OpenMP does not survive a fork.

    Raises
    ------
    RnnsimError
        If a process dies. Exceptions of ``work`` are raised here too.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(pieces)), spawn, initializer=_end_at_interrupt) as executor:
        futures = [executor.submit(work, piece) for piece in pieces]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise RnnsimError("a process ended before its work; in a script, what calls for several "
                              'stands under `if __name__ == "__main__":`') from None  # fmt: skip
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise  # on success it waits, as Python may exit while the pool's thread is still ending


def _end_at_interrupt() -> None:
    """End a worker at Ctrl-C without a traceback; the main process reports the interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
