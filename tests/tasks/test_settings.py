"""The settings that tasks suggest for fast-weight networks: those of the source (theory.md 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnsim.training.experiment import DEFAULT_WINDOW, Experiment, configure

PUBLISHED = [
    ("flip-flop", "fast-weights-1", 1, 1.0, 20_000),
    ("flip-flop", "fast-weights-2", 2, 0.5, 20_000),
    ("variable-binding", "fast-weights-1", 1, 0.02, 200_000),
    ("variable-binding", "fast-weights-2", 2, 0.02, 200_000),
]


def network(experiment: Experiment) -> Any:
    return experiment.network


@pytest.mark.parametrize(("task", "rule", "architecture", "rate", "steps"), PUBLISHED)
def test_the_published_settings(
    task: str, rule: str, architecture: int, rate: float, steps: int
) -> None:
    experiment = configure(rule, task, settings="published")
    net = network(experiment)
    assert (net.kind, net.architecture) == ("fast-weight", architecture)
    assert (net.slow_hidden, net.fast_hidden, net.slow_bias, net.fast_bias) == ((), (), False, False)
    assert (net.sigma, net.tau, net.initial) == ("sum-and-squash", 10.0, 0.0)
    assert (net.output_activation, net.loss) == ("identity", "squared-error")
    assert (experiment.optimizer.name, experiment.learning_rate) == ("sgd", rate)
    assert (experiment.window, experiment.batch, experiment.clip) == (1, 1, np.inf)
    assert (experiment.settings, experiment.steps) == ("published", steps)
    draws = (configure(rule, task, settings="published", seed=seed) for seed in range(30))
    weights = np.concatenate([draw.initial_params().W1.ravel() for draw in draws])
    tuned = configure(rule, task)  # the same network, and what each seed learns with
    assert repr(network(tuned)) == repr(net)
    assert (tuned.settings, tuned.learning_rate, tuned.clip) == ("tuned", 4.0, 0.05)
    assert -0.1 <= weights.min() < -0.095
    assert 0.095 < weights.max() <= 0.1


def test_which_net_sees_what() -> None:
    """The flip-flop's events go to both; of the parking lot, F sees the question alone."""
    flip_flop = network(configure("fast-weights-1", "flip-flop"))
    assert (flip_flop.n_slow_in, flip_flop.n_in, flip_flop.n_out) == (3, 3, 1)
    parking = network(configure("fast-weights-1", "variable-binding"))
    assert (parking.n_slow_in, parking.n_in, parking.n_out) == (6, 1, 3)
    options = {"slots": 8, "cars": 4}
    several = network(configure("fast-weights-2", "variable-binding", options=options))
    assert (several.n_slow_in, several.n_in, several.n_out) == (15, 4, 8)


@pytest.mark.parametrize("task", ["flip-flop", "variable-binding"])
def test_other_rules_train_the_same_network(task: str) -> None:
    """On-line where they carry their credit on; a sweep of a single step would teach nothing."""
    published = repr(network(configure("fast-weights-1", task)))
    for rule, window in [("rtrl", 1), ("bptt", DEFAULT_WINDOW), ("truncated-bptt", 20)]:
        experiment = configure(rule, task, network="fast-weight")
        assert repr(network(experiment)) == published
        assert experiment.window == window
        assert configure(rule, task).network.kind == "recurrent"
    second = configure("bptt", task, network="fast-weight", options={"architecture": "2"})
    assert network(second).architecture == 2


def test_hidden_units_of_the_slow_net_are_asked_for() -> None:
    assert network(configure("fast-weights-1", "flip-flop", hidden=5)).slow_hidden == (5,)
