"""One BLAS thread inside a time loop: more of them wait for one another at every step."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    """Every BLAS in this process, each with a number of threads that can be set."""
    import scipy.linalg.cython_blas  # noqa: F401 (loads the BLAS that compiled kernels call)
    from threadpoolctl import ThreadpoolController

    _find_gemm()
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _find_gemm() -> None:
    """Have Numba look up the matrix products of BLAS.

    It does so at the first product, and needs the interpreter for it: in a thread of a parallel kernel
    it would wait for that forever.
    """
    from numba import _helperlib

    size, char, pointer = ctypes.c_ssize_t, ctypes.c_char, ctypes.c_void_p
    signature = ctypes.PYFUNCTYPE(
        ctypes.c_int, char, char, char, size, size, size, pointer, pointer, size, pointer, size,
        pointer, pointer, size,
    )  # fmt: skip
    gemm = signature(_helperlib.c_helpers["xxgemm"])
    for kind, real in ((b"d", ctypes.c_double), (b"s", ctypes.c_float)):
        one, out = ctypes.byref(real(1)), ctypes.byref(real(0))
        gemm(kind, b"n", b"n", 1, 1, 1, one, one, 1, one, 1, one, out, 1)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS to one thread while kernels run; rnnsim shares the work between the cores itself."""
    before = [(library, library.get_num_threads()) for library in _libraries()]
    for library, threads in before:
        if threads != 1:
            library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in before:
            if threads != 1:
                library.set_num_threads(threads)
