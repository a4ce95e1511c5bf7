"""The inverse question: the input found for a path or a steady state leads there, and no other does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.networks.activations import NAMES
from rnnsim.networks.recurrent.network import RecurrentNetwork

n, T, B = 3, 6, 2

RANGES = {"tanh": (-1, 1), "logistic": (0, 1), "relu": (0, 3), "softplus": (0, 3), "identity": (-2, 2)}

pytestmark = pytest.mark.usefixtures("uncompiled")  # a few steps: compiling would only take time


def driven(activation: Any, leak: float = 1.0) -> tuple[RecurrentNetwork, Any]:
    """A network whose inputs go into the units as they are: U = 1, b = 0."""
    net = RecurrentNetwork(n, n, 1, activation=activation, leak=leak)
    params = net.init(5, gain=0.7)
    params.U[...] = np.eye(n)
    return net, params


def reachable(activation: str, leak: float, start: np.ndarray) -> np.ndarray:
    """A path through the range of the activation."""
    low, high = RANGES[activation]
    steps = np.random.default_rng(2).uniform(low, high, (T, B, n)) * 0.9 + 0.05 * (low + high)
    path = [start]
    for f in steps:
        path.append((1 - leak) * path[-1] + leak * f)
    return np.array(path[1:])


@pytest.mark.parametrize("leak", [1.0, 0.3])
@pytest.mark.parametrize("activation", NAMES)
def test_the_input_found_makes_the_network_walk_the_path(activation: str, leak: float) -> None:
    net, params = driven(activation, leak)
    start = np.random.default_rng(1).uniform(0.2, 0.4, (B, n))
    path = reachable(activation, leak, start)
    found = rnnsim.input_for(net, params, path, initial_state=start)
    assert found.shape == (T, B, n)
    walked = rnnsim.simulate(net, params, found, initial_state=start).states
    np.testing.assert_allclose(walked, path, rtol=1e-9, atol=1e-12)
    if activation in ("relu", "identity"):  # eq. (5), where f is itself its inverse
        before = np.concatenate([start[None], path[:-1]])
        literal = (path - (1 - leak) * before) / leak - np.einsum("ij,tbj->tbi", params.W, before)
        np.testing.assert_allclose(found, literal, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", NAMES)
def test_no_other_input_does(activation: str) -> None:
    net, params = driven(activation)
    path = reachable(activation, 1.0, np.zeros((B, n)))
    found = rnnsim.input_for(net, params, path)
    for t, b, i in np.ndindex(T, B, n):
        other = found.copy()
        other[t, b, i] += 1e-3
        states = rnnsim.simulate(net, params, other).states
        assert abs(states[t, b, i] - path[t, b, i]) > 1e-6


def test_the_input_for_the_path_that_was_walked_is_the_input() -> None:
    """With U and b of all kinds: what comes back is U u + b."""
    net = RecurrentNetwork(2, n, 1, leak=0.6)
    params = net.init(1)
    params.b[...] = [0.1, -0.2, 0.3]
    inputs = np.random.default_rng(0).standard_normal((T, B, 2))
    path = rnnsim.simulate(net, params, inputs).states
    found = rnnsim.input_for(net, params, path)
    np.testing.assert_allclose(found, inputs @ params.U.T + params.b, rtol=1e-9, atol=1e-12)
    assert not np.allclose(found, inputs @ params.U.T)


@pytest.mark.parametrize("leak", [1.0, 0.3])
@pytest.mark.parametrize("activation", NAMES)
def test_the_input_found_keeps_a_steady_state(activation: str, leak: float) -> None:
    net, params = driven(activation, leak)
    states = reachable(activation, 1.0, np.zeros((B, n)))
    found = rnnsim.input_for(net, params, states, steady_state=True)
    for t in range(T):  # a step from there stays there, stable or not
        after = rnnsim.simulate(net, params, found[t][None], initial_state=states[t]).states[0]
        np.testing.assert_allclose(after, states[t], rtol=1e-9, atol=1e-12)
    if leak == 1:  # the other question has another answer
        assert not np.allclose(rnnsim.input_for(net, params, states), found)


def test_the_network_settles_at_the_steady_state_asked_for() -> None:
    net, params = driven("tanh", 0.5)
    states = np.random.default_rng(0).uniform(-0.8, 0.8, (T, B, n))
    found = rnnsim.input_for(net, params, states, steady_state=True)
    settled = rnnsim.simulate(net, params, found, steady_state=True)
    np.testing.assert_allclose(settled.states, states, rtol=1e-6)
    assert settled.spectral_radius is not None
    assert settled.spectral_radius < 1


def test_steady_states_close_to_the_end_of_the_range_are_in_it() -> None:
    """Whatever the leak: no rounding of (x - (1-alpha) x) / alpha is between."""
    x = np.full((1, 1, n), np.nextafter(1.0, 0.0))
    full, leaky = driven("tanh"), driven("tanh", 0.1)
    found = rnnsim.input_for(*leaky, x, steady_state=True)
    np.testing.assert_array_equal(found, rnnsim.input_for(*full, x, steady_state=True))


@pytest.mark.parametrize(
    ("activation", "value", "message"),
    [
        ("tanh", 1.0, r"f\(a\) = 1 of unit 2 at row 3, sequence 1; the range of tanh is \(-1, 1\)"),
        ("tanh", -1.5, r"f\(a\) = -1.5 of unit 2 at row 3, sequence 1; the range of tanh"),
        (
            "logistic",
            0.0,
            r"f\(a\) = 0 of unit 2 at row 3, sequence 1; the range of logistic is \(0, 1\)",
        ),
        ("logistic", 1.2, r"unit 2 at row 3, sequence 1; the range of logistic is \(0, 1\)"),
        ("softplus", -0.1, r"unit 2 at row 3, sequence 1; the range of softplus is \(0, inf\)"),
        (
            "relu",
            0.0,
            r"unit 2 at row 3, sequence 1; the range of relu is \(0, inf\), f\^-1 being unique",
        ),
    ],
)
@pytest.mark.parametrize("steady_state", [False, True])
def test_states_outside_the_range_are_refused(
    activation: str, value: float, message: str, steady_state: bool
) -> None:
    net, params = driven(activation)
    path = reachable(activation, 1.0, np.zeros((B, n)))
    rnnsim.input_for(net, params, path, steady_state=steady_state)
    path[3, 1, 2] = value
    with pytest.raises(RnnsimError, match=message):
        rnnsim.input_for(net, params, path, steady_state=steady_state)


def test_a_leak_limits_how_far_a_step_goes() -> None:
    net, params = driven("tanh", 0.1)
    path = np.zeros((2, 1, n))
    path[1, 0, 0] = 0.2  # in the range of tanh, but 0.1 a step is all that there is
    with pytest.raises(RnnsimError, match=r"f\(a\) = 2 of unit 0 at row 1, sequence 0"):
        rnnsim.input_for(net, params, path)
    path[1, 0, 0] = 0.09
    assert rnnsim.input_for(net, params, path)[1, 0, 0] == pytest.approx(np.arctanh(0.9))


def f(a: float) -> float:
    return a**3 + a


def df(a: float) -> float:
    return 3 * a**2 + 1


def inverse(x: np.ndarray) -> np.ndarray:
    """The one real root of a^3 + a = x (Cardano)."""
    root = np.sqrt(x**2 / 4 + 1 / 27)
    return np.cbrt(x / 2 + root) + np.cbrt(x / 2 - root)


def test_an_own_activation_with_its_inverse() -> None:
    net, params = driven((f, df))
    path = np.random.default_rng(0).uniform(-2, 2, (T, B, n))
    found = rnnsim.input_for(net, params, path, inverse=inverse)
    np.testing.assert_allclose(rnnsim.simulate(net, params, found).states, path, rtol=1e-8, atol=1e-10)
    wrong = rnnsim.input_for(net, params, path, inverse=lambda x: x)
    assert not np.allclose(rnnsim.simulate(net, params, wrong).states, path)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (None, "the activation is a function of your own; give its inverse as inverse="),
        (np.arctanh, r"the inverse of the activation holds nan at \(0, 0, 0\)"),
        (lambda x: 1 / (x - 2), r"the inverse of the activation holds inf at \(0, 0, 0\)"),
        (
            lambda x: x.sum(),
            r"inverse gives an array of shape \(\); that of its argument is \(1, 1, 3\)",
        ),
    ],
)
def test_an_inverse_that_is_none_is_refused(own: Any, message: str) -> None:
    net, params = driven((f, df))
    with pytest.raises(RnnsimError, match=message):
        rnnsim.input_for(net, params, np.full((1, n), 2.0), inverse=own)


@pytest.mark.parametrize(
    ("states", "given", "message"),
    [
        (np.zeros((T, B, n + 1)), {}, r"states has shape \(6, 2, 4\); expected \(T, B, 3\) or \(T, 3\)"),
        (np.zeros((0, n)), {}, "needs at least one step"),
        (np.full((T, n), np.nan), {}, r"states holds nan at \(0, 0, 0\)"),
        (np.zeros((T, B, n)), {"initial_state": np.zeros((B, 2))}, r"initial_state has shape \(2, 2\)"),
        ([["a", "b", "c"]], {}, "states must be an array of real numbers, not of strings"),
    ],
)
def test_states_that_are_no_path_are_refused(states: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        rnnsim.input_for(*driven("tanh"), states, **given)


def test_one_sequence_needs_no_batch_axis() -> None:
    net, params = driven("tanh")
    path = reachable("tanh", 1.0, np.zeros((B, n)))[:, 0]
    found = rnnsim.input_for(net, params, path)
    np.testing.assert_array_equal(found, rnnsim.input_for(net, params, path[:, None]))


def test_an_unstable_steady_state_is_steady_all_the_same() -> None:
    net, params = driven("identity")
    params.W[...] = 3 * np.eye(n)
    found = rnnsim.input_for(net, params, np.ones((1, n)), steady_state=True)
    np.testing.assert_allclose(found, -2.0)
    with pytest.warns(RnnsimWarning, match="unstable"):
        there = rnnsim.simulate(net, params, found, initial_state=np.ones(n), steady_state=True)
    np.testing.assert_allclose(there.states, 1.0)
