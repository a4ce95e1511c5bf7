"""Whether steady states are stable: the spectral radius of dF/dx there (theory.md 1.1)."""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import compiled
from rnnsim.network import Network
from rnnsim.typing import Params, Trajectory


def spectral_radius(network: Network, params: Params, trajectory: Trajectory) -> float:
    """Give the largest spectral radius of ``(1-alpha) I + alpha D W`` over the rows of a trajectory."""
    jacobian = compiled(network.jacobian, network.kind)
    rows, batch = trajectory.states.shape[:2]
    J = np.empty((network.n_state, network.n_state), network.dtype)
    largest = 0.0
    for t in range(rows):
        for b in range(batch):
            jacobian(params, trajectory, t, b, J)
            # no eigenvalue is larger than this norm, which is cheap
            if min(np.abs(J).sum(0).max(), np.abs(J).sum(1).max()) > largest:
                largest = max(largest, float(np.abs(np.linalg.eigvals(J)).max()))
    return largest
