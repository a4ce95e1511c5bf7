"""When a task counts as solved, and what is shown beside the loss.

A *score* is a kernel ``score(stream, t, b) -> float`` of one target. A *criterion* has a memory and a
kernel ``met(memory, stream, t) -> bool``, called after each step, that returns whether the task is
solved; or it is evaluated from time to time on validation data (:class:`HeldOut`). Where outputs have
weights of their own (``stream.output_mask``), those without any do not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.typing import Array, Kernel


@kernel(allocates=False)
def counts(stream: Stream, t: int, b: int, o: int) -> bool:
    """Whether an output of a target counts; the target of any other may be nan."""
    return bool(not stream.masks_outputs[0] or stream.output_mask[t, b, o] != 0)


@kernel(allocates=False)
def error(stream: Stream, t: int, b: int) -> float:
    """The largest deviation of an output from its target."""
    worst = 0.0
    for o in range(stream.outputs.shape[2]):
        if counts(stream, t, b, o):
            size = abs(stream.outputs[t, b, o] - stream.targets[t, b, o])
            if not size <= worst:
                worst = size
    return worst


@kernel(allocates=False)
def squared(stream: Stream, t: int, b: int) -> float:
    """The squared error, summed over the outputs."""
    total = 0.0
    for o in range(stream.outputs.shape[2]):
        if counts(stream, t, b, o):
            deviation = stream.outputs[t, b, o] - stream.targets[t, b, o]
            total += deviation * deviation
    return total


@kernel(allocates=False)
def accuracy(stream: Stream, t: int, b: int) -> float:
    """1 if the largest output is the target's, else 0; a single output is compared with 0.5.

    Where the stream says which outputs are legal, any of them is right.
    """
    k = stream.outputs.shape[2]
    if k == 1:
        return 1.0 if (stream.outputs[t, b, 0] > 0.5) == (stream.targets[t, b, 0] > 0.5) else 0.0
    best, target = 0, 0
    while best < k - 1 and not counts(stream, t, b, best):
        best += 1
    target = best
    for o in range(best + 1, k):
        if counts(stream, t, b, o):
            if stream.outputs[t, b, o] > stream.outputs[t, b, best]:
                best = o
            if stream.targets[t, b, o] > stream.targets[t, b, target]:
                target = o
    if stream.legal.shape[0] > 0:
        return 1.0 if stream.legal[t, b, best] else 0.0
    return 1.0 if best == target else 0.0


@kernel(allocates=False)
def bits(stream: Stream, t: int, b: int) -> float:
    """The share of outputs on the right side of 0, the target being -1 or 1 (or 0: not counted)."""
    right, counted = 0.0, 0.0
    for o in range(stream.outputs.shape[2]):
        if counts(stream, t, b, o) and stream.targets[t, b, o] != 0:
            counted += 1
            if (stream.outputs[t, b, o] > 0) == (stream.targets[t, b, o] > 0):
                right += 1
    return right / max(counted, 1.0)


@kernel(allocates=False)
def cross_entropy(stream: Stream, t: int, b: int) -> float:
    """Minus the logarithm of the softmax of the outputs at the target, in nats."""
    k = stream.outputs.shape[2]
    largest = -math.inf
    for o in range(k):
        if counts(stream, t, b, o):
            largest = max(largest, stream.outputs[t, b, o])
    total, of_target = 0.0, 0.0
    for o in range(k):
        if counts(stream, t, b, o):
            logit = stream.outputs[t, b, o] - largest
            total += math.exp(logit)
            of_target += stream.targets[t, b, o] * logit
    return math.log(total) - of_target


SCORES: dict[str, Kernel] = {
    "error": error, "squared": squared, "accuracy": accuracy, "bits": bits,
    "cross-entropy": cross_entropy,
}  # fmt: skip

HIGHER_IS_BETTER = {"accuracy", "bits"}


def past(score: str, threshold: float) -> str:
    """Describe the side of a threshold on which a score is good."""
    return f"at {'least' if score in HIGHER_IS_BETTER else 'most'} {threshold:g}"


class Criterion(Protocol):
    """What a criterion offers."""

    def __str__(self) -> str:
        """Describe the criterion in words."""

    def memory(self) -> Any:
        """Allocate the memory: a NamedTuple of arrays and numbers."""

    def met(self) -> Kernel:
        """Make the kernel ``met(memory, stream, t) -> bool``, called after each step, in order."""


class StreakMemory(NamedTuple):
    """The memory of :class:`Streak`.

    Attributes
    ----------
    tolerance : float
    length : int
    run : (1,) int array
        The number of steps in a row so far.
    asked : (outputs,) int array
        The last of them, from 1, with a target above 0 for each output; 0 for none.
    """

    tolerance: float
    length: int
    run: Array
    asked: Array


@dataclass(frozen=True)
class Streak:
    """The error has stayed within a tolerance for ``length`` steps with a target in a row.

    Where most targets are 0, an output of 0 may meet that by chance. With ``outputs``, each of so many
    outputs must also have had a target above 0 within the last ``length`` of those steps.
    """

    tolerance: float
    length: int
    outputs: int = 0

    def __str__(self) -> str:
        asked = f" with each of {self.outputs} outputs asked for" if self.outputs else ""
        return f"error within {self.tolerance:g} for {self.length} steps in a row{asked}"

    def memory(self) -> StreakMemory:
        run, asked = np.zeros(1, np.int64), np.zeros(self.outputs, np.int64)
        return StreakMemory(self.tolerance, self.length, run, asked)

    def met(self) -> Kernel:
        return streak_met


@kernel(allocates=False)
def streak_met(memory: StreakMemory, stream: Stream, t: int) -> bool:
    targets = 0
    for b in range(stream.mask.shape[1]):
        if stream.mask[t, b] > 0:
            targets += 1
            if not error(stream, t, b) <= memory.tolerance:
                memory.run[0] = 0
                memory.asked[:] = 0
                return False
    if targets > 0:
        memory.run[0] += 1
    met = memory.run[0] >= memory.length
    for o in range(memory.asked.size):
        for b in range(stream.mask.shape[1]):
            asked = stream.mask[t, b] > 0 and counts(stream, t, b, o)
            if asked and stream.targets[t, b, o] > 0:
                memory.asked[o] = memory.run[0]
        met = met and memory.asked[o] > memory.run[0] - memory.length
    return bool(met)


class AverageMemory(NamedTuple):
    """The memory of :class:`Average`.

    Attributes
    ----------
    threshold : float
    sign : float
        1 where higher scores are better, else -1.
    scores : (length,) array
        The last scores, a ring buffer.
    seen : (1,) int array
        The number of scores so far.
    """

    threshold: float
    sign: float
    scores: Array
    seen: Array


@dataclass(frozen=True)
class Average:
    """The mean score of the last ``length`` targets is past a threshold."""

    score: str
    threshold: float
    length: int

    def __str__(self) -> str:
        return f"{self.score} of the last {self.length} targets {past(self.score, self.threshold)}"

    def memory(self) -> AverageMemory:
        sign = 1.0 if self.score in HIGHER_IS_BETTER else -1.0
        return AverageMemory(self.threshold, sign, np.zeros(self.length), np.zeros(1, np.int64))

    def met(self) -> Kernel:
        return average_met(SCORES[self.score])


@cache
def average_met(score: Kernel) -> Kernel:
    @kernel(allocates=False)
    def met(memory: AverageMemory, stream: Stream, t: int) -> bool:
        length, targets = memory.scores.size, 0
        for b in range(stream.mask.shape[1]):
            if stream.mask[t, b] > 0:
                memory.scores[memory.seen[0] % length] = score(stream, t, b)
                memory.seen[0] += 1
                targets += 1
        if memory.seen[0] < length or targets == 0:
            return False
        mean = sum_of(memory.scores) / length
        return bool(memory.sign * (mean - memory.threshold) >= 0)

    return met


@kernel(allocates=False, reassociates=True)
def sum_of(scores: Array) -> float:
    """The sum of the scores; a running one would accumulate rounding errors and keep a nan for ever."""
    total = 0.0
    for i in range(scores.size):
        total += scores[i]
    return total


@dataclass(frozen=True)
class HeldOut:
    """A score on validation data, evaluated every so many steps, is past a threshold.

    These are held out as well, but they are not the test data of the final evaluation, unless a finite
    data set has only one part that is held out.
    """

    score: str
    threshold: float
    every: int

    def __str__(self) -> str:
        goal = past(self.score, self.threshold)
        return f"held-out {self.score} {goal}, looked at every {self.every} steps"

    def memory(self) -> StreakMemory:
        return Streak(0.0, 1).memory()  # not read

    def met(self) -> Kernel:
        return never

    def reached(self, score: float) -> bool:
        """Whether a score on validation data is past the threshold."""
        return score >= self.threshold if self.score in HIGHER_IS_BETTER else score <= self.threshold


@dataclass(frozen=True)
class Never:
    """A task without a criterion of its own: it is solved only by one that the user gives."""

    def __str__(self) -> str:
        return "never: it has no criterion of its own"

    def memory(self) -> StreakMemory:
        return Streak(0.0, 1).memory()  # not read

    def met(self) -> Kernel:
        return never


@kernel(allocates=False)
def never(memory: Any, stream: Stream, t: int) -> bool:
    return False
