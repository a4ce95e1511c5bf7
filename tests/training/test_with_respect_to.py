"""Gradients with respect to inputs and initial state: the oracles', and the derivative of the loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import naive_data as oracle
import numpy as np
import pytest
from cases import PLAIN, TYPICAL, Case, Sizes, drawn_sizes, make_case
from fast_weight_cases import (
    ARCHITECTURE_1,
    ARCHITECTURE_2,
    COMPOSITIONS,
    FAST_PLAIN,
    FAST_TYPICAL,
    Composition,
    FastCase,
    FastSizes,
    drawn_fast_sizes,
    fast_case_away_from_kink,
    make_fast_case,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_values import wrong_with

import rnnsim
from rnnsim import RnnsimError
from rnnsim.registry import installed
from rnnsim.training import data_gradients
from rnnsim_rules.bptt import BPTT

ASKED = ("params", "initial_state", "inputs")
ABLE = ["bptt", "recurrent-backprop", "truncated-bptt"]
EXACT: list[tuple[str, dict[str, Any]]] = [
    ("bptt", {}),
    ("bptt", {"checkpoint": True}),
    ("truncated-bptt", {"h": 100}),
    ("truncated-bptt", {"h": 100, "h_prime": 1}),
    ("truncated-bptt", {"h": 100, "h_prime": 3}),
]
STILL = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
WHOLE = 10_000  # steps: more than there are

uncompiled = pytest.mark.usefixtures("uncompiled")


# --- the checks, which the controls must not pass ------------------------------------------------------


def assert_near(found: Any, expected: Any, tolerance: float, floor: float = 1e-11) -> None:
    """An array, or a pair of arrays, is another but for so much of its largest entry."""
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other, tolerance, floor)
        return
    assert found.shape == expected.shape
    assert found.flags.c_contiguous
    error = np.abs(found - expected).max(initial=0)
    scale = np.abs(expected).max(initial=0)
    assert error <= tolerance * scale + floor, f"off by {error:.3g}; the gradient is {scale:.3g}"


def asked(case: Case, rule: str, **options: Any) -> Any:
    return case.gradient(rule, with_respect_to=ASKED, **options)


def check(
    case: Case, expected: oracle.DataGradient, rule: str, within: float = 1e-10, **options: Any
) -> None:
    """Both gradients are the expected ones, and that of the parameters is as without them.

    The kernels are compiled apart, so that sums may be contracted otherwise: equal but for rounding.
    """
    found, plain = asked(case, rule, **options), case.gradient(rule, **options)
    assert_near(found.inputs_grad, expected.inputs, within)
    assert_near(found.initial_state_grad, expected.start, within)
    assert found.loss == pytest.approx(plain.loss, rel=1e-12, abs=1e-14)
    for one, other in zip(found.grads, plain.grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def expected_of(case: Case, h: int = WHOLE, h_prime: int = 1) -> oracle.DataGradient:
    if isinstance(case, FastCase):
        return oracle.fast_weights(case.net, case.weights, case.data, h, h_prime)
    return oracle.recurrent(case.net, case.data, h, h_prime)


def differences(case: Case, start: np.ndarray, **options: Any) -> oracle.DataGradient:
    """Central finite differences of rnnsim.loss; ``start`` is where the sequences begin."""

    def loss(**changed: Any) -> float:
        arguments = case.arguments | changed
        return rnnsim.loss(case.network, case.params, **arguments, **options)

    given = case.arguments["inputs"]
    if isinstance(given, tuple):
        slow, fast = given
        inputs: Any = (
            naive.finite_differences(lambda u: loss(inputs=(u, fast)), slow),
            naive.finite_differences(lambda u: loss(inputs=(slow, u)), fast),
        )
    else:
        inputs = naive.finite_differences(lambda u: loss(inputs=u), given)
    by_start = naive.finite_differences(lambda state: loss(initial_state=state), start)
    return oracle.DataGradient(inputs, by_start)


# --- the recurrent network -----------------------------------------------------------------------------


@settings(max_examples=20)
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_oracle(sizes: Sizes) -> None:
    case = make_case(sizes)
    for rule, options in EXACT:
        check(case, expected_of(case), rule, **options)


@uncompiled
@pytest.mark.parametrize(
    "composition",
    [("softplus", "units", "softmax-cross-entropy"), ("logistic", "linear", "logistic-cross-entropy")],
    ids="-".join,
)
@settings(max_examples=5, suppress_health_check=STILL)
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_oracle_in_other_compositions(
    composition: tuple[str, str, str], sizes: Sizes
) -> None:
    case = make_case(sizes, *composition)
    for rule, options in EXACT:
        check(case, expected_of(case), rule, **options)


@settings(max_examples=10)
@given(sizes=drawn_sizes(), h=st.integers(1, 6), data=st.data())
def test_truncation_leaves_what_the_naive_sweeps_do(sizes: Sizes, h: int, data: st.DataObject) -> None:
    h_prime = data.draw(st.integers(1, h))
    case = make_case(sizes)
    check(case, expected_of(case, h, h_prime), "truncated-bptt", h=h, h_prime=h_prime)


@pytest.mark.parametrize("B", [1, 3])
def test_it_is_the_derivative_of_the_loss(B: int) -> None:
    case = make_case(dataclasses.replace(TYPICAL, B=B))
    case.arguments["resets"][0, 0] = B == 3
    expected = differences(case, case.data.start)
    assert np.abs(expected.start).max() > 1e-3
    for rule, options in EXACT:
        check(case, expected, rule, 1e-6, **options)


def test_a_reset_before_the_first_step_leaves_no_credit_for_where_the_sequence_began() -> None:
    case = make_case(TYPICAL)
    case.data.resets[0] = [True, False, False]
    assert case.arguments["resets"] is case.data.resets
    found = asked(case, "bptt").initial_state_grad
    assert not found[0].any()
    assert found[1].any()
    check(case, expected_of(case), "bptt")


def test_each_output_may_have_a_mask_of_its_own() -> None:
    case = make_case(TYPICAL)
    mask = np.random.default_rng(0).choice([0.0, 0.5, 2.0], case.data.targets.shape)
    case = case.changed(mask=mask)
    for rule, options in EXACT:
        check(case, differences(case, case.data.start), rule, 1e-6, **options)


@pytest.mark.parametrize("B", [16, 48])
def test_batches_in_shards_are_the_oracle(B: int) -> None:
    case = make_case(Sizes(64, 3, 2, 36, B, 0.7, "float", False, True, False, 0))
    memory = rnnsim.registry.make_rule("bptt", {}).memory(case.network, B, 36, np.random.default_rng(0))
    assert memory.begins.size > 1
    check(case, expected_of(case), "bptt")


@pytest.mark.parametrize(("rule", "options"), EXACT[:3:2])
def test_float32_is_float64_to_a_few_roundings(rule: str, options: dict[str, Any]) -> None:
    case = make_case(TYPICAL, dtype="float32")
    found = asked(case, rule, **options)
    assert found.inputs_grad.dtype == found.initial_state_grad.dtype == np.float32
    assert_near(found.inputs_grad, expected_of(case).inputs, 1e-4)
    assert_near(found.initial_state_grad, expected_of(case).start, 1e-4)


def test_means_and_sequences_without_a_batch_axis() -> None:
    case = make_case(dataclasses.replace(TYPICAL, B=1))
    flat = {
        name: array[0] if name.endswith("state") else array[:, 0]
        for name, array in case.arguments.items()
    }
    one = rnnsim.gradient(case.network, case.params, **flat, with_respect_to=ASKED)
    expected = expected_of(case)
    assert_near(one.inputs_grad, expected.inputs[:, 0], 1e-10)
    assert_near(one.initial_state_grad, expected.start, 1e-10)
    mean, weight = asked(case, "bptt", reduction="mean"), case.data.mask.sum()
    assert_near(mean.inputs_grad, expected.inputs / weight, 1e-10)
    assert_near(mean.initial_state_grad, expected.start / weight, 1e-10)


# --- steady states -------------------------------------------------------------------------------------


def settled_case() -> Case:
    case = make_case(dataclasses.replace(TYPICAL, T=3, leak=1.0, sparse=False, resets=False))
    W = 0.6 * case.params.W / np.linalg.norm(case.params.W, 2)
    return dataclasses.replace(case, params=case.params._replace(W=W), net=case.net._replace(W=W))


@pytest.mark.parametrize("adjoint", ["direct", "relaxation"])
def test_steady_states_are_the_oracle_and_the_derivative_of_the_loss(adjoint: str) -> None:
    case = settled_case()
    start = np.zeros_like(case.data.start)
    tolerances = {"tolerance": 1e-13, "adjoint_tolerance": 1e-10}
    of_inputs = oracle.equilibrium(case.net, case.data)
    expected = oracle.DataGradient(of_inputs, start)
    check(case, expected, "recurrent-backprop", 1e-8, adjoint=adjoint, **tolerances)
    by_differences = differences(case, case.data.start, steady_state=True)
    assert_near(of_inputs, by_differences.inputs, 1e-6)
    assert_near(start, by_differences.start, 0, 1e-8)  # they do not depend on where it began


# --- the fast-weight network ---------------------------------------------------------------------------


@pytest.mark.parametrize("composition", [ARCHITECTURE_1], ids=str)
@settings(max_examples=10)
@given(sizes=drawn_fast_sizes())
def test_fast_weights_are_the_oracle(composition: Composition, sizes: FastSizes) -> None:
    case = make_fast_case(sizes, composition)
    for rule, options in EXACT[::4]:
        check(case, expected_of(case), rule, **options)


@uncompiled
@pytest.mark.parametrize("composition", COMPOSITIONS[1:], ids=str)
@settings(max_examples=3, suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes(), h=st.integers(1, 5), data=st.data())
def test_fast_weights_are_the_oracle_in_other_compositions(
    composition: Composition, sizes: FastSizes, h: int, data: st.DataObject
) -> None:
    case = fast_case_away_from_kink(sizes, composition)
    h_prime = data.draw(st.integers(1, h))
    for rule, options in EXACT:
        check(case, expected_of(case), rule, **options)
    check(case, expected_of(case, h, h_prime), "truncated-bptt", h=h, h_prime=h_prime)


@uncompiled
@pytest.mark.parametrize("composition", [ARCHITECTURE_1, ARCHITECTURE_2], ids=str)
@pytest.mark.parametrize("initial", [0.3, "slow"])
@pytest.mark.parametrize("starts", [True, False])
def test_fast_weights_are_the_derivative_of_the_loss(
    composition: Composition, initial: Any, starts: bool
) -> None:
    """Initial fast weights that S sets depend on its inputs; those that the caller gives do not."""
    sizes = dataclasses.replace(FAST_TYPICAL, initial=initial, initial_state=starts, T=3, B=1)
    case = make_fast_case(sizes, composition)
    given = case.arguments.get("initial_state")
    start = np.full((1, case.network.n_state), 0.3) if given is None else given
    expected = differences(case, start)
    if initial == "slow" and not starts:
        expected = expected._replace(start=np.zeros_like(start))
    check(case, expected, "bptt", 1e-6)


@uncompiled
def test_inputs_that_both_nets_see_have_the_sum_of_both_gradients() -> None:
    case = make_fast_case(FAST_PLAIN)
    u, (slow, fast) = case.data.slow, expected_of(case.changed(inputs=None)).inputs
    both = case.changed(inputs=np.concatenate([u, case.data.fast], axis=2))
    assert_near(asked(both, "bptt").inputs_grad, np.concatenate([slow, fast], axis=2), 1e-10)
    shared = dataclasses.replace(case.changed(inputs=u), data=case.data._replace(fast=u))
    assert_near(asked(shared, "bptt").inputs_grad, sum(expected_of(shared).inputs), 1e-10)
    pair = shared.changed(inputs=(u[:, 0], u[:, 0]), targets=case.data.targets[:, 0])
    assert [each.shape for each in asked(pair, "bptt").inputs_grad] == [u[:, 0].shape] * 2


# --- controls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.75, -1.0, 1.001])
@pytest.mark.parametrize("which", ["inputs", "start"])
def test_a_wrong_gradient_is_found(scale: float, which: str) -> None:
    case = make_case(PLAIN)
    right = expected_of(case)
    check(case, right, "bptt")
    wrong = right._replace(**{which: scale * getattr(right, which)})
    with pytest.raises(AssertionError, match="off by"):
        check(case, wrong, "bptt", 1e-6)


def test_truncation_matters() -> None:
    case = make_case(dataclasses.replace(PLAIN, T=8))
    with pytest.raises(AssertionError, match="off by"):
        check(case, expected_of(case), "truncated-bptt", h=3, h_prime=3)
    with pytest.raises(AssertionError, match="off by"):
        check(case, expected_of(case, 3, 3), "truncated-bptt", h=4, h_prime=2)


# --- what is given, and what is refused ----------------------------------------------------------------


def test_only_what_is_asked_for_is_given() -> None:
    case = make_case(PLAIN)
    found = case.gradient("bptt", with_respect_to=("inputs",))
    assert found.initial_state_grad is None
    assert found.inputs_grad is not None
    found = case.gradient("bptt", with_respect_to=["initial_state"])
    assert found.initial_state_grad is not None
    assert found.inputs_grad is None
    for found in (case.gradient("bptt"), case.gradient("bptt", with_respect_to=["params"])):
        assert found.initial_state_grad is found.inputs_grad is None


@pytest.mark.parametrize("rule", ["bptt", "truncated-bptt"])
def test_each_call_of_a_function_starts_anew(rule: str) -> None:
    """Its arrays are kept; what it gave before is the caller's own."""
    case = make_case(PLAIN)
    arguments = {name: value for name, value in case.arguments.items() if name != "inputs"}
    function = rnnsim.gradient_function(case.network, rule, with_respect_to=ASKED)
    first = function(case.params, case.arguments["inputs"], **arguments)
    kept = first.inputs_grad.copy(), first.initial_state_grad.copy()
    function(case.params, case.arguments["inputs"] + 1, **arguments)
    again = function(case.params, case.arguments["inputs"], **arguments)
    for found in (first, again):
        np.testing.assert_array_equal(found.inputs_grad, kept[0])
        np.testing.assert_array_equal(found.initial_state_grad, kept[1])


