"""A task whose data can be drawn beforehand, and the loop that trains on it, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.task import Suggestion, Task
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

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


def train(rule: Any = "bptt", *, chunk: int = 1024, **given: Any) -> TaskTraining:
    """Carry a run on the script to its end."""
    task = Script(resets=given.pop("resets", True), ends=given.pop("ends", False))
    trainer = TaskTraining(configure(rule, task, **given))
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
