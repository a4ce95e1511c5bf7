"""Large tables block by block: what is made of some thousands of rows stays in the processor's cache.

Passes over whole arrays of a table take several times as long, and memory for each array in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rnnsim.typing import Array

BLOCK = 4096  # rows
SUMMED = 100_000  # rows that are summed at once; sums of more are rounded otherwise


def blocks(rows: int, least: int = 0) -> Iterator[slice]:
    """All rows, some thousands at a time, but at least so many."""
    size = max(BLOCK, least)
    return (slice(begin, min(begin + size, rows)) for begin in range(0, rows, size))


def in_whole_blocks(rows: int) -> int:
    """So many rows, with the others of the last of their blocks: its sums are rounded as in all rows."""
    return -(-rows // BLOCK) * BLOCK


def total(rows: int, of: Callable[[slice], Array]) -> Array:
    """The sum over rows of what is made of them, (rows, ...)."""
    pieces = list(blocks(rows, SUMMED)) or [slice(0)]
    return np.asarray(sum(of(piece).sum(axis=0) for piece in pieces))
