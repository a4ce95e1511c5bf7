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

from functools import cache
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.errors import NoSteadyState, RnnsimError
from rnnsim.kernels import kernel, prange
from rnnsim.linalg import bounds, copy, larger, largest, parts_of, swap
from rnnsim.native import room_for_pivots, solve_transposed
from rnnsim.network import Network, Stream
from rnnsim.options import Positive
from rnnsim.rule import DONE, Cost, Rule, Window
from rnnsim.settling import (
    USUAL_STEPS,
    Settler,
    Settling,
    identity_minus,
    solver_kernel,
    unsettled_message,
)
from rnnsim.typing import Array, Bools, Integers, Kernel, Memory, Params, State, Trajectory

UNSETTLED = 1
NO_ADJOINT = 2

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


class Search(NamedTuple):
    """Room for the adjoint of a row."""

    adjoint: Array  # (2, B, 1, N) lambda, and what an iteration makes of it
    error: Array  # (B, N) dE/dx
    matrix: Array  # (N, N) I - J
    pivots: Integers  # (N,)
    report: Array  # (B, 4) residual, steps, row, size of the adjoint: of a part, at its begin
    found: Bools  # (B,) whether there is an adjoint
    places: Integers  # (B,) with which sequence each changed places when its adjoint was found
    tolerance: float
    enough: float  # the residual relative to dE/dx at which an iteration stops
    steps: int
    resolution: float  # the rounding error of a number of size 1


class Equilibrium(NamedTuple):
    """Room for the steady states and for their adjoint."""

    settling: Settling
    search: Search
    blame: Array  # (rows, B, 1, K) s


class RecurrentBackprop(Rule, frozen=True):
    """Recurrent back-propagation at a steady state."""

    name = "recurrent-backprop"
    claim = "exact"
    cost = Cost(time="n^2 a relaxation step, n^3 a direct solve", memory="n^2")
    needs = ("pullback", "collect", "jacobian", "project", "step", "exchange", "readout")
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
        settling = self.settler().room(network, batch)
        search = Search(
            adjoint=aligned_zeros((2, batch, 1, N), dtype),
            error=aligned_zeros((batch, N), dtype),
            matrix=aligned_zeros((N, N), dtype),
            pivots=room_for_pivots(N),
            report=np.zeros((batch, 4)),
            found=np.zeros(batch, np.bool_),
            places=np.zeros(batch, np.int64),
            tolerance=tolerance,
            enough=0.0 if series else 1e-3 * tolerance,  # a series has as many terms as were asked for
            steps=self.terms if series else self.max_steps,
            resolution=settling.resolution,
        )
        return Equilibrium(settling, search, aligned_zeros((window, batch, 1, K), dtype))

    def learn(self, network: Network) -> Kernel:
        settle = solver_kernel(network, self.solver)
        direct, constrain, collect = network.direct, network.constrain, network.collect
        blame_row = (
            direct_adjoint(network.pullback, network.jacobian)
            if self.adjoint == "direct"
            else iterated_adjoint(network.pullback, network.exchange, network.shares)
        )

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
            if not window.learns:
                return DONE
            direct(params, trajectory, first, count, grad)
            for i in range(count):
                if not blame_row(params, trajectory, first + i, memory.search, memory.blame[i]):
                    return NO_ADJOINT
            collect(params, trajectory, first, memory.blame[:count], grad)
            constrain(trajectory, grad)
            return DONE

        return learn

    def explain(self, code: int, memory: Memory, step: int) -> RnnsimError:
        if code == UNSETTLED:
            return NoSteadyState(unsettled_message(memory.settling, self.solver, step - 1))
        worst = np.argmax(np.nan_to_num(memory.search.report[:, 0], nan=np.inf))
        residual, steps, row, largest = memory.search.report[worst]
        size = f", the adjoint {largest:.3g} times" if largest > 100 else ""
        others = " or ".join(f"adjoint={how}" for how in ("direct", "relaxation") if how != self.adjoint)
        return NoSteadyState(
            f"the adjoint of input row {step - 1 + int(row)} has no solution: after {int(steps)} steps "
            f"(adjoint={self.adjoint}) its residual is {residual:.3g} times the error{size} "
            f"(tolerance {memory.search.tolerance:.3g}); try smaller weights, or {others}"
        )


# --- the adjoint of a row ---------------------------------------------------------------------------


@kernel(allocates=False)
def is_far(search: Search, b: int, enough: float) -> bool:
    """Whether the root mean square of the residual, and so its maximum, is surely above ``enough``."""
    old, new, error = search.adjoint[0, b, 0], search.adjoint[1, b, 0], search.error[b]
    total, n = search.error.dtype.type(0), error.size
    for i in range(n):
        difference = new[i] + error[i] - old[i]
        total += difference * difference
    return bool(total > n * (2 * enough) ** 2)


