"""Linear equations by LAPACK.

Numba's own ``np.linalg.solve`` copies what it is given, and raises errors with messages, which take two
seconds to compile. Here the same routine is called as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Array, Integers


def gesv(A: Any, x: Any, pivots: Any) -> Any:
    """LAPACK's ``gesv``, as Numba's functions call it."""
    from numba.core import types
    from numba.np.linalg import ensure_lapack, get_blas_kind

    ensure_lapack()  # type: ignore[no-untyped-call]
    size, number, pivot = types.intp, types.CPointer(A.dtype), types.CPointer(pivots.dtype)
    signature = types.intc(types.char, size, size, number, size, pivot, number, size)
    call = types.ExternalFunction("numba_xgesv", signature)  # type: ignore[no-untyped-call]
    kind = ord(get_blas_kind(A.dtype))  # type: ignore[no-untyped-call]

    def solve(A: Any, x: Any, pivots: Any) -> Any:
        n = x.size
        return n == 0 or call(kind, n, 1, A.ctypes, n, pivots.ctypes, x.ctypes, n) == 0

    return solve


@native(gesv)
def solve_transposed(A: Array, x: Array, pivots: Integers) -> bool:
    """Solve ``A^T y = x``: y takes the place of x, and A is used up. False where A is singular.

    LAPACK counts columns where we count rows, hence the transpose. All are contiguous; A (n, n), x (n),
    and room for n pivots, which are whole numbers of either size.
    """
    try:
        x[:] = np.linalg.solve(A.T, x)
    except np.linalg.LinAlgError:
        return False
    return True


def room_for_pivots(n: int) -> Integers:
    """Allocate what ``solve_transposed`` needs beside the numbers."""
    return np.zeros(n, np.int64)
