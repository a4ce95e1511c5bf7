"""Matrix products by BLAS, and linear equations by LAPACK, without checks and copies."""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Array, Integers


@native("blas.gemm")
def gemm(x: Array, y: Array, out: Array) -> None:
    """``out = x y`` by BLAS; out is neither x nor y. x and y may be transposed."""
    np.dot(x, y, out)


@native("blas.add_xt_y")
def add_xt_y(x: Array, y: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out += x^T y``, by BLAS."""
    out[begin:end] += np.dot(np.ascontiguousarray(x[:, begin:end]).T, y)


@native("blas.solve_transposed")
def solve_transposed(A: Array, x: Array, pivots: Integers) -> bool:
    """Solve ``A^T y = x`` by LAPACK: y replaces x, and A is used up. False where A is singular.

    LAPACK counts columns where we count rows, hence the transpose. A (n, n), x (n) with n > 0, and room
    for n pivots, which are whole numbers of either size.
    """
    try:
        x[:] = np.linalg.solve(A.T, x)
    except Exception:  # noqa: BLE001 (LinAlgError, which Numba knows by no other name)
        return False
    return True


def pivot_workspace(n: int) -> Integers:
    """Allocate what ``solve_transposed`` needs beside the numbers."""
    return np.zeros(n, np.int64)
