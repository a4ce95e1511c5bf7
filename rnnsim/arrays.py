"""How arrays lie in memory."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np

from rnnsim.typing import Array

LINE = 64  # bytes of the cache that come together
MANY, LARGE = 1 << 18, 1 << 22  # bytes


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Allocate zeros that begin with a line of the cache: wide loads then never cross one.

    NumPy's own arrays often begin in the middle of one, which costs a product a tenth of its speed, and
    a loop over rows a third.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = zero_bytes(size + LINE)
    first = -room.ctypes.data % LINE
    return np.asarray(room[first : first + size].view(dtype).reshape(shape))


def zero_bytes(size: int) -> Array:
    """Allocate so many zeros. Where they are many, the system gives each page when it is first touched.

    NumPy's are so only at times: memory that was in use before is cleared at once. As NumPy does, large
    pages are asked for where they are worth it.
    """
    if size < MANY or not hasattr(mmap, "MAP_PRIVATE"):
        return np.zeros(size, np.uint8)
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= LARGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # the system may have none
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


def in_dtype(fields: Any, dtype: Any) -> Any:
    """Copy a NamedTuple of arrays and numbers; those that are floats have another dtype then."""

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
    """Make an array read-only: where sizes are known to the compiler, so is what it holds."""
    x.flags.writeable = False
    return x
