"""Recurrent back-propagation: the gradient at steady states (theory.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.recurrent import Arrays, gradients, network, problem
from benchmarks.entries import OURS, Entries

RADIUS = 0.8  # spectral radius of W: relaxation converges at this rate or, as f' <= 1, faster
RESIDUAL = 1e-10  # residual at which all solvers stop
ADJOINTS = (("direct", None), ("relaxation", 1e3 * RESIDUAL), ("refined", 1e3 * RESIDUAL))


@dataclass(frozen=True)
class Equilibrium(Case):
    """B patterns settle by plain relaxation; each library solves the adjoint equation as it best can."""

    n: int
    B: int
    m: int = 8
    k: int = 4

    family = "recurrent-backprop"
    unit = "gradient"
    # All stop at a residual of 1e-10, but not at the same iterate: states and adjoints may then differ
    # by that, times 1 / (1 - radius) for each of the two, and relative to gradients below 1.
    tolerance = 1e-7

    @property
    def name(self) -> str:
        return f"recurrent-backprop, n {self.n}, B {self.B}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 2}

    def problem(self) -> tuple[Arrays, Arrays]:
        (W, *others), data = problem(self.m, self.n, self.k, (self.B,))
        W *= RADIUS / np.abs(np.linalg.eigvals(W)).max()
        return [W, *others], data

    def rnnsim(self) -> Entries:
        params, (inputs, targets) = self.problem()
        net = network(self.m, self.n, self.k)
        rows = [inputs[None], targets[None]]
        return {
            OURS: [
                gradients(f"adjoint {adjoint}", net, params, rows, "recurrent-backprop", 1,
                      tolerance=RESIDUAL, adjoint=adjoint, adjoint_tolerance=tolerance)
                for adjoint, tolerance in ADJOINTS
            ]
        }  # fmt: skip

    def jax(self) -> Entries:
        from benchmarks.peers.jax_equilibrium import equilibrium

        return equilibrium(*self.problem(), RESIDUAL)
