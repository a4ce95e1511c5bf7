"""Random networks and sequences, for rnnsim and for the oracles, and the checks of gradients."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.rule import Rule

EXAMPLES = settings().max_examples
FLOOR = 1e-10  # of finite differences: some roundings of a loss of size 10, over a step of 1e-4
NORM = 1.2  # the largest singular value of W: 12 steps of an unbounded activation stay finite
# Hypothesis asks whether a fixture may stay the same for all examples: ``uncompiled`` may.
STILL = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
KINK = 5e-3  # how far from relu's kink every net input stays where differences are taken


# --- random networks and sequences ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, its parameters and sequences, as rnnsim takes them and as the oracles do."""

    network: RecurrentNetwork
    params: Any
    arguments: dict[str, Any]  # of rnnsim.gradient and rnnsim.loss, by name
    net: naive.Net
    data: naive.Data

    def gradient(self, rule: str | Rule, **options: Any) -> Any:
        return rnnsim.gradient(self.network, self.params, rule=rule, **self.arguments, **options)

    def changed(self, **arguments: Any) -> Case:
        """The same network and parameters with other sequences."""
        return dataclasses.replace(self, arguments=self.arguments | arguments)

    def loss(self, params: Any = None) -> float:
        return rnnsim.loss(self.network, self.params if params is None else params, **self.arguments)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What hypothesis draws: nothing in it compiles anything anew."""

    n: int
    m: int
    k: int
    T: int
    B: int
    leak: float
    mask: str
    resets: bool
    initial: bool
    sparse: bool
    seed: int


@st.composite
def drawn_sizes(draw: st.DrawFn) -> Sizes:
    n = draw(st.integers(1, 6))
    return Sizes(
        n=n,
        m=draw(st.integers(0, 3)),
        k=draw(st.integers(1, min(3, n))),
        T=draw(st.integers(1, 12)),
        B=draw(st.integers(1, 3)),
        leak=draw(st.sampled_from([1.0, 0.7, 0.2])),
        mask=draw(st.sampled_from(["none", "bool", "float"])),
        resets=draw(st.booleans()),
        initial=draw(st.booleans()),
        sparse=draw(st.booleans()),
        seed=draw(st.integers(0, 10_000)),
    )


TYPICAL = Sizes(5, 2, 3, 9, 3, 0.7, "float", True, True, True, 0)
PLAIN = Sizes(4, 2, 2, 8, 2, 1.0, "none", False, False, False, 1)


def make_case(
    sizes: Sizes,
    activation: Any = "tanh",
    readout: str = "linear",
    loss: Any = "squared-error",
    *,
    dtype: str = "float64",
    oracle: tuple[Any, Any] | None = None,
) -> Case:
    """Draw a network and sequences; ``oracle`` states the user's own activation and loss in NumPy."""
    rng = np.random.default_rng(sizes.seed)
    n, m, k, T, B = sizes.n, sizes.m, sizes.k, sizes.T, sizes.B
    units = rng.permutation(n)[:k].tolist() if readout == "units" else None
    exists = rng.random((n, n)) < 0.6 if sizes.sparse else None
    network = RecurrentNetwork(
        m,
        n,
        k,
        activation=activation,
        leak=sizes.leak,
        readout="linear" if units is None else units,
        loss=loss,
        connectivity=exists,
        dtype=dtype,
        check_derivatives=False,  # some are wrong on purpose
    )
    params = network.init(seed=sizes.seed)
    for array in params:
        array += (0.3 * rng.standard_normal(array.shape)).astype(dtype)
    params.W[:] *= min(1.0, NORM / max(1e-9, np.linalg.norm(params.W, 2)))
    if exists is not None:
        params.W[~exists] = 0
    inputs = rng.standard_normal((T, B, m))
    targets = rng.random((T, B, k))
    if "softmax" in str(loss):
        targets /= targets.sum(-1, keepdims=True)
    arguments: dict[str, Any] = {"inputs": inputs, "targets": targets}
    mask, resets = np.ones((T, B)), np.zeros((T, B), bool)
    start, initial = np.zeros((B, n)), np.zeros((B, n))
    if sizes.mask != "none":
        mask = rng.random((T, B)) < 0.6 if sizes.mask == "bool" else rng.choice([0.0, 0.5, 2.0], (T, B))
        arguments["mask"] = mask
    if sizes.resets:
        resets = rng.random((T, B)) < 0.2
        arguments["resets"] = resets
    if sizes.initial:
        start, initial = rng.standard_normal((2, B, n))
        arguments |= {"initial_state": start, "reset_state": initial}
    f, df = naive.ACTIVATIONS[activation] if oracle is None else oracle[0]
    value, slope = naive.LOSSES[loss] if oracle is None else oracle[1]
    W, U, b, *readout_params = (np.asarray(array, float) for array in params)
    V, c = readout_params or (None, None)
    net = naive.Net(W, U, b, V, c, units, f, df, sizes.leak, value, slope)
    data = naive.Data(inputs, targets, mask, resets, initial, start)
    return Case(network, params, arguments, net, data)


