"""The compiled loop against plain Python, and what a run promises: exact ends, bits, files, messages."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import rnnsim
from rnnsim import registry
from rnnsim.criteria import Average, Criterion, HeldOut, Streak
from rnnsim.errors import Diverged, RnnsimError, UnknownName
from rnnsim.experiment import configure
from rnnsim.kernels import compiled, kernel
from rnnsim.network import Stream
from rnnsim.optimizers import OPTIMIZERS, SGD, clip_norm, make_optimizer
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.registry import make_rule
from rnnsim.run import Trainer
from rnnsim.task import Suggestion, Task

n, m, k, B = 4, 2, 1, 2
INIT = {"scheme": "orthogonal"}  # errors of long ago still count
ROWS = 450  # of the script; few enough for one filling of the stream, so that its outputs stay readable


class ScriptSource(NamedTuple):
    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    resets: np.ndarray
    ends: np.ndarray
    place: np.ndarray


class Script(Task, frozen=True):
    """A filtered random input, with weights, resets and ends here and there."""

    name = "script"

    resets: bool = True
    ends: bool = False

    @property
    def n_in(self) -> int:
        return m

    @property
    def n_out(self) -> int:
        return k

    @property
    def baseline(self) -> float:
        return 0.5

    @property
    def criterion(self) -> Criterion:
        return Streak(0.0, 10)

    @property
    def criteria(self) -> dict[str, Criterion]:
        return {"default": self.criterion, "loose": Streak(0.5, 10)}

    def held_out_shape(self) -> tuple[int, int]:
        return 40, B

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            hidden=n, init=INIT, optimizer="sgd", learning_rate=0.1, clip=None, window=1, batch=B,
            steps=400,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ScriptSource:
        shape = (ROWS, batch)
        u = 0.3 * rng.standard_normal((*shape, m))
        d = 0.5 * u[:, :, :1] + 0.5 * np.roll(u[:, :, 1:], 1, axis=0)
        mask = rng.choice([0.0, 0.5, 1.0, 2.0], shape)
        mask[rng.random(ROWS) < 0.2] = 0  # steps without any target
        resets = (rng.random(shape) < 0.05) & self.resets
        ends = (rng.random(ROWS) < 0.1) & self.ends
        return ScriptSource(
            u.astype(dtype), d.astype(dtype), mask.astype(dtype), resets, ends, np.zeros(1, np.int64)
        )

    def fill(self) -> Callable[..., int]:
        return fill


@kernel(allocates=False)
def fill(source: ScriptSource, stream: Stream, rows: int) -> int:
    for t in range(rows):
        row = source.place[0] % source.mask.shape[0]
        source.place[0] += 1
        stream.ends[t] = source.ends[row]
        for b in range(stream.mask.shape[1]):
            stream.mask[t, b] = source.mask[row, b]
            stream.resets[t, b] = source.resets[row, b]
            for i in range(stream.inputs.shape[2]):
                stream.inputs[t, b, i] = source.inputs[row, b, i]
            for o in range(stream.targets.shape[2]):
                stream.targets[t, b, o] = source.targets[row, b, o]
    return rows


def train(rule: Any = "bptt", *, chunk: int = 1024, **given: Any) -> Trainer:
    """Carry a run on the script to its end."""
    task = Script(resets=given.pop("resets", True), ends=given.pop("ends", False))
    trainer = Trainer(configure(rule, task, **given))
    for _ in trainer.chunks(chunk):
        pass
    return trainer


def script(seed: int = 0, **options: bool) -> ScriptSource:
    """The data that a run of this seed sees."""
    return Script(**options).source(np.random.default_rng([seed, 1]), B, np.dtype(float))


# --- the loop, in plain NumPy ----------------------------------------------------------------------


class Row(NamedTuple):
    """One step of one sequence, as it was when it was run."""

    u: np.ndarray
    entering: np.ndarray
    x: np.ndarray
    slope: np.ndarray
    dy: np.ndarray
    dx: np.ndarray
    reset: bool


class Plain:
    """tanh units, linear readout, squared error, SGD: one sequence and one step at a time."""

    def __init__(self, rate: float, clip: float = np.inf) -> None:
        self.params = {
            a: v.copy() for a, v in RecurrentNetwork(m, n, k).init(0, **INIT)._asdict().items()
        }
        self.rate, self.clip = rate, clip
        self.x = np.zeros((B, n))

    def step(self, data: ScriptSource, t: int) -> list[Row]:
        W, U, b, V, c = self.params.values()
        rows = []
        for i in range(B):
            reset = bool(data.resets[t, i])
            entering = np.zeros(n) if reset else self.x[i]
            x = np.tanh(W @ entering + U @ data.inputs[t, i] + b)
            dy = data.mask[t, i] * (V @ x + c - data.targets[t, i]) / B  # eq. (4)
            rows.append(Row(data.inputs[t, i], entering, x, 1 - x**2, dy, V.T @ dy, reset))
        self.x = np.array([row.x for row in rows])
        return rows

    def zero(self) -> dict[str, np.ndarray]:
        return {name: np.zeros_like(value) for name, value in self.params.items()}

    def read(self, grad: dict[str, np.ndarray], rows: list[Row]) -> None:
        for row in rows:
            grad["V"] += np.outer(row.dy, row.x)
            grad["c"] += row.dy

    def sweep(self, grad: dict[str, np.ndarray], steps: list[list[Row]], own: int) -> None:
        """Credit for the errors of the last ``own`` of the steps."""
        for i in range(B):
            adjoint = np.zeros(n)
            for back, rows in enumerate(reversed(steps)):
                row = rows[i]
                s = row.slope * (adjoint + (row.dx if back < own else 0))
                grad["W"] += np.outer(s, row.entering)
                grad["U"] += np.outer(s, row.u)
                grad["b"] += s
                adjoint = np.zeros(n) if row.reset else self.params["W"].T @ s

    def descend(self, grad: dict[str, np.ndarray]) -> None:
        norm = np.sqrt(sum((g**2).sum() for g in grad.values()))
        factor = self.rate * min(1.0, self.clip / norm if norm else 1.0)
        for name, value in self.params.items():
            value -= factor * grad[name]


def windows(data: ScriptSource, steps: int, width: int) -> Iterator[list[int]]:
    """Cut the steps into windows, which end at an end too."""
    window: list[int] = []
    for t in range(steps):
        window.append(t)
        if len(window) == width or data.ends[t] or t == steps - 1:
            yield window
            window = []


def plain_bptt(data: ScriptSource, steps: int, width: int, rate: float, clip: float = np.inf) -> Plain:
    loop = Plain(rate, clip)
    for window in windows(data, steps, width):
        rows = [loop.step(data, t) for t in window]
        grad = loop.zero()
        for row in rows:
            loop.read(grad, row)
        loop.sweep(grad, rows, len(rows))
        loop.descend(grad)
    return loop


def plain_truncated(
    data: ScriptSource, steps: int, width: int, rate: float, h: int, h_prime: int
) -> Plain:
    loop, past, swept = Plain(rate), [], 0
    for window in windows(data, steps, width):
        rows = [loop.step(data, t) for t in window]
        past += rows
        grad = loop.zero()
        for row in rows:
            loop.read(grad, row)
        for now in range(window[0] + 1, window[-1] + 2):
            if now % h_prime == 0 or now == steps:
                loop.sweep(grad, past[max(0, now - h) : now], now - swept)
                swept = now
        loop.descend(grad)
    return loop


def plain_rtrl(data: ScriptSource, steps: int, width: int, rate: float) -> Plain:
    loop = Plain(rate)
    p = np.zeros((B, n, n * (n + m + 1)))  # columns: W, U, b, each row by row
    for window in windows(data, steps, width):
        grad, credit = loop.zero(), np.zeros(p.shape[2])
        for t in window:
            rows = loop.step(data, t)
            loop.read(grad, rows)
            for i, row in enumerate(rows):
                before = np.zeros_like(p[i]) if row.reset else p[i]
                own = np.hstack(
                    [
                        np.kron(np.eye(n), row.entering),
                        np.kron(np.eye(n), row.u),
                        np.eye(n),
                    ]
                )
                p[i] = row.slope[:, None] * (loop.params["W"] @ before + own)
                credit += row.dx @ p[i]
        grad["W"] += credit[: n * n].reshape(n, n)
        grad["U"] += credit[n * n : n * (n + m)].reshape(n, m)
        grad["b"] += credit[n * (n + m) :]
        loop.descend(grad)
    return loop


def assert_same(params: Any, plain: Plain, *, equal: bool = True) -> None:
    close = all(
        np.allclose(getattr(params, name), value, rtol=1e-9, atol=1e-12)
        for name, value in plain.params.items()
    )
    assert close is equal


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
    compiled(clip_norm)(found, largest)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_hides_no_divergence(bad: float) -> None:
    found = np.array([1.0, bad])
    compiled(clip_norm)(found, 1.0)
    assert not np.isfinite(found).all()


# --- solved_at -------------------------------------------------------------------------------------


def replay_streak(run: Trainer, tolerance: float, length: int) -> int | None:
    """The rule of ``Streak`` on the outputs that the run has left behind."""
    stream, streak = run.training.stream, 0
    for t in range(run.experiment.steps):
        asked = stream.mask[t] > 0
        if not asked.any():
            continue
        good = np.abs(stream.outputs[t] - stream.targets[t]).max(axis=1) <= tolerance
        streak = streak + 1 if good[asked].all() else 0
        if streak >= length:
            return t + 1
    return None


def replay_average(run: Trainer, threshold: float, length: int) -> int | None:
    stream, scores = run.training.stream, []
    for t in range(run.experiment.steps):
        asked = stream.mask[t] > 0
        errors = ((stream.outputs[t] - stream.targets[t]) ** 2).sum(axis=1)
        scores += errors[asked].tolist()
        if asked.any() and len(scores) >= length and np.mean(scores[-length:]) <= threshold:
            return t + 1
    return None


@pytest.mark.parametrize("window", [1, 6, 50])
def test_solved_at_is_the_step_of_a_replay(window: int) -> None:
    found = []
    for tolerance, length in [(0.6, 5), (0.4, 10), (0.3, 20), (0.2, 2), (0.2, 12), (0.0, 1), (9.0, 1)]:
        run = train(window=window, criterion=Streak(tolerance, length), stop=False)
        assert run.solved_at == replay_streak(run, tolerance, length)
        found.append(run.solved_at)
    assert None in found
    assert len(set(found)) >= 4


def test_solved_at_by_an_average_is_the_step_of_a_replay() -> None:
    found = []
    for threshold, length in [(0.1, 5), (0.05, 30), (0.03, 50), (0.0, 5), (9.0, 7)]:
        run = train(window=6, criterion=Average("squared", threshold, length), stop=False)
        assert run.solved_at == replay_average(run, threshold, length)
        found.append(run.solved_at)
    assert None in found
    assert len(set(found)) >= 4


@pytest.mark.parametrize("window", [1, 6, 50])
def test_a_run_stops_at_the_very_step(window: int) -> None:
    criterion = Streak(0.3, 20 if window < 50 else 5)
    going_on = train(window=window, criterion=criterion, stop=False)
    s = going_on.solved_at
    assert s is not None
    assert going_on.step == 400
    stopped = train(window=window, criterion=criterion)
    assert (stopped.solved_at, stopped.step) == (s, s)
    assert train(window=window, criterion=criterion, steps=s).solved_at == s
    assert train(window=window, criterion=criterion, steps=s - 1).solved_at is None


@pytest.mark.parametrize("window", [1, 6])
def test_the_update_of_the_window_that_solved_is_not_applied(window: int) -> None:
    stopped = train(window=window, criterion=Streak(0.3, 10))
    assert stopped.solved_at is not None
    before = (stopped.solved_at - 1) // window * window
    assert before > 0
    theta = stopped.training.theta
    np.testing.assert_array_equal(theta, train(window=window, steps=before).training.theta)
    after = train(window=window, steps=before + window).training.theta
    assert not np.array_equal(theta, after)


@pytest.mark.parametrize("chunk", [1, 1024])
def test_a_held_out_criterion_is_looked_at_where_it_says(chunk: int) -> None:
    """Every 60 steps; 60 is a multiple of the window, so the looks fall on those very steps."""
    scores = {step: train(window=6, steps=step).evaluate("squared").score for step in range(60, 401, 60)}
    threshold = sorted(scores.values())[len(scores) // 2]
    first = next(step for step, score in scores.items() if score <= threshold)
    criterion = HeldOut("squared", threshold, every=60)
    assert train(window=6, criterion=criterion, chunk=chunk).solved_at == first
    assert train(window=6, criterion=criterion, chunk=chunk).step == first
    assert train(window=6, criterion=criterion, chunk=chunk, steps=first - 1).solved_at is None
    assert train(window=6, criterion=criterion, chunk=chunk, stop=False).step == 400


# --- the same bits ---------------------------------------------------------------------------------


def outcome(run: Trainer) -> tuple[Any, ...]:
    metrics = run.result().metrics
    return (run.training.theta.tobytes(), run.solved_at, run.step,
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
        trainer = Trainer(experiment)
        for _ in trainer.chunks(chunk):
            pass
        return outcome(trainer)

    whole = adding(0, 1024)
    assert adding(0, 1) == whole
    assert adding(0, 7) == whole
    assert adding(1, 7) != whole


def test_the_learning_curve_is_what_the_outputs_say() -> None:
    """Each point is a mean over its steps: of the losses by weight, of the scores by number."""
    run = train(learning_rate=0.0, window=6, steps=400)
    metrics, stream = run.result().metrics, run.training.stream
    deviation = np.abs(stream.outputs[:400] - stream.targets[:400])[..., 0]
    mask = stream.mask[:400]
    asked = [t for t in range(400) if (mask[t] > 0).any()]
    assert metrics["step"].tolist() == [t + 1 for t in asked]
    losses = [(mask[t] * deviation[t] ** 2 / 2).sum() / mask[t].sum() for t in asked]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(metrics["error"], [deviation[t][mask[t] > 0].mean() for t in asked])


def test_a_long_learning_curve_is_the_short_one_put_together() -> None:
    """More steps than points: neighbours become one, and no step is lost or counted twice."""
    run = train(learning_rate=0.0, steps=5000)
    metrics = run.result().metrics
    curve = run.training.curve
    every = int(curve.every[0])
    assert every == 16
    assert len(metrics["step"]) == -(-5000 // every)
    assert metrics["step"][-1] == 5000
    data = script()
    mask = np.resize(data.mask, (5000, B))
    assert curve.targets.sum() == (mask > 0).sum()
    assert curve.weight.sum() == pytest.approx(mask.sum())
    np.testing.assert_allclose(curve.weight[100], mask[1600:1616].sum())


# --- divergence ------------------------------------------------------------------------------------


def diverges_at(**given: Any) -> int:
    with pytest.raises(Diverged) as caught:
        train(**given)
    found = re.search(r"diverged at step (\d+)", str(caught.value))
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("activation", "window", "rate"),
    [("tanh", 1, 1e100), ("tanh", 1, 1e308), ("tanh", 6, 1e200), ("identity", 1, 10.0),
     ("identity", 6, 3.0)],
)  # fmt: skip
def test_a_run_that_diverges_stops_at_once_and_names_the_step(
    activation: str, window: int, rate: float
) -> None:
    given = {"network": RecurrentNetwork(m, n, k, activation=activation), "window": window,
             "learning_rate": rate}  # fmt: skip
    at = diverges_at(**given)
    assert 1 < at < 400
    assert diverges_at(**given, steps=at) == at
    through = train(**given, steps=at - 1)
    assert through.step == at - 1
    assert np.isfinite(through.training.theta).all()
    assert np.isfinite(through.training.stream.losses[: at - 1]).all()


def test_a_gentle_run_does_not_diverge() -> None:
    run = train(network=RecurrentNetwork(m, n, k, activation="identity"), learning_rate=1e-3)
    assert run.step == 400


def test_held_out_data_may_diverge_without_a_word() -> None:
    """The weights are finite, but not what they make of 40 steps: that is a result, not an error."""
    network = RecurrentNetwork(m, n, k, activation="identity")
    trainer = Trainer(configure("bptt", Script(resets=False), network=network, steps=1))
    trainer.training.params.W[...] = 1e30 * np.eye(n)
    assert not np.isfinite(trainer.evaluate().loss)
    assert not np.isfinite(trainer.evaluate("squared").score)


def test_no_targets_held_out_are_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.make_task("delayed-xor", {"d": 20})
    monkeypatch.setattr(type(task), "held_out_shape", lambda self: (10, 4))  # targets come later
    trainer = Trainer(configure("bptt", task, hidden=n, optimizer="sgd", steps=1))
    assert np.isnan(trainer.evaluate().loss)


# --- files and figures -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> rnnsim.Run:
    return rnnsim.run("bptt", Script(), criterion="loose", window=6)


def test_a_saved_run_comes_back(run: rnnsim.Run, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert run.save(folder) == folder
    saved = rnnsim.load(folder)
    assert run.solved_at is not None
    assert (saved.solved_at, saved.loss) == (run.solved_at, run.loss)
    assert saved.summary["settings"]["learning_rate"] == 0.1
    assert saved.summary["rule"] == {"name": "bptt", "checkpoint": False}
    assert set(saved.params) == set(run.params._fields)
    for name, array in saved.params.items():
        np.testing.assert_array_equal(array, getattr(run.params, name))
    assert list(saved.metrics) == list(run.metrics)
    for name, column in saved.metrics.items():
        np.testing.assert_array_equal(column, run.metrics[name])


def test_saving_while_running_is_saving_after_it(run: rnnsim.Run, tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), criterion="loose", window=6, save=tmp_path / "x")
    assert rnnsim.load(tmp_path / "x").solved_at == run.solved_at
    with open(tmp_path / "x" / "metrics.csv", newline="") as file:
        assert next(csv.reader(file)) == ["step", "loss", "error"]


def test_a_run_that_did_not_solve_comes_back_so(tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), window=6, steps=1, save=tmp_path)
    assert rnnsim.load(tmp_path).solved_at is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.toml", None),
        ("metrics.csv", None),
        ("params.safetensors", None),
        ("run.toml", b""),
        ("run.toml", b"result = 3"),
        ("run.toml", b"[result]\nloss = 'low'"),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = 'soon'"),
        ("run.toml", b"not toml at all"),
        ("run.toml", b"\xff\xfe\x00"),
        ("run.toml", b"a = " + b"[" * 100_000),
        ("metrics.csv", b""),
        ("metrics.csv", b"step,loss\n1,abc\n"),
        ("metrics.csv", b"step,loss\n1\n"),
        ("metrics.csv", b"\xff\xfe"),
        ("metrics.csv", b'step,"' + b"x" * 200_000),
        ("params.safetensors", b""),
        ("params.safetensors", b"\x00" * 100),
        ("params.safetensors", b"\xff" * 100),
    ],
)
def test_a_damaged_run_is_one_clear_error(
    run: rnnsim.Run, tmp_path: Path, file: str, content: bytes | None
) -> None:
    run.save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    message = "no run|is not a saved run" if content is None else "damaged"
    with pytest.raises(RnnsimError, match=message) as caught:
        rnnsim.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_cut_off_parameter_file_is_damaged(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    path = tmp_path / "params.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RnnsimError, match="damaged"):
        rnnsim.load(tmp_path)


def test_no_folder_is_no_saved_run(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=r"is not a saved run: there is no run\.toml"):
        rnnsim.load(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RnnsimError, match="cannot save the run in"):
        rnnsim.run("bptt", Script(), steps=10**9, save=tmp_path / "file" / "x")


def test_plot_draws_a_figure(run: rnnsim.Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curve.png"
    figure = run.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    step, loss = figure.axes[0].lines[0].get_data()
    np.testing.assert_array_equal(step, run.metrics["step"])
    np.testing.assert_array_equal(loss, run.metrics["loss"])
    assert run.plot() is not figure


@pytest.mark.parametrize("name", ["curve.xyz", "curve", "none/curve.png"])
def test_a_figure_that_cannot_be_written_is_refused(run: rnnsim.Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(RnnsimError, match="cannot draw into"):
        run.plot(tmp_path / name)


# --- what is given to a run ------------------------------------------------------------------------


def test_options_go_to_the_one_that_knows_them() -> None:
    experiment = configure("truncated-bptt", "delayed-xor", optimizer="adam",
                           options={"h": "7", "h-prime": 3, "d": 4, "beta1": 0.5})  # fmt: skip
    assert experiment.rule.h == 7  # type: ignore[attr-defined]
    assert experiment.rule.h_prime == 3  # type: ignore[attr-defined]
    assert experiment.task.d == 4  # type: ignore[attr-defined]
    assert experiment.optimizer.beta1 == 0.5  # type: ignore[attr-defined]


def test_what_is_not_given_is_what_the_task_suggests() -> None:
    experiment = configure("bptt", Script())
    assert (experiment.learning_rate, experiment.batch, experiment.steps) == (0.1, B, 400)
    assert isinstance(experiment.optimizer, SGD)
    changed = configure("bptt", Script(), learning_rate=0.5, batch=3, steps=7, hidden=9, dtype="float32")
    assert (changed.learning_rate, changed.batch, changed.steps) == (0.5, 3, 7)
    assert (changed.network.n_state, changed.network.dtype.name) == (9, "float32")


class Twin(Script, frozen=True):
    """A task with an option that truncated-bptt has too."""

    name = "twin"
    h: int = 3


REFUSED: list[tuple[dict[str, Any], type[RnnsimError], str]] = [
    ({"options": {"nope": 1}}, UnknownName, "no option of bptt, delayed-xor.* is called 'nope'"),
    ({"options": {"checkpont": 1}}, UnknownName, "did you mean checkpoint"),
    ({"options": {"beta1": 0.5}, "optimizer": "sgd"}, UnknownName, "no option of .* is called 'beta1'"),
    ({"options": {"beta3": 0.5}, "optimizer": "adam"}, UnknownName, "did you mean beta"),
    ({"options": {"d": 0}}, RnnsimError, "option d of delayed-xor is 0: expected a whole number >= 1"),
    ({"options": {"d": "two"}}, RnnsimError, "d of delayed-xor is 'two': expected a whole number$"),
    ({"options": {"decay": "nan"}, "optimizer": "momentum"}, RnnsimError, "option decay of momentum"),
    ({"options": {"decay": 1}, "optimizer": "momentum"}, RnnsimError, "expected a number < 1"),
    ({"options": {"h": 3, "h_prime": 4}, "rule": "truncated-bptt"}, RnnsimError, "^h_prime is 4"),
    ({"rule": "rtlr"}, UnknownName, "no rule is called 'rtlr'; did you mean rtrl"),
    ({"rule": 3}, RnnsimError, "rule is the name of a rule or a Rule, not 3"),
    ({"task": "delayed-or"}, UnknownName, "no task is called 'delayed-or'; did you mean delayed-xor"),
    ({"task": None}, RnnsimError, "task is the name of a task or a Task, not None"),
    ({"optimizer": "adams"}, UnknownName, "no optimizer is called 'adams'; did you mean adam"),
    ({"optimizer": 3}, RnnsimError, "optimizer is one of sgd"),
    ({"criterion": "nope"}, UnknownName, "no criterion of delayed-xor is called 'nope'"),
    ({"criterion": 0.5}, RnnsimError, "criterion is one of default, or one that is made, not 0.5"),
    ({"network": RecurrentNetwork(3, n, 1)}, RnnsimError, "delayed-xor has 2 inputs and 1 outputs; the "
                                                          "network has 3 and 1"),
    ({"network": RecurrentNetwork(2, n, 2)}, RnnsimError, "the network has 2 and 2"),
    ({"network": "recurrent"}, RnnsimError, "network is one that is made"),
    ({"network": RecurrentNetwork(2, n, 1), "hidden": 3}, RnnsimError, "leave them out"),
    ({"network": RecurrentNetwork(2, n, 1), "dtype": "float32"}, RnnsimError, "leave them out"),
    ({"rule": "recurrent-backprop"}, RnnsimError, "needs a task whose patterns are held fixed.*steady-"),
    ({"task": "steady-state-xor"}, RnnsimError, "bptt needs a task of time steps.*delayed-xor"),
    ({"steps": 0}, RnnsimError, "steps is 0; it must be at least 1"),
    ({"steps": 10**20}, RnnsimError, "steps is 10+; it must be at most"),
    ({"steps": 1.5}, RnnsimError, "steps is a whole number, not 1.5"),
    ({"seed": -1}, RnnsimError, "seed is -1; it must be at least 0"),
    ({"hidden": -2}, RnnsimError, "hidden is -2; it must be at least 1"),
    ({"hidden": 10**12}, RnnsimError, "hidden is 10+; it must be at most"),
    ({"window": 0}, RnnsimError, "window is 0; it must be at least 1"),
    ({"batch": 0}, RnnsimError, "batch is 0; it must be at least 1"),
    ({"learning_rate": np.nan}, RnnsimError, "learning_rate is nan; it must be finite"),
    ({"learning_rate": -0.1}, RnnsimError, "learning_rate is -0.1; it must be at least 0"),
    ({"learning_rate": "fast"}, RnnsimError, "learning_rate is a number, not 'fast'"),
    ({"learning_rate": 10**400}, RnnsimError, "learning_rate is a number"),
    ({"clip": 0}, RnnsimError, "clip is 0; it must be above 0"),
    ({"clip": np.nan}, RnnsimError, "clip is nan; it must be finite"),
    ({"dtype": "float16"}, RnnsimError, "dtype is float64 or float32, not 'float16'"),
    ({"task": Twin(), "options": {"d": 1}}, UnknownName, "no option of bptt, .* is called 'd'"),
    ({"task": Twin(), "rule": make_rule("bptt", {}), "optimizer": SGD(), "options": {"d": 1},
      "network": RecurrentNetwork(m, n, k)}, UnknownName, "no option is called 'd'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(
    change: dict[str, Any], error: type[RnnsimError], message: str
) -> None:
    given = {"rule": "bptt", "task": "delayed-xor", **change}
    with pytest.raises(error, match=message):
        configure(**given)


def test_an_option_of_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = registry.installed()
    twin = {**installed.tasks, "twin": registry.Entry(Twin, "tests", "0")}
    monkeypatch.setattr(registry, "installed", lambda: replace(installed, tasks=twin))
    with pytest.raises(RnnsimError, match="truncated-bptt and twin both have an option h; pass one"):
        configure("truncated-bptt", "twin", options={"h": 5})
    rule = make_rule("truncated-bptt", {"h": 9})
    assert configure(rule, "twin", options={"h": 5}).task.h == 5  # type: ignore[attr-defined]


def test_a_window_longer_than_the_run_is_the_run() -> None:
    """And not a request for terabytes."""
    assert configure("bptt", "delayed-xor", window=10**12, steps=10).window == 10
