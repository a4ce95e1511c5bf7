"""The fast-weight network and every exact rule that trains it, against oracles of no common code.

Sizes, depths, biases, shortcuts and the like cost nothing to vary, so hypothesis draws them. Each
architecture, sigma, g, activation and loss is compiled anew: two compositions are, and the others run as
the plain Python that kernels are.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import naive
import naive_fast_weights as oracle
import numpy as np
import pytest
from cases import (
    EXAMPLES,
    FLOOR,
    assert_equal_gradients,
    check_against_differences,
    differences_of_loss,
)
from fast_weight_cases import (
    ARCHITECTURE_2,
    COMPILED,
    COMPOSITIONS,
    FAST_PLAIN,
    FAST_TYPICAL,
    OWN_ACTIVATION,
    OWN_G,
    OWN_LOSS,
    OWN_SIGMA,
    UNCOMPILED,
    Composition,
    FastCase,
    FastSizes,
    check_against_fast_oracle,
    drawn_fast_sizes,
    fast_case_away_from_kink,
    make_fast_case,
    make_network,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim.registry import installed
from rnnsim.rule import Rule, nbytes

# --- which rules, with which options, on which networks ------------------------------------------------


def trains(rule: type[Rule], architecture: int) -> bool:
    try:
        rule().check_network(make_network(FAST_PLAIN, Composition(architecture)))
    except rnnsim.RnnsimError:
        return False
    return True


EXACT = {
    architecture: sorted(
        name
        for name, entry in installed().rules.items()
        if entry.thing.claim == "exact" and not entry.thing.settles and trains(entry.thing, architecture)
    )
    for architecture in (1, 2)
}

# A rule that is not here is tested with its defaults, and test_every_option_is_varied fails until its
# options are varied too.
OPTIONS: dict[str, list[dict[str, Any]]] = {"bptt": [{}, {"checkpoint": True}]}
VARIANTS = {
    architecture: [(name, options) for name in names for options in OPTIONS.get(name, [{}])]
    for architecture, names in EXACT.items()
}

# Hypothesis asks whether a fixture may stay the same for all examples: ``uncompiled`` may.
STILL = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def compositions(which: list[Composition]) -> Any:
    return pytest.mark.parametrize("composition", which, ids=str)


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


def check_exact(case: FastCase) -> None:
    for rule, options in VARIANTS[case.network.architecture]:
        check_against_fast_oracle(case, rule, options)


@compositions(COMPILED)
@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_fast_oracle(composition: Composition, sizes: FastSizes) -> None:
    check_exact(make_fast_case(sizes, composition))


@pytest.mark.usefixtures("uncompiled")
@compositions(UNCOMPILED)
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_fast_oracle_in_every_composition(
    composition: Composition, sizes: FastSizes
) -> None:
    check_exact(make_fast_case(sizes, composition))


def check_differences(case: FastCase) -> None:
    expected = differences_of_loss(case)
    for rule, options in VARIANTS[case.network.architecture]:
        assert_equal_gradients(case.gradient(rule, **options).grads, expected, 1e-6, FLOOR)


@compositions(COMPILED)
@settings(max_examples=max(1, EXAMPLES // 2))
@given(sizes=drawn_fast_sizes())
def test_exact_rules_are_the_derivative_of_the_loss(composition: Composition, sizes: FastSizes) -> None:
    check_differences(make_fast_case(sizes, composition))


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


@given(seed=st.integers(0, 100))
@settings(max_examples=5)
def test_own_functions_and_activations_by_layer_compile(seed: int) -> None:
    hidden = (["tanh", OWN_ACTIVATION, "softplus"], ["relu", "logistic"])
    composition = Composition(2, OWN_SIGMA, OWN_G, hidden, (OWN_ACTIVATION, "tanh"), OWN_LOSS)
    sizes = dataclasses.replace(FAST_TYPICAL, slow_hidden=(2, 3, 2), fast_hidden=(2, 3), seed=seed)
    check_path(make_fast_case(sizes, composition))


@compositions(COMPILED)
def test_large_products_are_right_too(composition: Composition) -> None:
    """Above the size at which BLAS takes over from loops."""
    sizes = dataclasses.replace(
        FAST_TYPICAL, n_slow_in=7, n_in=5, slow_hidden=(9, 6), fast_hidden=(4, 3), T=6, B=4
    )
    for shortcuts in (False, True):
        check_exact(
            make_fast_case(dataclasses.replace(sizes, shortcuts=(shortcuts, shortcuts)), composition)
        )


# --- the network itself --------------------------------------------------------------------------------


def check_path(case: FastCase) -> None:
    path = case.path
    assert case.loss() == pytest.approx(path.loss, rel=1e-12, abs=1e-14)
    given = {name: case.arguments[name] for name in case.arguments if name not in ("targets", "mask")}
    found = rnnsim.simulate(case.network, case.params, **given)
    np.testing.assert_allclose(found.states, path.states, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.outputs, path.outputs, rtol=1e-12, atol=1e-13)


@compositions(COMPILED)
@given(sizes=drawn_fast_sizes())
def test_loss_states_and_outputs_are_the_fast_oracles(
    composition: Composition, sizes: FastSizes
) -> None:
    check_path(make_fast_case(sizes, composition))


@pytest.mark.usefixtures("uncompiled")
@compositions(UNCOMPILED)
@settings(suppress_health_check=STILL)
@given(sizes=drawn_fast_sizes())
def test_loss_states_and_outputs_are_the_fast_oracles_in_every_composition(
    composition: Composition, sizes: FastSizes
) -> None:
    check_path(make_fast_case(sizes, composition))


@given(sizes=drawn_fast_sizes(), architecture=st.sampled_from([1, 2]))
def test_parameters_are_s_s_layers(sizes: FastSizes, architecture: int) -> None:
    case = make_fast_case(sizes, Composition(architecture))
    network = case.network
    shapes = {name: shape for name, (shape, _) in oracle.slow_blocks(case.net.slow).items()}
    assert dict(network.shapes) == shapes
    assert network.n_state == len(oracle.fast_connections(case.net.fast))
    first, again, other = network.init(seed=5), network.init(seed=5), network.init(seed=6)
    assert {name: array.shape for name, array in first._asdict().items()} == shapes
    for array, like in zip(first, again, strict=True):
        np.testing.assert_array_equal(array, like)
    assert not np.array_equal(first.W1, other.W1)


@compositions(COMPILED)
def test_the_two_nets_may_see_the_same(composition: Composition) -> None:
    """One array for both; the two arrays of it; and both side by side."""
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, n_slow_in=3, n_in=3), composition)
    both = case.arguments["inputs"][0]
    forms = [both, (both, both), [both, both], np.concatenate([both, both], axis=2)]
    for rule, options in VARIANTS[composition.architecture]:
        results = [case.changed(inputs=form).gradient(rule, **options) for form in forms]
        for result in results[1:]:
            assert result.loss == results[0].loss
            assert_equal_gradients(result.grads, results[0].grads._asdict(), 0)


def test_inputs_of_different_widths_may_lie_side_by_side() -> None:
    case = make_fast_case(FAST_TYPICAL)
    packed = np.concatenate(case.arguments["inputs"], axis=2)
    changed = case.changed(inputs=packed)
    assert changed.loss() == case.loss()
    assert_equal_gradients(changed.gradient("rtrl").grads, case.gradient("rtrl").grads._asdict(), 0)


@pytest.mark.parametrize("initial", [0.3, "slow"])
def test_one_sequence_needs_no_batch_axis(initial: float | str) -> None:
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, B=1, initial=initial, initial_state=True))
    slow, fast = case.arguments["inputs"]
    flat: dict[str, Any] = {name: case.arguments[name][:, 0] for name in ("targets", "mask", "resets")}
    flat |= {"inputs": (slow[:, 0], fast[:, 0]), "initial_state": case.arguments["initial_state"][0]}
    result = rnnsim.gradient(case.network, case.params, **flat)
    assert_equal_gradients(result.grads, case.gradient("bptt").grads._asdict(), 0)
    assert rnnsim.loss(case.network, case.params, **flat) == case.loss()


@pytest.mark.parametrize("initial", [0.3, "slow"])
def test_one_initial_state_serves_every_sequence(initial: float | str) -> None:
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, initial=initial, initial_state=True))
    one = case.arguments["initial_state"][0]
    losses = [
        case.changed(initial_state=state).loss() for state in (one, np.stack([one] * FAST_TYPICAL.B))
    ]
    assert losses[0] == losses[1]
    arguments = {name: value for name, value in case.arguments.items() if name != "initial_state"}
    assert dataclasses.replace(case, arguments=arguments).loss() != losses[0]


def test_a_slow_start_is_a_reset_before_the_first_step() -> None:
    """Under ``slow`` a reset at the first row changes nothing, unless the fast weights are given."""
    sizes = dataclasses.replace(FAST_TYPICAL, resets=False)
    for state, same in [(False, True), (True, False)]:
        case = make_fast_case(dataclasses.replace(sizes, initial_state=state))
        resets = np.zeros((sizes.T, sizes.B), bool)
        resets[0] = True
        reset = case.changed(resets=resets)
        for rule, options in VARIANTS[1]:
            plain, other = case.gradient(rule, **options), reset.gradient(rule, **options)
            assert (plain.loss == other.loss) == same
            assert np.array_equal(plain.grads.W1, other.grads.W1) == same


# --- windows and truncation ----------------------------------------------------------------------------


@compositions(COMPILED)
@given(sizes=drawn_fast_sizes(), width=st.integers(1, 9))
def test_windows_cut_no_credit_but_that_of_rules_that_store_no_more(
    composition: Composition, sizes: FastSizes, width: int
) -> None:
    case = make_fast_case(sizes, composition)
    whole = case.expected
    apart = oracle.backwards(case.net, case.weights, case.data, width)
    for rule, options in VARIANTS[composition.architecture]:
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
    for rule, options in VARIANTS[composition.architecture]:
        carries = installed().rules[rule].thing.carries
        for width in (1, 3, 4, 5, 24) if carries else (24,):
            check_against_fast_oracle(case, rule, {**options, "window": width})


def test_windows_matter_to_rules_that_store_no_more() -> None:
    case = make_fast_case(FAST_PLAIN)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_fast_oracle(case, "bptt", {"window": 3})


REACHES = [(1, 1), (2, 1), (3, 3), (3, 2), (5, 2), (7, 7), (20, 3)]


@compositions(COMPILED)
@given(sizes=drawn_fast_sizes(), reach=st.sampled_from(REACHES), width=st.integers(1, 9))
def test_truncated_bptt_is_what_the_words_say(
    composition: Composition, sizes: FastSizes, reach: tuple[int, int], width: int
) -> None:
    case = make_fast_case(sizes, composition)
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


@compositions(COMPILED)
@given(sizes=drawn_fast_sizes(), more=st.integers(0, 3), h_prime=st.integers(1, 12))
def test_from_h_of_T_on_truncated_bptt_is_exact(
    composition: Composition, sizes: FastSizes, more: int, h_prime: int
) -> None:
    h = max(sizes.T + more, h_prime)
    check_against_fast_oracle(
        make_fast_case(sizes, composition), "truncated-bptt", {"h": h, "h_prime": h_prime}
    )


# --- what goes in and what comes out -------------------------------------------------------------------


@compositions(COMPILED)
def test_gradients_are_made_like_the_parameters(composition: Composition) -> None:
    case = make_fast_case(FAST_TYPICAL, composition)
    for rule, options in VARIANTS[composition.architecture]:
        grads = case.gradient(rule, **options).grads
        assert type(grads) is type(case.params)
        for array, like in zip(grads, case.params, strict=True):
            assert (array.shape, array.dtype) == (like.shape, like.dtype)
            assert array.flags.c_contiguous
            assert array.flags.writeable


@compositions(COMPILED)
@pytest.mark.parametrize("initial", [0.3, "slow"])
def test_gradients_leave_what_they_are_given_as_it_was(
    composition: Composition, initial: float | str
) -> None:
    sizes = dataclasses.replace(FAST_TYPICAL, initial=initial, initial_state=True)
    case = make_fast_case(sizes, composition)
    others = [value for name, value in case.arguments.items() if name != "inputs"]
    given = [*case.params, *case.arguments["inputs"], *others]
    before = [array.copy() for array in given]
    for rule, options in VARIANTS[composition.architecture]:
        case.gradient(rule, **options)
    assert all((array == copy).all() for array, copy in zip(given, before, strict=True))


@compositions(COMPILED)
def test_a_target_that_is_masked_may_be_anything(composition: Composition) -> None:
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, mask="bool"), composition)
    masked = case.arguments["mask"] == 0
    assert masked.any()
    targets = case.arguments["targets"].copy()
    targets[masked] = math.nan
    changed = case.changed(targets=targets)
    for rule, options in VARIANTS[composition.architecture]:
        expected = case.gradient(rule, **options)
        result = changed.gradient(rule, **options)
        assert result.loss == expected.loss
        assert_equal_gradients(result.grads, expected.grads._asdict(), 0)


# --- float32 -------------------------------------------------------------------------------------------

IN_FLOAT32 = ["bptt", "rtrl"]  # each of which is compiled once more


@given(sizes=drawn_fast_sizes())
def test_float32_is_float64_to_a_few_roundings(sizes: FastSizes) -> None:
    """Within 1e-4 of the largest entry: 8 steps of sums of some ten terms, each rounded to 6e-8."""
    single = make_fast_case(sizes, ARCHITECTURE_2, dtype="float32")
    for rule in IN_FLOAT32:
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


# --- what is stored ------------------------------------------------------------------------------------


def traces_of(sizes: FastSizes, architecture: int, n_fast: int, n_slow: int) -> int:
    """|W_F| (phi + H), or |W_F| (2 phi + H): phi weights into each output of S, H into hidden units."""
    before = [sizes.n_slow_in, *sizes.slow_hidden]
    phi = (sum(before) if sizes.shortcuts[0] else before[-1]) + sizes.slow_bias
    n_outputs = n_fast
    if architecture == 2:
        hidden = sum(sizes.fast_hidden)
        n_outputs = (sizes.n_in + hidden + sizes.fast_bias) + (hidden + sizes.n_out)
    return n_fast * (architecture * phi + n_slow - phi * n_outputs)


@given(sizes=drawn_fast_sizes(), architecture=st.sampled_from([1, 2]))
def test_only_traces_that_can_be_non_zero_are_held(sizes: FastSizes, architecture: int) -> None:
    case = make_fast_case(sizes, Composition(architecture))
    n_fast = len(oracle.fast_connections(case.net.fast))
    n_slow = len(oracle.slow_connections(case.net.slow))
    network = case.network
    assert network.n_traces == traces_of(sizes, architecture, n_fast, n_slow)
    for batch, window in [(1, 1), (3, 1), (3, 20)]:
        traces = network.sensitivities(batch, window)
        assert traces.hidden.size + traces.output.size == batch * network.n_traces


@pytest.mark.usefixtures("uncompiled")
@compositions(COMPILED)
def test_the_entries_of_p_that_are_not_zero_are_no_fewer(composition: Composition) -> None:
    """Counted in the oracle's dense p: the formula is of what is needed, not of what was allocated."""
    sizes = dataclasses.replace(FAST_TYPICAL, resets=False, mask="none")
    case = make_fast_case(sizes, composition)
    net, params = case.net, case.weights
    S = oracle.matrix_of(net.slow, oracle.slow_connections(net.slow), oracle.flatten(net.slow, params))
    step = case.path.steps[0][0]
    assert np.count_nonzero(oracle.box_gradients(net, S, step)) == case.network.n_traces


