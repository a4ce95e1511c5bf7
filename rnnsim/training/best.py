"""The parameters that did best on validation data while a network learnt; early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnsim.errors import NoSteadyState
from rnnsim.training.advancing import Advance
from rnnsim.training.evaluation import VALIDATION, held_out_data, shape_of
from rnnsim.training.experiment import Experiment
from rnnsim.training.sequences import set_arrays
from rnnsim.typing import Array, Params

STEP, LOSS = "validation_step", "validation_loss"  # among the metrics
ROWS = 1024  # that are run over at once: their states stay in the processor's cache
KEPT = {STEP: "validation.step", LOSS: "validation.loss"}  # among the arrays of a run's folder


class Best(NamedTuple):
    """The parameters of a run that did best on validation data.

    Attributes
    ----------
    step : int
        The number of steps after which the network had them.
    loss : float
        Per target, on validation data.
    params : NamedTuple of arrays
    """

    step: int
    loss: float
    params: Params


class Validation:
    """Compares the parameters of a run from time to time, on data that it does not learn from.

    The data are drawn once, and are others than those of the final evaluation, unless the task is a
    finite data set with a single part that is held out.

    Attributes
    ----------
    every : int
        Steps between looks: what is kept does not depend on how the run is cut into pieces.
    best : Best or None
    """

    def __init__(self, experiment: Experiment, advance: Advance) -> None:
        network, task = experiment.network, experiment.task
        rows, batch = shape_of(task, VALIDATION)
        self.every, self._patience = experiment.keep_every, experiment.patience
        self.best: Best | None = None
        self._steps: list[int] = []
        self._losses: list[float] = []
        self._worse = 0  # looks since the best
        self._network, self._advance = network, advance
        self._stream, self._rows = held_out_data(network, task, experiment.seed, rows, batch, VALIDATION)
        self._weight = float(self._stream.mask[: self._rows].sum())
        self._begin, self._state = network.state(batch), network.state(batch)
        trajectory = network.trajectory(min(self._rows, ROWS), batch)
        self._forward = advance.forward_pass(self._state, trajectory)

    @property
    def is_exhausted(self) -> bool:
        """Whether as many looks as the run has patience for were no improvement."""
        return 0 < self._patience <= self._worse

    def look(self, ended: bool = False) -> None:
        """Record the loss, once a step, and keep the parameters if they do better than all before.

        The last look, after the run has ended, is made at another time than those before it; so it does
        not count as one without an improvement.
        """
        step = self._advance.step
        if self._steps and self._steps[-1] == step:
            return
        loss = self._loss()
        self._steps.append(step)
        self._losses.append(loss)
        if loss < (self.best.loss if self.best else math.inf):
            params = self._network.views(self._advance.training.flat_params.copy())
            self.best, self._worse = Best(step, loss, params), 0
        elif not ended:
            self._worse += 1

    def metrics(self) -> dict[str, Array]:
        """The loss per target at each look, and the steps after which they were."""
        return {STEP: np.array(self._steps, np.int64), LOSS: np.array(self._losses)}

    def arrays(self) -> dict[str, Array]:
        """The same, as a checkpoint has it."""
        return kept(self.metrics())

    def go_on(self, arrays: Mapping[str, Array], best: Best | None) -> None:
        """Have what ``arrays`` gave, and the best of it.

        Raises
        ------
        KeyError, ValueError
            If an array is missing or has another type, or they are not of the same looks.
        """
        steps, losses = arrays[KEPT[STEP]], arrays[KEPT[LOSS]]
        if (steps.dtype, steps.shape) != (np.dtype(np.int64), (len(losses),)) or losses.dtype != float:
            raise ValueError(f"looks are {steps.dtype} {steps.shape}, {losses.dtype} {losses.shape}")
        self._steps, self._losses = list(map(int, steps)), list(map(float, losses))
        self.best = best
        self._worse = sum(step > (best.step if best else -1) for step in self._steps)

    def _loss(self) -> float:
        set_arrays(self._state, self._begin)
        try:
            self._forward.run(self._stream, 0, self._rows)
        except NoSteadyState:
            return math.inf
        return float(self._stream.losses[: self._rows].sum()) / (self._weight or 1.0)


def kept(metrics: Mapping[str, Array]) -> dict[str, Array]:
    """What looks at validation data found, as arrays of a run's folder; nothing if there were none."""
    return {KEPT[name]: metrics[name] for name in KEPT if name in metrics}


def of_looks(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The part of the metrics that such arrays hold."""
    return {name: arrays[KEPT[name]] for name in KEPT if KEPT[name] in arrays}
