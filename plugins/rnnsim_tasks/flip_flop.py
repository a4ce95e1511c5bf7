"""The flip-flop task [WZ89, S92 3.1]: was there an A since the last B?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.kernels import kernel
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import below
from rnnsim_tasks.fast_weights import PUBLISHED, tuned_and_published
from rnnsim_tasks.online import OPTIMIZER_OPTIONS

A, B = 0, 1  # and C, which changes nothing


class FlipFlopSource(NamedTuple):
    rng: np.random.Generator
    armed: Bools  # (B,) whether the next B is the first one after an A


class FlipFlop(StreamTask, frozen=True):
    """Events A, B, C; say when a B is the first one after an A [WZ89, S92].

    Each step is one of three events, uniform, one-hot. The target is 1 the first time a B occurs after
    an A, else 0. There are no episodes.

    In half of all steps there has been an A since the last B, so that the target is 1 in one step of
    six. A constant 0 meets the criterion only if 100 steps pass without a 1, which has a probability
    below 1e-15.
    """

    name = "flip-flop"
    n_in = 3
    n_out = 1
    input_names = ("A", "B", "C")
    output_names = ("B after A",)
    reached = (
        "by rtrl 20 of 20 seeds, at step 3,920 in the median; by bptt 20, at 8,122; "
        "by fast-weights-1 20, at 210; by fast-weights-2 20, at 352"
    )

    @property
    def baseline(self) -> float:
        return 5 / 72  # half of 1/6 * 5/6

    @property
    def criterion(self) -> Criterion:
        return Streak(0.05, 100)

    @property
    def published(self) -> Mapping[str, int]:
        return {"fast-weights-1": 300, "fast-weights-2": 800}

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(rule="rtrl", hidden=8, learning_rate=0.01, optimizer_options=OPTIMIZER_OPTIONS)

    def suggestions(self, rule: str, kind: str) -> Mapping[str, Suggestion]:
        if kind != "fast-weight":
            return super().suggestions(rule, kind)
        rate = 0.5 if rule == "fast-weights-2" else 1.0
        published = PUBLISHED._replace(learning_rate=rate, steps=20_000)
        return tuned_and_published(published)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> FlipFlopSource:
        return FlipFlopSource(rng, np.zeros(batch, np.bool_))

    def step(self) -> Kernel:
        return step


@kernel(allocates=False)
def step(source: FlipFlopSource, b: int, u: Array, d: Array) -> float:
    event, armed = below(source.rng, 3), source.armed[b]
    for i in range(3):
        u[i] = i == event
    d[0] = (event == B) & armed  # without branches, as they would be mispredicted
    source.armed[b] = (event == A) | (armed & (event != B))
    return 1.0
