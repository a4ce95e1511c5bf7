"""Operations on all arrays of a NamedTuple, and rows of all parameters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnsim
from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.numerics.fields import add, add_row, clear, row_as, share
from rnnsim.numerics.views import as_adjoint


class Fields(NamedTuple):
    x: Any
    y: Any
    number: float


class Arrays(NamedTuple):
    x: Any
    y: Any


@kernel
def copy_share(fields: Any, i: int, shards: int, out: Any) -> float:
    own = share(fields, i, shards)
    out.x[:] = own.x
    out.y[:] = own.y
    return float(own.number)


@kernel
def add_twice(factor: float, fields: Any, out: Any) -> None:
    add(fields, factor, out)
    add(fields, factor, out)


@kernel
def cleared(fields: Any) -> None:
    clear(fields)


@kernel(allocates=False)
def count_up(row: Any, like: Any) -> None:
    parts = row_as(row, like)
    for i in range(parts.x.shape[0]):
        for j in range(parts.x.shape[1]):
            parts.x[i, j] += 10 * i + j
    for i in range(parts.y.size):
        parts.y[i] -= i


@kernel(allocates=False)
def row_added(scalar: float, row: Any, grad: Any) -> None:
    add_row(scalar, row, grad)


@kernel(allocates=False)
def row_added_in_its_type(row: Any, grad: Any) -> None:
    add_row(row[0], row, grad)


@kernel(allocates=False)
def number_adjoint(row: Any) -> int:
    rows = as_adjoint(row)
    for i in range(rows.shape[2]):
        rows[0, 0, i] = i
    return int(rows.shape[0] * rows.shape[1])


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 3), st.integers(0, 2))
def test_a_share_is_of_each_array_and_of_numbers_all(
    shards: int, length: int, width: int, rows: int
) -> None:
    rng = np.random.default_rng(shards)
    parts = [Fields(rng.random((length, width)), rng.random((rows, 2, 3)), 7.0) for _ in range(shards)]
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in "xy")
    for i, part in enumerate(parts):
        out = Arrays(np.full((length, width), np.nan), np.full((rows, 2, 3), np.nan))
        assert compiled(copy_share)(Fields(x, y, 7.0), i, shards, out) == 7
        np.testing.assert_array_equal(out.x, part.x)
        np.testing.assert_array_equal(out.y, part.y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_are_added_and_cleared(dtype: str) -> None:
    rng = np.random.default_rng(0)
    fields = Arrays(rng.random((3, 37)).astype(dtype), rng.random(5).astype(dtype))
    out = Arrays(np.ones((3, 37), dtype), aligned_zeros((5,), dtype))
    compiled(add_twice)(0.25, fields, out)
    np.testing.assert_allclose(out.x, 1 + 0.5 * fields.x, rtol=1e-6)
    np.testing.assert_allclose(out.y, 0.5 * fields.y, rtol=1e-6)
    compiled(cleared)(out)
    assert not out.x.any()
    assert not out.y.any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("rows", "columns", "others"), [(3, 2, 4), (3, 0, 4), (2, 5, 0)])
def test_a_row_is_seen_as_parameters(dtype: str, rows: int, columns: int, others: int) -> None:
    like = Arrays(np.zeros((rows, columns), dtype), np.zeros(others, dtype))
    row = np.ones(rows * columns + others, dtype)
    compiled(count_up)(row, like)
    x = 1 + 10 * np.arange(rows)[:, None] + np.arange(columns)
    np.testing.assert_array_equal(row, [*x.ravel(), *(1.0 - np.arange(others))])
    assert not like.x.any()  # only its shapes are read
    assert not like.y.any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_row_is_added(dtype: str) -> None:
    row, grad = np.arange(2.0, 12.0).astype(dtype), Arrays(np.ones((3, 2), dtype), np.ones(4, dtype))
    compiled(row_added)(0.5, row, grad)
    compiled(row_added_in_its_type)(row, grad)
    np.testing.assert_array_equal(np.concatenate([grad.x.ravel(), grad.y]), 1 + 2.5 * row)


def test_a_row_is_added_to_the_gradient_of_any_network() -> None:
    fast = rnnsim.FastWeightNetwork(n_slow_in=2, n_in=1, n_out=2)
    for network in (rnnsim.RecurrentNetwork(2, 3, 1), fast):
        row, flat = np.arange(float(network.n_params)), np.ones(network.n_params)
        compiled(row_added)(3.0, row, network.kernel_params(flat))
        np.testing.assert_array_equal(flat, 1 + 3 * row)


def test_a_row_is_seen_as_an_adjoint() -> None:
    row = np.zeros(4)
    assert compiled(number_adjoint)(row) == 1
    np.testing.assert_array_equal(row, np.arange(4))


@pytest.mark.parametrize(
    "setting",
    [{"RNNSIM_COMPILER": "plain"}, {"RNNSIM_CHECK_BOUNDS": "1"}, {"NUMBA_DISABLE_JIT": "1"}],
    ids=str,
)
@pytest.mark.uncompiled
def test_rows_in_their_plain_form(setting: dict[str, str], tmp_path: Path) -> None:
    """Of the ways without LLVM, in a process for each."""
    tests = ("test_a_row_is_seen_as_parameters[3-0-4-float32]", "test_a_row_is_added[float32]",
             "test_a_row_is_seen_as_an_adjoint")  # fmt: skip
    here = [f"{Path(__file__)}::{test}" for test in tests]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *here],
        env={**os.environ, **setting, "NUMBA_OPT": "0", "RNNSIM_CACHE_DIR": str(tmp_path)},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
