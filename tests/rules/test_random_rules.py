"""Rules that draw random numbers: from the seed, and from nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import rnnsim
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.rule import Cost, Rule
from rnnsim.typing import Kernel


class Draws(NamedTuple):
    rng: np.random.Generator


class Noise(Rule, frozen=True):
    """No gradient at all, but noise."""

    name = "noise"
    claim = "approximate"
    cost = Cost(time="n", memory="1")

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Draws:
        return Draws(rng)

    def credit(self, network: Network) -> Kernel:
        @kernel
        def credit(params: Any, trajectory: Any, window: Any, memory: Draws, grad: Any) -> None:
            for i in range(grad.b.size):
                grad.b[i] += memory.rng.random()

        return credit


def noise(seed: int) -> np.ndarray:
    network = rnnsim.RecurrentNetwork(1, 3, 1)
    rows = np.zeros((2, 1))
    return rnnsim.gradient(network, network.init(), rows, rows, rule=Noise(), seed=seed).grads.b


@pytest.mark.usefixtures("uncompiled")
def test_a_gradient_draws_from_its_seed() -> None:
    np.testing.assert_array_equal(noise(1), noise(1))
    assert not np.array_equal(noise(1), noise(2))
    np.testing.assert_array_equal(noise(1), np.random.default_rng(1).random(3))


def test_a_run_draws_from_its_seed() -> None:
    """Compiled: the generator goes into machine code, and the draws are NumPy's."""

    def bias(seed: int) -> np.ndarray:
        network = rnnsim.RecurrentNetwork(2, 3, 1)
        choices = {"optimizer": "sgd", "steps": 5, "window": 1, "learning_rate": 0.1, "clip": np.inf}
        return rnnsim.run(Noise(), "delayed-xor", network=network, seed=seed, **choices).params.b

    np.testing.assert_array_equal(bias(1), bias(1))
    assert not np.array_equal(bias(1), bias(2))
    draws = np.random.default_rng([1, 3]).random(
        (5, 3)
    )  # of the rule; 1 is the task's, 2 held-out data's
    np.testing.assert_allclose(bias(1), -0.1 * draws.sum(0), rtol=1e-12)
