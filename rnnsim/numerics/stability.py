"""Whether steady states are stable: the spectral radius of dF/dx there (theory.md 1.1)."""

from __future__ import annotations

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.network import Network
from rnnsim.typing import Params, Trajectory

AT_ONCE = 100_000  # numbers of the Jacobians whose eigenvalues are asked for in one call


def spectral_radius(network: Network, params: Params, trajectory: Trajectory) -> float:
    """Give the largest spectral radius of ``(1-alpha) I + alpha D W`` over the rows of a trajectory."""
    jacobian = compiled(network.jacobian, network.kind)
    rows, batch = trajectory.states.shape[:2]
    places, N = list(np.ndindex(rows, batch)), network.n_state
    workspace = np.empty((max(1, min(len(places), AT_ONCE // N**2)), N, N), network.dtype)
    largest = 0.0
    for first in range(0, len(places), len(workspace)):
        J = workspace[: len(places) - first]
        for i in range(len(J)):
            jacobian(params, trajectory, *places[first + i], J[i])
        # no eigenvalue is larger than these norms, which are cheap
        norms = np.minimum(np.abs(J).sum(1).max(1), np.abs(J).sum(2).max(1))
        if (norms > largest).any():
            largest = max(largest, float(np.abs(np.linalg.eigvals(J[norms > largest])).max()))
    return largest
