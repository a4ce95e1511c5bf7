"""Recurrent back-propagation [Seung, AP] (theory.md 1.1).

The input is held fixed and the network settles at x = f(W x + U u + b). The error is a function of that
x, and

    (6) (D^-1 - W^T) s = dE/dx       or, defined also where f' = 0,   s = D (W^T s + dE/dx)
    (7) dE/dW_ij = s_i x_j,   dE/db = s,   dE/dU = s u^T

In the network's one-step derivatives: with J = dF/dx at the steady state of one step F, the adjoint is
lambda = J^T lambda + dE/dx, and s is the blame that ``pullback`` gives of it. The equation is solved
directly, or relaxed (Pineda's adjoint network), or its Neumann series sum_i (J^T)^i dE/dx is cut off.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.errors import NoSteadyState, RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.options import Positive
from rnnsim.rule import DONE, Cost, Rule, Window
from rnnsim.settling import (
    Settler,
    Settling,
    solve_identity_minus,
    solver_kernel,
    unsettled_message,
)
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

UNSETTLED = 1
NO_ADJOINT = 2

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


class Equilibrium(NamedTuple):
    """Room for the steady states and for their adjoint."""

    settling: Settling
    adjoint: Array  # (2, 1, B, N) lambda, and what an iteration makes of it
    blame: Array  # (rows, 1, B, K) s
    error: Array  # (B, N) dE/dx
    matrix: Array  # (N, N)
    report: Array  # (4,) residual, steps, row and size of the adjoint that has no solution
    tolerance: float
    enough: float  # the residual relative to dE/dx at which an iteration stops
    steps: int


class RecurrentBackprop(Rule, frozen=True):
    """Recurrent back-propagation at a steady state."""

    name = "recurrent-backprop"
    claim = "exact"
    cost = Cost(time="n^2 a relaxation step, n^3 a direct solve", memory="n^2")
    needs = ("pullback", "collect", "jacobian", "project", "step", "readout")
    settles = True

    solver: Annotated[
        Literal["relaxation", "anderson", "newton"],
        msgspec.Meta(description="how the network settles"),
    ] = "relaxation"
    adjoint: Annotated[
        Literal["direct", "relaxation", "neumann"],
        msgspec.Meta(description="how the adjoint equation is solved; neumann is approximate"),
    ] = "direct"
    tolerance: Annotated[
        Positive | None,
        msgspec.Meta(description="largest residual of a steady state "
                     "(default: 1e-12 in float64, 1e-5 in float32)"),
    ] = None  # fmt: skip
    adjoint_tolerance: Annotated[
        Positive | None,
        msgspec.Meta(description="largest residual of the adjoint relative to dE/dx "
                     "(default: 1e-9, in float32 1e-3; of a truncated series 0.5)"),
    ] = None  # fmt: skip
    max_steps: Annotated[
        int, msgspec.Meta(ge=1, description="most steps of the solver, and of the adjoint's relaxation")
    ] = 10_000
    depth: Annotated[int, msgspec.Meta(ge=1, description="how many iterates anderson mixes")] = 5
    terms: Annotated[int, msgspec.Meta(ge=1, description="how many terms neumann sums")] = 20

    def online_window(self, network: Network) -> int | None:
        return 1

    def settler(self) -> Settler:
        return Settler(self.solver, self.tolerance, self.max_steps, self.depth)

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        N, K, dtype = network.n_state, network.n_drive, network.dtype
        series = self.adjoint == "neumann"
        tolerance = self.adjoint_tolerance or (0.5 if series else TOLERANCE[dtype.name])
        return Equilibrium(
            settling=self.settler().room(network, batch),
            adjoint=np.zeros((2, 1, batch, N), dtype),
            blame=np.zeros((window, 1, batch, K), dtype),
            error=np.zeros((batch, N), dtype),
            matrix=np.zeros((N, N), dtype),
            report=np.zeros(4),
            tolerance=tolerance,
            enough=0.0 if series else 1e-3 * tolerance,  # a series has as many terms as were asked for
            steps=self.terms if series else self.max_steps,
        )

    def learn(self, network: Network) -> Kernel:
        settle = solver_kernel(network, self.solver)
        direct, constrain, collect = network.direct, network.constrain, network.collect
        blame_row = direct_adjoint(network) if self.adjoint == "direct" else iterated_adjoint(network)

        @kernel(allocates=False)
        def learn(
            params: Params,
            state: State,
            stream: Stream,
            row: int,
            trajectory: Trajectory,
            window: Window,
            memory: Equilibrium,
            grad: Params,
        ) -> int:
            first, count = window.first, window.length
            if settle(params, state, stream, row, trajectory, first, count, memory.settling) != 0:
                return UNSETTLED
            direct(params, trajectory, first, count, grad)
            for i in range(count):
                if not blame_row(params, trajectory, first + i, memory, memory.blame[i]):
                    return NO_ADJOINT
            collect(params, trajectory, first, memory.blame[:count], grad)
            constrain(trajectory, grad)
            return DONE

        return learn

    def explain(self, code: int, memory: Memory, step: int) -> RnnsimError:
        if code == UNSETTLED:
            return NoSteadyState(unsettled_message(memory.settling, self.solver, step - 1))
        residual, steps, row, largest = memory.report
        size = f", the adjoint {largest:.3g} times" if largest > 100 else ""
        others = " or ".join(f"adjoint={how}" for how in ("direct", "relaxation") if how != self.adjoint)
        return NoSteadyState(
            f"the adjoint of input row {step - 1 + int(row)} has no solution: after {int(steps)} steps "
            f"(adjoint={self.adjoint}) its residual is {residual:.3g} times the error{size} "
            f"(tolerance {memory.tolerance:.3g}); try smaller weights, or {others}"
        )


@kernel(allocates=False)
def residual(memory: Equilibrium) -> float:
    """max |J^T lambda + dE/dx - lambda|, lambda in adjoint[0] and J^T lambda in adjoint[1]."""
    worst = 0.0
    for b in range(memory.error.shape[0]):
        for i in range(memory.error.shape[1]):
            size = abs(memory.adjoint[1, 0, b, i] + memory.error[b, i] - memory.adjoint[0, 0, b, i])
            if not size <= worst:
                worst = size
    return worst


@kernel
def judged(memory: Equilibrium, size: float, steps: int, t: int) -> bool:
    """Whether the residual is small beside the error; a nan is not.

    An adjoint so large that rounding would hide the residual is none, however small that looks: the
    equation is singular but for rounding.
    """
    scale, largest = np.abs(memory.error).max(), np.abs(memory.adjoint[0]).max()
    unit = scale if scale > 0 else 1.0
    memory.report[0], memory.report[1] = size / unit, steps
    memory.report[2], memory.report[3] = t, largest / unit
    most = memory.tolerance * scale
    return bool(size <= most and memory.settling.resolution * largest <= most)


def direct_adjoint(network: Network) -> Kernel:
    """Solve (I - J^T) lambda = dE/dx by LAPACK, and check the residual."""
    pullback, jacobian = network.pullback, network.jacobian

    @kernel
    def blame_row(
        params: Params, trajectory: Trajectory, t: int, memory: Equilibrium, blame: Array
    ) -> bool:
        memory.error[:] = trajectory.error[t]
        for b in range(memory.error.shape[0]):
            jacobian(params, trajectory, t, b, memory.matrix)
            solved, adjoint = solve_identity_minus(memory.matrix.T.copy(), memory.error[b])
            memory.adjoint[0, 0, b] = adjoint
            if not solved:
                memory.report[0], memory.report[1], memory.report[2] = np.inf, 1, t
                memory.report[3] = np.inf
                return False
        pullback(params, trajectory, t, False, memory.adjoint[0], blame, memory.adjoint[1])
        return judged(memory, residual(memory), 1, t)

    return blame_row


def iterated_adjoint(network: Network) -> Kernel:
    """Iterate lambda <- J^T lambda + dE/dx from dE/dx on, which sums the Neumann series."""
    pullback = network.pullback

    @kernel
    def blame_row(
        params: Params, trajectory: Trajectory, t: int, memory: Equilibrium, blame: Array
    ) -> bool:
        memory.error[:] = trajectory.error[t]
        memory.adjoint[0, 0] = memory.error
        enough = memory.enough * np.abs(memory.error).max()
        for i in range(memory.steps):
            pullback(params, trajectory, t, False, memory.adjoint[0], blame, memory.adjoint[1])
            size = residual(memory)
            if not size > enough or i == memory.steps - 1:
                break
            memory.adjoint[0, 0] = memory.adjoint[1, 0] + memory.error
        return judged(memory, size, i + 1, t)

    return blame_row
