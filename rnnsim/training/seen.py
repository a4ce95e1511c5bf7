"""What monitors and callbacks see of a network in training: views that cannot be written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rnnsim.network import Network
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import Training
from rnnsim.typing import Array, Params, State


@dataclass(frozen=True)
class Seen:
    """What a monitor or a callback sees: arrays that cannot be written to, and that change later.

    Attributes
    ----------
    step : int
        The number of steps so far.
    params : NamedTuple of arrays
        The parameters after the last update.
    grad : NamedTuple of arrays
        The gradient by which that was made: of the last window, clipped if the run clips.
    clipping : float
        By what the gradient was multiplied when it was clipped; 1 if it was not.
    state : (B, N) array
        state(t), where the B sequences are; with delayed targets, the state that acts.
    network : Network
    experiment : Experiment
        The configuration of the run.
    ended : bool
        Whether the run has ended: so in the last call of a callback.
    """

    step: int
    params: Params
    grad: Params
    clipping: float
    state: Array
    network: Network
    experiment: Experiment
    ended: bool
    _metrics: Callable[[], dict[str, Array]] = field(repr=False)

    @property
    def metrics(self) -> dict[str, Array]:
        """The learning curve so far and what monitors recorded, as ``metrics`` of a :class:`rnnsim.Run`.

        Arrays of one's own, computed at each access.
        """
        return self._metrics()


Show = Callable[[int, bool, Callable[[], dict[str, Array]]], Seen]


def looks_at(experiment: Experiment, training: Training, acting: State) -> Show:
    """Make a function that shows a network in training.

    It is given the number of steps, whether the run has ended, and a function that computes the metrics.
    """
    flat, grad, state = (
        read_only(array) for array in (training.flat_params, training.flat_grad, acting[0])
    )
    network = experiment.network
    params, grads = network.views(flat), network.views(grad)

    def show(step: int, ended: bool, metrics: Callable[[], dict[str, Array]]) -> Seen:
        clipping = float(training.clipping[0])
        return Seen(step, params, grads, clipping, state, network, experiment, ended, metrics)

    return show


def read_only(array: Array) -> Array:
    """A view of an array that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
