"""The tasks of Marschall, Cho & Savin, each stated again in plain Python; the least loss there is."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from task_streams import draw, met_at

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.network import Stream
from rnnsim_tasks.lagged_add import LaggedAdd
from rnnsim_tasks.mimic import Mimic, weights


def chance(first: int, second: int) -> float:
    """P(y = 1) given x(t - t1) and x(t - t2) (theory.md 4)."""
    return 1 / 2 + first / 2 - second / 4


def least_loss(remembered: str) -> float:
    """The entropy of y in nats given what is remembered of the two bits, from the joint distribution."""
    joint: dict[tuple[Any, int], float] = {}
    for first, second, y in itertools.product((0, 1), repeat=3):
        p = (chance(first, second) if y else 1 - chance(first, second)) / 4
        known = tuple({"1": first, "2": second}[which] for which in remembered)
        joint[known, y] = joint.get((known, y), 0) + p
    total = 0.0
    for (known, _), p in joint.items():
        of_known = sum(other for (same, _), other in joint.items() if same == known)
        total -= p * math.log(p / of_known) if p else 0
    return total


def best_outputs(stream: Stream, task: LaggedAdd, remembered: str) -> np.ndarray:
    """The logits of what is best given what is remembered, where both bits have been shown."""
    x = stream.inputs[..., 0].astype(int)
    first, second = (np.roll(x, lag * task.tau, axis=0) for lag in (task.t1, task.t2))
    if "2" in remembered:
        p = np.vectorize(chance)(first, second)
    elif "1" in remembered:
        p = (np.vectorize(chance)(first, 0) + np.vectorize(chance)(first, 1)) / 2
    else:
        p = np.full(x.shape, 5 / 8)
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.stack([np.log(p), np.log(1 - p)], axis=2)


@pytest.mark.parametrize("given", [{}, {"t1": 3, "t2": 1}, {"t1": 2, "t2": 4, "tau": 3}])
def test_the_target_has_the_chances_of_the_two_bits(given: dict[str, int]) -> None:
    task = LaggedAdd(**given)
    rows, first_target = 6_000 * task.tau, max(task.t1, task.t2) * task.tau
    stream = draw(task, rows, batch=2, plain=True)
    assert not stream.mask[:first_target].any()
    assert stream.mask[first_target:].all()
    for part in (stream.inputs, stream.targets):
        assert set(np.unique(part)) == {0, 1}
        assert (part.sum(axis=2) == 1).all()
        held = part.reshape(-1, task.tau, 2, 2)
        assert (held == held[:, :1]).all()
    x, y = stream.inputs[:: task.tau, :, 0], stream.targets[:: task.tau, :, 0]
    assert x.mean() == pytest.approx(1 / 2, abs=0.03)
    lag = max(task.t1, task.t2)
    before = x[lag - task.t1 : len(x) - task.t1], x[lag - task.t2 : len(x) - task.t2]
    for bits in itertools.product((0, 1), repeat=2):
        asked = (before[0] == bits[0]) & (before[1] == bits[1])
        p = chance(*bits)
        deviation = 5 * math.sqrt(p * (1 - p) / asked.sum())
        assert y[lag:][asked].mean() == pytest.approx(p, abs=deviation), bits
        wrong = chance(bits[1], bits[0])  # the control: the lags exchanged
        assert p == wrong or abs(y[lag:][asked].mean() - wrong) > deviation


def test_the_floors_follow_from_the_definition() -> None:
    floors = LaggedAdd().floors
    assert list(floors) == ["no memory", "first dependency", "both dependencies"]
    assert list(floors.values()) == pytest.approx([least_loss(known) for known in ("", "1", "12")])
    assert [f"{loss:.2f}" for loss in floors.values()] == ["0.66", "0.52", "0.45"]  # as published
    assert LaggedAdd().baseline == pytest.approx(least_loss(""))
    assert least_loss("2") != pytest.approx(least_loss("1"))


@pytest.mark.parametrize("remembered", ["", "1", "12"])
def test_no_more_is_lost_than_the_floors_say(remembered: str) -> None:
    """Of outputs that are best; and the criterion is met by those that need both bits, and by no others.

    The chance that 180,000 targets deviate by so much is below one in ten thousand.
    """
    task = LaggedAdd()
    stream = draw(task, 60_000)
    outputs, criterion = best_outputs(stream, task, remembered), task.criterion
    logits = outputs - np.log(np.exp(outputs).sum(axis=2, keepdims=True))
    losses = -(stream.targets * logits).sum(axis=2)[stream.mask > 0]
    assert losses.mean() == pytest.approx(least_loss(remembered), abs=0.005)
    sums = np.cumsum(losses)
    means = (sums[criterion.length :] - sums[: -criterion.length]) / criterion.length
    assert (means.min() <= criterion.threshold) == (remembered == "12")
    few = Stream(*(part[:2_200] for part in stream))
    assert (met_at(criterion, few, outputs[:2_200]) is not None) == (remembered == "12")


def test_the_two_lags_differ() -> None:
    with pytest.raises(RnnsimError, match="t1 and t2 are both 3; the two lags must differ"):
        LaggedAdd.from_options({"t1": 3, "t2": 3})


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("tau", [1, 3])
def test_mimic_is_a_recurrent_network_of_fixed_weights(tau: int) -> None:
    """Of the same kind, and no other than the one that its options name."""
    task = Mimic(inputs=3, units=7, outputs=2, network_seed=5, tau=tau)
    stream = draw(task, 60, batch=2, plain=True)
    net = rnnsim.RecurrentNetwork(3, 7, 2)
    W, U, V = (matrix.T for matrix in weights(3, 7, 2, 5))
    params = net.init(0)._replace(W=W, U=U, b=np.zeros(7), V=V, c=np.zeros(2))
    outputs = rnnsim.simulate(net, params, stream.inputs).outputs
    np.testing.assert_allclose(stream.targets, outputs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(W @ W.T, np.eye(7), atol=1e-13)
    held = stream.inputs.reshape(-1, tau, 2, 3)
    assert (held == held[:, :1]).all()
    assert held.mean() == pytest.approx(1 / 2, abs=0.15)
    assert stream.mask.all()
    other = weights(3, 7, 2, 6)  # the control
    wrong = params._replace(W=other.W.T, U=other.U.T, V=other.V.T)
    assert abs(rnnsim.simulate(net, wrong, stream.inputs).outputs - outputs).max() > 0.1


def test_the_weights_of_mimic_do_not_depend_on_the_run() -> None:
    task = Mimic(inputs=2, units=3, outputs=1)
    sources = [task.source(np.random.default_rng(seed), 2, "float64") for seed in (0, 1)]
    assert np.array_equal(sources[0].teacher.W, sources[1].teacher.W)
    assert task.baseline == Mimic(inputs=2, units=3, outputs=1).baseline
    assert task.baseline != Mimic(inputs=2, units=3, outputs=1, network_seed=1).baseline
