"""The number of threads: BLAS has one, and kernels divide large work between the free cores.

BLAS is limited in :mod:`rnnsim.numerics.blas_threads`. Kernels divide the work themselves
(:mod:`rnnsim.numerics.parallel`), into a number of parts that does not depend on the machine, so that
sums are the same to the last bit on any number of cores. ``RNNSIM_NUM_THREADS`` is the maximum number
of threads.

Where other programs keep the cores busy, threads that wait for one another take a thousand times as long
as a single thread. So an almost empty parallel region is timed now and then, and rnnsim uses one thread
while that takes long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from rnnsim.compiler import SHARING, compiled, in_use, is_forked, sharing_state
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics.blas_threads import Callers, KernelCallers, numpy_libraries
from rnnsim.numerics.parallel import in_parallel
from rnnsim.typing import Array

LIMIT = "RNNSIM_NUM_THREADS"
OWNER = "threads"  # of the kernel below, which compiles in a fraction of a second
BUSY = 50e-6  # seconds from which an empty parallel region means busy cores; on free ones: a few us
FEW = 1 << 18  # multiplications, of which neither kernels nor BLAS divide any
FRESH = 1.0  # seconds for which a measurement is valid


@kernel(allocates=False)
def touch(i: int, out: Array) -> None:
    """Do next to nothing: one write."""
    out[i] = i


@kernel(allocates=False)
def touch_all(out: Array) -> None:
    """A parallel region that is as good as empty."""
    in_parallel(touch, out.size, out)


class Cores:
    """The number of cores that may be used, and of those that are free."""

    def __init__(self) -> None:
        import numba

        available: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        self.most = limit(available if in_use(SHARING) and not is_forked() else 1)
        self.checked = -np.inf
        self.free = self.most
        self.scratch = np.zeros(self.most)
        self.alone = 0  # how many ask for a single thread now

    def look(self) -> int:
        """Give the number of threads to use now."""
        import numba

        if self.alone:
            return 1
        now, others = time.monotonic(), sharing_state.callers  # which keep cores busy themselves
        if self.most > 1 and not others and now - self.checked > FRESH:
            before = numba.get_num_threads()
            numba.set_num_threads(self.most)
            self.free = self.most if self._quickest() < BUSY else 1
            numba.set_num_threads(before)
            self.checked = time.monotonic()
        return self.free

    def _quickest(self, trials: int = 6) -> float:
        """Give the shortest time of a few trials: the first may wake a sleeping thread, up to 8 ms."""
        run, quickest = compiled(touch_all, OWNER), np.inf
        for _ in range(trials):
            start = time.perf_counter()
            run(self.scratch)
            quickest = min(quickest, time.perf_counter() - start)
            if quickest < BUSY:
                break
        return quickest


def limit(most: int) -> int:
    """Give the number of threads that the user allows, at most ``most``.

    Raises
    ------
    RnnsimError
        If ``RNNSIM_NUM_THREADS`` is not a positive integer.
    """
    given = os.environ.get(LIMIT, "")
    if not given:
        return most
    if not given.isdecimal() or int(given) < 1:
        raise RnnsimError(f"{LIMIT} is a whole number from 1 on, not {given!r}")
    return min(int(given), most)


@lru_cache(maxsize=1)
def cores() -> Cores:
    """The cores of this machine."""
    return Cores()


_callers = KernelCallers()
_numpy_callers = Callers(numpy_libraries)


def _forget() -> None:
    """In a forked child: other threads are gone, and what they held is not to be waited for."""
    global _callers, _numpy_callers
    _callers, _numpy_callers = KernelCallers(), Callers(numpy_libraries)
    cores.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let kernels in this process use one thread, where other processes use the other cores."""
    here = cores()
    here.alone += 1
    try:
        yield
    finally:
        here.alone -= 1


@contextmanager
def one_numpy_thread() -> Iterator[None]:
    """Let NumPy's BLAS use one thread in this context, so that results do not depend on the number.

    Small decompositions are up to fifty times as fast so, where other programs are busy.
    """
    callers = _numpy_callers  # a forked child has others
    own = callers.enter()
    try:
        yield
    finally:
        callers.leave(own)


class shared_work:  # noqa: N801 (a context manager, without the cost of a generator)
    """Run kernels in this context: BLAS uses one thread, and rnnsim as many as there are free cores.

    Several Python threads may be in it at the same time; they share the free cores.
    """

    __slots__ = ("_before", "_callers", "_own")

    def __enter__(self) -> None:
        import numba

        self._callers: Callers | None = None
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return
        wanted = cores().look()
        threads = wanted if is_forked() else numba.get_num_threads()
        self._callers = _callers  # a forked child has others
        self._own = _callers.enter()
        self._before = threads if threads != wanted else 0
        if self._before:  # setting it takes 2 us
            numba.set_num_threads(wanted)

    def __exit__(self, *_: object) -> None:
        if self._callers is None:
            return
        if self._before:
            import numba

            numba.set_num_threads(self._before)
        self._callers.leave(self._own)


def work_context(multiplications: float) -> Any:
    """The context for so many multiplications: where they are few, none is divided between threads."""
    return nullcontext() if multiplications < FEW else shared_work()
