"""Each activation and each loss, compiled by itself: value and derivative are the naive oracle's."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest

from rnnsim.compiler import compiled
from rnnsim.networks.activations import NAMES, activation_kernel
from rnnsim.networks.losses import NAMED, loss_kernel

TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
of_each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


def close(found: Any, expected: Any, dtype: str) -> bool:
    return np.allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@of_each_dtype
@pytest.mark.parametrize("name", NAMES)
def test_an_activation_and_its_slope(name: str, dtype: str) -> None:
    a = np.random.default_rng(0).uniform(-3, 3, 100).astype(dtype)
    slopes, values = a.copy(), np.empty_like(a)
    compiled(activation_kernel(name, np.dtype(dtype)))(slopes, values)
    same = [
        other
        for other, (f, df) in naive.ACTIVATIONS.items()
        if close(values, f(a.astype(float)), dtype) and close(slopes, df(a.astype(float)), dtype)
    ]
    assert same == [name]  # and none of the others


@of_each_dtype
@pytest.mark.parametrize("name", NAMED)
def test_a_loss_and_its_derivative(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    y, d = rng.uniform(-3, 3, 5).astype(dtype), rng.random(5).astype(dtype)
    dy = np.empty_like(y)
    value = compiled(loss_kernel(name))(y, d, dy)
    same = [
        other
        for other, (loss, dloss) in naive.LOSSES.items()
        if close(value, loss(y.astype(float), d.astype(float)), dtype)
        and close(dy, dloss(y.astype(float), d.astype(float)), dtype)
    ]
    assert same == [name]
