"""What bptt stores, and what it costs to store less."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import TYPICAL, assert_equal_gradients, make_case

import rnnsim
from rnnsim.network import empty_stream
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.rule import Window
from rnnsim_rules.bptt import BPTT


def growth(rule: BPTT) -> float:
    """By how much its memory grows from 1,000 steps to 100,000, above that of a window of one."""
    network = make_case(TYPICAL).network
    none, short, long = (rule.memory_bytes(network, 2, steps) for steps in (1, 1_000, 100_000))
    return (long - none) / (short - none)


def test_checkpoints_store_as_the_square_root_of_the_steps() -> None:
    assert growth(BPTT(checkpoint=True)) == pytest.approx(10, rel=0.2)
    assert growth(BPTT()) == pytest.approx(100, rel=0.02)  # the control: it grows with the steps


def steps_run(T: int, **options: Any) -> int:
    """How many steps a gradient runs, counted by an activation of the user's own."""
    calls: Counter[str] = Counter()

    def f(a: float) -> float:
        calls["f"] += 1
        return float(np.tanh(a))

    activation = f, lambda a: float(1 / np.cosh(a) ** 2)
    network = RecurrentNetwork(1, 2, 1, activation=activation, check_derivatives=False)
    rng = np.random.default_rng(0)
    rnnsim.gradient(network, network.init(), rng.random((T, 1)), rng.random((T, 1)), "bptt", **options)
    assert calls["f"] % 2 == 0  # two units
    return calls["f"] // 2


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("T", [1, 2, 3, 10, 36, 37, 100])
def test_checkpoints_cost_at_most_one_more_forward_pass(T: int) -> None:
    assert steps_run(T) == T
    run = steps_run(T, checkpoint=True)
    assert run <= 2 * T
    assert T < 10 or run > T  # they do run again


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 15, 16, 17, 40])
def test_checkpoints_leave_the_state_where_the_window_ended(length: int) -> None:
    """The next window goes on from there, also where a window is shorter than there is room for."""
    case = make_case(TYPICAL)
    network, rule = case.network, BPTT(checkpoint=True)
    rng = np.random.default_rng(2)
    stream = empty_stream(length, 1, 2, 3, np.float64)
    stream.inputs[:] = rng.standard_normal((length, 1, 2))
    states = []
    for how in (rule, BPTT()):
        memory, state = how.memory(network, 1, 40, np.random.default_rng(0)), network.state(1)
        trajectory = network.trajectory(how.rows(40), 1)
        grad = network.views(np.zeros(network.n_params))
        how.learn(network)(
            case.params, state, stream, 0, trajectory, Window(0, length, 0, True, True), memory, grad
        )
        states.append(SimpleNamespace(x=state.x.copy(), grad=grad))
    np.testing.assert_allclose(states[0].x, states[1].x, rtol=0, atol=1e-14)
    assert_equal_gradients(states[0].grad, states[1].grad._asdict(), 1e-12)
