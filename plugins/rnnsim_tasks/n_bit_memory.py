"""The n-bit flip-flop memory task of Sussillo and Barak."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.kernels import kernel
from rnnsim.options import Count
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import coin
from rnnsim_tasks.online import SMALLER


class NBitMemorySource(NamedTuple):
    rng: np.random.Generator
    signs: Array  # (B, n) the signs of the last pulses
    started: Bools  # (B,) whether the first step is done
    rate: float


class NBitMemory(StreamTask, frozen=True):
    """Keep the sign of the last pulse on each of n inputs (Sussillo & Barak 2013).

    At each step each input is a pulse of +1 or -1 with probability ``rate``, and 0 otherwise; target i
    is the sign of the last pulse on input i. At the first step every input has a pulse, so that all
    targets are defined. There are no episodes.

    The criterion requires as many steps in a row as 25 changes of each sign take on average; constant
    outputs are right for so long with a probability below e^-25.

    D. Sussillo, O. Barak, *Opening the black box: low-dimensional dynamics in high-dimensional recurrent
    neural networks*, Neural Computation 25(3):626-649, 2013.
    """

    name = "n-bit-memory"
    reached = "by truncated-bptt 20 of 20 seeds, at step 15,316 in the median"
    score = "bits"

    n: Annotated[Count, msgspec.Meta(description="bits to keep")] = 3
    rate: Annotated[
        float, msgspec.Meta(gt=0, le=1, description="probability of a pulse at a step on an input")
    ] = 0.1

    @property
    def n_in(self) -> int:
        return self.n

    @property
    def n_out(self) -> int:
        return self.n

    @property
    def baseline(self) -> float:
        return self.n / 2

    @property
    def criterion(self) -> Criterion:
        return Streak(0.2, math.ceil(50 / self.rate))

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="truncated-bptt", hidden=8 + 8 * self.n, learning_rate=0.003, batch=8,
            optimizer_options=SMALLER,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> NBitMemorySource:
        signs = np.zeros((batch, self.n), np.int64)
        return NBitMemorySource(rng, signs, np.zeros(batch, np.bool_), self.rate)

    def step(self) -> Kernel:
        return step


@kernel(allocates=False)
def step(source: NBitMemorySource, b: int, u: Array, d: Array) -> float:
    for i in range(u.size):
        u[i] = 0
        if source.rng.random() < source.rate or not source.started[b]:
            source.signs[b, i] = 2 * coin(source.rng) - 1
            u[i] = source.signs[b, i]
        d[i] = source.signs[b, i]
    source.started[b] = True
    return 1.0
