# mypy: disable-error-code="no-untyped-call"
"""Calls that the cores share.

Numba's own parallel loops (``prange``) are functions of their own, made for arrays of any layout: each
takes a quarter of a second to compile and lays its arguments anew. Here a kernel is called for each of
several parts, by the same threads: those of Numba's threading layer. The kernel may not share calls in
its turn: not every layer allows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnsim.kernels import kernel, native


@kernel(allocates=False)
def bounds(part: int, parts: int, rows: int) -> tuple[int, int]:
    """Where a part begins and ends."""
    return part * rows // parts, (part + 1) * rows // parts


@native("parallel.in_parallel")
def in_parallel(part: Callable[..., None], times: int, *arguments: Any) -> None:
    """Call the kernel ``part(i, *arguments)`` for i = 0, ..., times - 1, the cores sharing the calls."""
    for i in range(times):
        part(i, *arguments)


@native("parallel.in_parts")
def in_parts(run: Callable[..., None], rows: int, parts: int, *arguments: Any) -> None:
    """Call the kernel ``run(*arguments, begin, end)`` for so many parts of the rows.

    The cores share the calls; a single one is made at once.
    """
    for part in range(parts):
        begin, end = bounds(part, parts, rows)
        run(*arguments, begin, end)
