"""An environment that reacts: what the network says decides what it sees next."""

from __future__ import annotations

import numpy as np
import pytest

import rnnsim

SEEDS = 4


def distance(seed: int, rate: float) -> float:
    """Steer a plant to an aim that jumps: the mean squared distance in the last 1,000 of 3,000 steps.

    The plant moves by what the network says, and is disturbed. The network sees where it is and where it
    should be, and learns from the distance, which has the sign of the error.
    """
    rng = np.random.default_rng(seed)
    learner = rnnsim.Learner(rnnsim.RecurrentNetwork(2, 6, 1), "rtrl", seed=seed, learning_rate=rate)
    place, aim, late = 0.0, 1.0, []
    for t in range(3000):
        if t % 50 == 0:
            aim = float(rng.uniform(-1, 1))
        move = learner.step(np.array([place, aim]))
        place = 0.8 * place + float(move[0]) + 0.02 * rng.standard_normal()
        learner.correct(error=np.array([place - aim]))
        if t >= 2000:
            late.append((place - aim) ** 2)
    return float(np.mean(late))


def test_a_closed_loop_is_learnt(record_property: pytest.RecordProperty) -> None:
    learnt = [distance(seed, 0.01) for seed in range(SEEDS)]
    control = [distance(seed, 0.0) for seed in range(SEEDS)]
    record_property(
        "learning",
        f"closed loop, rtrl: squared distance at most {max(learnt):.3g} on {SEEDS} seeds "
        f"(median {np.median(learnt):.3g}); with a learning rate of 0 at least {min(control):.3g}",
    )
    assert max(learnt) < 0.02 < min(control), (learnt, control)