@kernel(allocates=False)
def residual(search: Search, begin: int, end: int) -> float:
    """max |J^T lambda + dE/dx - lambda|, lambda in adjoint[0] and J^T lambda in adjoint[1]."""
    worst = 0.0
    for b in range(begin, end):
        for i in range(search.error.shape[1]):
            lambda_, moved = search.adjoint[0, b, 0, i], search.adjoint[1, b, 0, i]
            worst = larger(worst, moved + search.error[b, i] - lambda_)
    return worst


@kernel
def judged(search: Search, begin: int, end: int, size: float, steps: int, t: int) -> bool:
    """Whether the residual is small beside the error; a nan is not.

    An adjoint so large that rounding would hide the residual is none, however small that looks: the
    equation is singular but for rounding.
    """
    scale, longest = largest(search.error[begin:end]), largest(search.adjoint[0, begin:end])
    unit, report = scale if scale > 0 else 1.0, search.report[begin]
    report[0], report[1] = size / unit, steps
    report[2], report[3] = t, longest / unit
    most = search.tolerance * scale
    return bool(size <= most and search.resolution * longest <= most)


@cache
def direct_adjoint(pullback: Kernel, jacobian: Kernel) -> Kernel:
    """Solve (I - J^T) lambda = dE/dx by LAPACK, and check the residual."""

    @kernel
    def blame_row(params: Params, trajectory: Trajectory, t: int, search: Search, blame: Array) -> bool:
        B = search.error.shape[0]
        copy(trajectory.error[t], search.error)
        search.report[:] = 0
        for b in range(B):
            jacobian(params, trajectory, t, b, search.matrix)
            identity_minus(search.matrix)
            copy(search.error[b], search.adjoint[0, b, 0])
            if not solve_transposed(search.matrix, search.adjoint[0, b, 0], search.pivots):
                report = search.report[b]
                report[0], report[1], report[2], report[3] = np.inf, 1, t, np.inf
                return False
        pullback(params, trajectory, t, 0, B, False, search.adjoint[0], blame, search.adjoint[1])
        return judged(search, 0, B, residual(search, 0, B), 1, t)

    return blame_row


@cache
def iterated_adjoint(pullback: Kernel, exchange: Kernel, shares: bool) -> Kernel:
    """Iterate lambda <- J^T lambda + dE/dx from dE/dx on, which sums the Neumann series."""

    @kernel
    def blame_part(
        params: Params,
        trajectory: Trajectory,
        t: int,
        search: Search,
        blame: Array,
        begin: int,
        end: int,
    ) -> None:
        """Find the adjoint of these sequences; those that have it are put last, out of the way."""
        lambda_, moved = search.adjoint[0], search.adjoint[1]
        for b in range(begin, end):
            copy(search.error[b], lambda_[b, 0])
        enough, moving, steps = search.enough * largest(search.error[begin:end]), end, 0
        while moving > begin:
            pullback(params, trajectory, t, begin, moving, False, lambda_, blame, moved)
            steps += 1
            for b in range(moving - 1, begin - 1, -1):
                if steps == search.steps or (
                    not is_far(search, b, enough) and not residual(search, b, b + 1) > enough
                ):
                    moving -= 1
                    search.places[moving] = b
                    exchange_all(trajectory, t, search, blame, b, moving)
                else:
                    for j in range(lambda_.shape[2]):
                        lambda_[b, 0, j] = moved[b, 0, j] + search.error[b, j]
        for other in range(begin, end):
            exchange_all(trajectory, t, search, blame, search.places[other], other)
        search.found[begin:end] = judged(search, begin, end, residual(search, begin, end), steps, t)

    @kernel(allocates=False)
    def exchange_all(
        trajectory: Trajectory, t: int, search: Search, blame: Array, b: int, other: int
    ) -> None:
        exchange(trajectory, t, b, other)
        swap(search.error[b], search.error[other])
        swap(search.adjoint[0, b, 0], search.adjoint[0, other, 0])
        swap(search.adjoint[1, b, 0], search.adjoint[1, other, 0])
        swap(blame[b, 0], blame[other, 0])

    @kernel(parallel=shares)
    def blame_parts(
        params: Params, trajectory: Trajectory, t: int, search: Search, blame: Array, parts: int
    ) -> None:
        B = search.error.shape[0]
        for part in prange(parts):
            begin, end = bounds(part, parts, B)
            blame_part(params, trajectory, t, search, blame, begin, end)

    @kernel
    def blame_row(params: Params, trajectory: Trajectory, t: int, search: Search, blame: Array) -> bool:
        B, n = search.error.shape
        copy(trajectory.error[t], search.error)
        search.report[:] = 0
        parts = parts_of(B, USUAL_STEPS * B * n * n)
        if parts == 1:
            blame_part(params, trajectory, t, search, blame, 0, B)
        else:
            blame_parts(params, trajectory, t, search, blame, parts)
        return bool(search.found.all())

    return blame_row
