"""Recurrent back-propagation: right where there is a steady state, a refusal where there is none."""

from __future__ import annotations

import dataclasses
import itertools
import re
import warnings
from typing import Any

import naive
import numpy as np
import pytest
from cases import EXAMPLES, FLOOR, STILL, Case, Sizes, assert_equal_gradients, existing, make_case
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim
from rnnsim import NoSteadyState, RnnsimError, RnnsimWarning
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.numerics.adjoints import AdjointSolver

RULE = "recurrent-backprop"
SOLVERS = ("relaxation", "anderson", "newton")
ADJOINTS: tuple[dict[str, Any], ...] = (
    {"adjoint": "direct"},
    {"adjoint": "relaxation"},
    {"adjoint": "refined"},
    {"adjoint": "neumann", "terms": 400},
)
CONTRACTION = 0.6  # the largest singular value of W
COMPOSITION = ("tanh", "linear", "squared-error")


@st.composite
def patterns(draw: st.DrawFn) -> Sizes:
    n = draw(st.integers(1, 6))
    return Sizes(
        n=n,
        m=draw(st.integers(0, 3)),
        k=draw(st.integers(1, min(3, n))),
        T=draw(st.integers(1, 4)),
        B=draw(st.integers(1, 3)),
        leak=draw(st.sampled_from([1.0, 0.5])),
        mask=draw(st.sampled_from(["none", "bool", "float"])),
        resets=draw(st.booleans()),
        initial=draw(st.booleans()),
        sparse=draw(st.booleans()),
        seed=draw(st.integers(0, 10_000)),
    )


def contracting(sizes: Sizes, *composition: str) -> Case:
    """A case whose W has a norm of at most ``CONTRACTION``."""
    case = make_case(sizes, *(composition or COMPOSITION))
    W = case.params.W * min(1.0, CONTRACTION / max(1e-9, np.linalg.norm(case.params.W, 2)))
    return dataclasses.replace(case, params=case.params._replace(W=W), net=case.net._replace(W=W))


def steady_loss(case: Case, params: Any = None, solver: str = "newton") -> float:
    return rnnsim.loss(
        case.network,
        case.params if params is None else params,
        **case.arguments,
        steady_state=True,
        solver=solver,
    )


def check_against_oracle(case: Case, **options: Any) -> None:
    """Loss and gradient are those of eqs. (5)-(7), at states that are right to some 1e-12."""
    result = case.gradient(RULE, **options)
    loss, gradient = naive.recurrent_backprop(case.net, case.data)
    assert result.loss == pytest.approx(loss, rel=1e-9, abs=1e-11)
    assert_equal_gradients(result.grads, existing(case, gradient), 1e-8, 1e-10)


TYPICAL = Sizes(5, 2, 3, 3, 2, 0.5, "float", False, True, True, 0)
ALL_WAYS = [  # each solver and each adjoint: neither knows of the other; these are what is compiled here
    (SOLVERS[i % len(SOLVERS)], adjoint) for i, adjoint in enumerate(ADJOINTS)
]


# --- where there is a steady state ---------------------------------------------------------------------


