"""The elementary functions against mpmath, over the whole range: in units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.networks.activations import activation_kernel
from rnnsim.typing import Array

mpmath.mp.dps = 60


def exact_tanh(v: Any) -> tuple[Any, Any]:
    return mpmath.tanh(v), 1 / mpmath.cosh(v) ** 2


def exact_logistic(v: Any) -> tuple[Any, Any]:
    e = mpmath.exp(-v)
    return 1 / (1 + e), e / (1 + e) ** 2


def exact_softplus(v: Any) -> tuple[Any, Any]:
    return mpmath.log1p(mpmath.exp(v)), exact_logistic(v)[0]


EXACT: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "tanh": exact_tanh, "logistic": exact_logistic, "softplus": exact_softplus,
}  # fmt: skip
DTYPES = ["float64", "float32"]


def run(name: str, points: Array) -> tuple[Array, Array]:
    """The values and the slopes."""
    activate = activation_kernel(name, points.dtype)

    @kernel
    def outermost(a: Array, x: Array) -> None:
        activate(a, x)

    slopes, values = points.copy(), np.empty_like(points)
    with np.errstate(all="ignore"):
        compiled(outermost)(slopes, values)
    return values, slopes


def sample(dtype: str) -> Array:
    """Net inputs of every size and sign, many where the functions bend, and the ends of the range."""
    rng = np.random.default_rng(0)
    real = np.dtype(dtype).type
    info = np.finfo(dtype)
    far = 720 if dtype == "float64" else 100
    sizes = [
        rng.uniform(0, 2, 400),
        rng.uniform(0, 40, 400),
        rng.uniform(0, far, 200),
        np.exp(rng.uniform(np.log(float(info.tiny)), np.log(far), 300)),
        np.array([float(info.tiny), float(info.eps), 1e5, float(info.max)]),
        np.arange(1, 60) * math.log(2) / 2,  # where the reduction changes its k
    ]
    points = np.concatenate(sizes).astype(dtype)
    return np.concatenate([points, -points, np.zeros(1, dtype), -np.zeros(1, dtype)]).astype(real)


def ulps(found: Array, wanted: list[Any]) -> float:
    """The largest error in units of the last place of the exact value (of the least one, near zero)."""
    worst = 0.0
    least = np.finfo(found.dtype).tiny
    for number, exact in zip(found, wanted, strict=True):
        nearest = found.dtype.type(exact)
        if not np.isfinite(nearest):
            assert number == nearest
            continue
        size = min(max(abs(nearest), least), np.finfo(found.dtype).max / 2)
        unit = float(np.spacing(size))
        worst = max(worst, float(abs(mpmath.mpf(float(number)) - exact)) / unit)
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_values_and_slopes_are_right_to_the_last_places(name: str, dtype: str) -> None:
    points = sample(dtype)
    values, slopes = run(name, points)
    exact = [EXACT[name](mpmath.mpf(float(v))) for v in points]
    assert ulps(values, [value for value, _ in exact]) <= 2.5
    inside = np.full(points.shape, True)
    if name == "tanh":  # whose slope is next to nothing beyond, and stays so
        inside = np.abs(points) < (350 if dtype == "float64" else 40)
    assert ulps(slopes[inside], [slope for ok, (_, slope) in zip(inside, exact) if ok]) <= 5
    assert np.all((slopes >= 0) & (slopes <= 1 + 4 * np.finfo(dtype).eps))


def test_the_measure_rejects_a_value_that_is_off_by_a_few_units() -> None:
    """The control: a library's tanh passes, one in single precision does not."""
    points = sample("float64")
    exact = [exact_tanh(mpmath.mpf(float(v)))[0] for v in points]
    assert ulps(np.tanh(points), exact) < 3
    with np.errstate(over="ignore"):
        single = np.tanh(points.astype(np.float32)).astype(np.float64)
    assert ulps(single, exact) > 1e6
    assert ulps(np.tanh(points) * (1 + 9e-16), exact) > 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_what_is_no_number_stays_none_and_infinities_are_limits(name: str, dtype: str) -> None:
    points = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 5, dtype)  # more than fit into a vector
    values, slopes = run(name, points)
    limits = {"tanh": (1, -1, 0), "logistic": (1, 0, 0.5), "softplus": (np.inf, 0, np.log(2))}[name]
    assert np.isnan(values[0::5]).all()
    assert np.isnan(slopes[0::5]).all()
    for place, limit in zip((1, 2, 3, 4), (*limits, limits[2]), strict=True):
        np.testing.assert_allclose(values[place::5], limit, rtol=1e-6, atol=0)
    if name == "tanh":
        assert not np.signbit(values[3::5]).any()
        assert np.signbit(values[4::5]).all()
