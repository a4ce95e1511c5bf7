"""The lagged sum of Marschall, Cho & Savin: a target that depends on two bits of the past."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.options import Count
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Integers, Kernel
from rnnsim_tasks.draw import coin
from rnnsim_tasks.online import SMALLER


class LaggedAddSource(NamedTuple):
    """All that the data depend on.

    Attributes
    ----------
    rng : numpy.random.Generator
    past : (B, L) int array
        The last L = max(t1, t2) + 1 bits x, a ring buffer.
    target : (B,) int array
        The bit y that is being held.
    steps : (B,) int array
        The number of steps so far.
    t1, t2, tau : int
    """

    rng: np.random.Generator
    past: Integers
    target: Integers
    steps: Integers
    t1: int
    t2: int
    tau: int


class LaggedAdd(StreamTask, frozen=True):
    """Predict a random bit whose chances depend on two bits of the past (Marschall et al. 2020).

    At each step the input is a fair bit x, one-hot as (x, 1 - x). The target is a random bit y, one-hot,
    with P(y = 1) = 1/2 + x(t - t1) / 2 - x(t - t2) / 4. Each pair of input and target is held for tau
    steps; the lags t1 and t2 count such pairs. There are no episodes, and no targets before both bits
    have been shown. The outputs are logits of a softmax.

    No network can do better than the entropy of y given what it remembers: 0.66 nats without memory
    (the best constant answer), 0.52 with x(t - t1) alone, 0.45 with both. The criterion needs both: the
    mean of 5000 targets lies within 0.007 of what is expected (one standard deviation), and 0.48 is
    more than four of these from either side. Accuracy could not tell: it is 3/4 at best either way.

    O. Marschall, K. Cho, C. Savin, *A unified framework of online learning algorithms for training
    recurrent neural networks*, Journal of Machine Learning Research 21(135):1-34, 2020: their Add task,
    after S. Pitis.
    """

    name = "lagged-add"
    n_in = 2
    n_out = 2
    reached = "by rtrl 20 of 20 seeds, at step 2,602 in the median; by bptt 20, at 1,221"
    score = "cross-entropy"

    t1: Annotated[Count, msgspec.Meta(description="lag of the bit that makes y likelier")] = 6
    t2: Annotated[Count, msgspec.Meta(description="lag of the bit that makes y less likely")] = 10
    tau: Annotated[Count, msgspec.Meta(description="steps for which input and target are held")] = 1

    def __post_init__(self) -> None:
        if self.t1 == self.t2:
            raise RnnsimError(f"t1 and t2 are both {self.t1}; the two lags must differ")

    @property
    def baseline(self) -> float:
        return entropy(5 / 8)

    @property
    def floors(self) -> Mapping[str, float]:
        first = (entropy(3 / 8) + entropy(7 / 8)) / 2
        both = (entropy(1 / 2) + entropy(1) + entropy(1 / 4) + entropy(3 / 4)) / 4
        return {"no memory": self.baseline, "first dependency": first, "both dependencies": both}

    @property
    def criterion(self) -> Criterion:
        return Average("cross-entropy", 0.48, 5000 * self.tau)

    @property
    def input_names(self) -> tuple[str, ...]:
        return "x", "1 - x"

    @property
    def output_names(self) -> tuple[str, ...]:
        return "y", "1 - y"

    def held_out_shape(self) -> tuple[int, int]:
        return self.tau * (max(self.t1, self.t2) + 1000), 16  # the first steps have no target

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="rtrl", network={"loss": "softmax-cross-entropy"}, init={"scheme": "orthogonal"},
            hidden=32, learning_rate=0.003, optimizer_options=SMALLER, batch=16,
            steps=20_000 * self.tau,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> LaggedAddSource:
        past = np.zeros((batch, max(self.t1, self.t2) + 1), np.int64)
        target, steps = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
        return LaggedAddSource(rng, past, target, steps, self.t1, self.t2, self.tau)

    def step(self) -> Kernel:
        return step


def entropy(p: float) -> float:
    """Of a bit that is 1 with probability p, in nats."""
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


@kernel(allocates=False)
def step(source: LaggedAddSource, b: int, u: Array, d: Array) -> float:
    length = source.past.shape[1]
    pair = source.steps[b] // source.tau
    if source.steps[b] % source.tau == 0:
        source.past[b, pair % length] = coin(source.rng)
        first = source.past[b, (pair - source.t1) % length]
        second = source.past[b, (pair - source.t2) % length]
        chance = 0.5 + 0.5 * first - 0.25 * second
        source.target[b] = 1 if source.rng.random() < chance else 0
    source.steps[b] += 1
    x, y = source.past[b, pair % length], source.target[b]
    u[0] = x
    u[1] = 1 - x
    d[0] = y
    d[1] = 1 - y
    return 1.0 if pair >= length - 1 else 0.0
