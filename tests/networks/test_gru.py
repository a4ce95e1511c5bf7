"""The GRU: what it computes, what every rule makes of it, and its one-step derivatives."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import naive_gru as oracle
import numba
import numpy as np
import pytest
from cases import PLAIN, TYPICAL, Sizes, assert_equal_gradients, drawn_sizes
from gru_cases import GRUCase, make_gru_case
from hypothesis import HealthCheck, given, settings

import rnnsim
from rnnsim import RnnsimError
from rnnsim.compiler import compiled
from rnnsim.network import empty_stream
from rnnsim.registry import installed
from rnnsim_networks.gru import GRUNetwork, derivatives, forward, sensitivities

uncompiled = pytest.mark.usefixtures("uncompiled")
STILL = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

EXACT: list[tuple[str, dict[str, Any]]] = [
    ("bptt", {}),
    ("bptt", {"checkpoint": True}),
    ("truncated-bptt", {"h": 100, "h_prime": 3}),
    ("rtrl", {}),
    ("rtrl", {"window": 4}),
    ("rtrl-block", {"h": 2}),
    ("snap", {"n": 2}),  # every unit reaches every other in one step
]
REACHES = [(1, 1), (3, 3), (3, 2), (5, 1), (8, 5)]
LOSSES = ["squared-error", "softmax-cross-entropy", "logistic-cross-entropy"]


# --- the whole: states, losses, gradients --------------------------------------------------------------


@uncompiled
@pytest.mark.parametrize("loss", LOSSES)
def test_it_runs_by_equation_32(loss: str) -> None:
    case = make_gru_case(TYPICAL, loss)
    path = rnnsim.simulate(case.network, case.params, **{
        name: array for name, array in case.arguments.items() if name not in ("targets", "mask")
    })  # fmt: skip
    np.testing.assert_allclose(path.states, case.states, rtol=0, atol=1e-14)
    np.testing.assert_allclose(path.outputs, oracle.outputs(case.net, case.states), rtol=0, atol=1e-13)
    assert case.loss() == pytest.approx(oracle.total_loss(case.net, case.data, loss), rel=1e-13)


def check_against_oracle(case: GRUCase, rule: str, options: dict[str, Any], within: float) -> None:
    found = case.gradient(rule, **options)
    expected = oracle.total_loss(case.net, case.data, case.loss_name)
    assert found.loss == pytest.approx(expected, rel=within, abs=within)
    assert_equal_gradients(found.grads, case.expected, within, within)


@uncompiled
@pytest.mark.parametrize(("rule", "options"), EXACT)
@settings(max_examples=6, suppress_health_check=STILL, deadline=None)
@given(sizes=drawn_sizes())
def test_every_exact_rule_gives_the_gradient(rule: str, options: dict[str, Any], sizes: Sizes) -> None:
    check_against_oracle(make_gru_case(sizes), rule, options, 1e-12)


@uncompiled
@pytest.mark.parametrize(("rule", "options"), EXACT)
def test_in_single_precision_too(rule: str, options: dict[str, Any]) -> None:
    check_against_oracle(make_gru_case(TYPICAL, dtype="float32"), rule, options, 1e-5)


@uncompiled
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_the_loss(loss: str) -> None:
    """By finite differences along some directions: the oracle is not asked."""
    case, rng = make_gru_case(TYPICAL, loss), np.random.default_rng(3)
    grads = case.gradient("bptt").grads
    for _ in range(3):
        direction = case.params._make(rng.standard_normal(array.shape) for array in case.params)
        expected = slope_along(case, direction)
        found = sum(float((a * b).sum()) for a, b in zip(grads, direction))
        assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)
        assert abs(expected) > 1e-3


def slope_along(case: GRUCase, direction: Any) -> float:
    def loss(distance: float) -> float:
        return case.loss(case.params._make(a + distance * b for a, b in zip(case.params, direction)))

    step = 1e-3
    near, far = loss(step) - loss(-step), loss(2 * step) - loss(-2 * step)
    return (8 * near - far) / (12 * step)


@uncompiled
@pytest.mark.parametrize(("h", "h_prime"), REACHES)
def test_truncated_sweeps_are_what_the_words_say(h: int, h_prime: int) -> None:
    case = make_gru_case(dataclasses.replace(TYPICAL, T=14))
    expected = oracle.truncated(case.net, case.data, h, h_prime)
    for window in ({}, {"window": 2}):  # with it, sweeps reach into the rows that are kept
        found = case.gradient("truncated-bptt", h=h, h_prime=h_prime, **window).grads
        assert_equal_gradients(found, expected, 1e-12)
    with pytest.raises(AssertionError, match="is off by"):  # the control: it is not the whole gradient
        assert_equal_gradients(found, case.expected, 1e-5)


@uncompiled
@pytest.mark.parametrize(
    ("rule", "options", "reach"),
    [("bptt", {}, ()), ("bptt", {"checkpoint": True}, ()),
     ("truncated-bptt", {"h": 4, "h_prime": 2}, (4, 2))],
)  # fmt: skip
def test_gradients_by_inputs_and_initial_state(
    rule: str, options: dict[str, Any], reach: tuple[int, ...]
) -> None:
    case = make_gru_case(TYPICAL)
    found = case.gradient(rule, with_respect_to=("params", "inputs", "initial_state"), **options)
    expected = oracle.data_gradient(case.net, case.data, *reach)
    for one, other in ((found.inputs_grad, expected.inputs), (found.initial_state_grad, expected.start)):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)
        assert np.abs(other).max() > 1e-3


@uncompiled
@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_random_feedback(rule: str) -> None:
    """dE/dx(t) is G dE/dy(t), and the rest follows by the derivatives of the states."""
    case = make_gru_case(TYPICAL)
    network = GRUNetwork(2, 5, 3, feedback="random", feedback_seed=3)
    assert eval(repr(network)).feedback_seed == 3
    G = network.trajectory(1, 1).feedback.reshape(3, 5).T
    d, mask = case.data.targets, case.data.mask[:, :, None]
    fed_back = mask * (oracle.outputs(case.net, case.states) - d) / d.shape[1] @ G.T
    expected = {
        name: oracle.derivative(
            lambda w, name=name: (fed_back * oracle.run({**case.net, name: w}, case.data)).sum(), array
        )
        for name, array in case.net.items()
    }
    of_readout = {name: case.expected[name] for name in ("V", "c")}
    found = dataclasses.replace(case, network=network).gradient(rule).grads
    assert_equal_gradients(found, expected | of_readout, 1e-12)
    with pytest.raises(AssertionError, match="is off by"):  # the control: it is another matrix
        assert_equal_gradients(found, case.expected, 1e-2)


# --- what a mistake would look like --------------------------------------------------------------------


def without_r(delta: np.ndarray, gates: np.ndarray, out: np.ndarray) -> None:
    out[:] = delta


def c_without_z(h: np.ndarray, z: np.ndarray, of_c: np.ndarray, of_r: np.ndarray) -> None:
    of_r *= of_c * h


def z_without_c(before: np.ndarray, z: np.ndarray, of_z: np.ndarray, x: np.ndarray) -> None:
    of_z *= before
    x[:] = (1 - z) * x + z * before


def outer_without_r(
    s: np.ndarray, trajectory: Any, t: int, b: int, W: Any, U: Any, bias: Any, b_n: Any
) -> None:
    W += np.outer(s, trajectory.entering[t, b])
    U += np.outer(s, trajectory.inputs[t, b])
    bias += s
    b_n += s[2 * b_n.size :]


MISTAKES: list[tuple[Any, str, Callable[..., None], str]] = [
    (derivatives, "at_recurrent", without_r, "bptt"),
    (sensitivities, "at_recurrent", without_r, "rtrl-block"),
    (forward, "slopes_of_c_and_r", c_without_z, "bptt"),
    (forward, "slopes_of_c_and_r", c_without_z, "rtrl"),
    (forward, "mix", z_without_c, "truncated-bptt"),
    (derivatives, "add_outer", outer_without_r, "rtrl"),
]


@uncompiled
@pytest.mark.parametrize(("module", "name", "wrong", "rule"), MISTAKES)
def test_a_wrong_derivative_is_found(
    module: Any, name: str, wrong: Any, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the reset gate, the update gate or the candidate in one derivative."""
    case = make_gru_case(PLAIN)
    check_against_oracle(case, rule, {}, 1e-12)
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError, match="is off by"):
        check_against_oracle(case, rule, {}, 1e-3)


