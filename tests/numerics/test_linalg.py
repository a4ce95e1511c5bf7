"""The products of the kernels against NumPy's, at sizes on both sides of every threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from rnnsim.compiler import compiled
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics import linalg
from rnnsim.numerics.blas import gemm, pivot_workspace, solve_transposed
from rnnsim.numerics.linalg import copy
from rnnsim.numerics.threads import shared_work
from rnnsim.numerics.tiles import multiply, multiply_panels, pack_panels, transpose_into_panels
from rnnsim.numerics.views import as_matrix, as_vector

Product = Callable[..., Any]

# R, k, n: loops, tiles, BLAS and parts
SHAPES = [(1, 3, 2), (1, 370, 371), (5, 4, 3), (16, 40, 30), (40, 250, 230), (17, 250, 257),
          (19, 263, 251), (22, 249, 254), (3, 600, 601)]  # fmt: skip

TOLERANCE = {"float64": 1e-13, "float32": 1e-5}


@kernel
def times_Wt(x: Any, W: Any, out: Any) -> None:
    linalg.x_times_Wt(x, W, out)


@kernel
def times_W(x: Any, W: Any, out: Any) -> None:
    linalg.x_times_W(x, W, out)


@kernel
def add_outer(x: Any, y: Any, out: Any) -> None:
    linalg.add_xt_times_y(x, y, out, False)


@kernel
def add_outer_alone(x: Any, y: Any, out: Any) -> None:
    linalg.add_xt_times_y(x, y, out, True)


@kernel
def in_tiles(x: Any, W: Any, out: Any) -> None:
    multiply(x, W, out)


@kernel
def in_panels(x: Any, W: Any, out: Any) -> None:
    panels = np.empty(W.shape, W.dtype)
    pack_panels(W, panels)
    multiply_panels(x, panels, out[:0], out)


@kernel
def in_turned_panels(x: Any, Wt: Any, out: Any) -> None:
    panels = np.empty((Wt.shape[1], Wt.shape[0]), Wt.dtype)
    transpose_into_panels(Wt, panels)
    multiply_panels(x, panels, out[:0], out)


@kernel
def turned(x: Any, W: Any, out: Any) -> None:
    Wt = np.empty((W.shape[1], W.shape[0]), W.dtype)
    linalg.transpose(W, Wt)
    times_Wt(x, Wt, out)


@kernel
def without_the_last_row(x: Any, W: Any, out: Any) -> None:
    linalg.x_times_W(x[:-1], W, out[:-1])


def error(function: Product, dtype: str, R: int, k: int, n: int) -> float:
    """How far a product is from NumPy's, beside the size of what is summed."""
    rng = np.random.default_rng(R)
    x, W = rng.standard_normal((R, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    out = np.full((R, n), np.nan, dtype)
    arguments, expected = (x, W, out), x.astype(float) @ W.astype(float)
    if function in (times_Wt, in_turned_panels):
        arguments = (x, np.ascontiguousarray(W.T), out)
    if function in (add_outer, add_outer_alone):  # to what is there
        out[:] = 1
        arguments, expected = (np.ascontiguousarray(x.T), W, out), expected + 1
    with shared_work():
        compiled(function)(*arguments)
    return float(np.abs(out - expected).max() / np.sqrt(k or 1)) if np.isfinite(out).all() else np.inf


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "function",
    [times_Wt, times_W, add_outer, add_outer_alone, in_tiles, in_panels, in_turned_panels, turned],
)
def test_products(function: Product, dtype: str) -> None:
    for shape in SHAPES:
        assert error(function, dtype, *shape) < TOLERANCE[dtype], shape


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("R", [1, 2, 4, 7, 13])
@pytest.mark.parametrize("function", [in_tiles, in_panels, in_turned_panels])
def test_tiles_of_every_width(function: Product, R: int, dtype: str) -> None:
    """Rows and columns over, rows shorter than a vector, and nothing at all."""
    for n in range(1, 100):
        assert error(function, dtype, R, n % 7, n) < TOLERANCE[dtype], n


def test_a_row_that_is_left_out_is_noticed() -> None:
    assert error(without_the_last_row, "float64", 5, 4, 3) == np.inf


@pytest.mark.parametrize("place", [0, 7, 40])
def test_largest_keeps_a_nan(place: int) -> None:
    x = np.linspace(-3, 2, 41)
    assert linalg.largest(x) == 3
    x[place] = np.nan
    assert np.isnan(linalg.largest(x))


# --- what is called natively -------------------------------------------------------------------------


@kernel
def gemm_turned(x: Any, y: Any, out: Any) -> None:
    gemm(x.T, y.T, out)


@kernel
def solved_by_it(A: Any, x: Any, pivots: Any) -> bool:
    return solve_transposed(A, x, pivots)


@kernel
def seen(x: Any, rows: int, columns: int, vector: Any, square: Any) -> None:
    copy(as_vector(x[1:]), vector)
    copy(as_matrix(x[1:], rows, columns), square)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_blas_takes_what_is_transposed(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)).astype(dtype), rng.standard_normal((4, 5)).astype(dtype)
    out = np.full((3, 4), np.nan, dtype)
    with shared_work():
        compiled(gemm_turned)(x, y, out)
    expected = x.T.astype(float) @ y.T.astype(float)
    assert np.abs(out - expected).max() < 10 * TOLERANCE[dtype]
    assert np.abs(out - expected[::-1]).max() > 0.1  # the control


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lapack_solves_with_the_transpose(dtype: str) -> None:
    rng = np.random.default_rng(1)
    A = (np.eye(6) + 0.3 * rng.standard_normal((6, 6))).astype(dtype)
    b = rng.standard_normal(6).astype(dtype)
    used_up, x = A.copy(), b.copy()
    assert compiled(solved_by_it)(used_up, x, pivot_workspace(6))
    assert np.abs(A.T @ x - b).max() < 100 * TOLERANCE[dtype]
    assert np.abs(A @ x - b).max() > 0.1  # the control
    A[:, 2] = 0
    assert not compiled(solved_by_it)(A, b.copy(), pivot_workspace(6))


def test_views_are_of_the_same_numbers() -> None:
    x, vector, square = np.arange(30.0).reshape(5, 3, 2), np.zeros(24), np.zeros((4, 6))
    compiled(seen)(x, 4, 6, vector, square)
    np.testing.assert_array_equal(vector, np.arange(6.0, 30.0))
    np.testing.assert_array_equal(square, vector.reshape(4, 6))


@kernel
def in_tiles_turned(x: Any, W: Any, out: Any) -> None:
    multiply(x, W.T, out)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="uncompiled, NumPy sees to it")
def test_what_lies_otherwise_is_not_misread() -> None:
    with pytest.raises(RnnsimError, match="tile"):
        compiled(in_tiles_turned)(np.ones((2, 8)), np.ones((8, 8)), np.ones((2, 8)))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="uncompiled, NumPy sees to it")
def test_what_is_not_contiguous_is_refused() -> None:
    with pytest.raises(RnnsimError, match="as_vector"):
        compiled(seen)(np.zeros((5, 3, 4))[:, :, ::2], 4, 6, np.zeros(24), np.zeros((4, 6)))
