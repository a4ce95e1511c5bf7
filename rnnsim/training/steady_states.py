"""The stability of the steady states of a gradient, computed when it is asked for."""

from __future__ import annotations

from rnnsim.network import Network
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work
from rnnsim.training.divergence import warn_if_unstable
from rnnsim.training.sequences import copied
from rnnsim.typing import Bools, Params, Trajectory


class SteadyStates:
    """What the stability of steady states depends on.

    The eigenvalues of a Jacobian take up to a hundred times as long as the gradient, so that they are
    computed only if somebody wants to know. What they depend on is copied before it changes.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._largest = network, 0.0
        self._unknown: list[tuple[Params, Trajectory, Bools]] = []

    def add(self, params: Params, trajectory: Trajectory, counts: Bools) -> None:
        """Add those in the first rows of a trajectory that ``counts`` (rows, B) selects."""
        self._unknown.append((copied(params), copied(trajectory), counts))

    def spectral_radius(self) -> float:
        """The largest of all; warns, once, if it is at least 1."""
        if self._unknown:
            with shared_work():
                radii = [spectral_radius(self._network, *part) for part in self._unknown]
            self._largest, self._unknown = max(radii), []
            warn_if_unstable(self._largest)
        return self._largest
