"""Every rule that claims to be exact, against oracles that share no code with it.

Sizes, leak, masks and the like cost nothing to vary, so hypothesis draws them; each activation, readout,
loss, dtype and rule is compiled anew, so those are chosen by hand (``COMPOSITIONS``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import naive
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim import RnnsimError, UnknownName
from rnnsim.kernels import kernel
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.registry import installed
from rnnsim.rule import Rule
from rnnsim_rules.bptt import BPTT

JIT = not numba.config.DISABLE_JIT
EXAMPLES = settings().max_examples

Check = Callable[["Case", str | Rule, dict[str, Any]], None]

EXACT = sorted(
    name
    for name, entry in installed().rules.items()
    if entry.thing.claim == "exact" and not entry.thing.settles
)

# The options of each rule at several values. A rule that is not here is tested with its defaults, and
# test_every_option_is_varied fails until its options are.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "bptt": [{}, {"checkpoint": True}],
    "rtrl-block": [{}, {"h": 1}, {"h": 2}, {"h": 5}, {"h": 100}],
}
VARIANTS = [(name, options) for name in EXACT for options in OPTIONS.get(name, [{}])]

# Rules that store no more than a window, and give no credit to the steps before it.
WITHIN_WINDOWS = {"bptt"}

# Each activation with each readout, each readout with each loss, each activation with two losses.
COMPOSITIONS = [
    ("tanh", "linear", "squared-error"),
    ("softplus", "units", "softmax-cross-entropy"),
    ("tanh", "units", "logistic-cross-entropy"),
    ("logistic", "linear", "softmax-cross-entropy"),
    ("logistic", "units", "squared-error"),
    ("relu", "linear", "logistic-cross-entropy"),
    ("relu", "units", "squared-error"),
    ("softplus", "linear", "squared-error"),
    ("identity", "linear", "softmax-cross-entropy"),
    ("identity", "units", "logistic-cross-entropy"),
]
FOR_ALL_RULES = COMPOSITIONS[:2]
AGAINST_DIFFERENCES = [*FOR_ALL_RULES, ("relu", "linear", "logistic-cross-entropy")]
FLOOR = 1e-10  # of finite differences: some roundings of a loss of size 10, over a step of 1e-4
NORM = 1.2  # the largest singular value of W: 12 steps of an unbounded activation stay finite
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
    mask, resets, initial = np.ones((T, B)), np.zeros((T, B), bool), np.zeros((B, n))
    if sizes.mask != "none":
        mask = rng.random((T, B)) < 0.6 if sizes.mask == "bool" else rng.choice([0.0, 0.5, 2.0], (T, B))
        arguments["mask"] = mask
    if sizes.resets:
        resets = rng.random((T, B)) < 0.2
        arguments["resets"] = resets
    if sizes.initial:
        initial = rng.standard_normal((B, n))
        arguments["initial_state"] = initial
    f, df = naive.ACTIVATIONS[activation] if oracle is None else oracle[0]
    value, slope = naive.LOSSES[loss] if oracle is None else oracle[1]
    W, U, b, *readout_params = (np.asarray(array, float) for array in params)
    V, c = readout_params or (None, None)
    net = naive.Net(W, U, b, V, c, units, f, df, sizes.leak, value, slope)
    return Case(network, params, arguments, net, naive.Data(inputs, targets, mask, resets, initial))


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


# --- exact rules ---------------------------------------------------------------------------------------


def test_every_option_is_varied() -> None:
    for name in EXACT:
        defaults = set(installed().rules[name].thing.defaults())
        assert defaults == {option for options in OPTIONS.get(name, [{}]) for option in options}, name


@pytest.mark.parametrize("composition", COMPOSITIONS, ids="-".join)
@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_sizes())
def test_bptt_and_loss_are_the_oracles(composition: tuple[str, str, str], sizes: Sizes) -> None:
    check_against_oracle(make_case(sizes, *composition), "bptt", {})


@pytest.mark.parametrize("composition", FOR_ALL_RULES, ids="-".join)
@settings(max_examples=2 * EXAMPLES)
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_oracle_and_one_another(
    composition: tuple[str, str, str], sizes: Sizes
) -> None:
    case = make_case(sizes, *composition)
    for rule, options in VARIANTS:
        check_against_oracle(case, rule, options)


@pytest.mark.parametrize("composition", AGAINST_DIFFERENCES, ids="-".join)
@settings(max_examples=max(1, EXAMPLES // 2))
@given(sizes=drawn_sizes())
def test_exact_rules_are_the_derivative_of_the_loss(
    composition: tuple[str, str, str], sizes: Sizes
) -> None:
    case = away_from_kink(sizes, *composition)
    expected = differences_of_loss(case)
    for rule, options in VARIANTS if composition in FOR_ALL_RULES else [("bptt", {})]:
        assert_equal_gradients(case.gradient(rule, **options).grads, expected, 1e-6, FLOOR)


@given(sizes=drawn_sizes(), width=st.integers(1, 13))
def test_windows_cut_no_credit_but_that_of_rules_that_store_no_more(sizes: Sizes, width: int) -> None:
    case = make_case(sizes)
    whole = naive.bptt(case.net, case.data)
    apart = naive.bptt_in_windows(case.net, case.data, width)
    for rule, options in VARIANTS:
        expected = apart if rule in WITHIN_WINDOWS else whole
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
    flat = {name: array[:, 0] for name, array in case.arguments.items() if name != "initial_state"}
    flat["initial_state"] = case.arguments["initial_state"][0]
    result = rnnsim.gradient(case.network, case.params, **flat)
    assert_equal_gradients(result.grads, case.gradient("bptt").grads._asdict(), 0)


def test_large_products_are_right_too() -> None:
    """Above the size at which BLAS takes over from loops."""
    sizes = Sizes(24, 9, 7, 20, 5, 0.7, "float", True, True, False, 3)
    for rule, options in VARIANTS:
        check_against_oracle(make_case(sizes), rule, options)


# --- float32 -------------------------------------------------------------------------------------------


@settings(max_examples=EXAMPLES)
@given(sizes=drawn_sizes())
def test_float32_is_float64_to_a_few_roundings(sizes: Sizes) -> None:
    """Within 1e-4 of the largest entry: 12 steps of sums of some ten terms, each rounded to 6e-8."""
    single = make_case(sizes, dtype="float32")
    for rule, options in VARIANTS:
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


# --- controls: broken rules that each check must reject ------------------------------------------------


class Scaled(BPTT, frozen=True):
    """BPTT whose gradient is 1% too small."""

    name = "scaled"

    def learn(self, network: Any) -> Any:
        learn = super().learn(network)

        @kernel
        def scaled(
            params: Any,
            state: Any,
            stream: Any,
            row: int,
            trajectory: Any,
            window: Any,
            memory: Any,
            grad: Any,
        ) -> int:
            code = learn(params, state, stream, row, trajectory, window, memory, grad)
            grad.W[:] *= 0.99
            return int(code)

        return scaled


class Transposed(BPTT, frozen=True):
    """BPTT with W where W^T belongs."""

    name = "transposed"

    def learn(self, network: Any) -> Any:
        return super().learn(with_pullback(network, transposed_pullback))


class Leakless(BPTT, frozen=True):
    """BPTT that forgets that the state leaks through from step to step."""

    name = "leakless"

    def learn(self, network: Any) -> Any:
        return super().learn(with_pullback(network, leakless_pullback))


def with_pullback(network: RecurrentNetwork, pullback: Any) -> RecurrentNetwork:
    broken = RecurrentNetwork.__new__(RecurrentNetwork)
    broken.__dict__.update(network.__dict__, pullback=pullback)
    return broken


@kernel
def transposed_pullback(
    params: Any, trajectory: Any, t: int, own_error: bool, after: Any, blame: Any, before: Any
) -> None:
    R, B, n = after.shape
    for r in range(R):
        for b in range(B):
            if own_error:
                after[r, b] += trajectory.error[t, b]
            blame[r, b] = trajectory.leak * trajectory.slopes[t, b] * after[r, b]
            before[r, b] = (1 - trajectory.leak) * after[r, b]
            for i in range(n):
                for j in range(n):
                    before[r, b, i] += params.W[i, j] * blame[r, b, j]
            if trajectory.resets[t, b]:
                before[r, b] = 0


@kernel
def leakless_pullback(
    params: Any, trajectory: Any, t: int, own_error: bool, after: Any, blame: Any, before: Any
) -> None:
    R, B, n = after.shape
    for r in range(R):
        for b in range(B):
            if own_error:
                after[r, b] += trajectory.error[t, b]
            blame[r, b] = trajectory.leak * trajectory.slopes[t, b] * after[r, b]
            before[r, b] = 0
            for i in range(n):
                for j in range(n):
                    before[r, b, i] += params.W[j, i] * blame[r, b, j]
            if trajectory.resets[t, b]:
                before[r, b] = 0


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("check", [check_against_oracle, check_against_differences])
@pytest.mark.parametrize("broken", [Scaled(), Transposed(), Leakless()], ids=lambda rule: rule.name)
def test_broken_rules_are_rejected(check: Check, broken: Rule) -> None:
    case = make_case(dataclasses.replace(TYPICAL, n=3, T=5, B=2, seed=4))
    check(case, "bptt", {})
    with pytest.raises(AssertionError, match="is off by"):
        check(case, broken, {})


@pytest.mark.usefixtures("uncompiled")
def test_a_rule_that_forgets_the_leak_is_right_without_one() -> None:
    """The control is broken in the one way that its name says."""
    check_against_oracle(make_case(PLAIN), Leakless(), {})


# --- errors that users see -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "rule", "options"),
    [
        (UnknownName, r"no rule is called 'btpp'; did you mean bptt", "btpp", {}),
        (UnknownName, r"no option of truncated-bptt is called 'hh'.*\bh\b", "truncated-bptt", {"hh": 3}),
        (UnknownName, r"no option of bptt is called 'h'", "bptt", {"h": 3}),
        (RnnsimError, r"option h of rtrl-block is 0: .*>= 1", "rtrl-block", {"h": 0}),
        (RnnsimError, r"option h of truncated-bptt is -1: .*>= 1", "truncated-bptt", {"h": -1}),
        (RnnsimError, r"option h of truncated-bptt is 2.5", "truncated-bptt", {"h": 2.5}),
        (RnnsimError, r"h_prime is 4; it must be at most h, which is 3", "truncated-bptt",
         {"h": 3, "h_prime": 4}),
        (RnnsimError, r"option solver of recurrent-backprop is 'magic'", "recurrent-backprop",
         {"solver": "magic"}),
        (RnnsimError, r"options go with the name of a rule", BPTT(), {"checkpoint": True}),
        (RnnsimError, r"rule is the name of a rule or a Rule, not 3", 3, {}),
        (RnnsimError, r"window is 0; it must be at least 1", "bptt", {"window": 0}),
    ],
)  # fmt: skip
def test_wrong_rules_and_options_say_so(
    error: type[Exception], message: str, rule: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        make_case(PLAIN).gradient(rule, **options)


NAN = math.nan


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"inputs has shape \(8, 2, 3\); expected \(T, B, 2\) or \(T, 2\)",
         {"inputs": np.zeros((8, 2, 3))}),
        (r"inputs has shape \(2,\)", {"inputs": np.zeros(2)}),
        (r"inputs has shape \(0, 2, 2\): it needs at least one step", {"inputs": np.zeros((0, 2, 2))}),
        (r"targets are \(T, B\) = \(7, 2\); the inputs \(8, 2\)", {"targets": np.zeros((7, 2, 2))}),
        (r"targets has shape \(8, 2, 5\)", {"targets": np.zeros((8, 2, 5))}),
        (r"mask has shape \(2, 8\); expected \(8, 2\)", {"mask": np.ones((2, 8))}),
        (r"resets has shape \(8,\); expected \(8, 2\)", {"resets": np.zeros(8, bool)}),
        (r"resets must be an array of bools", {"resets": np.zeros((8, 2))}),
        (r"initial_state has shape \(3,\); expected \(2, 4\) or \(4,\)", {"initial_state": np.zeros(3)}),
        (r"inputs must be an array of real numbers", {"inputs": np.zeros((8, 2, 2), complex)}),
        (r"inputs holds nan at \(0, 0, 0\)", {"inputs": np.full((8, 2, 2), NAN)}),
        (r"inputs holds inf at \(0, 0, 0\)", {"inputs": np.full((8, 2, 2), np.inf)}),
        (r"targets holds nan at \(0, 0, 0\)", {"targets": np.full((8, 2, 2), NAN)}),
        (r"mask holds nan at \(0, 0\)", {"mask": np.full((8, 2), NAN)}),
        (r"initial_state holds nan at \(0, 0\)", {"initial_state": np.full((2, 4), NAN)}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_wrong_arrays_say_so(message: str, change: dict[str, Any]) -> None:
    case = make_case(PLAIN)
    for function in (rnnsim.gradient, rnnsim.loss):
        with pytest.raises(RnnsimError, match=message):
            function(case.network, case.params, **(case.arguments | change))


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"W has shape \(3, 3\); this network's is \(4, 4\)", {"W": np.zeros((3, 3))}),
        (r"b holds values that are not finite", {"b": np.full(4, NAN)}),
    ],
)
def test_wrong_parameters_say_so(message: str, change: dict[str, Any]) -> None:
    case = make_case(PLAIN)
    with pytest.raises(RnnsimError, match=message):
        rnnsim.gradient(case.network, case.params._replace(**change), **case.arguments)


def test_absent_parameters_say_so() -> None:
    case = make_case(PLAIN)
    with pytest.raises(RnnsimError, match="the parameters of this network are W, U, b, V, c; got W"):
        rnnsim.gradient(case.network, {"W": case.params.W}, **case.arguments)  # type: ignore[arg-type]


def test_weights_where_there_is_no_connection_are_refused() -> None:
    case = make_case(TYPICAL)
    with pytest.raises(RnnsimError, match="no connection"):
        rnnsim.gradient(case.network, case.params._replace(W=np.ones((5, 5))), **case.arguments)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (UnknownName, r"no activation is called 'tahn'; did you mean tanh", {"activation": "tahn"}),
        (UnknownName, r"no loss is called 'square'", {"loss": "square"}),
        (RnnsimError, r"activation is a name or a pair", {"activation": (math.tanh,)}),
        (RnnsimError, r"leak is 0; it must be above 0 and at most 1", {"leak": 0}),
        (RnnsimError, r"leak is 1.5; it must be above 0 and at most 1", {"leak": 1.5}),
        (RnnsimError, r"leak is nan; it must be finite", {"leak": NAN}),
        (RnnsimError, r"readout names 1 units; n_out is 2", {"readout": [0]}),
        (RnnsimError, r"readout must be different unit indices from 0 to 3", {"readout": [0, 4]}),
        (RnnsimError, r"readout must be different unit indices from 0 to 3", {"readout": [1, 1]}),
        (RnnsimError, r"connectivity must be a bool array of shape \(4, 4\)",
         {"connectivity": np.ones((3, 4), bool)}),
        (RnnsimError, r"dtype is float64 or float32", {"dtype": "int8"}),
        (RnnsimError, r"n_hidden is 0; it must be at least 1", {"n_hidden": 0}),
        (RnnsimError, r"n_hidden is a whole number, not 2.5", {"n_hidden": 2.5}),
    ],
)  # fmt: skip
def test_wrong_networks_say_so(error: type[Exception], message: str, change: dict[str, Any]) -> None:
    with pytest.raises(error, match=message):
        RecurrentNetwork(**({"n_in": 2, "n_hidden": 4, "n_out": 2} | change))


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


def test_a_gradient_that_overflows_is_refused() -> None:
    case = make_case(dataclasses.replace(PLAIN, n=1, k=1, T=12), "identity", "linear",
                     "softmax-cross-entropy")  # fmt: skip
    huge = case.params._replace(W=np.full((1, 1), 1e200))
    with np.errstate(all="ignore"), pytest.raises(rnnsim.Diverged, match=r"the loss is .* at step \d+"):
        rnnsim.gradient(case.network, huge, **case.arguments)