@settings(max_examples=max(2, EXAMPLES // 3))
@given(sizes=patterns())
def test_every_solver_and_adjoint_is_the_oracle(sizes: Sizes) -> None:
    case = contracting(sizes)
    for solver, adjoint in ALL_WAYS:
        check_against_oracle(case, solver=solver, **adjoint)


@settings(max_examples=max(2, EXAMPLES // 3))
@given(sizes=patterns())
def test_another_composition_is_the_oracle(sizes: Sizes) -> None:
    check_against_oracle(contracting(sizes, "logistic", "units", "squared-error"))


@pytest.mark.usefixtures("uncompiled")
@settings(max_examples=max(2, EXAMPLES // 3), suppress_health_check=STILL)
@given(sizes=patterns())
def test_another_loss_is_the_oracle(sizes: Sizes) -> None:
    check_against_oracle(contracting(sizes, "softplus", "linear", "softmax-cross-entropy"))


@settings(max_examples=max(1, EXAMPLES // 10))
@given(sizes=patterns())
def test_it_is_the_derivative_of_the_steady_loss(sizes: Sizes) -> None:
    case = contracting(sizes)
    expected = {}
    for name, array in case.params._asdict().items():
        exists = case.network.connectivity if name == "W" else None

        def loss_with(values: np.ndarray, name: str = name, exists: Any = exists) -> float:
            given = values if exists is None else values * exists
            return steady_loss(case, case.params._replace(**{name: given}))

        expected[name] = naive.finite_differences(loss_with, array)
    for solver, adjoint in ALL_WAYS:
        found = case.gradient(RULE, solver=solver, **adjoint).grads
        assert_equal_gradients(found, expected, 1e-6, FLOOR)


@pytest.mark.usefixtures("uncompiled")
def test_relu_is_right_where_units_are_silent() -> None:
    """Eq. (6) has no D^-1 there; its product with D has."""
    case = contracting(dataclasses.replace(TYPICAL, seed=3), "relu", "linear", "squared-error")
    slopes = rnnsim.simulate(case.network, case.params, case.arguments["inputs"], steady_state=True,
                             reset_state=case.arguments["reset_state"]).states > 0  # fmt: skip
    assert 0 < slopes.mean() < 1
    expected = {
        name: naive.finite_differences(
            lambda values, name=name: steady_loss(
                case, case.params._replace(**{name: values}), "relaxation"
            ),
            array,
        )
        for name, array in case.params._asdict().items()
        if name != "W"
    }
    found = case.gradient(RULE).grads._asdict()
    del found["W"]
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-8)


def test_it_is_bptt_of_a_long_run_judged_at_its_end() -> None:
    """Of one pattern: unrolled until it stands still, BPTT sums what (6) solves."""
    case = contracting(dataclasses.replace(TYPICAL, T=1, B=3, mask="none"))
    steps = 200
    inputs = np.repeat(case.arguments["inputs"], steps, axis=0)
    targets = np.repeat(case.arguments["targets"], steps, axis=0)
    mask = np.zeros((steps, 3))
    mask[-1] = 1
    unrolled = rnnsim.gradient(case.network, case.params, inputs, targets, "bptt", mask=mask,
                               initial_state=case.arguments["reset_state"])  # fmt: skip
    settled = case.gradient(RULE)
    assert settled.loss == pytest.approx(unrolled.loss, rel=1e-10)
    assert_equal_gradients(settled.grads, unrolled.grads._asdict(), 1e-9)


def test_a_short_run_is_not_a_steady_state() -> None:
    case = contracting(dataclasses.replace(TYPICAL, T=1, mask="none"))
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(case.gradient("bptt").grads, case.gradient(RULE).grads._asdict(), 1e-8)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("adjoint", ["direct", "relaxation", "refined"])
def test_patterns_that_settle_apart_are_each_as_alone(solver: str, adjoint: str) -> None:
    """Those that have settled change places with others, and in the end all are where they were."""
    rng = np.random.default_rng(3)
    network = RecurrentNetwork(2, 5, 2)
    params = network.init(seed=4)
    params.W[:] *= 0.7
    inputs = rng.standard_normal((1, 7, 2)) * np.array([0, 9, 0.5, 3, 0.1, 30, 1])[:, None]
    targets = rng.standard_normal((1, 7, 2))

    def gradient(b: slice) -> Any:
        return rnnsim.gradient(
            network, params, inputs[:, b], targets[:, b], RULE, solver=solver, adjoint=adjoint
        )

    together, alone = gradient(slice(None)), [gradient(slice(b, b + 1)) for b in range(7)]
    for found, *parts in zip(together.grads, *(one.grads for one in alone), strict=True):
        np.testing.assert_allclose(found, np.mean(parts, axis=0), rtol=1e-8, atol=1e-10)
    assert len({relaxed_steps(params, inputs[0, b]) for b in range(7)}) > 3  # the control


def relaxed_steps(params: Any, u: np.ndarray) -> int:
    """How many steps a pattern takes to settle."""
    x = np.zeros(len(params.W))
    for step in range(10_000):
        before, x = x, np.tanh(params.W @ x + params.U @ u + params.b)
        if np.abs(x - before).max() < 1e-12:
            return step
    raise AssertionError("it does not settle")


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("size", [1e-200, 1e-30, 1.0, 1e30])
def test_a_refined_adjoint_has_all_digits_of_double_precision(size: float) -> None:
    """Whatever the size of the error, which single precision could not hold."""
    case = contracting(dataclasses.replace(TYPICAL, mask="none"))
    case = dataclasses.replace(case, params=case.params._replace(V=case.params.V * size))
    found = case.gradient(RULE, adjoint="refined", adjoint_tolerance=1e-12).grads
    exact = case.gradient(RULE, adjoint="direct").grads
    for name in ("W", "U", "b"):
        one, other = getattr(found, name), getattr(exact, name)
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12 * np.abs(other).max())


@pytest.mark.usefixtures("uncompiled")
def test_single_precision_alone_has_not() -> None:
    """The control: with one round."""
    case = contracting(dataclasses.replace(TYPICAL, mask="none"))
    found = case.gradient(RULE, adjoint="refined", adjoint_tolerance=1e-3).grads
    exact = case.gradient(RULE, adjoint="direct").grads
    error = np.abs(found.b - exact.b).max() / np.abs(exact.b).max()
    assert 1e-10 < error < 1e-5


@pytest.mark.usefixtures("uncompiled")
def test_where_rounding_hides_the_rest_an_iteration_ends() -> None:
    """In float32, an adjoint of forty times the error never has a residual of a millionth of it."""
    network = RecurrentNetwork(0, 3, 3, activation="identity", dtype="float32")
    W = 0.975 * np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    solver = AdjointSolver("relaxation")
    workspace, trajectory = solver.workspace(network, 1), network.trajectory(1, 1)
    trajectory.slopes[:], trajectory.error[:] = 1, 1
    params, delta = network.init()._replace(W=W.astype("f")), np.zeros((1, 1, 3), "f")
    assert solver.kernel(network)(params, trajectory, 0, workspace, delta)
    residual, steps, *_ = workspace.report[0]
    assert residual > workspace.enough  # the control
    assert steps < 1000
    np.testing.assert_allclose(delta[0, 0], np.linalg.solve(np.eye(3) - W.T, np.ones(3)), rtol=1e-4)


@pytest.mark.usefixtures("uncompiled")
def test_a_wrong_adjoint_is_rejected() -> None:
    """The control: W^T forgotten, s = D dE/dx."""
    case = contracting(TYPICAL)
    check_against_oracle(case)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_oracle(case, adjoint="neumann", terms=1, adjoint_tolerance=1e9)


@pytest.mark.usefixtures("uncompiled")
def test_solvers_give_the_same_states() -> None:
    case = contracting(TYPICAL)
    arguments = {name: case.arguments[name] for name in ("inputs", "reset_state")}
    for solver in SOLVERS:
        found = rnnsim.simulate(case.network, case.params, **arguments, steady_state=True, solver=solver)
        for t in range(3):
            for b in range(2):
                u, x = case.data.inputs[t, b], case.data.initial[b]
                np.testing.assert_allclose(
                    found.states[t, b], naive.steady_state(case.net, u, x), rtol=0, atol=1e-11
                )
        assert found.spectral_radius is not None
        assert 0.5 < found.spectral_radius < 0.5 + 0.5 * CONTRACTION + 1e-9  # leak 0.5


@pytest.mark.parametrize(
    "W", [[[0.3, -0.8], [0.5, 0.1]], [[0.0, 0.0], [0.0, 0.9]], [[0.6, 0.0], [9.0, 0.0]]]
)
def test_stability_is_the_spectral_radius_of_the_step(W: list[list[float]]) -> None:
    """At the origin of tanh(W x): the eigenvalues of (1 - alpha) I + alpha W."""
    for leak in (1.0, 0.5):
        network, params = bare("tanh", W, leak=leak)
        result = rnnsim.gradient(network, params, NOTHING, np.ones((1, 2)), RULE)
        step = (1 - leak) * np.eye(2) + leak * np.array(W)
        assert result.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(step)).max(), rel=1e-12)


def test_a_small_leak_is_not_taken_for_standing_still() -> None:
    """The tolerance is on |f(W x + b) - x|, of which a step moves by the leak only."""
    network, params = bare("tanh", 0.5, 1.0, leak=1e-3)
    result = rnnsim.gradient(network, params, NOTHING, np.zeros((1, 1)), RULE, tolerance=1e-3)
    x = result.grads.c[0]  # y - d, d = 0
    assert 0 < abs(np.tanh(0.5 * x + 1) - x) <= 1e-3


# --- where there is none, or none that is stable -------------------------------------------------------

NOTHING = np.zeros((1, 0))  # one pattern without inputs


def bare(activation: str, W: Any, b: Any = 0.0, leak: float = 1.0) -> tuple[RecurrentNetwork, Any]:
    """A network without inputs, y = x."""
    W = np.atleast_2d(np.asarray(W, float))
    n = len(W)
    network = RecurrentNetwork(0, n, n, activation=activation, leak=leak)
    return network, network.init()._replace(W=W, b=np.full(n, b), V=np.eye(n))


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("activation", "W", "b"),
    [("relu", 2.0, 1.0), ("identity", 1.0, 1.0), ("softplus", 1.0, 1.0)],
)
def test_where_there_is_no_steady_state_it_refuses(
    activation: str, W: float, b: float, solver: str
) -> None:
    """x = relu(2x + 1), x = x + 1, x = softplus(x + 1)."""
    for leak in (1.0, 0.3):
        network, params = bare(activation, W, b, leak)
        with np.errstate(all="ignore"), pytest.raises(NoSteadyState) as refusal:
            rnnsim.loss(network, params, NOTHING, np.ones((1, 1)), steady_state=True, solver=solver)
        check_refusal(str(refusal.value), solver)
        with np.errstate(all="ignore"), pytest.raises(NoSteadyState, match="no steady state"):
            rnnsim.simulate(network, params, NOTHING, steady_state=True, solver=solver)


def check_refusal(message: str, solver: str) -> None:
    """It names the residual, which is above the tolerance, or a state too large to tell."""
    found = re.search(
        r"after \d+ steps of (\w+) the residual is (\S+) times the state \(tolerance (\S+)[,)]", message
    )
    assert found, message
    residual, tolerance = float(found[2]), float(found[3].rstrip(","))
    assert found[1] == solver
    assert not residual <= tolerance or "largest state" in message


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("activation", "W", "b"),
    [("relu", 2.0, 1.0), ("identity", 1.0, 1.0), ("softplus", 1.0, 1.0)],
)
def test_the_rule_refuses_too(activation: str, W: float, b: float, solver: str) -> None:
    network, params = bare(activation, W, b)
    with np.errstate(all="ignore"), pytest.raises(NoSteadyState, match="residual is"):
        rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE, solver=solver, max_steps=2000)


@pytest.mark.parametrize(("solver", "adjoint"), ALL_WAYS, ids=str)
def test_machine_code_refuses_too(solver: str, adjoint: dict[str, Any]) -> None:
    """As the plain Python above: it says after how many steps, and of which solver."""
    network, params = bare("tanh", 0.9, 1.0)
    how = {"solver": solver, **adjoint}
    rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE, **how)
    with pytest.raises(NoSteadyState) as refusal:
        rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE, max_steps=2, **how)
    check_refusal(str(refusal.value), solver)


