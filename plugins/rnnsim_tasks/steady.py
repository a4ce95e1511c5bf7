"""Associations that are read at a steady state [Seung, AP]: each row is an input that is held fixed."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion, Streak
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Kernel
from rnnsim_tasks.draw import below, coin

MOST_DRAWS = 10_000  # of a pattern: there may be no other that differs enough


class XorSource(NamedTuple):
    rng: np.random.Generator


class SteadyStateXor(StreamTask, frozen=True):
    """XOR of two inputs held fixed, read at the steady state [AP].

    Each row is one of the four patterns of two bits, 0 or 1, drawn uniformly. By chance 100 consecutive
    rows are right with probability 2^-100.
    """

    name = "steady-state-xor"
    n_in = 2
    n_out = 1
    reached = "by recurrent-backprop 20 of 20 seeds, at step 1,216 in the median"
    steady: ClassVar[bool] = True

    @property
    def baseline(self) -> float:
        return 1 / 8

    @property
    def criterion(self) -> Criterion:
        return Streak(0.1, 100)

    def suggestion(self, rule: str) -> Suggestion:
        # Logistic units, whose f' is at most 1/4, keep a unique stable steady state during training;
        # tanh units lost it in 8 runs of 20.
        return Suggestion(
            rule="recurrent-backprop",
            network={"activation": "logistic", "leak": 0.5},
            hidden=8,
            window=4,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> XorSource:
        return XorSource(rng)

    def step(self) -> Kernel:
        return xor_step


@kernel(allocates=False)
def xor_step(source: XorSource, b: int, u: Array, d: Array) -> float:
    first, second = coin(source.rng), coin(source.rng)
    u[0] = first
    u[1] = second
    d[0] = first ^ second
    return 1.0


class CompletionSource(NamedTuple):
    rng: np.random.Generator
    patterns: Array  # (patterns, units) of -1 and 1
    corrupted: float  # probability that a bit is corrupted
    instead: float  # factor of a corrupted bit


class PatternCompletion(StreamTask, frozen=True):
    """Complete patterns of -1 and 1 from corrupted ones, at the steady state [AP].

    Each row is one of a few random patterns, drawn uniformly; each of its bits is corrupted with a fixed
    probability: erased (0) or flipped. The target is the clean pattern. The patterns depend on
    ``pattern_seed`` only, not on the seed of the run; any two differ in at least a quarter of the bits,
    and so does each from the others' negatives.

    The criterion allows a tenth of the wrong bits of the better of two simple answers: the majority of
    the patterns, and the unchanged input.
    """

    name = "pattern-completion"
    reached = "by recurrent-backprop 20 of 20 seeds, at step 1,003 in the median"
    score = "bits"
    steady: ClassVar[bool] = True

    patterns: Annotated[int, msgspec.Meta(ge=2, description="how many patterns")] = 3
    units: Annotated[int, msgspec.Meta(ge=4, description="bits of a pattern")] = 16
    corrupted: Annotated[
        float, msgspec.Meta(gt=0, le=0.5, description="probability that a bit is corrupted")
    ] = 0.25
    corruption: Annotated[
        Literal["erase", "flip"], msgspec.Meta(description="what happens to a corrupted bit")
    ] = "erase"
    pattern_seed: Annotated[int, msgspec.Meta(ge=0, description="seed of the patterns")] = 0

    @property
    def n_in(self) -> int:
        return self.units

    @property
    def n_out(self) -> int:
        return self.units

    def clean(self) -> Array:
        """The patterns (patterns, units)."""
        return draw_patterns(self.patterns, self.units, self.pattern_seed)

    @property
    def baseline(self) -> float:
        return float(self.clean().var(axis=0).sum() / 2)

    @property
    def criterion(self) -> Criterion:
        positive = (self.clean() > 0).mean(axis=0)
        wrong_majority = np.minimum(positive, 1 - positive).mean()
        # an erased bit counts as -1, which is right about half of the time
        wrong_input = self.corrupted * (0.5 if self.corruption == "erase" else 1)
        return Average("bits", float(1 - 0.1 * min(wrong_majority, wrong_input)), 1000)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="recurrent-backprop",
            network={"readout": list(range(self.units))},
            hidden=self.units,
            init={"gain": 0.5},
            window=4,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> CompletionSource:
        instead = 0.0 if self.corruption == "erase" else -1.0
        return CompletionSource(rng, self.clean().astype(dtype), self.corrupted, instead)

    def step(self) -> Kernel:
        return completion_step


@kernel(allocates=False)
def completion_step(source: CompletionSource, b: int, u: Array, d: Array) -> float:
    pattern = below(source.rng, source.patterns.shape[0])
    for i in range(u.size):
        d[i] = source.patterns[pattern, i]
        corrupt = source.rng.random() < source.corrupted
        u[i] = d[i] * source.instead if corrupt else d[i]
    return 1.0


@cache
def draw_patterns(count: int, units: int, seed: int) -> Array:
    """Draw patterns (count, units) of -1 and 1, any two at least a quarter of the bits apart.

    The distance to the negatives of the others is the same.

    Raises
    ------
    RnnsimError
        If not enough such patterns are found.
    """
    rng = np.random.default_rng(seed)
    found: list[Array] = []
    last = 0  # the draw at which the last one was found
    for draw in range(1000 * count):
        if draw - last > MOST_DRAWS:
            break
        drawn = 2.0 * rng.integers(0, 2, units) - 1
        if all(abs(drawn @ other) <= units / 2 for other in found):
            found.append(drawn)
            last = draw
        if len(found) == count:
            return np.array(found)
    raise RnnsimError(
        f"no {count} patterns of {units} bits that differ enough were found; "
        f"use more units or fewer patterns"
    )
