"""Random feedback (theory.md 5): a fixed random matrix carries the errors of outputs to the units."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import numpy as np
import pytest
from cases import (
    TYPICAL,
    Case,
    assert_equal_gradients,
    check_against_differences,
    existing,
    make_case,
)

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import make_rule
from rnnsim.training.experiment import configure

pytestmark = pytest.mark.usefixtures("uncompiled")
SMALL = dataclasses.replace(TYPICAL, T=5, B=2)


def fed_back(seed: int, case: Case | None = None, **options: Any) -> Case:
    """The same network, with random feedback."""
    case = make_case(SMALL) if case is None else case
    network = RecurrentNetwork(
        2, 5, 3, leak=0.7, connectivity=case.network.connectivity, feedback="random", feedback_seed=seed,
        **options,
    )  # fmt: skip
    return dataclasses.replace(case, network=network)


def by_matrix(case: Case, seed: int) -> naive.Gradient:
    """BPTT with G in place of V^T; V and c get what they always get."""
    scaled = np.random.default_rng(seed).standard_normal((3, 5)) / np.sqrt(5)
    backward = naive.run(case.net, case.data).dy @ scaled
    path = naive.run(case.net, case.data)
    grad = naive.bptt_of_errors(case.net, case.data, path._replace(dx=backward))
    return existing(case, grad | naive.readout_gradient(case.net, path))


@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_gradient_is_that_of_errors_through_the_matrix(rule: str, seed: int) -> None:
    case = fed_back(seed)
    found = case.gradient(rule).grads
    assert_equal_gradients(found, by_matrix(case, seed), 1e-12)
    with pytest.raises(AssertionError, match="is off by"):  # the control: another matrix
        assert_equal_gradients(found, by_matrix(case, seed + 1), 1e-12)


def test_it_is_not_the_gradient_and_only_the_readouts_is_exact() -> None:
    case = fed_back(0)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_differences(case, "bptt", {})
    check_against_differences(make_case(SMALL), "bptt", {})
    exact, found = make_case(SMALL).gradient("bptt"), case.gradient("bptt")
    assert found.loss == exact.loss
    np.testing.assert_array_equal(found.grads.V, exact.grads.V)
    np.testing.assert_array_equal(found.grads.c, exact.grads.c)


def test_the_matrix_is_drawn_apart_from_the_weights_and_from_a_rules_draws() -> None:
    case = fed_back(3)
    for seed in (0, 1):
        again = case.gradient("bptt", seed=seed).grads
        np.testing.assert_array_equal(again.W, case.gradient("bptt").grads.W)
    np.testing.assert_array_equal(case.network.init(0).V, RecurrentNetwork(2, 5, 3, leak=0.7).init(0).V)
    assert "feedback='random', feedback_seed=3" in repr(case.network)
    assert "feedback" not in repr(make_case(SMALL).network)


def test_every_rule_then_claims_an_approximation() -> None:
    network = rnnsim.RecurrentNetwork(2, 3, 1, feedback="random")
    exact = rnnsim.RecurrentNetwork(2, 3, 1)
    for name, claim in (("bptt", "exact"), ("truncated-bptt", "truncated"), ("rtrl", "exact")):
        rule = make_rule(name, {})
        assert rule.claim_for(exact) == rule.claim == claim
        assert rule.claim_for(network) == "approximate"
    assert rnnsim.FastWeightNetwork(n_slow_in=1, n_in=1, n_out=1).feedback == "exact"


def test_chosen_units_have_no_matrix() -> None:
    with pytest.raises(RnnsimError, match="feedback is 'random', which is for a linear readout"):
        RecurrentNetwork(2, 5, 2, readout=[0, 1], feedback="random")


def test_a_run_takes_it_as_an_option() -> None:
    made = configure("rtrl", "delayed-xor", options={"feedback": "random", "feedback_seed": "4"})
    assert (made.network.feedback, made.network.feedback_seed) == ("random", 4)
    assert configure("rtrl", "delayed-xor").network.feedback == "exact"