def oscillating(dtype: str = "float64") -> tuple[RecurrentNetwork, Any]:
    """tanh(-5 x + u), y = x."""
    network = RecurrentNetwork(1, 1, 1, dtype=dtype)
    params = network.init()
    for array, value in zip(params, (-5, 1, 0, 1, 0), strict=True):
        array[...] = value
    return network, params


@pytest.mark.usefixtures("uncompiled")
def test_one_pattern_that_does_not_settle_is_named() -> None:
    """tanh(-5 x + u) settles where u is large, since the slope is small there."""
    inputs = np.full((3, 2, 1), 100.0)
    inputs[2, 1] = 0.1
    network, params = oscillating()
    rnnsim.gradient(network, params, inputs[:2], np.zeros((2, 2, 1)), RULE)
    with pytest.raises(NoSteadyState, match=r"no steady state for inputs\[2, 1\]"):
        rnnsim.gradient(network, params, inputs, np.zeros((3, 2, 1)), RULE)


@pytest.mark.parametrize(("solver", "adjoint"), ALL_WAYS, ids=str)
def test_an_unstable_steady_state_is_warned_of(solver: str, adjoint: dict[str, Any]) -> None:
    """tanh(2 x) at x = 0, where every solver starts: steady, not stable, and J = 2."""
    network, params = bare("tanh", 2.0)
    target = np.full((1, 1), 0.5)
    how = {"solver": solver, **adjoint}
    if how["adjoint"] != "direct":  # the series of J = 2 has no sum
        with np.errstate(all="ignore"), pytest.raises(NoSteadyState, match=r"adjoint .*residual is"):
            rnnsim.gradient(network, params, NOTHING, target, RULE, **how)
        return

    def asked() -> Any:
        result = rnnsim.gradient(network, params, NOTHING, target, RULE, **how)
        if solver == "relaxation":  # seldom finds such a state: it is looked at where one asks
            assert result.spectral_radius == pytest.approx(2)
        return result

    with pytest.warns(RnnsimWarning, match="unstable: the spectral radius there is 2"):
        result = asked()
    assert result.spectral_radius == pytest.approx(2)
    assert result.grads.b == pytest.approx([0.5])  # dE/dx = -0.5, s = dE/dx / (1 - 2)


