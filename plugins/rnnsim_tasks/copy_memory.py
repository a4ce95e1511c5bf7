"""The copy memory task."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.kernels import kernel
from rnnsim.options import Count
from rnnsim.task import EpisodeTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import below


class CopyMemorySource(NamedTuple):
    rng: np.random.Generator
    string: Array  # (length,) the symbols to be repeated
    delay: int


class CopyMemory(EpisodeTask, frozen=True):
    """Repeat a string of random symbols after a delay (Hochreiter & Schmidhuber 1997).

    The first ``length`` steps show one of ``symbols`` symbols each. ``delay`` blank steps follow, the
    last of which is replaced by a go signal, and then ``length`` blank steps in which the string is to
    be repeated. Inputs are one-hot: the symbols, blank, go.

    Only the last ``length`` steps have targets, so that loss and accuracy measure memory. The usual
    figure, ``length log(symbols) / (delay + 2 length)`` per step, is the same baseline averaged over all
    steps of the episode, where the network is to answer "blank" in the others.

    By chance one answer in ``symbols`` is right; 0.99 of 1000 answers are not.

    This form is that of M. Arjovsky, A. Shah, Y. Bengio, *Unitary evolution recurrent neural networks*,
    ICML 2016, there with 8 symbols and length 10.
    """

    name = "copy"
    reached = "by bptt 20 of 20 seeds, at step 47,239 in the median"
    score = "accuracy"

    symbols: Annotated[int, msgspec.Meta(ge=2, description="how many symbols there are")] = 8
    length: Annotated[Count, msgspec.Meta(description="symbols of a string")] = 10
    delay: Annotated[Count, msgspec.Meta(description="steps from the string to its repetition")] = 20

    @property
    def n_in(self) -> int:
        return self.symbols + 2

    @property
    def n_out(self) -> int:
        return self.symbols

    @property
    def episode_length(self) -> int:
        return 2 * self.length + self.delay

    @property
    def baseline(self) -> float:
        return math.log(self.symbols)

    @property
    def criterion(self) -> Criterion:
        return Average("accuracy", 0.99, 1000)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            network={"loss": "softmax-cross-entropy"},
            hidden=64,
            init={"scheme": "orthogonal"},
            learning_rate=0.002,
            batch=20,
            steps=20_000 * self.episode_length,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> CopyMemorySource:
        return CopyMemorySource(rng, np.zeros(self.length, np.int64), self.delay)

    def episode(self) -> Kernel:
        return episode


@kernel(allocates=False)
def episode(source: CopyMemorySource, b: int, u: Array, d: Array, weight: Array, legal: Bools) -> int:
    length, symbols = source.string.size, d.shape[1]
    blank, go = symbols, symbols + 1
    for i in range(length):
        source.string[i] = below(source.rng, symbols)
        u[i, source.string[i]] = 1
    repeat = length + source.delay
    for t in range(length, repeat - 1):
        u[t, blank] = 1
    u[repeat - 1, go] = 1
    for i in range(length):
        u[repeat + i, blank] = 1
        d[repeat + i, source.string[i]] = 1
        weight[repeat + i] = 1
    return repeat + length
