"""The rules that approximate (theory.md 5), against literal statements of their equations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import naive_estimates
import numpy as np
import pytest
from cases import TYPICAL, Case, assert_equal_gradients, check_against_oracle, existing, make_case

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import make_rule

pytestmark = pytest.mark.usefixtures("uncompiled")

ORACLES: dict[str, Callable[..., naive.Gradient]] = {
    "uoro": naive_estimates.uoro,
    "kf-rtrl": naive_estimates.kf_rtrl,
    "rflo": naive_estimates.rflo,
    "snap": naive_estimates.snap,
}
DRAW = ("uoro", "kf-rtrl")
SMALL = dataclasses.replace(TYPICAL, n=4, T=7, seed=3)
FAST = rnnsim.FastWeightNetwork(n_slow_in=1, n_in=1, n_out=1)


def check_estimate(case: Case, rule: str, **options: Any) -> None:
    """The gradient is what the oracle gives, signs included."""
    expected = ORACLES[rule](case.net, case.data, case.network.connectivity, **options)
    found = case.gradient(rule, **options).grads
    assert_equal_gradients(found, existing(case, expected), 1e-10, 1e-11)


@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("changes", [
    {}, {"sparse": False}, {"leak": 1.0}, {"B": 1, "resets": False}, {"initial": False, "mask": "none"},
    {"m": 0}, {"n": 1, "k": 1, "sparse": False}, {"T": 1},
], ids=str)  # fmt: skip
def test_each_is_what_its_equations_say(rule: str, changes: dict[str, Any]) -> None:
    check_estimate(make_case(dataclasses.replace(SMALL, **changes)), rule)


@pytest.mark.parametrize("rule", ORACLES)
def test_the_oracle_notices_a_small_error(rule: str) -> None:
    """The control: one weight is off by a millionth."""
    case = make_case(SMALL)
    params = case.params._replace(b=case.params.b + 1e-6)
    with pytest.raises(AssertionError, match="is off by"):
        check_estimate(dataclasses.replace(case, params=params), rule)


@pytest.mark.parametrize("rule", DRAW)
def test_other_seeds_give_other_estimates(rule: str) -> None:
    case = make_case(SMALL)
    check_estimate(case, rule, seed=5)
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(
            case.gradient(rule, seed=5).grads, case.gradient(rule, seed=6).grads._asdict(), 1e-3
        )


@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("readout", ["linear", "units"])
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_for_other_activations_and_readouts(rule: str, readout: str, activation: str) -> None:
    check_estimate(make_case(SMALL, activation, readout), rule)


@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("leak", [1.0, 0.7])
def test_nothing_is_divided_by_0_where_no_unit_has_a_slope(rule: str, leak: float) -> None:
    case = make_case(dataclasses.replace(SMALL, leak=leak), "relu")
    b = case.params.b - 1.5
    case = dataclasses.replace(case, params=case.params._replace(b=b), net=case.net._replace(b=b))
    has_slope = (naive.run(case.net, case.data).a > 0).any(-1)
    assert 0 < has_slope.sum() < has_slope.size
    check_estimate(case, rule)


# --- windows, pieces and learners ---------------------------------------------------------------------


@pytest.mark.parametrize("rule", ORACLES)
def test_windows_and_pieces_make_no_difference(rule: str) -> None:
    case = make_case(SMALL)
    whole = case.gradient(rule, window=1)
    for window in (2, 3, SMALL.T):
        found = case.gradient(rule, window=window).grads
        assert_equal_gradients(found, whole.grads._asdict(), 1e-14)
    totals, state, memory = None, None, None
    for first in range(0, SMALL.T, 3):
        piece = case.changed(**{
            name: case.arguments[name][first : first + 3]
            for name in ("inputs", "targets", "mask", "resets")
        })  # fmt: skip
        start = {} if state is None else {"initial_state": state}
        result = piece.changed(**start).gradient(rule, window=1, memory=memory)
        state, memory = result.state, result.memory
        grads = [np.array(grad) for grad in result.grads]
        totals = grads if totals is None else [x + y for x, y in zip(totals, grads, strict=True)]
    for found, expected in zip(totals, whole.grads, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(expected).max() + 1e-15)


@pytest.mark.parametrize("rule", ORACLES)
def test_a_learner_draws_the_same_however_it_is_fed_and_saved(rule: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((20, 2, 2)), rng.standard_normal((20, 2, 3))
    network = make_case(SMALL).network

    def learner(seed: int) -> rnnsim.Learner:
        return rnnsim.Learner(network, rule, batch=2, learning_rate=0.01, seed=seed)

    whole, pieces, other = learner(1), learner(1), learner(2)
    whole.learn(inputs, targets)
    other.learn(inputs, targets)
    pieces.learn(inputs[:7], targets[:7])
    pieces.save(tmp_path / "learner")
    pieces = rnnsim.Learner.load(tmp_path / "learner")
    pieces.learn(inputs[7:], targets[7:])
    np.testing.assert_array_equal(pieces.params.W, whole.params.W)
    assert not np.array_equal(other.params.W, whole.params.W)


@pytest.mark.parametrize("rule", ORACLES)
def test_in_single_precision(rule: str) -> None:
    case = make_case(SMALL, dtype="float32")
    expected = ORACLES[rule](case.net, case.data, case.network.connectivity)
    found = case.gradient(rule).grads
    assert found.W.dtype == np.float32
    assert_equal_gradients(found, existing(case, expected), 1e-4)


# --- where they are exact -----------------------------------------------------------------------------


def with_weights(W: np.ndarray, *, leak: float = 0.7, connectivity: Any = None) -> Case:
    """A network with given recurrent weights, with resets and masks."""
    case = make_case(dataclasses.replace(SMALL, sparse=False, leak=leak, n=len(W), T=9))
    network = RecurrentNetwork(2, len(W), 3, leak=leak, connectivity=connectivity)
    return dataclasses.replace(
        case, network=network, params=case.params._replace(W=W), net=case.net._replace(W=W)
    )


def is_exact(case: Case, rule: str, **options: Any) -> bool:
    try:
        check_against_oracle(case, rule, options)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("leak", [1.0, 0.3])
def test_rflo_is_exact_without_recurrent_weights(leak: float) -> None:
    assert is_exact(with_weights(np.zeros((4, 4)), leak=leak), "rflo")
    assert not is_exact(with_weights(np.diag([0.0, 0.0, 0.0, 0.5]), leak=leak), "rflo")


def test_snap_is_exact_where_the_pattern_is_closed() -> None:
    diagonal = with_weights(np.diag([0.5, -0.3, 0.9, 0.2]), connectivity=np.eye(4, dtype=bool))
    assert is_exact(diagonal, "snap", n=1)
    full = with_weights(0.4 * np.random.default_rng(0).standard_normal((4, 4)))
    assert not is_exact(full, "snap", n=1)
    assert is_exact(full, "snap", n=2)  # every unit is one step from every other


@pytest.mark.parametrize(("n", "exact"), [(1, False), (2, False), (3, False), (4, True), (9, True)])
def test_snap_on_a_chain_is_exact_from_its_longest_path_on(n: int, exact: bool) -> None:
    chain = np.diag([0.9, -0.8, 0.7], -1)
    assert is_exact(with_weights(chain, connectivity=chain != 0), "snap", n=n) == exact


@pytest.mark.parametrize("n", [1, 2, 3])
def test_snap_keeps_what_is_within_n_steps(n: int) -> None:
    chain = np.diag([0.9, -0.8, 0.7], -1)
    check_estimate(with_weights(chain, connectivity=chain != 0), "snap", n=n)
    check_estimate(make_case(dataclasses.replace(SMALL, n=6)), "snap", n=n)


def test_rflo_is_snap_1_where_no_unit_acts_on_itself() -> None:
    W = 0.4 * np.random.default_rng(0).standard_normal((4, 4))
    for diagonal, same in ((0.0, True), (0.5, False)):
        np.fill_diagonal(W, diagonal)
        case = with_weights(W.copy())
        found, other = (case.gradient(rule).grads for rule in ("rflo", "snap"))
        equal = np.allclose(found.W, other.W, rtol=1e-12) and np.allclose(found.b, other.b, rtol=1e-12)
        assert equal == same
        assert not is_exact(case, "rflo")


def test_snaps_memory_follows_the_pattern() -> None:
    n = 40
    full = rnnsim.RecurrentNetwork(2, n, 1)
    sparse = rnnsim.RecurrentNetwork(
        2, n, 1, connectivity=np.random.default_rng(0).random((n, n)) < 0.05
    )
    rule = make_rule("snap", {"n": 2})
    dense_size, sparse_size = (
        rule.memory(net, 1, 1, np.random.default_rng(0)).p.size for net in (full, sparse)
    )
    assert dense_size == n * n * (n + 3)
    reach = sparse.jacobian_pattern | np.eye(n, dtype=bool)
    weights = sparse.connectivity.sum(1) + 3
    assert sparse_size == (reach.sum(0) * weights).sum() < dense_size / 50


# --- networks that they cannot train ------------------------------------------------------------------


class Bare(rnnsim.FastWeightNetwork):
    """A network that reads the entering state and offers no adjoint."""

    vjp = None


@pytest.mark.parametrize(("rule", "network", "why"), [
    ("kf-rtrl", FAST, "kf-rtrl cannot train a fast-weight network, .* offer immediate_factors"),
    ("snap", FAST, "snap cannot train a fast-weight network, which does not offer owner"),
    ("rflo", FAST, "rflo is for networks of the kind recurrent, not for a fast-weight network"),
    ("uoro", Bare(n_slow_in=1, n_in=1, n_out=1), "uoro needs vjp and collect of a fast-weight network"),
])  # fmt: skip
def test_a_network_without_what_they_need_is_refused(rule: str, network: Any, why: str) -> None:
    with pytest.raises(RnnsimError, match=why):
        make_rule(rule, {}).check_network(network)
    make_rule(rule, {}).check_network(make_case(SMALL).network)


@pytest.mark.parametrize("rule", ["kf-rtrl", "snap"])
def test_errors_of_the_entering_state_are_refused(rule: str) -> None:
    class Entering(RecurrentNetwork):
        reads = "entering"

    with pytest.raises(RnnsimError, match="whose output reads the state after a step"):
        make_rule(rule, {}).check_network(Entering(2, 3, 1))


def test_each_obeys_random_feedback() -> None:
    case = make_case(SMALL)
    network = RecurrentNetwork(
        2, 4, 3, leak=0.7, connectivity=case.network.connectivity, feedback="random", feedback_seed=2
    )
    fed_back = dataclasses.replace(case, network=network)
    G = network.trajectory(1, 1).feedback.reshape(3, 4)
    for rule, oracle in ORACLES.items():
        assert make_rule(rule, {}).claim_for(network) == "approximate"
        found = fed_back.gradient(rule).grads
        path = naive.run(case.net, case.data)
        expected = oracle(case.net, case.data, network.connectivity, path=path._replace(dx=path.dy @ G))
        assert_equal_gradients(found, existing(case, expected), 1e-10, 1e-11)