@pytest.mark.usefixtures("uncompiled")
def test_stability_is_that_of_the_gradient_s_own_steady_states() -> None:
    """It is computed later, from what later gradients do not change."""
    network, params = bare("tanh", 0.5)
    first = rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE)
    params.W[:] = -0.25
    second = rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE)
    assert (first.spectral_radius, second.spectral_radius) == pytest.approx((0.5, 0.25))


@pytest.mark.usefixtures("uncompiled")
def test_a_stable_steady_state_is_not_warned_of() -> None:
    """tanh(2 x) from x = 1 settles at 0.957, where the slope is 0.16."""
    network, params = bare("tanh", 2.0)
    for solver in SOLVERS:
        result = rnnsim.gradient(
            network, params, NOTHING, np.ones((1, 1)), RULE, solver=solver, initial_state=np.ones(1)
        )
        assert result.spectral_radius is not None
        assert result.spectral_radius < 1


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("seed", range(6))
def test_newton_in_larger_random_networks_is_right_or_refuses(seed: int) -> None:
    """Networks in the chaotic regime, whose steady states are unstable where there are any."""
    rng = np.random.default_rng(seed)
    n = 12
    network, params = bare("tanh", rng.standard_normal((n, n)) * 2 / np.sqrt(n))
    params.b[:] = rng.standard_normal(n)
    target = rng.standard_normal((1, n))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = rnnsim.gradient(network, params, NOTHING, target, RULE, solver="newton")
        except NoSteadyState as refusal:
            check_refusal(str(refusal), "newton")
            return
        states = rnnsim.simulate(network, params, NOTHING, steady_state=True, solver="newton").states
    x = states[0, 0]
    np.testing.assert_allclose(np.tanh(params.W @ x + params.b), x, rtol=0, atol=1e-11)
    D = np.diag(1 / np.cosh(params.W @ x + params.b) ** 2)
    error = x - target[0]
    s = np.linalg.solve(np.linalg.inv(D) - params.W.T, error)
    expected = {"W": np.outer(s, x), "U": np.zeros((n, 0)), "b": s, "V": np.outer(error, x), "c": error}
    assert_equal_gradients(result.grads, expected, 1e-8)
    radius = np.abs(np.linalg.eigvals(D @ params.W)).max()
    assert result.spectral_radius == pytest.approx(radius, rel=1e-9)
    assert (radius >= 1) == any(issubclass(one.category, RnnsimWarning) for one in caught)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("adjoint", ["direct", "relaxation", "refined", "neumann"])
