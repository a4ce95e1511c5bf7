"""Quantiles of numbers that may be infinite, beside NumPy's of finite ones and beside a count."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnsim.numerics.quantiles import between, quantiles


def test_between_infinite_ends() -> None:
    low, high = np.array([-np.inf, 1, np.inf, -np.inf]), np.array([1, np.inf, np.inf, np.inf])
    assert between(low, high, np.full(4, 0.5)).tolist() == [-np.inf, np.inf, np.inf, -np.inf]
    assert between(low, high, np.zeros(4)).tolist() == low.tolist()


@given(arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 3)), elements=st.floats(-9, 9)))
def test_of_finite_numbers_they_are_those_of_numpy(values: np.ndarray) -> None:
    shares = (0.0, 0.25, 0.5, 0.8, 1.0)
    np.testing.assert_allclose(
        quantiles(values, shares), np.quantile(values, shares, axis=0), atol=1e-12
    )


@given(st.integers(0, 6), st.integers(0, 6))
def test_infinite_ones_are_the_largest(finite: int, infinite: int) -> None:
    """NumPy's would be nan wherever a neighbour is infinite."""
    n = finite + infinite
    if not n:
        return
    values = np.array([*range(finite), *[math.inf] * infinite])[::-1]
    for share, found in zip((0.25, 0.5, 0.75), quantiles(values, (0.25, 0.5, 0.75))):
        at = share * (n - 1)
        assert found == (at if math.ceil(at) < finite else math.inf)
