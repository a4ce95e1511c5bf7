"""The stability of steady states: the spectral radius of dF/dx there (theory.md 1.1)."""

from __future__ import annotations

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.network import Network
from rnnsim.typing import Bools, Params, Trajectory

MAX_ENTRIES = 100_000  # of the Jacobians in one call of eigvals


def spectral_radius(network: Network, params: Params, trajectory: Trajectory, counts: Bools) -> float:
    """Give the largest spectral radius of ``(1-alpha) I + alpha D W`` over rows of a trajectory.

    ``counts`` (rows, B) says which of its first rows and sequences count.
    """
    jacobian = compiled(network.jacobian, network.kind)
    indices, N = [(int(t), int(b)) for t, b in np.argwhere(counts)], network.n_state
    workspace = np.empty((max(1, min(len(indices), MAX_ENTRIES // N**2)), N, N), network.dtype)
    largest = 0.0
    for first in range(0, len(indices), len(workspace)):
        J = workspace[: len(indices) - first]
        for i in range(len(J)):
            jacobian(params, trajectory, *indices[first + i], J[i])
        # these norms are cheap upper bounds of the eigenvalues
        norms = np.minimum(np.abs(J).sum(1).max(1), np.abs(J).sum(2).max(1))
        if (norms > largest).any():
            largest = max(largest, float(np.abs(np.linalg.eigvals(J[norms > largest])).max()))
    return largest