@pytest.mark.parametrize(
    "W",
    [
        np.eye(1),
        np.array([[0.5, 0.5], [0.5, 0.5]]),
        np.array([[0.3, 0.7], [0.1, 0.9]]),  # I - W is singular only to rounding
        np.array([[1.0, 1.0], [0.0, 1.0]]),
    ],
)
def test_a_singular_adjoint_is_refused(W: np.ndarray, adjoint: str) -> None:
    """x = W x at x = 0 with an eigenvalue 1 of W: a steady state, but (6) has no solution."""
    network, params = bare("identity", W)
    for leak in (1.0, 0.5):
        network, params = bare("identity", W, leak=leak)
        with np.errstate(all="ignore"), pytest.raises(NoSteadyState, match=r"adjoint .*residual is"):
            rnnsim.gradient(
                network, params, NOTHING, np.ones((1, len(W))), RULE, adjoint=adjoint, max_steps=500
            )


# --- the truncated series ------------------------------------------------------------------------------


def test_more_terms_of_the_series_come_nearer() -> None:
    """Term i is at most CONTRACTION^i: the claim of an approximation, and its limit."""
    case = contracting(dataclasses.replace(TYPICAL, leak=1.0))
    _, exact = naive.recurrent_backprop(case.net, case.data)
    exact = existing(case, exact)
    errors = []
    for terms in (1, 2, 4, 8, 16, 32):
        found = case.gradient(RULE, adjoint="neumann", terms=terms, adjoint_tolerance=10.0).grads
        errors.append(np.abs(found.b - exact["b"]).max())
    assert errors[0] > 1e-3
    assert all(later < earlier for earlier, later in itertools.pairwise(errors))
    assert errors[-1] < 1e-5 * errors[0]


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("terms", [1, 5, 20])
def test_a_series_without_a_sum_is_refused(terms: int) -> None:
    """x = -1.5 x: the terms grow, and a gradient cut off anywhere means nothing."""
    network, params = bare("identity", -1.5)
    with pytest.raises(NoSteadyState, match=r"adjoint .*residual is"):
        rnnsim.gradient(network, params, NOTHING, np.ones((1, 1)), RULE, adjoint="neumann", terms=terms)


