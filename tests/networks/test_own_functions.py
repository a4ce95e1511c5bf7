"""The user's own functions: computed as they are written, and with derivatives that are looked at."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

import rnnsim
from rnnsim import FastWeightNetwork, RecurrentNetwork, RnnsimError

BIG = 1.5 * 2.0**52


def rounded(a: float) -> float:
    """To eighths; a compiler that changes the order of sums takes BIG out."""
    return ((a * 8.0 + BIG) - BIG) / 8.0


def one(a: float) -> float:
    return 1.0


def lost(y: Any, d: Any) -> float:
    """A loss that is 0 in the order in which it is written: BIG takes in what is small."""
    return float(((y[0] * 1e-3 + BIG) - BIG) + ((d[0] + BIG) - BIG))


AT = np.array([[[0.3]], [[0.7]]])
EIGHTHS = [0.25, 0.75]


def single(**options: Any) -> tuple[RecurrentNetwork, Any]:
    """y = x = f(u)."""
    network = RecurrentNetwork(1, 1, 1, **options)
    params = network.init()
    for array, value in zip(params, (0, 1, 0, 1, 0), strict=True):
        array[...] = value
    return network, params


def test_an_activation_is_computed_as_it_is_written() -> None:
    network, params = single(activation=(rounded, one))
    np.testing.assert_array_equal(rnnsim.simulate(network, params, AT).states.ravel(), EIGHTHS)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_so_is_one_that_the_user_compiles() -> None:
    network, params = single(activation=(numba.njit(rounded), numba.njit(one)))
    np.testing.assert_array_equal(rnnsim.simulate(network, params, AT).states.ravel(), EIGHTHS)


def test_so_are_its_derivative_and_a_loss() -> None:
    """With slopes rounded to eighths, and a loss that vanishes."""
    network, params = single(
        activation=(lambda a: a, rounded), loss=(lost, lambda y, d: y - d), check_derivatives=False
    )
    targets = np.zeros((2, 1, 1))
    found = rnnsim.gradient(network, params, AT, targets)
    assert found.loss == 0
    slopes = np.array(EIGHTHS)
    assert found.grads.b[0] == pytest.approx((slopes * AT.ravel()).sum(), abs=1e-15)


# --- derivatives ---------------------------------------------------------------------------------------

SIGMA = (lambda w, x: np.tanh(w + 2 * x), lambda w, x: 1 / np.cosh(w + 2 * x) ** 2,
         lambda w, x: 2 / np.cosh(w + 2 * x) ** 2)  # fmt: skip
G = (lambda a, b: a * b * b, lambda a, b: b * b, lambda a, b: 2 * a * b)
LOSS = (lambda y, d: float(((y - d) ** 4).sum()), lambda y, d: 4 * (y - d) ** 3)


def recurrent(**options: Any) -> Any:
    return RecurrentNetwork(1, 2, 2, **options)


def fast(**options: Any) -> Any:
    return FastWeightNetwork(architecture=2, n_slow_in=1, n_in=1, n_out=1, **options)


RIGHT: list[tuple[Any, dict[str, Any]]] = [
    (recurrent, {"activation": (np.arctan, lambda a: 1 / (1 + a * a))}),
    (recurrent, {"activation": (rounded, one)}),  # a step: its derivative is a matter of choice
    (recurrent, {"activation": (lambda a: max(a, 0.2 * a), lambda a: 1.0 if a > 0 else 0.2)}),
    (recurrent, {"activation": (lambda a: np.sin(40 * a), lambda a: 40 * np.cos(40 * a))}),
    (recurrent, {"loss": LOSS}),
    (recurrent, {"loss": (lambda y, d: float(np.abs(y - d).sum()), lambda y, d: np.sign(y - d))}),
    (fast, {"sigma": SIGMA}),
    (fast, {"g": G}),
    (fast, {"hidden_activation": (np.arctan, lambda a: 1 / (1 + a * a))}),
]
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (recurrent, {"activation": (np.arctan, lambda a: 1 / (1 + a))}, "derivative of your activation"),
    (recurrent, {"activation": (np.tanh, lambda a: 1.05 / np.cosh(a) ** 2)}, "differences give"),
    (recurrent, {"loss": (LOSS[0], lambda y, d: 4 * (y - d))}, r"derivative by y\[0\] of your loss"),
    (recurrent, {"loss": (LOSS[0], lambda y, d: -LOSS[1](y, d))}, "of your loss"),
    (fast, {"sigma": (SIGMA[0], SIGMA[1], SIGMA[1])}, "derivative 2 of 2 of your sigma"),
    (fast, {"g": (G[0], G[2], G[2])}, "derivative 1 of 2 of your g"),
    (fast, {"output_activation": (np.sin, np.sin)}, "derivative of your activation"),
]


@pytest.mark.parametrize(("make", "options"), RIGHT)
def test_a_right_derivative_is_taken(make: Any, options: dict[str, Any]) -> None:
    make(**options)


@pytest.mark.parametrize(("make", "options", "message"), WRONG)
def test_a_wrong_derivative_is_noticed(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        make(**options)
    make(**options, check_derivatives=False)  # for those who insist
