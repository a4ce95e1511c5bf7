"""The trajectory task: follow a given path [Seung; Pearlmutter 1989]."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.kernels import kernel
from rnnsim.options import Count
from rnnsim.task import EpisodeTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel


class TrajectorySource(NamedTuple):
    path: Array  # (L, k)


class Trajectory(EpisodeTask, frozen=True):
    """Follow a sine, a circle or a figure eight (Pearlmutter 1989).

    With theta = 2 pi t / period, t = 1, ..., period * laps, the path is ``sin theta``,
    ``(cos theta, sin theta)``, or the figure eight ``(sin theta, sin(2 theta) / 2)``, which crosses
    itself, so that a point of the path does not determine the next one.

    The only input is a start signal, 1 at the first step of an episode and 0 after; the network then
    generates the path autonomously. (From the state 0, without input and biases, it could not leave 0.)
    Nothing is random; the held-out data are the same path.

    Solved when the mean squared error over the last five episodes is at most 0.01; a constant has 0.5
    or more. B. A. Pearlmutter, *Learning state space trajectories in recurrent neural networks*, Neural
    Computation 1(2):263-269, 1989.
    """

    name = "trajectory"
    n_in = 1
    reached = "by bptt 20 of 20 seeds, at step 2,435 in the median (circle 2,920, figure eight 5,589)"
    score = "squared"

    shape: Annotated[Literal["sine", "circle", "figure-eight"], msgspec.Meta(description="the path")] = (
        "sine"
    )
    period: Annotated[int, msgspec.Meta(ge=5, description="steps once round")] = 20
    laps: Annotated[Count, msgspec.Meta(description="times round in an episode")] = 2

    @property
    def n_out(self) -> int:
        return 1 if self.shape == "sine" else 2

    @property
    def episode_length(self) -> int:
        return self.period * self.laps

    @property
    def baseline(self) -> float:
        return {"sine": 1 / 4, "circle": 1 / 2, "figure-eight": 5 / 16}[self.shape]

    @property
    def criterion(self) -> Criterion:
        return Average("squared", 0.01, 5 * self.episode_length)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(hidden=16, learning_rate=0.005, steps=5000 * self.episode_length)

    def path(self) -> Array:
        """The path (L, k)."""
        theta = 2 * np.pi * np.arange(1, self.episode_length + 1) / self.period
        if self.shape == "sine":
            return np.sin(theta)[:, None]
        if self.shape == "circle":
            return np.stack([np.cos(theta), np.sin(theta)], axis=1)
        return np.stack([np.sin(theta), np.sin(2 * theta) / 2], axis=1)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> TrajectorySource:
        return TrajectorySource(np.ascontiguousarray(self.path(), dtype))

    def episode(self) -> Kernel:
        return episode


@kernel(allocates=False)
def episode(source: TrajectorySource, b: int, u: Array, d: Array, weight: Array, legal: Bools) -> int:
    length: int = u.shape[0]
    u[0, 0] = 1
    for t in range(length):
        weight[t] = 1
        for o in range(d.shape[1]):
            d[t, o] = source.path[t, o]
    return length
