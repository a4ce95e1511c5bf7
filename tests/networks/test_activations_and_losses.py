"""Each activation and each loss, compiled by itself: value and derivative are the naive oracle's."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest

import rnnsim
from rnnsim import RecurrentNetwork
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


# --- softmax, at any logits ----------------------------------------------------------------------------


def softmax_of(logits: Any, targets: Any, dtype: str) -> tuple[float, np.ndarray]:
    """The loss and dE/dc of a network whose logits are c."""
    network = RecurrentNetwork(1, 2, len(logits), loss="softmax-cross-entropy", dtype=dtype)
    params = network.init()._replace(V=np.zeros((len(logits), 2)), c=np.asarray(logits, float))
    result = rnnsim.gradient(network, params, np.ones((1, 1, 1)), [[targets]])
    return result.loss, result.grads.c


@pytest.mark.parametrize("offset", [0, 1e8, 1e12, 1e16, -1e16])
def test_softmax_does_not_see_a_common_offset(offset: float) -> None:
    loss, slopes = softmax_of([offset] * 3, [0, 1, 0], "float64")
    assert loss == pytest.approx(np.log(3), rel=1e-15)
    np.testing.assert_allclose(slopes, [1 / 3, -2 / 3, 1 / 3], rtol=1e-15)


@pytest.mark.parametrize(("dtype", "far"), [("float32", 3e38), ("float64", 1.7e308)])
def test_logits_far_apart_give_zero(dtype: str, far: float) -> None:
    """Their difference is not finite in this dtype; the class that is far below has no weight."""
    for logits in ([far, -far], [far, 0.0]):
        loss, slopes = softmax_of(logits, [1, 0], dtype)
        assert loss == 0
        assert not slopes.any()
