"""The number of threads of the BLAS that kernels call: one, while any Python thread runs kernels.

BLAS threads inside a time loop wait for one another at every step. Those of NumPy's own BLAS do so in
small decompositions, which take fifty times as long with them on a busy machine.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from rnnsim.compiler import sharing_state
from rnnsim.numerics.blas import load_blas

# the names that OpenBLAS has in wheels and in distributions
AFFIXES = tuple(product(("", "scipy_"), ("", "64_", "_64")))


@dataclass(frozen=True, eq=False)
class Library:
    """How to read and set the number of threads of a BLAS.

    Attributes
    ----------
    threads : Callable
        Gives the number.
    set_threads : Callable
        Sets it.
    limits_each_thread : bool
        Whether the number is set for each Python thread by itself.
    """

    threads: Callable[[], int]
    set_threads: Callable[[int], Any]
    limits_each_thread: bool


@lru_cache(maxsize=1)
def blas_libraries() -> tuple[Library, ...]:
    """The BLAS that kernels call, which is SciPy's."""
    of_scipy, others = _loaded()
    return tuple(map(_control, of_scipy or others))


@lru_cache(maxsize=1)
def numpy_libraries() -> tuple[Library, ...]:
    """The BLAS that NumPy calls, where it is another than SciPy's."""
    of_scipy, others = _loaded()
    return tuple(map(_control, others)) if of_scipy else ()


def _loaded() -> tuple[list[Any], list[Any]]:
    """SciPy's BLAS, and the others that are loaded."""
    import scipy
    from threadpoolctl import ThreadpoolController

    load_blas()
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    home = str(Path(scipy.__file__).parent)  # or scipy.libs next to it
    own = [library for library in found if library.filepath.startswith(home)]
    return own, [library for library in found if library not in own]


def _control(controller: Any) -> Library:
    """Call OpenBLAS itself, where its threads are those of POSIX, as threadpoolctl takes long."""
    if getattr(controller, "threading_layer", "") == "pthreads":
        loaded = ctypes.CDLL(controller.filepath)
        for before, after in AFFIXES:
            names = (f"{before}openblas_{verb}_num_threads{after}" for verb in ("get", "set"))
            functions = [getattr(loaded, name, None) for name in names]
            if all(functions):
                return Library(functions[0], functions[1], False)  # type: ignore[arg-type]
    is_openmp = getattr(controller, "threading_layer", "") == "openmp"
    return Library(controller.get_num_threads, lambda count: _set(controller, count), is_openmp)


def _set(controller: Any, count: int) -> None:
    """Set the number, also where threadpoolctl has given the right to do so to another Python thread."""
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)
    controller.set_num_threads(count)


class Callers:
    """The Python threads that use a BLAS at present; while there are any, it uses one thread itself.

    Parameters
    ----------
    libraries : Callable
        Gives the BLAS, which may be several libraries.
    """

    def __init__(self, libraries: Callable[[], tuple[Library, ...]]) -> None:
        self._lock, self._count, self._libraries = threading.Lock(), 0, libraries
        self._before: dict[Library, int] = {}  # the number of threads that each BLAS had

    def enter(self) -> dict[Library, int]:
        """Count this thread in; return the numbers of threads that BLAS had for it alone."""
        with self._lock:
            self._count += 1
            self._counted()
            own: dict[Library, int] = {}
            for library in self._libraries():
                if (count := library.threads()) != 1:
                    (own if library.limits_each_thread else self._before).setdefault(library, count)
                    library.set_threads(1)
            return own

    def leave(self, own: dict[Library, int]) -> None:
        """Count it out; BLAS is as it was before when the last has left."""
        with self._lock:
            self._count -= 1
            self._counted()
            before = own if self._count else own | self._before
            for library, count in before.items():
                library.set_threads(count)
            if not self._count:
                self._before.clear()

    def _counted(self) -> None:
        """Called when the number has changed."""


class KernelCallers(Callers):
    """Those that run kernels."""

    def __init__(self) -> None:
        super().__init__(blas_libraries)

    def _counted(self) -> None:
        sharing_state.callers = self._count
