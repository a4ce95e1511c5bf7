"""A task: follow the exponential average of random bits."""

from typing import Annotated, NamedTuple

import msgspec
import numpy as np

import rnnsim
from rnnsim.criterion import Average
from rnnsim.kernels import kernel
from rnnsim.task import StreamTask, Suggestion


class Source(NamedTuple):
    """All that the data depend on; kernels change it in place."""

    rng: np.random.Generator
    average: np.ndarray  # (B,) the last target of each sequence
    keep: float


class Smoothing(StreamTask, frozen=True):
    """The exponential average of a stream of random bits.

    Each input is -1 or 1 with equal probability; the target is keep times the previous target plus
    (1 - keep) times the input.
    """

    name = "smoothing"
    n_in = 1
    n_out = 1
    score = "squared"

    keep: Annotated[float, msgspec.Meta(ge=0, lt=1, description="weight of the previous target")] = 0.8

    @property
    def baseline(self) -> float:
        """Half the variance of the target: the loss of the constant answer 0."""
        return (1 - self.keep) / (1 + self.keep) / 2

    @property
    def criterion(self):
        return Average("squared", 0.005, 500)

    def suggestion(self, rule):
        return Suggestion(hidden=8, learning_rate=0.005, steps=20_000)

    def source(self, rng, batch, dtype, *, held_out=False):
        return Source(rng, np.zeros(batch), self.keep)

    def step(self):
        return step


@kernel
def step(source, b, u, d):
    """Write the next input and target of sequence b; return the weight of the target."""
    u[0] = 1.0 if source.rng.random() < 0.5 else -1.0
    source.average[b] = source.keep * source.average[b] + (1 - source.keep) * u[0]
    d[0] = source.average[b]
    return 1.0


@rnnsim.hookimpl
def rnnsim_tasks(register):
    register(Smoothing)
