"""Calls of a kernel that are divided between threads.

Numba compiles each parallel loop (``prange``) to a function of its own that takes arrays of any layout:
each takes a quarter of a second to compile and repacks its arguments. Here, a kernel is called for each
of several parts by the same threads, those of Numba's threading layer. Such calls cannot be nested: not
every threading layer allows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnsim.kernels import kernel, native


@kernel(allocates=False)
def bounds(part: int, parts: int, rows: int) -> tuple[int, int]:
    """The first row of a part, and the one after its last."""
    return part * rows // parts, (part + 1) * rows // parts


@native("parallel.in_parallel")
def in_parallel(part: Callable[..., None], times: int, *arguments: Any) -> None:
    """Call the kernel ``part(i, *arguments)`` for i = 0, ..., times - 1, divided between threads."""
    for i in range(times):
        part(i, *arguments)


@native("parallel.in_parts")
def in_parts(run: Callable[..., None], rows: int, parts: int, *arguments: Any) -> None:
    """Call the kernel ``run(*arguments, begin, end)`` for each of ``parts`` parts of the rows.

    The calls are divided between threads; a single one is made directly.
    """
    for part in range(parts):
        begin, end = bounds(part, parts, rows)
        run(*arguments, begin, end)
