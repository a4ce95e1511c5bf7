"""Matrix products by BLAS and linear equations by LAPACK, without checks or copies."""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Array, Integers


def load_blas() -> None:
    """Load the BLAS that kernels call: SciPy's, which the first product would otherwise load (0.2 s)."""
    import scipy.linalg.cython_blas  # noqa: F401


@native("blas.gemm")
def gemm(x: Array, y: Array, out: Array) -> None:
    """``out = x y`` by BLAS; out is neither x nor y, which may be transposed views."""
    np.dot(x, y, out)


@native("blas.add_xt_y")
def add_xt_y(x: Array, y: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out += x^T y``, by BLAS."""
    out[begin:end] += np.dot(np.ascontiguousarray(x[:, begin:end]).T, y)


@native("blas.solve_transposed")
def solve_transposed(A: Array, x: Array, pivots: Integers) -> bool:
    """Solve ``A^T y = x`` by LAPACK: y overwrites x, and A is overwritten. False if A is singular.

    LAPACK is column-major, hence the transpose. A (n, n), x (n) with n > 0, pivots (n), which may be
    integers of 4 or 8 bytes.
    """
    try:
        x[:] = np.linalg.solve(A.T, x)
    except Exception:  # noqa: BLE001 (LinAlgError; Numba can catch no other class)
        return False
    return True


def pivot_workspace(n: int) -> Integers:
    """Allocate the pivots of ``solve_transposed``."""
    return np.zeros(n, np.int64)