# --- the derivatives of one step -----------------------------------------------------------------------


class Step:
    """One step from a random state, and every derivative that the network gives of it."""

    def __init__(self, reset: bool) -> None:
        case = make_gru_case(TYPICAL)
        self.network, self.p = case.network, case.net
        rng = np.random.default_rng(5)
        self.batch, self.n = 3, self.network.n_hidden
        self.x, self.u = rng.standard_normal((3, self.n)), rng.standard_normal((3, self.network.n_in))
        self.resets = np.array([False, reset, False])
        stream = empty_stream(1, 3, self.network.n_in, self.network.n_out, np.float64)
        stream.inputs[0], stream.resets[0] = self.u, self.resets
        self.params = self.network.kernel_params(self.network.pack(case.params))
        self.trajectory = self.network.trajectory(1, 3)
        state = self.network.state(3, self.x)
        compiled(self.network.forward)(self.params, state, stream, 0, self.trajectory, 0, 1)
        self.entering = np.where(self.resets[:, None], 0, self.x)

    def jacobian(self, b: int) -> np.ndarray:
        J = oracle.jacobian(self.p, self.entering[b], self.u[b])
        return J * (not self.resets[b])

    def influence(self, b: int) -> np.ndarray:
        return oracle.influence(self.p, self.entering[b], self.u[b])

    def empty(self) -> tuple[np.ndarray, Any]:
        flat = np.zeros(self.network.n_params)
        return flat, self.network.kernel_params(flat)

    def pull(self, rows: np.ndarray, own_error: bool = False) -> tuple[np.ndarray, np.ndarray]:
        after = rows.swapaxes(0, 1).copy()  # sequences first
        delta = np.full((self.batch, len(rows), self.network.n_drive), np.nan)
        before = np.full_like(after, np.nan)
        for begin, end in ((0, 1), (1, self.batch)):  # as threads share them
            compiled(self.network.vjp)(
                self.params, self.trajectory, 0, begin, end, own_error, after, delta, before
            )
        return delta, before.swapaxes(0, 1)


