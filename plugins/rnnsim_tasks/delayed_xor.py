"""The delayed XOR task [WZ89]."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.kernels import kernel
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Kernel
from rnnsim_tasks.draw import coin
from rnnsim_tasks.online import OPTIMIZER_OPTIONS


class DelayedXorSource(NamedTuple):
    rng: np.random.Generator
    past: Array  # (B, d) the XOR of the last d steps, a ring buffer
    steps: Array  # (B,) number of steps so far


class DelayedXor(StreamTask, frozen=True):
    """The XOR of two random bits, asked for d steps later [WZ89].

    Two streams of random bits, 0 or 1; the target at t is the XOR of the two bits at t - d. The first d
    steps have no target. There are no episodes.

    By chance, and for any answer that does not depend on the bits, 100 steps in a row are right with
    probability 2^-100.
    """

    name = "delayed-xor"
    n_in = 2
    n_out = 1
    reached = "by rtrl 20 of 20 seeds, at step 2,356 in the median; by bptt 20, at 5,808"

    d: Annotated[int, msgspec.Meta(ge=1, description="steps from the two bits to their target")] = 2

    @property
    def baseline(self) -> float:
        return 1 / 8

    @property
    def criterion(self) -> Criterion:
        return Streak(0.2, 100)

    def held_out_shape(self) -> tuple[int, int]:
        return self.d + 1000, 4  # the first d steps have no target

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="rtrl", hidden=min(8 + 4 * self.d, 64), learning_rate=0.005,
            optimizer_options=OPTIMIZER_OPTIONS,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> DelayedXorSource:
        return DelayedXorSource(rng, np.zeros((batch, self.d), np.int64), np.zeros(batch, np.int64))

    def step(self) -> Kernel:
        return step


@kernel(allocates=False)
def step(source: DelayedXorSource, b: int, u: Array, d: Array) -> float:
    first, second = coin(source.rng), coin(source.rng)
    u[0] = first
    u[1] = second
    delay = source.past.shape[1]
    place = source.steps[b] % delay
    d[0] = source.past[b, place]
    source.past[b, place] = first ^ second
    source.steps[b] += 1
    return 1.0 if source.steps[b] > delay else 0.0
