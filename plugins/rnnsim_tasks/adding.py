"""The adding problem."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.kernels import kernel
from rnnsim.task import EpisodeTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import below


class AddingSource(NamedTuple):
    rng: np.random.Generator


class Adding(EpisodeTask, frozen=True):
    """Add the two marked ones of a sequence of random numbers (Hochreiter & Schmidhuber 1997).

    The inputs of a step are a number, uniform in [0, 1), and a marker, which is 1 at one step of the
    first half and one step of the second half, else 0. There is a target at the last step only: the sum
    of the two marked numbers. (Values and target as in Le, Jaitly & Hinton 2015; the original's are in
    [-1, 1], the target scaled.)

    The constant answer 1 has a mean squared error of 1/6, and a loss of 1/12; it cannot average 0.01
    over 1000 sequences.

    S. Hochreiter, J. Schmidhuber, *Long short-term memory*, Neural Computation 9(8):1735-1780, 1997.
    """

    name = "adding"
    n_in = 2
    n_out = 1
    reached = "by bptt 20 of 20 seeds, at step 21,850 in the median (length 50)"
    score = "squared"

    length: Annotated[int, msgspec.Meta(ge=2, description="steps of a sequence")] = 50

    @property
    def episode_length(self) -> int:
        return self.length

    @property
    def baseline(self) -> float:
        return 1 / 12  # half of twice a number's variance 1/12

    @property
    def criterion(self) -> Criterion:
        return Average("squared", 0.01, 1000)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            # a time constant in proportion to the length keeps the sum; solves lengths 50, 100, 200
            network={"activation": "relu", "leak": min(1.0, 10 / self.length)},
            hidden=32,
            learning_rate=0.003,
            batch=16,
            steps=8_000 * self.length,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> AddingSource:
        return AddingSource(rng)

    def episode(self) -> Kernel:
        return episode


@kernel(allocates=False)
def episode(source: AddingSource, b: int, u: Array, d: Array, weight: Array, legal: Bools) -> int:
    length: int = u.shape[0]
    for t in range(length):
        u[t, 0] = source.rng.random()
    half = length // 2
    first = below(source.rng, half)
    second = half + below(source.rng, length - half)
    u[first, 1] = 1
    u[second, 1] = 1
    d[length - 1, 0] = u[first, 0] + u[second, 0]
    weight[length - 1] = 1
    return length
