"""The matrix products of the kernels, each in the way that is fastest at its size.

Names read as formulas; ``x`` and ``y`` are stacks of row vectors. BLAS has an overhead of some
hundred nanoseconds a call, so the small products are loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.typing import Array

_LINE = 64  # bytes
SMALL = 512  # multiplications below which a loop beats a call of BLAS


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Allocate zeros that begin with a line of the cache: wide loads then never cross one.

    NumPy's own arrays often begin in the middle of one, which costs a loop over rows a third of its
    speed.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    return np.asarray(room[first : first + size].view(dtype).reshape(shape))


@kernel(allocates=False)
def copy(x: Array, out: Array) -> None:
    """``out = x``, of one shape. (``out[:] = x`` compiles slowly: it can raise, with a message.)"""
    if x.ndim == 1:  # known to the compiler, and a reshape takes as long as twenty numbers
        for i in range(x.size):
            out[i] = x[i]
    else:
        source, target = x.reshape(x.size), out.reshape(out.size)
        for i in range(source.size):
            target[i] = source[i]


@kernel(allocates=False)
def move_rows(x: Array, first: int, count: int) -> None:
    """Move ``count`` rows from row ``first`` to the front, one by one: the two places may overlap."""
    for i in range(count):
        copy(x[first + i], x[i])


@kernel
def gemm(x: Array, y: Array, out: Array) -> None:
    """``out = x y`` by BLAS; out is neither x nor y."""
    np.dot(x, y, out)


@kernel(allocates=False)
def x_times_Wt(x: Array, W: Array, out: Array) -> None:
    """``out = x W^T``; x (R, n), W (k, n), out (R, k)."""
    R, n = x.shape
    k = W.shape[0]
    if n == 0:
        out[:] = 0
    elif R == 1 or R * n * k <= SMALL:
        for r in range(R):
            for i in range(k):
                total = out.dtype.type(0)
                for j in range(n):
                    total += W[i, j] * x[r, j]
                out[r, i] = total
    else:
        gemm(x, W.T, out)


@kernel(allocates=False)
def x_times_W(x: Array, W: Array, out: Array) -> None:
    """``out = x W``; x (R, k), W (k, n), out (R, n)."""
    R, k = x.shape
    n = W.shape[1]
    if k == 0 or n == 0:
        out[:] = 0
    elif R == 1 or R * n * k <= SMALL:
        for r in range(R):
            for j in range(n):
                out[r, j] = 0
            for i in range(k):
                factor = x[r, i]
                for j in range(n):
                    out[r, j] += factor * W[i, j]
    else:
        gemm(x, W, out)


@kernel(allocates=False)
def add_xt_times_y(x: Array, y: Array, out: Array) -> None:
    """``out += x^T y``, a sum of outer products; x (R, k), y (R, n), out (k, n)."""
    R, k = x.shape
    n = y.shape[1]
    if R == 1 or R * n * k <= SMALL:
        for r in range(R):
            for i in range(k):
                factor = x[r, i]
                for j in range(n):
                    out[i, j] += factor * y[r, j]
    elif n > 0:
        add_gemm(x.T, y, out)


@kernel
def add_gemm(x: Array, y: Array, out: Array) -> None:
    """``out += x y`` by BLAS."""
    product = np.dot(x, y)
    for i in range(product.shape[0]):
        for j in range(product.shape[1]):
            out[i, j] += product[i, j]


@kernel(allocates=False)
def add_rows(x: Array, out: Array) -> None:
    """``out += sum of the rows of x``; x (R, k), out (k)."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[i] += x[r, i]