@pytest.mark.parametrize("architecture", [1, 2])
def test_memory_covers_the_traces_and_grows_with_no_time(architecture: int) -> None:
    """Each sequence has its traces; the room to work is for all, and for the steps of a short window."""
    sizes = dataclasses.replace(FAST_PLAIN, n_in=12, n_out=12, slow_hidden=(4,), slow_bias=True)
    network = make_network(sizes, Composition(architecture))
    rng = np.random.default_rng(0)
    for name in ("rtrl", f"fast-weights-{architecture}"):
        rule = installed().rules[name].thing()

        def held(batch: int, window: int, rule: Rule = rule) -> int:
            return nbytes(rule.memory(network, batch, window, rng))

        for window in (1, 10):
            assert held(6, window) - held(1, window) == 8 * 5 * network.n_traces
        assert held(1, 10) == held(1, 1000)
        assert held(1, 10) < 8 * network.n_state * network.n_params  # p with its zeros
        assert rule.memory_bytes(network, 3, 10) >= held(3, 10)
        row = rule.memory_bytes(network, 3, 11) - rule.memory_bytes(network, 3, 10)
        longer = rule.memory_bytes(network, 3, 110) - rule.memory_bytes(network, 3, 10)
        assert longer == 100 * row  # the rows of the window and nothing else
