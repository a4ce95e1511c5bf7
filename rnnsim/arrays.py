"""Allocation of arrays: alignment, large pages, dtypes."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np

from rnnsim.errors import NotEnoughMemory
from rnnsim.typing import Array

LINE = 64  # bytes of a cache line
MANY, LARGE = 1 << 18, 1 << 22  # bytes from which an array is mapped, and from which huge pages pay


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Allocate zeros aligned to a cache line, so that vector loads never cross one.

    NumPy's own arrays often begin in the middle of one, which costs a product a tenth of its speed, and
    a loop over rows a third.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = zero_bytes(size + LINE)
    first = -buffer.ctypes.data % LINE
    return np.asarray(buffer[first : first + size].view(dtype).reshape(shape))


def zero_bytes(size: int) -> Array:
    """Allocate ``size`` zero bytes. If they are many, each page is allocated when it is first touched.

    ``np.zeros`` does not always do that: it clears memory that the process used before at once. As in
    NumPy, huge pages are requested for large arrays.

    Raises
    ------
    NotEnoughMemory
        If there are not so many.
    """
    try:
        if size < MANY or not hasattr(mmap, "MAP_PRIVATE"):
            return np.zeros(size, np.uint8)
        pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (MemoryError, OSError, OverflowError, ValueError):  # which, depends on the size
        raise NotEnoughMemory(f"not enough memory: an array of {size:.3g} bytes cannot be allocated; "
                              "smaller sizes need less") from None  # fmt: skip
    if size >= LARGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # the operating system may not support it
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


def in_dtype(fields: Any, dtype: Any) -> Any:
    """Copy a NamedTuple of arrays and numbers, with its floats converted to another dtype."""

    def cast(field: Any) -> Any:
        given = np.asarray(field)
        if given.dtype.kind != "f":
            return field.copy()
        if not given.ndim:
            return np.dtype(dtype).type(field)
        out = aligned_zeros(given.shape, dtype)
        out[...] = given
        return out

    return type(fields)(*map(cast, fields))


def constant(x: Array) -> Array:
    """Make an array read-only: a kernel specialised to sizes takes its contents as constants."""
    x.flags.writeable = False
    return x
