"""What is told of every step that is learnt: the learning curve, and the criterion of a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.criterion import Criterion
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.rule import Nothing
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.loop import DIVERGED, RUNNING, SOLVED, Clock
from rnnsim.typing import Array, Kernel, Memory

CURVE = 512  # points of the learning curve; when they are used up, neighbours are merged in pairs


class Observer(NamedTuple):
    """A kernel that is called for each window before its update, and what it keeps.

    Attributes
    ----------
    observe : Callable
        ``observe(stop, clock, stream, length, memory) -> code`` of the rows ``clock.row``, ...; the loop
        goes on if the code is RUNNING.
    memory : NamedTuple of arrays
    """

    observe: Kernel
    memory: Memory


class Curve(NamedTuple):
    """The learning curve: sums over equal numbers of steps."""

    every: Array  # (1,) steps per point
    loss: Array  # (CURVE,) sum of mask * loss
    weight: Array  # (CURVE,) sum of mask
    score: Array  # (CURVE,) sum of scores
    targets: Array  # (CURVE,) number of targets


class RunMemory(NamedTuple):
    """What is recorded of a run.

    Attributes
    ----------
    criterion : NamedTuple
        The criterion's own.
    curve : Curve
    said : (kept, B, k) array
        What the network said at so many first steps, before it learnt them.
    """

    criterion: Memory
    curve: Curve
    said: Array


def watching() -> Observer:
    """Make the observer of a learner: it looks whether the loss is finite."""
    return Observer(watch, Nothing(np.zeros(0)))


@kernel(allocates=False)
def watch(stop: bool, clock: Clock, stream: Stream, length: int, memory: Nothing) -> int:
    for i in range(length):
        if not np.isfinite(stream.losses[clock.row[0] + i]):
            clock.stopped_at[0] = clock.step[0] + i + 1
            return DIVERGED
    return RUNNING


def unobserved() -> Observer:
    """Make an observer that looks at nothing."""
    return Observer(look_at_nothing, Nothing(np.zeros(0)))


@kernel(allocates=False)
def look_at_nothing(stop: bool, clock: Clock, stream: Stream, length: int, memory: Nothing) -> int:
    return RUNNING


def recording(criterion: Criterion, score: Kernel, said: tuple[int, int, int] = (0, 0, 0)) -> Observer:
    """Make the observer of a run: it records the learning curve, and applies the criterion.

    With a shape for what was ``said``, it keeps the outputs of the first steps, too.
    """
    memory = RunMemory(criterion.memory(), new_curve(), np.zeros(said))
    return Observer(record_kernel(criterion.met(), score), memory)


def record_kernel(met: Kernel, score: Kernel) -> Kernel:
    """Make the kernel that records the steps of a window and applies the criterion to each."""

    @kernel(allocates=False)
    def record(stop: bool, clock: Clock, stream: Stream, length: int, memory: RunMemory) -> int:
        criterion_memory, curve, said = memory
        for i in range(length):
            t, step = clock.row[0] + i, clock.step[0] + i + 1
            if not np.isfinite(stream.losses[t]):
                clock.stopped_at[0] = step
                return DIVERGED
            if step <= said.shape[0]:
                for b in range(said.shape[1]):
                    for o in range(said.shape[2]):
                        said[step - 1, b, o] = stream.outputs[t, b, o]
            point = curve_point(curve, step)
            curve.loss[point] += stream.losses[t]
            for b in range(stream.mask.shape[1]):
                if stream.mask[t, b] > 0:
                    curve.weight[point] += stream.mask[t, b]
                    curve.score[point] += score(stream, t, b)
                    curve.targets[point] += 1
            if clock.solved_at[0] == 0 and met(criterion_memory, stream, t):
                clock.solved_at[0] = step
                if stop:  # the update of this window is not applied
                    clock.step[0] = step
                    return SOLVED
        return RUNNING

    return record


def new_curve() -> Curve:
    """Make an empty learning curve."""
    return Curve(np.ones(1, np.int64), *(np.zeros(CURVE) for _ in range(4)))


@kernel(allocates=False)
def curve_point(curve: Curve, step: int) -> int:
    """Return the learning curve's point for a step, merging points in pairs if it is beyond the last."""
    point = (step - 1) // curve.every[0]
    if point < CURVE:
        return int(point)
    for sums in (curve.loss, curve.weight, curve.score, curve.targets):
        for i in range(CURVE // 2):
            sums[i] = sums[2 * i] + sums[2 * i + 1]
        for i in range(CURVE // 2, CURVE):
            sums[i] = 0
    curve.every[0] *= 2
    return CURVE // 2


def curve_every(steps: int) -> int:
    """The steps of a point of the learning curve after so many steps."""
    every = 1
    while steps > CURVE * every:
        every *= 2
    return every


def losses_at(curve: Curve, every: int, points: int) -> Array:
    """The learning curve in points of so many steps, of which its own are parts; nan without targets.

    Returns
    -------
    (points,) array
    """
    parts = every // int(curve.every[0])
    sums = np.zeros((2, points * parts))
    used = min(CURVE, points * parts)
    sums[:, :used] = curve.loss[:used], curve.weight[:used]
    loss, weight = sums.reshape(2, points, parts).sum(axis=2)
    with np.errstate(invalid="ignore"):
        return np.asarray(loss / weight)


def curve_metrics(curve: Curve, steps: int, score: str) -> dict[str, Array]:
    """Compute the learning curve from the loop's sums, leaving out points without targets.

    Parameters
    ----------
    curve : Curve
    steps : int
        Number of steps done.
    score : str
        The name of the task's score.

    Returns
    -------
    dict of arrays
        ``step`` (the last step of each point), ``loss`` and the score, per target.
    """
    every = int(curve.every[0])
    points = -(-steps // every)
    step = np.minimum((np.arange(points) + 1) * every, steps)
    some = curve.targets[:points] > 0
    return {
        "step": step[some],
        "loss": curve.loss[:points][some] / curve.weight[:points][some],
        score: curve.score[:points][some] / curve.targets[:points][some],
    }


def half_evaluation(curve: Curve, steps: int, *, late: bool) -> Evaluation:
    """Loss and score per target in one half of so many steps, the first or the second."""
    every = int(curve.every[0])
    middle = steps // (2 * every)
    half = slice(middle, -(-steps // every)) if late else slice(0, middle)
    with np.errstate(invalid="ignore"):
        loss = curve.loss[half].sum() / np.float64(curve.weight[half].sum())
        score = curve.score[half].sum() / np.float64(curve.targets[half].sum())
    return Evaluation(float(loss), float(score))
