"""Who does the work: BLAS has one thread, and large pieces of work are shared between free cores.

BLAS threads inside a time loop wait for one another at every step. Kernels cut the work into parts
themselves (:mod:`rnnsim.numerics.parallel`), into as many whatever the machine: the sums are then the same to the
last bit, however many cores there are. ``RNNSIM_NUM_THREADS`` says how many are used at most.

Where other programs keep the cores busy, threads that wait for one another take a thousand times as
long as one that does the work alone. So, from time to time, it is tried how long nothing takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.compiler import SHARING, compiled, in_use
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parallel
from rnnsim.typing import Array

LIMIT = "RNNSIM_NUM_THREADS"
OWNER = "threads"  # of the kernel here, which compiles in a fraction of a second
BUSY = 50e-6  # seconds that nothing takes on busy cores; on free ones it is a few microseconds
FRESH = 1.0  # seconds for which it is taken to stay so


@kernel(allocates=False)
def touch(i: int, places: Array) -> None:
    """As little as a thread can do."""
    places[i] = i


@kernel(allocates=False)
def touch_all(places: Array) -> None:
    """As little as threads can share."""
    in_parallel(touch, places.size, places)


class Cores:
    """The cores that may be used, and whether they are free."""

    def __init__(self) -> None:
        import numba

        self.most = limit(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        self.checked = -np.inf
        self.free = self.most if in_use(SHARING) else 1
        self.places = np.zeros(self.most)

    def look(self) -> int:
        """How many threads should share the work now."""
        import numba

        now = time.monotonic()
        if self.most > 1 and in_use(SHARING) and now - self.checked > FRESH:
            before = numba.get_num_threads()
            numba.set_num_threads(self.most)
            self.free = self.most if self._quickest() < BUSY else 1
            numba.set_num_threads(before)
            self.checked = time.monotonic()
        return self.free

    def _quickest(self, trials: int = 6) -> float:
        """The first trials may wait for a thread that slept, on free cores too: up to 8 ms."""
        run, quickest = compiled(touch_all, OWNER), np.inf
        for _ in range(trials):
            start = time.perf_counter()
            run(self.places)
            quickest = min(quickest, time.perf_counter() - start)
            if quickest < BUSY:
                break
        return quickest


def limit(most: int) -> int:
    """How many threads the user allows, at most ``most``.

    Raises
    ------
    RnnsimError
        If ``RNNSIM_NUM_THREADS`` is no whole number from 1 on.
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
    """The BLAS that kernels call, with a number of threads that can be set: SciPy's."""
    import scipy.linalg.cython_blas  # (loads it)
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    home = str(Path(scipy.__file__).parent)
    own = [library for library in found if library.filepath.startswith(home)]  # or scipy.libs beside it
    return own or list(found)


@contextmanager
def shared_work() -> Iterator[None]:
    """Run kernels within: BLAS has one thread, and rnnsim as many as there are free cores."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        yield
        return
    blas = [(library, library.get_num_threads()) for library in blas_libraries()]
    threads, wanted = numba.get_num_threads(), cores().look()
    for library, before in blas:
        if before != 1:  # setting it takes five microseconds
            library.set_num_threads(1)
    if threads != wanted:  # that takes two microseconds
        numba.set_num_threads(wanted)
    try:
        yield
    finally:
        if threads != wanted:
            numba.set_num_threads(threads)
        for library, before in blas:
            if before != 1:
                library.set_num_threads(before)