@pytest.fixture(params=[False, True], ids=["running", "reset"])
def step(request: pytest.FixtureRequest, uncompiled: None) -> Step:
    return Step(request.param)


ROWS = np.random.default_rng(6).standard_normal((4, 3, 5))  # R, B, n
NEAR = {"rtol": 0, "atol": 1e-13}


def test_vjp_is_the_jacobian_from_the_left(step: Step) -> None:
    _, before = step.pull(ROWS)
    step.trajectory.error[0] = np.random.default_rng(8).standard_normal((3, 5))
    _, joined = step.pull(ROWS, own_error=True)
    for b in range(step.batch):
        J = step.jacobian(b)
        np.testing.assert_allclose(before[:, b], ROWS[:, b] @ J, **NEAR)
        np.testing.assert_allclose(joined[:, b], (ROWS[:, b] + step.trajectory.error[0, b]) @ J, **NEAR)
        assert J.any() != step.resets[b]


def test_jacobian_and_jvp(step: Step) -> None:
    out, J = np.full_like(ROWS, np.nan), np.full((step.n, step.n), np.nan)
    compiled(step.network.jvp)(step.params, step.trajectory, 0, ROWS.copy(), out)
    for b in range(step.batch):
        compiled(step.network.jacobian)(step.params, step.trajectory, 0, b, J)
        np.testing.assert_allclose(J, step.jacobian(b), **NEAR)
        np.testing.assert_allclose(out[:, b], ROWS[:, b] @ step.jacobian(b).T, **NEAR)


def test_immediate_and_collect(step: Step) -> None:
    expected = sum(ROWS[0, b] @ step.influence(b) for b in range(step.batch))
    found, grad = step.empty()
    for begin, end in ((0, 1), (1, 3)):
        compiled(step.network.immediate)(
            step.params, step.trajectory, 0, begin, end, ROWS[0].copy(), grad
        )
    np.testing.assert_allclose(found, expected, **NEAR)
    delta, _ = step.pull(ROWS[:1])
    found, grad = step.empty()
    compiled(step.network.collect)(step.params, step.trajectory, 0, delta[None].copy(), grad)
    np.testing.assert_allclose(found, expected, **NEAR)


