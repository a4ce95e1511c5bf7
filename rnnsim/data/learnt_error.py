"""What the loss of a network that learns the user's numbers means: an error in a unit that they know.

Such a network learns the rest of a linear path, or the distance from the mean, scaled. Its loss per
target is half of the sum of squares over the outputs in these scales, which no user can compare with
anything.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from rnnsim.data.forecasting import Forecasting
from rnnsim.network import Network
from rnnsim.task import Task


class LearntError(NamedTuple):
    """The root mean squared error that belongs to a loss.

    Attributes
    ----------
    factor : float
        That of a loss of 1.
    name : str
        The target of which it is the error, in its unit. Empty where it is relative to the error
        without the network: of several outputs, whose units may differ, and on-line, where scales change
        from row to row.
    unit : str
        Of the target, if the data tell it.
    alone : str
        What is forecast without the network.
    """

    factor: float
    name: str
    unit: str
    alone: str

    def at(self, loss: Any) -> Any:
        """The error at a loss, or at several."""
        return self.factor * loss**0.5

    def loss(self, error: Any) -> Any:
        """The loss at an error, or at several."""
        return (error / self.factor) ** 2

    @property
    def label(self) -> str:
        """What it is, beside an axis."""
        if not self.name:
            return f"root mean squared error / that of {self.alone}"
        return f"root mean squared error of {self.name}" + f" [{self.unit}]" * bool(self.unit)

    def brief(self, loss: float) -> str:
        """The error at a loss, in a few words."""
        unit = self.unit if self.name else f"times that of {self.alone}"
        return f"RMSE {self.at(loss):.4g} {unit}".rstrip()


def alone(task: Forecasting) -> str:
    """What is forecast of numbers where the network says nothing."""
    return "the linear path alone" if task.model()[1].has_path else "the mean of the learnt part"


def learnt_error(task: Task, network: Network) -> LearntError | None:
    """The error that a loss on the user's numbers means; None of other tasks, and of other losses."""
    if not isinstance(task, Forecasting) or getattr(network, "loss", None) != "squared-error":
        return None
    roles, preparation = task.model()
    without = alone(task)
    if preparation.is_class:
        return None
    if preparation.n_out == 1 and not preparation.choices.on_line:
        (name,) = preparation.targets
        scale = float(preparation.rest.scale[0])
        return LearntError(scale * math.sqrt(2), name, roles.units.get(name, ""), without)
    of_nothing = task.baseline or 0.5 * preparation.n_out
    return LearntError(1 / math.sqrt(of_nothing), "", "", without)
