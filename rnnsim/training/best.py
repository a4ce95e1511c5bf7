"""The parameters that did best on validation data while a network learnt."""

from __future__ import annotations

import math
from typing import NamedTuple

from rnnsim.errors import NoSteadyState
from rnnsim.training.advancing import Advance
from rnnsim.training.evaluation import held_out_data
from rnnsim.training.experiment import Experiment
from rnnsim.training.sequences import set_arrays
from rnnsim.typing import Params

DRAWS = 4  # the seed of validation data, beside that of a run


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

    The data are drawn once, and are others than those of the final evaluation; a finite data set has a
    single part that is held out, which then serves for both.

    Attributes
    ----------
    every : int
        Steps between looks: what is kept does not depend on how the run is cut into pieces.
    best : Best or None
    """

    def __init__(self, experiment: Experiment, advance: Advance) -> None:
        network, task = experiment.network, experiment.task
        rows, batch = task.held_out_shape()
        self.every = experiment.keep_every
        self.best: Best | None = None
        self._network, self._advance = network, advance
        seeds = [experiment.seed, DRAWS]
        self._stream, self._rows = held_out_data(network, task, seeds, rows, batch)
        self._weight = float(self._stream.mask[: self._rows].sum())
        self._begin, self._state = network.state(batch), network.state(batch)
        trajectory = network.trajectory(self._rows, batch)
        self._forward = advance.forward_pass(self._state, trajectory)

    def look(self) -> None:
        """Keep the parameters if they do better than all before."""
        loss = self._loss()
        if loss < (self.best.loss if self.best else math.inf):
            params = self._network.views(self._advance.training.flat_params.copy())
            self.best = Best(self._advance.step, loss, params)

    def _loss(self) -> float:
        set_arrays(self._state, self._begin)
        try:
            self._forward.run(self._stream, 0, self._rows)
        except NoSteadyState:
            return math.inf
        return float(self._stream.losses[: self._rows].sum()) / (self._weight or 1.0)