# --- what is not a pattern -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inputs", "targets", "reset_state"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name: str, value: float) -> None:
    case = contracting(dataclasses.replace(TYPICAL, mask="none"))
    broken = case.arguments[name].copy()
    broken[..., -1] = value
    arguments = case.arguments | {name: broken}
    with pytest.raises(RnnsimError, match=f"{name} holds {value}"):
        rnnsim.gradient(case.network, case.params, rule=RULE, **arguments)
    with pytest.raises(RnnsimError, match=f"{name} holds {value}"):
        rnnsim.loss(case.network, case.params, steady_state=True, **arguments)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("solver", SOLVERS)
def test_states_that_overflow_are_refused(solver: str) -> None:
    """x = 2 x + 1e308."""
    network, params = bare("identity", 2.0, 1e308)
    with np.errstate(all="ignore"), pytest.raises(NoSteadyState, match="residual is"):
        rnnsim.loss(network, params, NOTHING, np.ones((1, 1)), steady_state=True, solver=solver)


def test_no_target_gives_no_gradient_and_no_error() -> None:
    """The adjoint of a zero error is zero: a legitimate zero."""
    case = contracting(TYPICAL)
    masked = case.arguments | {"mask": np.zeros((3, 2))}
    for solver, adjoint in ALL_WAYS:
        how = {"solver": solver, **adjoint}
        result = rnnsim.gradient(case.network, case.params, rule=RULE, **masked, **how)
        assert result.loss == 0
        assert not any(array.any() for array in result.grads)


def test_unknown_solvers_are_refused() -> None:
    case = contracting(TYPICAL)
    with pytest.raises(RnnsimError, match="magic"):
        steady_loss(case, solver="magic")
    with pytest.raises(RnnsimError, match="magic"):
        rnnsim.simulate(case.network, case.params, case.data.inputs, steady_state=True, solver="magic")


