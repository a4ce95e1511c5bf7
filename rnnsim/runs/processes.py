"""Work that several processes share."""

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
    """Do each piece of some work in one of ``jobs`` new processes; give the results as they come.

    They are spawned: OpenMP does not survive a fork.

    Raises
    ------
    RnnsimError
        If a process ends before its work, and whatever the work itself raises.
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
            raise  # (where all went well it waits: Python may end while the pool's thread does)


def _end_at_interrupt() -> None:
    """End without a traceback at Ctrl-C, of which the first process has something to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
