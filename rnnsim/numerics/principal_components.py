"""The plane in which states vary most: their first two principal components."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.typing import Array


class PrincipalPlane(NamedTuple):
    """The plane through the mean of states in which they vary most.

    Attributes
    ----------
    centre : (N,) array
        The mean.
    directions : (N, 2) array
        Orthonormal; the largest entry of each is positive. Where states have one direction only, the
        second is 0.
    shares : (2,) array
        Of the variance.
    """

    centre: Array
    directions: Array
    shares: Array

    def of(self, states: Array) -> Array:
        """The coordinates (..., 2) of states (..., N) in the plane."""
        return np.asarray((states - self.centre) @ self.directions)


def principal_plane(states: Array) -> PrincipalPlane:
    """The plane of the first two principal components of states (T, N)."""
    centre = states.mean(axis=0, dtype=np.float64)
    _, sizes, found = np.linalg.svd(states - centre, full_matrices=False)
    variances, directions, shares = sizes**2, np.zeros((len(centre), 2)), np.zeros(2)
    for i, direction in enumerate(found[:2]):
        largest = direction[abs(direction).argmax()]
        directions[:, i] = -direction if largest < 0 else direction
        shares[i] = variances[i] / max(variances.sum(), np.finfo(float).tiny)
    return PrincipalPlane(centre, directions, shares)
