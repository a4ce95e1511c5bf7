"""Every exact rule that trains the fast-weight network, against oracles of no common code.

Sizes, depths, biases, shortcuts and the like cost nothing to vary, so hypothesis draws them. Each
architecture, sigma, g, activation and loss is compiled anew: two compositions are, and the others run as
the plain Python that kernels are.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import naive_fast_weights as oracle
import numpy as np
import pytest
from cases import (
    EXAMPLES,
    FLOOR,
    STILL,
    assert_equal_gradients,
    check_against_differences,
    differences_of_loss,
)
from fast_weight_cases import (
    ARCHITECTURE_1,
    ARCHITECTURE_2,
    COMPILED,
    COMPILED_VARIANTS,
    COMPOSITIONS,
    EXACT,
    FAST_PLAIN,
    FAST_TYPICAL,
    OPTIONS,
    OWN_ACTIVATION,
    OWN_G,
    OWN_SIGMA,
    UNCOMPILED,
    VARIANTS,
    Composition,
    FastCase,
    FastSizes,
    check_against_fast_oracle,
    compositions,
    drawn_fast_sizes,
    fast_case_away_from_kink,
    make_fast_case,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim.registry import installed

# --- which rules ---------------------------------------------------------------------------------------


def test_every_option_is_varied() -> None:
    for names in EXACT.values():
        for name in names:
            defaults = set(installed().rules[name].thing.defaults())
            varied = {option for options in OPTIONS.get(name, [{}]) for option in options}
            assert defaults == varied, name


def test_each_architecture_has_its_rules() -> None:
    assert {"bptt", "rtrl", "fast-weights-1"} <= set(EXACT[1])
    assert {"bptt", "rtrl", "fast-weights-2"} <= set(EXACT[2])
    assert "fast-weights-2" not in EXACT[1]
    assert "fast-weights-1" not in EXACT[2]


# --- the oracles ---------------------------------------------------------------------------------------


@compositions(COMPOSITIONS)
@given(sizes=drawn_fast_sizes())
def test_the_fast_oracles_agree(composition: Composition, sizes: FastSizes) -> None:
    """Forwards, backwards, by sweeps over all T steps, and by differences in three directions."""
    case = fast_case_away_from_kink(sizes, composition)
    params, net, data = case.weights, case.net, case.data
    p = oracle.forwards(net, params, data)
    scale = max(np.abs(array).max() for array in p.values())
    for other in (oracle.backwards(net, params, data), oracle.truncated(net, params, data, sizes.T, 2)):
        for name in p:
            np.testing.assert_allclose(other[name], p[name], rtol=0, atol=1e-11 * scale + 1e-14)
    rng = np.random.default_rng(sizes.seed)
    ways = [{name: rng.standard_normal(array.shape) for name, array in p.items()} for _ in range(3)]

    def moved(by: np.ndarray) -> float:
        changed = {
            name: array + sum(x * way[name] for x, way in zip(by, ways, strict=True))
            for name, array in params.items()
        }
        return oracle.run(net, changed, data).loss

    slopes = naive.finite_differences(moved, np.zeros(3), step=3e-5)
    expected = [sum((way[name] * p[name]).sum() for name in p) for way in ways]
    np.testing.assert_allclose(slopes, expected, rtol=0, atol=1e-6 * scale + 10 * FLOOR)


@compositions(COMPOSITIONS)
def test_the_fast_oracle_is_the_derivative_of_its_loss(composition: Composition) -> None:
    """Entry by entry."""
    sizes = dataclasses.replace(FAST_TYPICAL, T=4, slow_hidden=(2,), n_out=1)
    case = fast_case_away_from_kink(sizes, composition)
    params, p = case.weights, case.expected
    scale = max(np.abs(array).max() for array in p.values())
    for name, array in params.items():

        def loss(moved: np.ndarray, name: str = name) -> float:
            return oracle.run(case.net, params | {name: moved}, case.data).loss

        differences = naive.finite_differences(loss, array)
        np.testing.assert_allclose(p[name], differences, rtol=0, atol=1e-7 * scale + FLOOR)


# By hand: one input and one weight each, w(t) = w(t-1) + v with v = 1/2; inputs of F 3, 1; targets 1, 1.
BY_HAND = {
    # w: 0, 1/2; y: 0, 1/2; y - d: -1, -1/2; dw/dv: 0, 1
    0.0: (0.5 + 0.125, -0.5),
    # w: 1/2, 1; y: 3/2, 1; y - d: 1/2, 0; dw/dv: 1, 2; the first gamma is 3/2
    "slow": (0.125, 1.5),
}


@pytest.mark.parametrize("initial", BY_HAND)
@pytest.mark.parametrize("architecture", [1, 2])
@pytest.mark.usefixtures("uncompiled")
def test_two_steps_by_hand(architecture: int, initial: float | str) -> None:
    """S always sees 1. In architecture 2, Box w = s_a s_b with s_a = v and s_b = 1."""
    network = rnnsim.FastWeightNetwork(
        architecture=architecture,
        n_slow_in=1,
        n_in=1,
        n_out=1,
        slow_bias=False,
        sigma="additive",
        initial=initial,
    )
    params = network.init()
    params.W1[:, 0] = [0.5, 1][:architecture]
    inputs, targets = (np.ones((2, 1)), np.array([[3.0], [1.0]])), np.ones((2, 1))
    loss, by_v = BY_HAND[initial]
    for rule, options in VARIANTS[architecture]:
        result = rnnsim.gradient(network, params, inputs, targets, rule=rule, **options)
        assert result.loss == pytest.approx(loss)
        assert result.grads.W1[:, 0].tolist() == pytest.approx([by_v, by_v / 2][:architecture])


# --- exact rules ---------------------------------------------------------------------------------------


Variants = dict[int, list[tuple[str, dict[str, Any]]]]


def check_exact(case: FastCase, variants: Variants = VARIANTS) -> None:
    for rule, options in variants[case.network.architecture]:
        check_against_fast_oracle(case, rule, options)


@compositions(COMPILED)
@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_fast_oracle(composition: Composition, sizes: FastSizes) -> None:
    check_exact(make_fast_case(sizes, composition), COMPILED_VARIANTS)


@pytest.mark.usefixtures("uncompiled")
@compositions(UNCOMPILED)
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_fast_oracle_in_every_composition(
    composition: Composition, sizes: FastSizes
) -> None:
    check_exact(make_fast_case(sizes, composition))


def check_differences(case: FastCase, variants: Variants = VARIANTS) -> None:
    expected = differences_of_loss(case)
    for rule, options in variants[case.network.architecture]:
        assert_equal_gradients(case.gradient(rule, **options).grads, expected, 1e-6, FLOOR)


@compositions(COMPILED)
@settings(max_examples=max(1, EXAMPLES // 2))
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_derivative_of_the_loss(composition: Composition, sizes: FastSizes) -> None:
    check_differences(make_fast_case(sizes, composition), COMPILED_VARIANTS)


@pytest.mark.usefixtures("uncompiled")
@compositions(UNCOMPILED)
@pytest.mark.parametrize("initial", ["slow", 0.3])
def test_exact_rules_are_the_derivative_of_the_loss_in_every_composition(
    composition: Composition, initial: float | str
) -> None:
    sizes = dataclasses.replace(FAST_TYPICAL, T=4, slow_hidden=(2,), initial=initial)
    check_differences(fast_case_away_from_kink(sizes, composition))


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("architecture", [1, 2])
def test_each_layer_may_have_its_own_activation(architecture: int) -> None:
    hidden = (["tanh", "softplus", OWN_ACTIVATION], ["logistic", "tanh"])
    composition = Composition(architecture, hidden=hidden, output=("tanh", "softplus"))
    sizes = dataclasses.replace(FAST_TYPICAL, slow_hidden=(2, 3, 2), fast_hidden=(2, 3))
    for shortcuts in [(False, False), (True, False), (False, True), (True, True)]:
        check_exact(make_fast_case(dataclasses.replace(sizes, shortcuts=shortcuts), composition))


@compositions(COMPILED)
def test_large_products_are_right_too(composition: Composition) -> None:
    """Above the size at which BLAS takes over from loops."""
    sizes = dataclasses.replace(
        FAST_TYPICAL, n_slow_in=7, n_in=5, slow_hidden=(9, 6), fast_hidden=(4, 3), T=6, B=4
    )
    for shortcuts in (False, True):
        case = make_fast_case(dataclasses.replace(sizes, shortcuts=(shortcuts, shortcuts)), composition)
        check_exact(case, COMPILED_VARIANTS)


# --- windows and truncation ----------------------------------------------------------------------------


@compositions(COMPILED)
@given(sizes=drawn_fast_sizes(), width=st.integers(1, 9))
def test_windows_cut_no_credit_but_that_of_rules_that_store_no_more(
    composition: Composition, sizes: FastSizes, width: int
) -> None:
    case = make_fast_case(sizes, composition)
    whole = case.expected
    apart = oracle.backwards(case.net, case.weights, case.data, width)
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
        expected = whole if installed().rules[rule].thing.carries else apart
        found = case.gradient(rule, window=width, **options)
        assert found.loss == pytest.approx(case.path.loss, rel=1e-12, abs=1e-14)
        assert_equal_gradients(found.grads, expected, 1e-10, 1e-11)


@compositions(COMPILED)
@pytest.mark.parametrize("initial", [0.3, "slow"])
def test_a_long_stream_with_resets_in_windows(composition: Composition, initial: float | str) -> None:
    """24 steps, so that windows, resets and whatever is done several steps at a time fall apart."""
    sizes = dataclasses.replace(FAST_TYPICAL, T=24, B=3, initial=initial)
    case = make_fast_case(sizes, composition)
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
        carries = installed().rules[rule].thing.carries
        for width in (1, 3, 4, 5, 24) if carries else (24,):
            check_against_fast_oracle(case, rule, {**options, "window": width})


def test_windows_matter_to_rules_that_store_no_more() -> None:
    case = make_fast_case(FAST_PLAIN)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_fast_oracle(case, "bptt", {"window": 3})


REACHES = [(1, 1), (2, 1), (3, 3), (3, 2), (5, 2), (7, 7), (20, 3)]


@given(sizes=drawn_fast_sizes(), reach=st.sampled_from(REACHES), width=st.integers(1, 9))
def test_truncated_bptt_is_what_the_words_say(
    sizes: FastSizes, reach: tuple[int, int], width: int
) -> None:
    check_truncated(make_fast_case(sizes, ARCHITECTURE_1), reach, width)


@pytest.mark.usefixtures("uncompiled")
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes(), reach=st.sampled_from(REACHES), width=st.integers(1, 9))
def test_truncated_bptt_is_what_the_words_say_in_the_second_architecture(
    sizes: FastSizes, reach: tuple[int, int], width: int
) -> None:
    check_truncated(make_fast_case(sizes, COMPILED[1]), reach, width)


def check_truncated(case: FastCase, reach: tuple[int, int], width: int) -> None:
    expected = oracle.truncated(case.net, case.weights, case.data, *reach)
    h, h_prime = reach
    for how in ({}, {"window": width}):
        found = case.gradient("truncated-bptt", h=h, h_prime=h_prime, **how).grads
        assert_equal_gradients(found, expected, 1e-10, 1e-11)


@pytest.mark.parametrize("initial", [0.3, "slow"])
@pytest.mark.parametrize("reach", REACHES)
def test_truncated_bptt_of_a_long_stream_with_resets(
    reach: tuple[int, int], initial: float | str
) -> None:
    """24 steps, so that sweeps, windows, resets and the end fall apart in every way."""
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, T=24, initial=initial, slow_hidden=(2,)))
    expected = oracle.truncated(case.net, case.weights, case.data, *reach)
    for width in (1, 2, 3, 5, 24):
        found = case.gradient("truncated-bptt", h=reach[0], h_prime=reach[1], window=width).grads
        assert_equal_gradients(found, expected, 1e-10, 1e-11)


@given(sizes=drawn_fast_sizes(), more=st.integers(0, 3), h_prime=st.integers(1, 12))
def test_from_h_of_T_on_truncated_bptt_is_exact(sizes: FastSizes, more: int, h_prime: int) -> None:
    options = {"h": max(sizes.T + more, h_prime), "h_prime": h_prime}
    check_against_fast_oracle(make_fast_case(sizes, ARCHITECTURE_1), "truncated-bptt", options)


@pytest.mark.usefixtures("uncompiled")
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes(), more=st.integers(0, 3), h_prime=st.integers(1, 12))
def test_from_h_of_T_on_truncated_bptt_is_exact_in_the_second_architecture(
    sizes: FastSizes, more: int, h_prime: int
) -> None:
    options = {"h": max(sizes.T + more, h_prime), "h_prime": h_prime}
    check_against_fast_oracle(make_fast_case(sizes, COMPILED[1]), "truncated-bptt", options)


# --- float32 -------------------------------------------------------------------------------------------


@given(sizes=drawn_fast_sizes())
def test_float32_is_float64_to_a_few_roundings(sizes: FastSizes) -> None:
    check_in_float32(sizes, "rtrl")


@pytest.mark.usefixtures("uncompiled")
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes())
def test_bptt_is_of_the_network_s_dtype(sizes: FastSizes) -> None:
    check_in_float32(sizes, "bptt")


def check_in_float32(sizes: FastSizes, rule: str) -> None:
    """Within 1e-4 of the largest entry: 8 steps of sums of some ten terms, each rounded to 6e-8."""
    single = make_fast_case(sizes, ARCHITECTURE_2, dtype="float32")
    assert {array.dtype for array in single.gradient(rule).grads} == {np.dtype("float32")}
    check_against_fast_oracle(single, rule, {}, tolerance=1e-4)


def test_float32_is_not_float64() -> None:
    case = make_fast_case(FAST_PLAIN, ARCHITECTURE_2, dtype="float32")
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(case.gradient("rtrl").grads, case.expected, 1e-10)


# --- the user's own derivatives ------------------------------------------------------------------------

WRONG = {
    "sigma by w": {"sigma": (OWN_SIGMA[0], OWN_SIGMA[2], OWN_SIGMA[2])},
    "sigma by Box w": {"sigma": (OWN_SIGMA[0], OWN_SIGMA[1], OWN_SIGMA[1])},
    "g by a": {"g": (OWN_G[0], OWN_G[2], OWN_G[2])},
    "g by b": {"g": (OWN_G[0], OWN_G[1], OWN_G[1])},
}


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("wrong", WRONG)
def test_own_derivatives_that_are_wrong_are_found(wrong: str) -> None:
    """Rules trust the user's derivative; finite differences of the loss do not."""
    sizes = dataclasses.replace(FAST_TYPICAL, T=4, slow_hidden=(2,), n_out=1)
    right = Composition(2, OWN_SIGMA, OWN_G)
    check_against_differences(make_fast_case(sizes, right), "rtrl", {})
    with pytest.raises(AssertionError, match="is off by"):
        check_against_differences(
            make_fast_case(sizes, dataclasses.replace(right, **WRONG[wrong])), "rtrl", {}
        )