def test_each_parameter_has_one_owner(step: Step) -> None:
    network, out = step.network, np.full(step.network.n_params, np.nan)
    owned = network.owner >= 0
    assert owned.sum() == network.n_columns
    assert not owned[network.n_columns :].any()
    for b in range(step.batch):
        compiled(network.immediate_entries)(step.params, step.trajectory, 0, b, out)
        expected = np.zeros((step.n, network.n_params))
        expected[network.owner[owned], np.flatnonzero(owned)] = out[owned]
        np.testing.assert_allclose(step.influence(b), expected, **NEAR)
        assert not out[~owned].any()
        assert out[owned].all() != step.resets[b]  # nothing enters from a state of zero


def test_rows_and_sequences_apart(step: Step) -> None:
    rows = np.random.default_rng(9).standard_normal((5, 3, 5))
    delta, _ = step.pull(rows)
    p = np.zeros((3, 5, step.network.n_columns))
    compiled(step.network.collect_rows)(step.params, step.trajectory, 0, delta[None].copy(), p)
    for b in range(step.batch):
        expected = rows[:, b] @ step.influence(b)[:, : step.network.n_columns]
        np.testing.assert_allclose(p[b], expected, **NEAR)
    found, grad = step.empty()
    compiled(step.network.contract)(step.trajectory, ROWS[0].copy(), p, grad)
    expected = np.einsum("bn,bnp->p", ROWS[0], p)
    np.testing.assert_allclose(found[: expected.size], expected, **NEAR)
    assert not found[expected.size :].any()


@uncompiled
def test_history_is_kept_of_all_that_the_derivatives_read() -> None:
    network = make_gru_case(TYPICAL).network
    trajectory = network.trajectory(6, 2)
    names = ("inputs", "entering", "gates", "slopes", "states", "error")
    for name in names:
        getattr(trajectory, name)[:] = np.arange(6)[:, None, None]
    trajectory.resets[:] = np.arange(6)[:, None] == 4
    compiled(network.keep_history)(trajectory, 2, 4)
    for name in names:
        assert (getattr(trajectory, name)[:4] == np.arange(2, 6)[:, None, None]).all(), name
    assert trajectory.resets[:4].all(1).tolist() == [False, False, True, False]


# --- compiled: sizes at which products are divided, packed or shared -----------------------------------


def large(n: int, T: int, B: int) -> GRUCase:
    return make_gru_case(Sizes(n, 3, 2, T, B, 1.0, "float", True, True, False, n))


@pytest.mark.parametrize(
    ("n", "T", "B"),
    [(5, 9, 3),  # loops
     (16, 40, 32),  # two shards of the batch
     (150, 4, 5),  # weights in panels
     (220, 3, 1)],  # one row, whose product is divided
)  # fmt: skip
def test_bptt_at_every_size(n: int, T: int, B: int) -> None:
    """The slope of the loss along a direction, since the oracle is slow."""
    case, rng = large(n, T, B), np.random.default_rng(1)
    direction = case.params._make(rng.standard_normal(a.shape) / np.sqrt(n) for a in case.params)
    grads = case.gradient("bptt").grads
    found = sum(float((a * b).sum()) for a, b in zip(grads, direction))
    assert found == pytest.approx(slope_along(case, direction), rel=1e-7)


@pytest.mark.parametrize(("n", "T", "B"), [(3, 9, 3), (20, 20, 2)])  # one block of p, and many
def test_rtrl_is_bptt(n: int, T: int, B: int) -> None:
    case = large(n, T, B)
    expected = case.gradient("bptt").grads._asdict()
    assert_equal_gradients(case.gradient("rtrl").grads, expected, 1e-12)
    wrong = case.changed(inputs=case.arguments["inputs"] + 1e-5).gradient("rtrl").grads
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(wrong, expected, 1e-12)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="thousands of steps in plain Python")
def test_it_learns_delayed_xor() -> None:
    run = rnnsim.run("bptt", "delayed-xor", network="gru", seed=0, scheme="orthogonal", gain=0.9)
    assert run.solved_at is not None
    control = rnnsim.run("bptt", "delayed-xor", network="gru", seed=0, learning_rate=0.0, steps=5000)
    assert control.solved_at is None
    assert run.params._fields == control.params._fields == tuple(GRUNetwork(2, 3, 1).shapes)


