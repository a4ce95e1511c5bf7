"""How far one gradient is from another, and from differences of the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from rnnsim.network import Network
from rnnsim.testing.cases import Case
from rnnsim.testing.report import Measured
from rnnsim.typing import Array, Bools

STEP = 3e-4  # of differences, along a direction of unit length
DIRECTIONS = 3  # random ones of each array
TINY = 1e-12  # a gradient below this is none
DIFFERENCES, EQUAL, SINGLE = 1e-6, 1e-10, 1e-4  # the largest relative errors


class Deviation(NamedTuple):
    """The largest error relative to the largest entry of what is expected, and where it is."""

    error: float
    where: str

    def within(self, tolerance: float) -> Measured:
        """Judge it."""
        passed = bool(self.error <= tolerance)
        place = f", in {self.where}" if self.where and not passed else ""
        return Measured(f"{self.error:.2g}{place}", passed)


def deviation(network: Network, found: Array, expected: Array) -> Deviation:
    """Compare two flat gradients, array by array."""
    scale = max(float(np.abs(expected).max(initial=0)), TINY)
    worst = Deviation(0.0, "")
    for name, part in parts(network):
        with np.errstate(invalid="ignore"):
            error = float(np.abs(found[part] - expected[part]).max(initial=0)) / scale
        if not error <= worst.error:
            worst = Deviation(error, name)
    return worst


def parts(network: Network) -> Iterator[tuple[str, slice]]:
    """The name of each array of parameters, and its place among the flat parameters."""
    begin = 0
    for name, shape in network.shapes.items():
        end = begin + int(np.prod(shape))
        yield name, slice(begin, end)
        begin = end


def names_of(network: Network, entries: Bools) -> str:
    """The names of the arrays that have some of these entries."""
    return ", ".join(name for name, part in parts(network) if entries[part].any())


def differences(case: Case, grad: Array) -> Deviation:
    """Compare a flat gradient with differences of the loss along random directions.

    Each array has directions of its own, among the entries that exist. The error is relative to the
    norm of the gradient.
    """
    rng, free = np.random.default_rng(11), case.free
    scale = max(float(np.linalg.norm(grad)), TINY)
    worst = Deviation(0.0, "")
    for name, part in parts(case.network):
        if not free[part].any():
            continue
        for _ in range(DIRECTIONS):
            direction = np.zeros_like(case.flat)
            direction[part] = rng.standard_normal(direction[part].size) * free[part]
            direction /= np.linalg.norm(direction)
            error = abs(slope(case.loss, case.flat, direction) - grad @ direction) / scale
            if not error <= worst.error:
                worst = Deviation(float(error), name)
    return worst


def slope(function: Callable[[Array], float], at: Array, direction: Array) -> float:
    """The derivative of a function along a direction, by central differences of the fourth order."""
    one, two = (
        function(at + step * direction) - function(at - step * direction) for step in (STEP, 2 * STEP)
    )
    return (8 * one - two) / (12 * STEP)


def alignment(found: Array, exact: Array) -> float:
    """The cosine of the angle between two gradients (theory.md 5)."""
    norms = np.linalg.norm(found) * np.linalg.norm(exact)
    return float(found @ exact / norms) if norms > 0 else 0.0


def ratio(found: Array, exact: Array) -> float:
    """The ratio of their norms."""
    norm = np.linalg.norm(exact)
    return float(np.linalg.norm(found) / norm) if norm > 0 else float("inf")
