"""A network's one-step derivatives: each is that of a step, and they agree with one another.

They run as the plain Python that they are: the tests of the rules compile them. ``jvp``, which no rule
needs, is compiled here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import numpy as np
import pytest
from cases import TYPICAL, Case, assert_equal_gradients, make_case

from rnnsim.compiler import compiled
from rnnsim.network import empty_stream
from rnnsim.networks.recurrent.network import RecurrentNetwork

pytestmark = pytest.mark.usefixtures("uncompiled")


class Step:
    """One step from a random state, and every derivative that the network gives of it."""

    def __init__(self, case: Case, reset: bool = False) -> None:
        self.case, self.network = case, case.network
        rng = np.random.default_rng(5)
        self.batch, self.n = 3, case.network.n_hidden
        self.x = rng.standard_normal((self.batch, self.n))
        self.u = rng.standard_normal((1, self.batch, case.network.n_in))
        self.resets = np.zeros((1, self.batch), bool)
        self.resets[0, 1] = reset
        self.flat = case.network.pack(case.params)
        self.params = case.network.views(self.flat)
        self.trajectory = self.run(self.flat, self.x)

    def run(self, flat: np.ndarray, x: np.ndarray) -> Any:
        stream = empty_stream(1, self.batch, self.network.n_in, self.network.n_out, np.float64)
        stream = stream._replace(inputs=self.u, resets=self.resets)
        state = self.network.state(self.batch)
        state.x[:] = x
        trajectory = self.network.trajectory(1, self.batch)
        compiled(self.network.forward)(self.network.views(flat), state, stream, 0, trajectory, 0, 1)
        return trajectory

    def differences_of_state(self, row: np.ndarray) -> np.ndarray:
        """row . dx(t)/dx(t-1), by finite differences."""
        return naive.finite_differences(
            lambda x: float((row * self.run(self.flat, x).states[0]).sum()), self.x
        )

    def differences_of_params(self, row: np.ndarray) -> Any:
        """row . dx(t)/dparams, x(t-1) held still, by finite differences."""
        return self.network.views(
            naive.finite_differences(
                lambda flat: float((row * self.run(flat, self.x).states[0]).sum()), self.flat
            )
        )

    def jacobian(self, b: int) -> np.ndarray:
        J = np.full((self.n, self.n), np.nan)
        compiled(self.network.jacobian)(self.params, self.trajectory, 0, b, J)
        return J

    def pull(self, rows: np.ndarray, own_error: bool = False) -> tuple[np.ndarray, np.ndarray]:
        after = rows.swapaxes(0, 1).copy()  # sequences first
        delta, before = np.full_like(after, np.nan), np.full_like(after, np.nan)
        for begin, end in ((0, 1), (1, self.batch)):  # as cores share them
            compiled(self.network.vjp)(
                self.params, self.trajectory, 0, begin, end, own_error, after, delta, before
            )
        return delta.swapaxes(0, 1), before.swapaxes(0, 1)


@pytest.fixture(params=[False, True], ids=["running", "reset"])
def step(request: pytest.FixtureRequest) -> Step:
    case = make_case(TYPICAL)
    full = RecurrentNetwork(2, 5, 3, leak=0.7)  # every connection exists
    return Step(Case(full, case.params, case.arguments, case.net, case.data), reset=request.param)


ROWS = np.random.default_rng(6).standard_normal((4, 3, 5))  # R, B, n


def test_pullback_is_the_derivative_of_the_step(step: Step) -> None:
    _, before = step.pull(ROWS)
    for r in range(len(ROWS)):
        np.testing.assert_allclose(before[r], step.differences_of_state(ROWS[r]), rtol=0, atol=1e-10)
    assert np.abs(before[:, [0, 2]]).min(axis=(0, 2)).max() > 0
    assert before[:, 1].any() != step.resets[0, 1]  # nothing crosses a reset


def test_pullback_lets_the_own_error_join(step: Step) -> None:
    step.trajectory.error[0] = np.random.default_rng(8).standard_normal((3, 5))
    for found, expected in zip(
        step.pull(ROWS, own_error=True), step.pull(ROWS + step.trajectory.error[0]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_the_jacobian_is_that_of_pullback(step: Step) -> None:
    _, before = step.pull(ROWS)
    for b in range(step.batch):
        np.testing.assert_allclose(ROWS[:, b] @ step.jacobian(b), before[:, b], rtol=0, atol=1e-13)


def test_push_is_the_jacobian_times_a_vector(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    out = np.full_like(ROWS, np.nan)
    jacobians = [step.jacobian(b) for b in range(step.batch)]
    monkeypatch.undo()  # and from here on it is compiled
    compiled(step.network.jvp)(step.params, step.trajectory, 0, ROWS.copy(), out)
    for b in range(step.batch):
        np.testing.assert_allclose(out[:, b], ROWS[:, b] @ jacobians[b].T, rtol=0, atol=1e-13)
    assert np.abs(out[:, 0] - ROWS[:, 0] @ jacobians[0]).max() > 0.1  # and not its transpose


def test_immediate_is_the_derivative_by_the_parameters(step: Step) -> None:
    grad = step.network.views(np.zeros(step.network.n_params))
    for begin, end in ((0, 1), (1, step.batch)):
        compiled(step.network.immediate)(
            step.params, step.trajectory, 0, begin, end, ROWS[0].copy(), grad
        )
    expected = step.differences_of_params(ROWS[0])
    assert_equal_gradients(grad, expected._asdict(), 1e-9)
    delta, _ = step.pull(ROWS[:1])
    collected = step.network.views(np.zeros(step.network.n_params))
    compiled(step.network.collect)(
        step.params, step.trajectory, 0, delta[None].swapaxes(1, 2).copy(), collected
    )
    assert_equal_gradients(collected, grad._asdict(), 1e-13)


def test_collect_rows_keeps_rows_and_sequences_apart(step: Step) -> None:
    rows = np.random.default_rng(9).standard_normal((5, 3, 5))  # n rows, one for each p^l
    delta, _ = step.pull(rows)
    p = np.zeros((3, 5, step.network.n_columns))
    compiled(step.network.collect_rows)(
        step.params, step.trajectory, 0, delta[None].swapaxes(1, 2).copy(), p
    )
    for r in range(5):
        row = np.zeros((3, 5))
        row[:, r] = 1  # contract() gives the sum over sequences of p[b, r]
        found = step.network.views(np.zeros(step.network.n_params))
        compiled(step.network.contract)(step.trajectory, row, p, found)
        assert_equal_gradients(found, step.differences_of_params(rows[r])._asdict(), 1e-9)


def test_pushforward_from_nothing_is_immediate(step: Step) -> None:
    step.trajectory.error[0] = ROWS[0]
    grad, expected = (step.network.views(np.zeros(step.network.n_params)) for _ in range(2))
    p = step.network.sensitivities(step.batch, 1)
    compiled(step.network.propagate)(step.params, step.trajectory, 0, 1, p, grad)
    compiled(step.network.immediate)(
        step.params, step.trajectory, 0, 0, step.batch, ROWS[0].copy(), expected
    )
    assert_equal_gradients(grad, expected._asdict(), 1e-13)


# --- what each parameter acts on -----------------------------------------------------------------------


def of_unit(network: RecurrentNetwork, trajectory: Any, params: Any, b: int, i: int) -> np.ndarray:
    """Row i of the immediate influence F of sequence b, by ``immediate``."""
    row, flat = np.zeros((3, 5)), np.zeros(network.n_params)
    row[b, i] = 1
    grad = network.views(flat)
    compiled(network.immediate)(params, trajectory, 0, b, b + 1, row, grad)
    compiled(network.constrain)(trajectory, grad)
    return flat


def sparse_step() -> Step:
    """Of a network whose connections are not all there."""
    case = make_case(TYPICAL)
    return Step(case)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_parameter_acts_on_its_owner_alone(step: Step, sparse: bool) -> None:
    step = sparse_step() if sparse else step
    network, n, m = step.network, 5, 2
    assert (network.connectivity is not None) == sparse
    found, z, D = (
        np.full(network.n_params, np.nan),
        np.full(network.n_factor, np.nan),
        np.full(5, np.nan),
    )
    own, column = network.owner, network.column
    has = own >= 0
    assert has.sum() == (n * n if not sparse else network.connectivity.sum()) + n * m + n
    assert ((column >= 0) == has).all()
    for b in range(step.batch):
        F = np.array([of_unit(network, step.trajectory, step.params, b, i) for i in range(5)])
        compiled(network.immediate_entries)(step.params, step.trajectory, 0, b, found)
        expected = np.zeros_like(F)
        expected[own[has], has] = found[has]
        np.testing.assert_allclose(F, expected, rtol=0, atol=1e-14)
        assert not found[~has].any()
        assert np.abs(found[has]).min() > 0 or step.resets[0, b]  # to a state of zeros
        compiled(network.immediate_factors)(step.params, step.trajectory, 0, b, z, D)
        np.testing.assert_allclose(D[own[has]] * z[column[has]], found[has], rtol=1e-14)


@pytest.mark.parametrize("leak", [1.0, 0.7])
def test_the_jacobian_has_the_pattern_that_the_network_says(leak: float) -> None:
    case = make_case(dataclasses.replace(TYPICAL, leak=leak))
    step = Step(case)
    for b in range(step.batch):
        np.testing.assert_array_equal(step.jacobian(b) != 0, case.network.jacobian_pattern)
    assert not case.network.jacobian_pattern.all()
    assert RecurrentNetwork(2, 5, 3, leak=leak).jacobian_pattern.all()


def test_units_that_are_outputs_have_no_further_parameters() -> None:
    network = RecurrentNetwork(2, 5, 2, readout=[3, 1])
    assert network.owner.size == network.n_params
    assert network.owner.min() == 0


def test_a_state_is_saved_and_restored() -> None:
    network = make_case(TYPICAL).network
    state, kept = network.state(2), network.states(4, 2)
    state.x[:] = np.arange(10).reshape(2, 5)
    compiled(network.save)(state, kept, 3)
    state.x[:] = 0
    compiled(network.restore)(kept, 3, state)
    assert (state.x == np.arange(10).reshape(2, 5)).all()


def test_keep_moves_rows_that_overlap() -> None:
    network = make_case(TYPICAL).network
    trajectory = network.trajectory(6, 2)
    rows = ("inputs", "entering", "slopes", "states", "error")
    for name in rows:
        getattr(trajectory, name)[:] = np.arange(6)[:, None, None]
    trajectory.resets[:] = np.arange(6)[:, None] == 4
    compiled(network.keep_history)(trajectory, 2, 4)
    for name in rows:
        assert (getattr(trajectory, name)[:4] == np.arange(2, 6)[:, None, None]).all(), name
    assert trajectory.resets[:4].all(1).tolist() == [False, False, True, False]
