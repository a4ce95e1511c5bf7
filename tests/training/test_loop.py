"""The compiled loop against plain Python: its gradients, its optimizers, its bits, its divergence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plain_loop import INIT, assert_same, k, m, n, plain_bptt, plain_rtrl, plain_truncated, script, train

import rnnsim
from rnnsim.compiler import compiled
from rnnsim.errors import Diverged
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.runs.result import result_of
from rnnsim.training.experiment import configure
from rnnsim.training.optimizers import OPTIMIZERS, clip_norm, make_optimizer
from rnnsim.training.task_training import TaskTraining


@pytest.mark.parametrize("ends", [False, True], ids=["stream", "episodes"])
@pytest.mark.parametrize("width", [1, 7, 400, 1000])
def test_the_loop_is_a_plain_loop(width: int, ends: bool) -> None:
    rate = 0.1 if width < 400 else 0.002
    run = train(window=width, ends=ends, learning_rate=rate)
    data = script(ends=ends)
    assert_same(run.training.params, plain_bptt(data, 400, width, rate))
    assert_same(run.training.params, plain_bptt(data, 399, width, rate), equal=False)
    assert_same(run.training.params, plain_bptt(script(), 400, 5, rate), equal=False)


def test_resets_matter_to_the_loop() -> None:
    run = train(window=7, resets=False)
    assert_same(run.training.params, plain_bptt(script(resets=False), 400, 7, 0.1))
    assert_same(run.training.params, plain_bptt(script(), 400, 7, 0.1), equal=False)


@pytest.mark.parametrize("clip", [0.05, 0.5])
def test_gradients_longer_than_clip_are_scaled_down(clip: float) -> None:
    run = train(window=7, clip=clip)
    assert_same(run.training.params, plain_bptt(script(), 400, 7, 0.1, clip))
    assert_same(run.training.params, plain_bptt(script(), 400, 7, 0.1), equal=False)


@pytest.mark.parametrize("width", [1, 7])
def test_on_line_rtrl_is_a_plain_loop(width: int) -> None:
    run = train("rtrl", window=width)
    assert_same(run.training.params, plain_rtrl(script(), 400, width, 0.1))
    if width == 1:
        assert_same(run.training.params, plain_bptt(script(), 400, width, 0.1), equal=False)


@pytest.mark.parametrize(
    ("width", "h", "h_prime"),
    [
        (1, 1, 1),
        (1, 10, 1),
        (3, 17, 4),
        (7, 7, 7),
        (5, 6, 1),
        (4, 3, 2),
        (3, 40, 2),
        (2, 60, 3),
        (10, 100, 20),
    ],
)
def test_truncated_bptt_finds_its_history(width: int, h: int, h_prime: int) -> None:
    """The rows before a window are kept as they were run, however often they are moved."""
    rate, resets = 0.03, h == 6
    run = train("truncated-bptt", window=width, learning_rate=rate, resets=resets,
                options={"h": h, "h_prime": h_prime})  # fmt: skip
    data = script(resets=resets)
    assert_same(run.training.params, plain_truncated(data, 400, width, rate, h, h_prime))
    if h > 1:
        forgetful = plain_truncated(data, 400, width, rate, h - 1, min(h_prime, h - 1))
        assert_same(run.training.params, forgetful, equal=False)


def test_truncated_bptt_by_windows_is_one_gradient_where_weights_stand_still() -> None:
    """399 steps at a rate of nearly 0 against one call of ``gradient``."""
    rate, h, h_prime = 1e-7, 25, 2
    run = train("truncated-bptt", window=3, learning_rate=rate, steps=399,
                options={"h": h, "h_prime": h_prime})  # fmt: skip
    data = script()
    net = RecurrentNetwork(m, n, k)

    def whole(h: int) -> Any:
        return rnnsim.gradient(
            net, net.init(0, **INIT), data.inputs[:399], data.targets[:399], "truncated-bptt",
            mask=data.mask[:399], resets=data.resets[:399], h=h, h_prime=h_prime,
        ).grads  # fmt: skip

    moved = [(a - b) / rate for a, b in zip(net.init(0, **INIT), run.training.params)]
    for found, expected, forgetful in zip(moved, whole(h), whole(4)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        if expected.ndim == 2 and expected.shape[0] == n:
            assert not np.allclose(found, forgetful, rtol=1e-3, atol=1e-4)


# --- optimizers ------------------------------------------------------------------------------------


def momentum(theta: np.ndarray, grads: np.ndarray, rate: float) -> np.ndarray:
    """Polyak 1964: the velocity is a sum of the gradients, each forgotten by 0.7 a step."""
    for t in range(len(grads)):
        theta = theta - rate * sum(0.7 ** (t - i) * grads[i] for i in range(t + 1))
    return theta


def rmsprop(theta: np.ndarray, grads: np.ndarray, rate: float) -> np.ndarray:
    """Tieleman & Hinton 2012, slide 29."""
    for t in range(len(grads)):
        mean_square = sum(0.2 * 0.8 ** (t - i) * grads[i] ** 2 for i in range(t + 1))
        theta = theta - rate * grads[t] / (np.sqrt(mean_square) + 1e-3)
    return theta


def adam(theta: np.ndarray, grads: np.ndarray, rate: float) -> np.ndarray:
    """Kingma & Ba 2015, algorithm 1."""
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(grads, start=1):
        mean = 0.7 * mean + 0.3 * g
        square = 0.95 * square + 0.05 * g**2
        theta = theta - rate * (mean / (1 - 0.7**t)) / (np.sqrt(square / (1 - 0.95**t)) + 1e-3)
    return theta


PAPERS: dict[str, tuple[dict[str, float], Callable[..., np.ndarray]]] = {
    "sgd": ({}, lambda theta, grads, rate: theta - rate * grads.sum(0)),
    "momentum": ({"decay": 0.7}, momentum),
    "rmsprop": ({"decay": 0.8, "epsilon": 1e-3}, rmsprop),
    "adam": ({"beta1": 0.7, "beta2": 0.95, "epsilon": 1e-3}, adam),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_those_of_their_papers(name: str) -> None:
    options, paper = PAPERS[name]
    optimizer = make_optimizer(name, options)
    rng = np.random.default_rng(3)
    start, grads, rate = rng.standard_normal(5), rng.standard_normal((30, 5)), 0.1
    theta, memory, update = (
        start.copy(),
        optimizer.memory(5, np.dtype(float)),
        compiled(optimizer.update()),
    )
    for grad in grads:
        update(theta, grad, memory, rate)
    np.testing.assert_allclose(theta, paper(start, grads, rate), rtol=1e-10)
    others = [other(start, grads, rate) for key, (_, other) in PAPERS.items() if key != name]
    assert not any(np.allclose(theta, other, rtol=1e-3) for other in others)


@pytest.mark.parametrize(
    ("grad", "largest", "expected"),
    [
        ([3.0, 4.0], 1.0, [0.6, 0.8]),
        ([3.0, 4.0], 5.0, [3.0, 4.0]),
        ([3.0, 4.0], np.inf, [3.0, 4.0]),
        ([0.0, 0.0], 1.0, [0.0, 0.0]),
        ([3e200, -4e200], 1.0, [0.6, -0.8]),  # whose squares overflow
        ([3e200, 4e200], np.inf, [3e200, 4e200]),
    ],
)
def test_clipping_keeps_the_direction(grad: list[float], largest: float, expected: list[float]) -> None:
    found = np.array(grad)
    factor = compiled(clip_norm)(found, largest)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(np.array(grad) * factor, expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_hides_no_divergence(bad: float) -> None:
    found = np.array([1.0, bad])
    compiled(clip_norm)(found, 1.0)
    assert not np.isfinite(found).all()


# --- the same bits ---------------------------------------------------------------------------------


def outcome(run: TaskTraining) -> tuple[Any, ...]:
    metrics = result_of(run).metrics
    return (run.training.flat_params.tobytes(), run.solved_at, run.step,
            *(metrics[name].tobytes() for name in metrics))  # fmt: skip


RULES: list[tuple[str, dict[str, Any]]] = [
    ("bptt", {}), ("rtrl", {}), ("truncated-bptt", {"h": 9, "h_prime": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "options"), RULES, ids=[rule for rule, _ in RULES])
@pytest.mark.parametrize("window", [1, 6])
def test_the_same_seed_gives_the_same_bits_however_the_run_is_cut(
    rule: str, options: dict[str, Any], window: int
) -> None:
    """2,500 steps: the stream is filled three times."""
    given = {"window": window, "options": options, "steps": 2500, "learning_rate": 0.02}
    whole = outcome(train(rule, **given))
    for chunk in (1, 7, 1024):
        assert outcome(train(rule, chunk=chunk, **given)) == whole
    assert outcome(train(rule, seed=1, **given)) != whole
    assert outcome(train(rule, **{**given, "steps": 2499})) != whole


@pytest.mark.parametrize("window", [1, 4, None])
def test_the_same_seed_gives_the_same_bits_over_episodes(window: int | None) -> None:
    def adding(seed: int, chunk: int) -> tuple[Any, ...]:
        experiment = configure(
            "bptt",
            "adding",
            seed=seed,
            window=window,
            batch=3,
            hidden=n,
            steps=2005,
            options={"length": 6},
        )
        trainer = TaskTraining(experiment)
        for _ in trainer.chunks(chunk):
            pass
        return outcome(trainer)

    whole = adding(0, 1024)
    assert adding(0, 1) == whole
    assert adding(0, 7) == whole
    assert adding(1, 7) != whole


# --- divergence ------------------------------------------------------------------------------------


def diverges_at(**given: Any) -> int:
    with pytest.raises(Diverged) as caught:
        train(**given)
    found = re.search(r"diverged at step (\d+)", str(caught.value))
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("activation", "window", "rate"),
    [("tanh", 1, 1e100), ("tanh", 1, 1e308), ("tanh", 6, 1e200)],
)
def test_a_run_that_diverges_stops_at_once_and_names_the_step(
    activation: str, window: int, rate: float
) -> None:
    assert_diverges_at_once(activation, window, rate)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize(("window", "rate"), [(1, 10.0), (6, 3.0)])
def test_so_does_one_whose_states_grow_without_bound(window: int, rate: float) -> None:
    assert_diverges_at_once("identity", window, rate)


def assert_diverges_at_once(activation: str, window: int, rate: float) -> None:
    given = {"network": RecurrentNetwork(m, n, k, activation=activation), "window": window,
             "learning_rate": rate}  # fmt: skip
    at = diverges_at(**given)
    assert 1 < at < 400
    assert diverges_at(**given, steps=at) == at
    through = train(**given, steps=at - 1)
    assert through.step == at - 1
    assert np.isfinite(through.training.flat_params).all()
    assert np.isfinite(through.stream.losses[: at - 1]).all()


@pytest.mark.usefixtures("uncompiled")
def test_a_gentle_run_does_not_diverge() -> None:
    run = train(network=RecurrentNetwork(m, n, k, activation="identity"), learning_rate=1e-3)
    assert run.step == 400