@uncompiled
@pytest.mark.parametrize("rule", ["bptt", "truncated-bptt"])
def test_what_follows_can_be_computed_without_it(rule: str) -> None:
    """The memory is that of the rule, for which the next piece may be a plain gradient."""
    case = make_case(PLAIN)
    first, second = (
        {name: value[rows] for name, value in case.arguments.items()} for rows in np.r_[:8].reshape(2, 4)
    )
    options = {"h": 3} if rule == "truncated-bptt" else {}
    function = rnnsim.gradient_function(case.network, rule, **options)
    found = rnnsim.gradient(case.network, case.params, rule=rule, with_respect_to=ASKED,
                            **first, **options)  # fmt: skip
    plain = function(case.params, **first)
    one, other = (
        function(case.params, **second, initial_state=before.state, memory=before.memory)
        for before in (found, plain)
    )
    for mine, theirs in zip(one.grads, other.grads, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    with pytest.raises(RnnsimError) as caught:
        rnnsim.gradient(case.network, case.params, rule=rule, with_respect_to=ASKED,
                        memory=plain.memory, **second, **options)  # fmt: skip
    assert wrong_with(caught.value, "memory") == []


def refused(network: Any, rule: str, **arguments: Any) -> str:
    with pytest.raises(RnnsimError) as caught:
        rnnsim.gradient_function(network, rule, with_respect_to=ASKED, **arguments)
    assert wrong_with(caught.value, "with_respect_to") == []
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@uncompiled
@pytest.mark.parametrize("rule", sorted({*installed().rules} - {*ABLE}))
def test_rules_that_cannot_name_those_that_can(rule: str) -> None:
    fast = installed().rules[rule].thing.kind == "fast-weight"
    options = {"architecture": 2} if rule == "fast-weights-2" else {}
    network = (
        rnnsim.FastWeightNetwork(n_slow_in=2, n_in=2, n_out=1, **options)  # type: ignore[arg-type]
        if fast
        else rnnsim.RecurrentNetwork(2, 3, 1)
    )
    message = refused(network, rule)
    assert all(name in message for name in ABLE)


def test_a_rule_made_from_one_that_can_does_not_claim_its_gradient() -> None:
    class Halved(BPTT, frozen=True):
        name = "halved"

    case = make_case(PLAIN)
    with pytest.raises(RnnsimError, match="halved is with respect to params only"):
        case.gradient(Halved(), with_respect_to=ASKED)


@uncompiled
def test_windows_and_networks_without_the_kernel_are_refused() -> None:
    network = rnnsim.RecurrentNetwork(2, 3, 1)
    for rule in ABLE:
        assert "leave window out" in refused(network, rule, window=3)

    class Without(rnnsim.RecurrentNetwork):
        collect_inputs: Any = None

    assert "collect_inputs" in refused(Without(2, 3, 1), "bptt")


@pytest.mark.parametrize("wrong", [(), "inputs", ("input",), None, 3, ["params", 3]])
def test_names_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(RnnsimError) as caught:
        data_gradients.names_asked(wrong)
    assert wrong_with(caught.value, "with_respect_to") == []
