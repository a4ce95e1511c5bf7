"""The fast-weight network itself: states and parameters, what goes in and comes out, what is stored."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import naive_fast_weights as oracle
import numpy as np
import pytest
from cases import STILL, assert_equal_gradients
from fast_weight_cases import (
    COMPILED,
    COMPILED_VARIANTS,
    FAST_PLAIN,
    FAST_TYPICAL,
    OWN_ACTIVATION,
    OWN_G,
    OWN_LOSS,
    OWN_SIGMA,
    UNCOMPILED,
    VARIANTS,
    Composition,
    FastCase,
    FastSizes,
    compositions,
    drawn_fast_sizes,
    make_fast_case,
    make_network,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim.registry import installed
from rnnsim.rule import Rule, nbytes

# --- states, outputs and parameters --------------------------------------------------------------------


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


@given(seed=st.integers(0, 100))
@settings(max_examples=5)
def test_own_functions_and_activations_by_layer_compile(seed: int) -> None:
    hidden = (["tanh", OWN_ACTIVATION, "softplus"], ["relu", "logistic"])
    composition = Composition(2, OWN_SIGMA, OWN_G, hidden, (OWN_ACTIVATION, "tanh"), OWN_LOSS)
    sizes = dataclasses.replace(FAST_TYPICAL, slow_hidden=(2, 3, 2), fast_hidden=(2, 3), seed=seed)
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
    forms = [both, (both, both), np.concatenate([both, both], axis=2)]
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
        results = [case.changed(inputs=form).gradient(rule, **options) for form in forms]
        for result in results[1:]:
            assert result.loss == results[0].loss
            assert_equal_gradients(result.grads, results[0].grads._asdict(), 0)


def test_a_list_of_two_rows_is_not_a_pair() -> None:
    network = rnnsim.FastWeightNetwork(n_slow_in=3, n_in=3, n_out=1)
    rows = [[1, 0, 0], [0, 1, 0]]
    found, expected = (
        rnnsim.simulate(network, network.init(), u) for u in (rows, np.array(rows, float))
    )
    assert (found.outputs == expected.outputs).all()


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
    flat |= {name: array[0] for name, array in case.arguments.items() if name.endswith("state")}
    flat["inputs"] = (slow[:, 0], fast[:, 0])
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


# --- what goes in and what comes out -------------------------------------------------------------------


@compositions(COMPILED)
def test_gradients_are_made_like_the_parameters(composition: Composition) -> None:
    case = make_fast_case(FAST_TYPICAL, composition)
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
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
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
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
    for rule, options in COMPILED_VARIANTS[composition.architecture]:
        expected = case.gradient(rule, **options)
        result = changed.gradient(rule, **options)
        assert result.loss == expected.loss
        assert_equal_gradients(result.grads, expected.grads._asdict(), 0)


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
        assert traces.hidden.size + traces.output.size == batch * (network.n_traces + idle(network))


def idle(network: rnnsim.FastWeightNetwork) -> int:
    """Traces of no fast weight, a sequence: each block's columns are whole lines of the cache."""
    traces = network.sensitivities(1, 1)
    _, blocks, kinds, phi, width = traces.output.shape
    line = 64 // network.dtype.itemsize
    beyond = blocks * width - network.n_state
    assert width % line == 0
    assert 0 <= beyond < blocks * line
    return (traces.hidden.shape[2] + kinds * phi) * beyond


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
            assert held(6, window) - held(1, window) == 8 * 5 * (network.n_traces + idle(network))
        assert held(1, 10) == held(1, 1000)
        assert held(1, 10) < 8 * network.n_state * network.n_params  # p with its zeros
        assert rule.memory_bytes(network, 3, 10) >= held(3, 10)
        row = rule.memory_bytes(network, 3, 11) - rule.memory_bytes(network, 3, 10)
        longer = rule.memory_bytes(network, 3, 110) - rule.memory_bytes(network, 3, 10)
        assert longer == 100 * row  # the rows of the window and nothing else