# --- settled is relative to the state; a pattern without a target need not settle ---


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_small_states_settle_as_large_ones_do(dtype: str, solver: str) -> None:
    """x = tanh(0.9 x + u), which is 10 u where u is small, and dE/dW = -10 x."""
    network = RecurrentNetwork(1, 1, 1, dtype=dtype)
    params = network.init()
    for array, value in zip(params, (0.9, 1, 0, 1, 0), strict=True):
        array[...] = value
    tolerance = 1e-9 if dtype == "float64" else 1e-3
    for u in (1e-3, 1e-4, 1e-6, 1e-12, 1e-30):
        x = naive_state(0.9, u)
        found = rnnsim.simulate(network, params, [[[u]]], steady_state=True, solver=solver)
        assert found.states[0, 0, 0] == pytest.approx(x, rel=tolerance)
        result = rnnsim.gradient(network, params, [[[u]]], [[[1.0]]], RULE, solver=solver)
        slope = 1 - x * x
        assert result.grads.W[0, 0] == pytest.approx(
            (x - 1) * slope * x / (1 - 0.9 * slope), rel=tolerance
        )


def naive_state(W: float, u: float) -> float:
    x = 0.0
    for _ in range(2000):
        x = float(np.tanh(W * x + u))
    return x


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_state_may_vanish(solver: str) -> None:
    """x = tanh(0.5 x) from 1: the steady state is 0, to which nothing is relative."""
    network, params = bare("tanh", 0.5)
    found = rnnsim.simulate(network, params, NOTHING, reset_state=np.ones(1), steady_state=True,
                            solver=solver)  # fmt: skip
    assert abs(found.states[0, 0, 0]) < 1e-12


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("solver", "adjoint"), ALL_WAYS, ids=str)
def test_a_pattern_without_a_target_need_not_settle(solver: str, adjoint: dict[str, Any]) -> None:
    network, params = oscillating()
    inputs = np.array([[[0.1], [100.0], [0.1]], [[50.0], [0.1], [60.0]]])
    counts = np.abs(inputs[..., 0]) > 1
    targets = np.full((2, 3, 1), 0.5)
    how = {"solver": solver, **adjoint}
    found = rnnsim.gradient(network, params, inputs, targets, RULE, mask=counts, **how)
    padded = np.where(counts[..., None], inputs, np.nan)
    again = rnnsim.gradient(network, params, padded, targets, RULE, mask=counts, **how)
    alone = [
        rnnsim.gradient(network, params, inputs[t : t + 1, b], targets[t : t + 1, b], RULE, **how)
        for t, b in np.argwhere(counts)
    ]
    for result in (found, again):
        assert result.loss == pytest.approx(sum(one.loss for one in alone) / 3, rel=1e-9)
        for name, array in result.grads._asdict().items():
            expected = sum(getattr(one.grads, name) for one in alone) / 3
            np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-12)
        assert result.spectral_radius < 1
    if solver != "relaxation":  # it may find the unstable state
        return
    mask = counts.copy()
    mask[0, 2] = True
    with pytest.raises(NoSteadyState, match=r"no steady state for inputs\[0, 2\]"):
        rnnsim.gradient(network, params, inputs, targets, RULE, mask=mask, **how)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("form", ["float64", "Fortran", "read-only", "integers", "lists", "dict"])
def test_a_simulation_takes_what_a_gradient_takes(form: str) -> None:
    network = RecurrentNetwork(1, 2, 1, dtype="float32")
    p = network.init(0, gain=0.5)
    given: Any = {
        "float64": type(p)(*(a.astype(np.float64) for a in p)),
        "Fortran": p._replace(W=np.asfortranarray(p.W)),
        "read-only": p._replace(W=np.frombuffer(p.W.tobytes(), np.float32).reshape(2, 2)),
        "integers": p._replace(b=np.zeros(2, int)),
        "lists": type(p)(*(a.tolist() for a in p)),
        "dict": p._asdict(),
    }[form]
    inputs = np.ones((2, 1, 1))
    expected = rnnsim.simulate(network, p, inputs, steady_state=True)
    found = rnnsim.simulate(network, given, inputs, steady_state=True)
    assert found.spectral_radius == expected.spectral_radius
    np.testing.assert_array_equal(found.states, expected.states)
