"""The number of threads: BLAS has one, and kernels divide large work between the free cores.

BLAS threads inside a time loop wait for one another at every step. Kernels divide the work themselves
(:mod:`rnnsim.numerics.parallel`), into a number of parts that does not depend on the machine, so that
sums are the same to the last bit on any number of cores. ``RNNSIM_NUM_THREADS`` is the maximum number
of threads.

Where other programs keep the cores busy, threads that wait for one another take a thousand times as long
as a single thread. So an almost empty parallel region is timed now and then, and rnnsim uses one thread
while that takes long.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.compiler import SHARING, compiled, in_use, is_forked, sharing_state
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parallel
from rnnsim.typing import Array

LIMIT = "RNNSIM_NUM_THREADS"
OWNER = "threads"  # of the kernel below, which compiles in a fraction of a second
BUSY = 50e-6  # seconds from which an empty parallel region means busy cores; on free ones: a few us
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

    def look(self) -> int:
        """Give the number of threads to use now."""
        import numba

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


@lru_cache(maxsize=1)
def blas_libraries() -> list[Any]:
    """Give threadpoolctl's controllers of the BLAS that kernels call, which is SciPy's."""
    import scipy.linalg.cython_blas  # loads the library
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    home = str(Path(scipy.__file__).parent)
    own = [library for library in found if library.filepath.startswith(home)]  # or scipy.libs next to it
    return own or list(found)


class Callers:
    """The Python threads that run kernels at present; while there are any, BLAS uses one thread."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0
        self._before: dict[Any, int] = {}  # the number of threads that each BLAS had

    def enter(self) -> dict[Any, int]:
        """Count this thread in; return the numbers of threads that BLAS had for it alone."""
        with self._lock:
            self._count += 1
            sharing_state.callers = self._count
            own: dict[Any, int] = {}
            for library in blas_libraries():
                if (count := library.get_num_threads()) != 1:
                    (own if limits_each_thread(library) else self._before).setdefault(library, count)
                    set_blas_threads(library, 1)
            return own

    def leave(self, own: dict[Any, int]) -> None:
        """Count it out; BLAS is as it was before when the last has left."""
        with self._lock:
            self._count -= 1
            sharing_state.callers = self._count
            before = own if self._count else own | self._before
            for library, count in before.items():
                set_blas_threads(library, count)
            if not self._count:
                self._before.clear()


def limits_each_thread(library: Any) -> bool:
    """Whether the number of a BLAS's threads is set for each Python thread by itself."""
    return getattr(library, "threading_layer", "") == "openmp"


def set_blas_threads(library: Any, count: int) -> None:
    """Set the number, also where threadpoolctl has given the right to do so to another Python thread."""
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)
    library.set_num_threads(count)  # takes 5 us


_callers = Callers()


def _forget() -> None:
    """In a forked child: other threads are gone, and what they held is not to be waited for."""
    global _callers
    _callers = Callers()
    cores.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def shared_work() -> Iterator[None]:
    """Run kernels in this context: BLAS uses one thread, and rnnsim as many as there are free cores.

    Several Python threads may be in it at the same time; they share the free cores.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        yield
        return
    wanted = cores().look()
    threads = wanted if is_forked() else numba.get_num_threads()
    callers = _callers  # a forked child has others
    own = callers.enter()
    if threads != wanted:  # setting it takes 2 us
        numba.set_num_threads(wanted)
    try:
        yield
    finally:
        if threads != wanted:
            numba.set_num_threads(threads)
        callers.leave(own)
