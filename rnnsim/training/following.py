"""A run whose rule leads, while others compute their gradients beside it: same weights, same data.

Each rule that follows has a compiled loop of its own over the leader's parameters (one array), with
the leader's windows, and without an update. Before the leader learns a window, all others have run over
the same rows of the stream. What is compared are the gradients as rules write them, before clipping: so
the leader's own is computed once more beside it, and its run is the same to the bit as without
followers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.rule import Nothing, Rule
from rnnsim.training.advancing import Advance
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import RUNNING
from rnnsim.training.observing import curve_every, watching
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.sequences import arrays_in
from rnnsim.training.task_training import TaskTraining, settings_of
from rnnsim.typing import Array, Bools, Kernel


class Still(Optimizer, frozen=True):
    """No update: the parameters are another's."""

    name = "still"

    def memory(self, size: int, dtype: Any) -> Nothing:
        return Nothing(np.zeros(0))

    def update(self) -> Kernel:
        return leave


@kernel(allocates=False)
def leave(theta: Array, grad: Array, memory: Nothing, rate: float) -> None:
    """Leave the parameters as they are."""


def written_by_rules(network: Network) -> Bools:
    """Whether the gradient of each parameter is for a rule to write (theory.md 5).

    Those of the retrieval, which ``readout_grad`` writes, are not: they are the same for all rules.

    Returns
    -------
    (n_params,) bool array
    """
    trajectory, grad = network.trajectory(1, 1), np.zeros(network.n_params, network.dtype)
    for array in arrays_in(trajectory):
        if array.dtype.kind == "f" and array.flags.writeable:
            array[...] = 1  # so that nothing is zero by chance
    params = network.kernel_params(network.pack(network.init(0)))
    network.readout_grad(params, trajectory, 0, 1, network.kernel_params(grad))
    return np.asarray(grad == 0)


class Followers:
    """Rules that compute their gradients with the parameters of another.

    Parameters
    ----------
    experiment : Experiment
        That of the leader.
    rules : sequence of Rule
    flat_params : (n_params,) array
        The leader's parameters.
    stream : Stream
        The leader's data.
    """

    def __init__(
        self, experiment: Experiment, rules: Sequence[Rule], flat_params: Array, stream: Stream
    ) -> None:
        network, batch = experiment.network, experiment.batch
        settings = settings_of(experiment)._replace(
            learning_rate=0.0, clip=math.inf, weight_decay=0.0, mean=False, stop=False, tailored=False
        )
        self._advances = [
            Advance(network, rule, Still(), watching(), settings, flat_params, network.state(batch),
                    stream)
            for rule in rules
        ]  # fmt: skip
        for advance in self._advances:
            advance.run(stream, 0)  # compiles, without doing a step
        self._written = written_by_rules(network)
        self._grads = np.zeros((len(rules), network.n_params))

    def gradients(self, stream: Stream, row: int, filled: int) -> Array:
        """Compute the gradients (rules, n_params) of the next window, which begins at a row.

        Entries that no rule writes are 0. The array is written anew by the next call.
        """
        for advance, grad in zip(self._advances, self._grads):
            clock = advance.training.clock
            clock.row[0], clock.filled[0] = row, filled
            advance.run(stream, advance.step + 1)
            np.multiply(advance.training.flat_grad, self._written, out=grad)
        return self._grads


class Measures:
    """Alignments and ratios of norms of the gradients of each pair of rules, over time (theory.md 5).

    They are averaged over the windows that end within a point's steps: the alignment g . g* / (|g|
    |g*|) itself, the ratio |g| / |g*| by its logarithm, so that the ratio the other way is its inverse.
    A window in which one of the two is zero (there is no target, or the rule writes at other times) or
    is not finite does not count for the pair.

    Parameters
    ----------
    every, points : int
        Steps of a point, and the number of points.
    rules : int
        R.

    Attributes
    ----------
    not_finite : (R,) int array
        The number of windows in which a rule's gradient was not finite.
    """

    def __init__(self, every: int, points: int, rules: int) -> None:
        self._every = every
        self._cosines, self._logs, self._counts = np.zeros((3, points, rules, rules))
        self.not_finite = np.zeros(rules, np.int64)

    def add(self, step: int, grads: Array) -> None:
        """Add the gradients (R, n_params) of the window that ends with a step."""
        with np.errstate(all="ignore"):
            products = grads @ grads.T
            norms = np.sqrt(products.diagonal())
            finite = np.isfinite(norms)
            exist = finite & (norms > 0)
            pairs, norms = np.outer(exist, exist), np.where(exist, norms, 1.0)
            cosines = np.where(pairs, products / np.outer(norms, norms), 0.0)
            logs = np.where(pairs, np.log(np.divide.outer(norms, norms)), 0.0)
        point = (step - 1) // self._every
        self._cosines[point] += cosines
        self._logs[point] += logs
        self._counts[point] += pairs
        self.not_finite += ~finite

    @property
    def alignment(self) -> Array:
        """The mean alignments (points, R, R); nan where no window counted."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._cosines / self._counts)

    @property
    def norm_ratio(self) -> Array:
        """The mean ratios |g_i| / |g_j| (points, R, R); nan where no window counted."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.exp(self._logs / self._counts))


def mean_over(x: Array, axes: int | tuple[int, ...]) -> Array:
    """A mean of the numbers that are finite; nan where there is none."""
    finite = np.isfinite(x)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(finite, x, 0).sum(axis=axes) / finite.sum(axis=axes))


def point_every(experiment: Experiment) -> int:
    """The steps of a point over time: at least a window, and otherwise as in the learning curve."""
    every = curve_every(experiment.steps)
    while every < experiment.window:
        every *= 2
    return every


class LedTraining(TaskTraining):
    """An experiment in progress, with other rules beside the one that leads.

    Parameters
    ----------
    experiment : Experiment
        With the rule that leads.
    rules : sequence of Rule
        The others.

    Attributes
    ----------
    measures : Measures
        Of the leader's gradient and the others', in this order.
    """

    def __init__(self, experiment: Experiment, rules: Sequence[Rule]) -> None:
        super().__init__(experiment)
        every, together = point_every(experiment), (experiment.rule, *rules)
        flat_params = self.training.flat_params
        self._followers = Followers(experiment, together, flat_params, self.stream)
        self.measures = Measures(every, -(-experiment.steps // every), len(together))

    def _learn(self, until: int) -> int:
        clock, code = self.training.clock, RUNNING
        while code == RUNNING and self.step < until and clock.row[0] < clock.filled[0]:
            grads = self._followers.gradients(self.stream, int(clock.row[0]), int(clock.filled[0]))
            code = super()._learn(self.step + 1)
            self.measures.add(self.step, grads)
        return code