# --- learning by steps, saving, and what is refused ----------------------------------------------------


@uncompiled
@pytest.mark.parametrize(("rule", "options"), [("rtrl", {}), ("truncated-bptt", {"h": 3, "window": 2})])
def test_steps_and_saving_change_nothing(rule: str, options: dict[str, Any], tmp_path: Any) -> None:
    case = make_gru_case(dataclasses.replace(PLAIN, T=7))
    inputs, targets = case.arguments["inputs"], case.arguments["targets"]

    def make() -> rnnsim.Learner:
        return rnnsim.Learner(case.network, rule, params=case.params, batch=PLAIN.B, **options)

    whole, stepped, before = make(), make(), case.params
    whole.learn(inputs, targets)
    for t, (u, d) in enumerate(zip(inputs, targets)):
        if t == 3:
            stepped.save(tmp_path / "learner")
            stepped = rnnsim.Learner.load(tmp_path / "learner")
        stepped.step(u)
        stepped.correct(target=d)
    for one, other, first in zip(whole.params, stepped.params, before):
        np.testing.assert_array_equal(one, other)
        assert (one != first).any()
    np.testing.assert_array_equal(whole.state, stepped.state)


def test_it_is_found_by_name_and_made_anew() -> None:
    entry = installed().networks["gru"]
    assert (entry.thing, entry.distribution) == (GRUNetwork, "rnnsim")
    network = GRUNetwork(2, 3, 1, loss="logistic-cross-entropy", dtype="float32")
    again = pickle.loads(pickle.dumps(network))
    assert repr(again) == repr(network)
    assert again.shapes == network.shapes
    assert list(network.shapes)[-2:] == ["V", "c"]


@pytest.mark.parametrize("scheme", ["scaled-normal", "uniform", "interval", "orthogonal"])
def test_initial_weights(scheme: str) -> None:
    network = GRUNetwork(30, 40, 20)
    params = network.init(1, scheme=scheme, gain=0.5)
    for name, array in params._asdict().items():
        if array.ndim == 1:
            assert not array.any()
        else:
            gain = np.abs(array).max() * (1 if scheme == "interval" else np.sqrt(array.shape[1]))
            assert 0.4 < gain < 3, name
    np.testing.assert_array_equal(params.W_z, network.init(1, scheme=scheme, gain=0.5).W_z)
    assert (params.W_r != params.W_z).any()
    if scheme == "orthogonal":
        np.testing.assert_allclose(params.W_c @ params.W_c.T, 0.25 * np.eye(40), atol=1e-14)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"readout": [0]}, "readout of a gru network is 'linear', not"),
     ({"feedback": "symmetric"}, "no feedback is called 'symmetric'"),
     ({"feedback_seed": -1}, "feedback_seed is -1"),
     ({"loss": "squared"}, "no loss is called 'squared'"),
     ({"n_hidden": 0}, "n_hidden is 0; it must be at least 1"),
     ({"n_in": -1}, "n_in is -1"), ({"n_out": 1.5}, "n_out is a whole number"),
     ({"dtype": "float16"}, "dtype"), ({"check_derivatives": 2}, "check_derivatives is true or false")],
)  # fmt: skip
def test_what_it_refuses(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        GRUNetwork(**{"n_in": 2, "n_hidden": 3, "n_out": 1, **wrong})


def test_rules_for_other_networks_refuse_it() -> None:
    network = GRUNetwork(2, 3, 1)
    for rule, message in (
        ("recurrent-backprop", "recurrent-backprop cannot train a gru network"),
        ("kf-rtrl", "kf-rtrl cannot train a gru network, which does not offer immediate_factors"),
        ("rflo", "rflo is for networks of the kind recurrent, not for a gru network"),
    ):
        with pytest.raises(RnnsimError, match=message):
            rnnsim.Learner(network, rule)
    with pytest.raises(RnnsimError, match="no initial scheme is called 'xavier'"):
        network.init(scheme="xavier")
    with pytest.raises(RnnsimError, match="the parameters of this network are W_r, W_z, W_c"):
        rnnsim.loss(network, {"W": np.zeros((3, 3))}, np.zeros((2, 2)), np.zeros((2, 1)))