def away_from_kink(sizes: Sizes, *composition: str) -> Case:
    """Draw again until no net input is near relu's kink."""
    while True:
        case = make_case(sizes, *composition)
        if composition[0] != "relu" or np.abs(naive.run(case.net, case.data).a).min() > KINK:
            return case
        sizes = dataclasses.replace(sizes, seed=sizes.seed + 1)


# --- the check, which the controls must not pass -------------------------------------------------------


def assert_equal_gradients(
    found: Any, expected: dict[str, np.ndarray], tolerance: float, floor: float = 0.0
) -> None:
    """Compare every array, relative to the largest entry of the gradient.

    ``floor`` is what may be wrong whatever their size.
    """
    assert set(found._fields) == set(expected)
    scale = max(np.abs(array).max(initial=0) for array in expected.values())
    for name, array in expected.items():
        error = np.abs(getattr(found, name) - array).max(initial=0)
        assert error <= tolerance * scale + floor, (
            f"{name} is off by {error:.3g}; the gradient is {scale:.3g}"
        )


def existing(case: Case, gradient: naive.Gradient) -> naive.Gradient:
    """What an oracle gives, without the weights that do not exist."""
    if case.network.connectivity is None:
        return gradient
    return gradient | {"W": gradient["W"] * case.network.connectivity}


def check_against_oracle(
    case: Case, rule: str | Rule, options: dict[str, Any], tolerance: float = 1e-10
) -> None:
    """A gradient and its loss are those of the naive oracle.

    The floor: where an output happens to be at its target, both nearly vanish and rounding does not.
    """
    result = case.gradient(rule, **options)
    floor = 0.1 * tolerance
    assert result.loss == pytest.approx(naive.run(case.net, case.data).loss, rel=tolerance, abs=floor)
    expected = existing(case, naive.bptt(case.net, case.data))
    assert_equal_gradients(result.grads, expected, tolerance, floor)


def differences_of_loss(case: Case) -> naive.Gradient:
    """Central finite differences of rnnsim.loss, of every parameter that exists."""

    def loss_with(name: str, array: np.ndarray) -> float:
        return case.loss(case.params._replace(**{name: array}))

    found = {}
    for name, array in case.params._asdict().items():
        if name == "W" and case.network.connectivity is not None:
            exists = case.network.connectivity

            def loss_of_weights(weights: np.ndarray, exists: np.ndarray = exists) -> float:
                W = np.zeros(exists.shape)
                W[exists] = weights
                return loss_with("W", W)

            found[name] = np.zeros(exists.shape)
            found[name][exists] = naive.finite_differences(loss_of_weights, array[exists])
        else:
            found[name] = naive.finite_differences(partial(loss_with, name), array)
    return found


def check_against_differences(case: Case, rule: str | Rule, options: dict[str, Any]) -> None:
    """A gradient is the derivative of rnnsim.loss."""
    found = case.gradient(rule, **options).grads
    assert_equal_gradients(found, differences_of_loss(case), 1e-6, FLOOR)
