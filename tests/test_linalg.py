"""The products of the kernels against NumPy's, at sizes on both sides of every threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnsim import linalg
from rnnsim.kernels import compiled, kernel
from rnnsim.threads import shared_work

Product = Callable[..., Any]

# R, k, n: loops, BLAS, parts, and sums by the sixteen with one to three rows and columns over
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
    linalg.add_xt_times_y(x, y, out)


@kernel
def with_transpose(x: Any, W: Any, out: Any) -> None:
    Wt = np.empty((W.shape[1], W.shape[0]), W.dtype)
    linalg.turn(W, Wt)
    linalg.product(x, W, Wt, out)


@kernel
def without_the_last_row(x: Any, W: Any, out: Any) -> None:
    linalg.x_times_W(x[:-1], W, out[:-1])


def error(function: Product, dtype: str, R: int, k: int, n: int) -> float:
    """How far a product is from NumPy's, beside the size of what is summed."""
    rng = np.random.default_rng(R)
    x, W = rng.standard_normal((R, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    out = np.full((R, n), np.nan, dtype)
    arguments, expected = (x, W, out), x.astype(float) @ W.astype(float)
    if function is times_Wt:
        arguments = (x, np.ascontiguousarray(W.T), out)
    if function is add_outer:  # to what is there
        out[:] = 1
        arguments, expected = (np.ascontiguousarray(x.T), W, out), expected + 1
    with shared_work():
        compiled(function)(*arguments)
    return float(np.abs(out - expected).max() / np.sqrt(k)) if np.isfinite(out).all() else np.inf


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", [times_Wt, times_W, add_outer, with_transpose])
def test_products(function: Product, dtype: str) -> None:
    for shape in SHAPES:
        assert error(function, dtype, *shape) < TOLERANCE[dtype], shape


def test_a_row_that_is_left_out_is_noticed() -> None:
    assert error(without_the_last_row, "float64", 5, 4, 3) == np.inf


@pytest.mark.parametrize("place", [0, 7, 40])
def test_largest_keeps_a_nan(place: int) -> None:
    x = np.linspace(-3, 2, 41)
    assert linalg.largest(x) == 3
    x[place] = np.nan
    assert np.isnan(linalg.largest(x))
