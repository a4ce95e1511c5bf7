"""One BLAS thread inside a time loop: more of them wait for one another at every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _controller() -> Any:
    import scipy.linalg.cython_blas  # noqa: F401 (loads the BLAS that compiled kernels call)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS to one thread while kernels run."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
