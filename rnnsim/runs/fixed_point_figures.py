"""The figure of a network's fixed points, in the style of all figures (:mod:`rnnsim.runs.figures`).

A number of unstable directions has a marker and a colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.numerics.principal_components import principal_plane
from rnnsim.runs.figures import COLOURS, MOST_SHOWN, figure_type, saved
from rnnsim.typing import Array, Integers

MARKERS = tuple(zip("o^sDX", COLOURS))
LINE = 0.06  # half the length of an unstable direction, as a part of the figure's extent


def draw(
    states: Array,
    unstable: Integers,
    jacobians: Array,
    trajectory: Array | None,
    path: str | Path | None = None,
) -> Any:
    """Draw fixed points, and save the figure if ``path`` is given.

    Parameters
    ----------
    states, unstable, jacobians
        As in :class:`rnnsim.runs.fixed_points.FixedPoints`; at least one point.
    trajectory : (T, B, n) array, optional
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    figure = figure_type(path)(figsize=(7, 5.75), layout="constrained")
    axes = figure.subplots()
    cloud = states if trajectory is None else trajectory.reshape(-1, states.shape[1])
    plane = principal_plane(cloud)
    points = plane.of(states)
    if trajectory is not None:
        steps = max(2, MOST_SHOWN // trajectory.shape[1])
        for line in plane.of(trajectory[:steps]).swapaxes(0, 1):
            axes.plot(line[:, 0], line[:, 1], color="0.8", lw=0.5, zorder=1)
    half = LINE * (np.ptp(plane.of(cloud)[:, 0]) or 1.0)
    for k in np.flatnonzero(unstable == 1):
        ends = np.outer((-half, half), leading_direction(jacobians[k]) @ plane.directions) + points[k]
        axes.plot(ends[:, 0], ends[:, 1], color=MARKERS[1][1], lw=1.2, zorder=2)
    draw_points(axes, points, unstable)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel=f"first principal component ({plane.shares[0]:.0%} of the variance)",
             ylabel=f"second ({plane.shares[1]:.0%})")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return saved(figure, path)


def draw_points(axes: Any, points: Array, unstable: Integers) -> None:
    """Draw points (K, 2) by their number of unstable directions: stable ones are filled."""
    last = len(MARKERS) - 1
    for dimension, (marker, colour) in enumerate(MARKERS):
        those = points[np.minimum(unstable, last) == dimension]
        if not len(those):
            continue
        number = f"{dimension} or more" if dimension == last else dimension
        what = f"{number} unstable direction{'s' * (dimension > 1)}" if dimension else "stable"
        filled = {"color": colour} if dimension == 0 else {"facecolor": "white", "edgecolor": colour}
        axes.scatter(those[:, 0], those[:, 1], marker=marker, s=46, lw=1.4, zorder=3 + dimension,
                     label=f"{what}: {len(those):,}", **filled)  # fmt: skip


def leading_direction(J: Array) -> Array:
    """The unit eigenvector of the real eigenvalue of largest modulus."""
    eigenvalues, vectors = np.linalg.eig(J.astype(np.float64))
    return np.asarray(vectors[:, np.argmax(np.abs(eigenvalues))].real)
