"""Tasks whose targets are known later: a random walk, which nobody can forecast, and a script."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from plain_loop import B, Plain, Script, ScriptSource, windows

from rnnsim.criterion import Criterion, Never
from rnnsim.kernels import kernel
from rnnsim.task import EpisodeTask, StreamTask, Suggestion


class WalkSource(NamedTuple):
    rng: np.random.Generator
    steps: np.ndarray  # (B, h) those to come, a ring buffer
    place: np.ndarray  # (B,)
    at: np.ndarray  # (B,) x(t)
    scale: float


class Walk(StreamTask, frozen=True):
    """The change of a random walk over the next h rows, from its value: its best forecast is 0."""

    name = "walk"
    score = "squared"

    ahead: int = 1
    honest: bool = True

    @property
    def n_in(self) -> int:
        return 1

    @property
    def n_out(self) -> int:
        return 1

    @property
    def baseline(self) -> float:
        return 0.5

    @property
    def criterion(self) -> Criterion:
        return Never()

    @property
    def target_delay(self) -> int:
        return self.ahead - 1 if self.honest else 0

    def held_out_shape(self) -> tuple[int, int]:
        return 20, 1

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> WalkSource:
        steps = rng.standard_normal((batch, self.ahead))
        return WalkSource(rng, steps, np.zeros(batch, np.int64), np.zeros(batch), self.ahead**-0.5)

    def step(self) -> Any:
        return walk_step


@kernel
def walk_step(source: WalkSource, b: int, u: Any, d: Any) -> float:
    u[0] = 0.1 * source.at[b]
    d[0] = source.scale * source.steps[b].sum()
    now = source.place[b]
    source.at[b] += source.steps[b, now]
    source.steps[b, now] = source.rng.standard_normal()
    source.place[b] = (now + 1) % source.steps.shape[1]
    return 1.0


class LateScript(Script, frozen=True):
    """The script, each target of which is known some rows later."""

    late: int = 3

    @property
    def target_delay(self) -> int:
        return self.late


def plain_delayed(
    data: ScriptSource, steps: int, width: int, rate: float, h: int
) -> tuple[Plain, np.ndarray]:
    """Theory.md 7 to the letter, by bptt within windows; with the losses (steps,) of what was said."""
    loop, acting = Plain(rate), np.zeros((B, 4))
    losses = []
    ends = data._replace(ends=np.concatenate([np.zeros(h, np.bool_), data.ends]))
    for window in windows(ends, steps, width):
        for t in window:
            learning, loop.x = loop.x, acting
            rows = loop.step(data, t)
            losses.append(loss_of(loop, data, t))
            acting, loop.x = loop.x, learning
        known = [t - h for t in window if t >= h]
        rows = [loop.step(data, t) for t in known]
        grad = loop.zero()
        for row in rows:
            loop.read(grad, row)
        loop.sweep(grad, rows, len(rows))
        loop.descend(grad)
    return loop, np.array(losses)


def loss_of(loop: Plain, data: ScriptSource, t: int) -> float:
    """The mean loss of a step over its targets; nan without one."""
    y = loop.x @ loop.params["V"].T + loop.params["c"]
    each = data.mask[t] * ((y - data.targets[t]) ** 2).sum(axis=1) / 2
    total = data.mask[t].sum()
    return float(each.sum() / total) if total else np.nan


class EpisodesSource(NamedTuple):
    rng: np.random.Generator


class LateEpisodes(EpisodeTask, frozen=True):
    """Random episodes of 3 to 7 steps, each step of which has the input as its target."""

    name = "late-episodes"

    late: int = 3

    @property
    def n_in(self) -> int:
        return 1

    @property
    def n_out(self) -> int:
        return 1

    @property
    def baseline(self) -> float:
        return 0.5

    @property
    def criterion(self) -> Criterion:
        return Never()

    @property
    def episode_length(self) -> int:
        return 7

    @property
    def target_delay(self) -> int:
        return self.late

    def held_out_shape(self) -> tuple[int, int]:
        return 14, 1

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(hidden=3, optimizer="sgd", batch=1, steps=200)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> EpisodesSource:
        return EpisodesSource(rng)

    def episode(self) -> Any:
        return random_episode


@kernel
def random_episode(source: EpisodesSource, b: int, u: Any, d: Any, weight: Any, legal: Any) -> int:
    length = 3 + source.rng.integers(0, 5)
    for t in range(length):
        u[t, 0] = source.rng.standard_normal()
        d[t, 0] = u[0, 0]
        weight[t] = 1.0
    return length
