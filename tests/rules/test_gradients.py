"""Every rule that claims to be exact, against oracles that share no code with it.

Sizes, leak, masks and the like cost nothing to vary, so hypothesis draws them; each activation, readout,
loss, dtype and rule is compiled anew, so a few are compiled (``COMPILED``), and the others run as
the plain Python that kernels are (tests/networks/test_activations_and_losses.py compiles each function).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import naive
import numpy as np
import pytest
from cases import (
    EXAMPLES,
    FLOOR,
    PLAIN,
    STILL,
    TYPICAL,
    Case,
    Sizes,
    assert_equal_gradients,
    away_from_kink,
    check_against_differences,
    check_against_oracle,
    differences_of_loss,
    drawn_sizes,
    existing,
    make_case,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import installed
from rnnsim.rule import Rule


def trains(rule: type[Rule]) -> bool:
    """Whether a rule is for networks such as these."""
    try:
        rule().check_network(RecurrentNetwork(1, 1, 1))
    except rnnsim.RnnsimError:
        return False
    return True


EXACT = sorted(
    name
    for name, entry in installed().rules.items()
    if entry.thing.claim == "exact" and not entry.thing.settles and trains(entry.thing)
)

# The options of each rule at several values. A rule that is not here is tested with its defaults, and
# test_every_option_is_varied fails until its options are.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "bptt": [{}, {"checkpoint": True}],
    "rtrl-block": [{}, {"h": 1}, {"h": 2}, {"h": 5}, {"h": 100}],
}
VARIANTS = [(name, options) for name in EXACT for options in OPTIONS.get(name, [{}])]

# Both readouts, and two losses of different kinds.
COMPILED = [
    ("tanh", "linear", "squared-error"),
    ("softplus", "units", "softmax-cross-entropy"),
]
KINKED = ("relu", "linear", "logistic-cross-entropy")
# With these: each activation with each readout, each readout with each loss, each activation with two
# losses.
UNCOMPILED = [
    KINKED,
    ("tanh", "units", "logistic-cross-entropy"),
    ("logistic", "linear", "softmax-cross-entropy"),
    ("logistic", "units", "squared-error"),
    ("relu", "units", "squared-error"),
    ("softplus", "linear", "squared-error"),
    ("identity", "linear", "softmax-cross-entropy"),
    ("identity", "units", "logistic-cross-entropy"),
]
COMPOSITIONS = [*COMPILED, *UNCOMPILED]


# --- exact rules ---------------------------------------------------------------------------------------


def test_every_option_is_varied() -> None:
    for name in EXACT:
        defaults = set(installed().rules[name].thing.defaults())
        assert defaults == {option for options in OPTIONS.get(name, [{}]) for option in options}, name


@pytest.mark.parametrize("composition", COMPILED, ids="-".join)
@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_sizes())
def test_bptt_and_loss_are_the_oracles(composition: tuple[str, str, str], sizes: Sizes) -> None:
    check_against_oracle(make_case(sizes, *composition), "bptt", {})


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("composition", UNCOMPILED, ids="-".join)
@settings(max_examples=2 * EXAMPLES, suppress_health_check=STILL)
@given(sizes=drawn_sizes())
def test_bptt_and_loss_are_the_oracles_in_every_composition(
    composition: tuple[str, str, str], sizes: Sizes
) -> None:
    check_against_oracle(make_case(sizes, *composition), "bptt", {})


@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_oracle_and_one_another(sizes: Sizes) -> None:
    case = make_case(sizes)
    for rule, options in VARIANTS:
        check_against_oracle(case, rule, options)


@pytest.mark.usefixtures("uncompiled")
@settings(max_examples=EXAMPLES, suppress_health_check=STILL)
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_oracle_where_units_are_read(sizes: Sizes) -> None:
    case = make_case(sizes, *COMPILED[1])
    for rule, options in VARIANTS:
        check_against_oracle(case, rule, options)


@pytest.mark.parametrize("composition", COMPILED, ids="-".join)
@settings(max_examples=max(1, EXAMPLES // 2))
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_derivative_of_the_loss(
    composition: tuple[str, str, str], sizes: Sizes
) -> None:
    case = away_from_kink(sizes, *composition)
    expected = differences_of_loss(case)
    for rule, options in VARIANTS if composition == COMPILED[0] else [("bptt", {})]:
        assert_equal_gradients(case.gradient(rule, **options).grads, expected, 1e-6, FLOOR)


@pytest.mark.usefixtures("uncompiled")
@settings(max_examples=max(1, EXAMPLES // 2), suppress_health_check=STILL)
@given(sizes=drawn_sizes())
def test_bptt_is_the_derivative_of_the_loss_on_either_side_of_a_kink(sizes: Sizes) -> None:
    check_against_differences(away_from_kink(sizes, *KINKED), "bptt", {})


@given(sizes=drawn_sizes(), width=st.integers(1, 13))
def test_windows_cut_no_credit_but_that_of_rules_that_store_no_more(sizes: Sizes, width: int) -> None:
    case = make_case(sizes)
    whole = naive.bptt(case.net, case.data)
    apart = naive.bptt_in_windows(case.net, case.data, width)
    for rule, options in VARIANTS:
        expected = whole if installed().rules[rule].thing.carries else apart
        found = case.gradient(rule, window=width, **options).grads
        assert_equal_gradients(found, existing(case, expected), 1e-10)


def test_windows_matter_to_rules_that_store_no_more() -> None:
    case = make_case(PLAIN)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_oracle(case, "bptt", {"window": 3})


@pytest.mark.parametrize("composition", [c for c in COMPOSITIONS if c[0] != "relu"], ids="-".join)
@given(sizes=drawn_sizes())
def test_the_oracles_agree(composition: tuple[str, str, str], sizes: Sizes) -> None:
    case = make_case(sizes, *composition)
    bptt, rtrl = naive.bptt(case.net, case.data), naive.rtrl(case.net, case.data)
    scale = max(np.abs(array).max(initial=0) for array in bptt.values())
    for name in bptt:
        np.testing.assert_allclose(rtrl[name], bptt[name], rtol=0, atol=1e-11 * scale)
    plain = make_case(dataclasses.replace(sizes, leak=1.0, resets=False), *composition)
    bptt, jacobian = naive.bptt(plain.net, plain.data), naive.bptt_by_jacobian(plain.net, plain.data)
    scale = max(np.abs(array).max(initial=0) for array in bptt.values())
    for name in bptt:
        np.testing.assert_allclose(jacobian[name], bptt[name], rtol=0, atol=1e-9 * scale)


def test_weights_that_do_not_exist_get_no_gradient() -> None:
    case = make_case(TYPICAL)
    absent = ~case.network.connectivity
    assert naive.bptt(case.net, case.data)["W"][absent].any()  # they would have one
    for rule, options in VARIANTS:
        assert not case.gradient(rule, **options).grads.W[absent].any()


def test_gradients_are_made_like_the_parameters() -> None:
    case = make_case(TYPICAL)
    for rule, options in VARIANTS:
        grads = case.gradient(rule, **options).grads
        assert type(grads) is type(case.params)
        for array, like in zip(grads, case.params, strict=True):
            assert (array.shape, array.dtype) == (like.shape, like.dtype)
            assert array.flags.c_contiguous
            assert array.flags.writeable


def test_gradients_leave_what_they_are_given_as_it_was() -> None:
    case = make_case(TYPICAL)
    given = [*case.params, *case.arguments.values()]
    before = [array.copy() for array in given]
    for rule, options in VARIANTS:
        case.gradient(rule, **options)
    assert all((array == copy).all() for array, copy in zip(given, before, strict=True))


def test_one_sequence_needs_no_batch_axis() -> None:
    case = make_case(dataclasses.replace(TYPICAL, B=1))
    flat = {
        name: array[0] if name.endswith("state") else array[:, 0]
        for name, array in case.arguments.items()
    }
    result = rnnsim.gradient(case.network, case.params, **flat)
    assert_equal_gradients(result.grads, case.gradient("bptt").grads._asdict(), 0)


def test_large_products_are_right_too() -> None:
    """Above the size at which BLAS takes over from loops."""
    sizes = Sizes(24, 9, 7, 20, 5, 0.7, "float", True, True, False, 3)
    for rule, options in VARIANTS:
        check_against_oracle(make_case(sizes), rule, options)


NAN = math.nan


def test_a_target_that_is_masked_may_be_anything() -> None:
    case = make_case(dataclasses.replace(TYPICAL, mask="bool"))
    masked = case.arguments["mask"] == 0
    assert masked.any()
    targets = case.arguments["targets"].copy()
    targets[masked] = NAN
    changed = dataclasses.replace(case, arguments=case.arguments | {"targets": targets})
    for rule, options in VARIANTS:
        expected = case.gradient(rule, **options)
        result = changed.gradient(rule, **options)
        assert result.loss == expected.loss
        assert_equal_gradients(result.grads, expected.grads._asdict(), 0)


# --- float32 -------------------------------------------------------------------------------------------


@settings(max_examples=EXAMPLES)
@given(sizes=drawn_sizes())
def test_float32_is_float64_to_a_few_roundings(sizes: Sizes) -> None:
    """Within 1e-4 of the largest entry: 12 steps of sums of some ten terms, each rounded to 6e-8."""
    single = make_case(sizes, dtype="float32")
    for rule, options in VARIANTS:
        if "checkpoint" not in options:
            check_in_float32(single, rule, options)


@pytest.mark.usefixtures("uncompiled")
@settings(max_examples=EXAMPLES, suppress_health_check=STILL)
@given(sizes=drawn_sizes())
def test_checkpoints_are_of_the_network_s_dtype(sizes: Sizes) -> None:
    check_in_float32(make_case(sizes, dtype="float32"), "bptt", {"checkpoint": True})


def check_in_float32(single: Case, rule: str, options: dict[str, Any]) -> None:
    result = single.gradient(rule, **options)
    assert {array.dtype for array in result.grads} == {np.dtype("float32")}
    check_against_oracle(single, rule, options, tolerance=1e-4)


def test_float32_is_not_float64() -> None:
    case = make_case(PLAIN, dtype="float32")
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(case.gradient("rtrl").grads, naive.bptt(case.net, case.data), 1e-10)


# --- the user's own functions --------------------------------------------------------------------------

SHARPNESS = 1.5

OWN_ACTIVATION = (
    lambda a: math.atan(SHARPNESS * a),
    lambda a: SHARPNESS / (1 + (SHARPNESS * a) ** 2),
)
OWN_LOSS = (lambda y, d: ((y - d) ** 4).sum(), lambda y, d: 4 * (y - d) ** 3)
IN_NUMPY = ((lambda a: np.arctan(SHARPNESS * a), OWN_ACTIVATION[1]), OWN_LOSS)


@given(sizes=drawn_sizes())
def test_own_activation_and_loss(sizes: Sizes) -> None:
    case = make_case(sizes, OWN_ACTIVATION, "linear", OWN_LOSS, oracle=IN_NUMPY)
    check_against_oracle(case, "bptt", {})


@pytest.mark.usefixtures("uncompiled")
def test_own_derivative_that_is_wrong_is_found() -> None:
    """Rules trust the user's derivative; finite differences of the loss do not."""
    wrong = (OWN_ACTIVATION[0], lambda a: 1.0 / (1 + a * a))
    sizes = dataclasses.replace(PLAIN, n=2, T=3)
    right = make_case(sizes, OWN_ACTIVATION, "linear", OWN_LOSS, oracle=IN_NUMPY)
    check_against_differences(right, "bptt", {})
    with pytest.raises(AssertionError, match="is off by"):
        check_against_differences(
            make_case(sizes, wrong, "linear", OWN_LOSS, oracle=IN_NUMPY), "bptt", {}
        )
