"""The adjoint equation at a steady state: lambda = J^T lambda + dE/dx (theory.md 1.1, eq. 6).

J = dF/dx is that of one step F of a network, there where the row has settled. LAPACK solves the equation
directly; Pineda's adjoint network relaxes, lambda <- J^T lambda + dE/dx, which sums the Neumann series
sum_i (J^T)^i dE/dx. Refined, it relaxes in single precision, which is twice as fast, a few digits at a
time: what is left of the equation is worked out in full precision and takes the place of dE/dx.
Whatever the way, the residual relative to dE/dx is what is judged.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros, in_dtype
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.blas import pivot_workspace, solve_transposed
from rnnsim.numerics.fixed_points import USUAL_STEPS, identity_minus
from rnnsim.numerics.linalg import copy, larger, largest, parts_of, swap
from rnnsim.numerics.parallel import in_parts
from rnnsim.rule import Settler
from rnnsim.typing import Array, Bools, Integers, Kernel, Params, Trajectory

DIRECT, RELAXATION, REFINED, NEUMANN = "direct", "relaxation", "refined", "neumann"

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
LOOSE = 0.5  # the tolerance of a series that is cut off
TERMS = 20
GAIN = 5e-7  # to what part of itself single precision can bring a residual; a number holds 6e-8
HIDDEN = 4  # rounding errors of the adjoint that hide a residual


class AdjointWorkspace(NamedTuple):
    """Room for the adjoint of a row."""

    adjoint: Array  # (2, B, 1, N) lambda, and what an iteration makes of it
    error: Array  # (B, N) dE/dx
    matrix: Array  # (N, N) I - J, for the direct solution
    pivots: Integers  # (N,)
    report: Array  # (B, 4) residual, steps, row, size of the adjoint: of a part, at its begin
    found: Bools  # (B,) whether there is an adjoint
    places: Integers  # (B,) with which sequence each changed places when its adjoint was found
    tolerance: float
    enough: float  # the residual relative to dE/dx at which an iteration stops
    steps: int
    resolution: float  # the rounding error of a number of size 1


class RefinementWorkspace(NamedTuple):
    """Room for an adjoint and for its digits, a few at a time, in single precision."""

    work: AdjointWorkspace
    low_params: Params
    low_trajectory: Trajectory  # one row
    low: AdjointWorkspace
    low_delta: Array  # (B, 1, K)


class AdjointSolver(NamedTuple):
    """How the adjoint equation is to be solved."""

    way: str = DIRECT
    tolerance: float | None = None
    max_steps: int = Settler().max_steps
    terms: int = TERMS

    def room(self, network: Network, batch: int) -> AdjointWorkspace | RefinementWorkspace:
        """Allocate what the solution needs; the default tolerance is that of the network's dtype."""
        work = self._workspace(network, batch, network.dtype)
        if self.way != REFINED:
            return work
        single = np.dtype(np.float32)
        return RefinementWorkspace(
            work,
            in_dtype(network.kernel_params(np.zeros(network.n_params, network.dtype)), single),
            in_dtype(network.trajectory(1, batch), single),
            self._workspace(network, batch, single),
            aligned_zeros((batch, 1, network.n_drive), single),
        )

    def _workspace(self, network: Network, batch: int, dtype: Any) -> AdjointWorkspace:
        N = network.n_state
        series, size = self.way == NEUMANN, N if self.way == DIRECT else 0
        tolerance = self.tolerance or (LOOSE if series else TOLERANCE[dtype.name])
        return AdjointWorkspace(
            adjoint=aligned_zeros((2, batch, 1, N), dtype),
            error=aligned_zeros((batch, N), dtype),
            matrix=aligned_zeros((size, size), dtype),
            pivots=pivot_workspace(size),
            report=np.zeros((batch, 4)),
            found=np.zeros(batch, np.bool_),
            places=np.zeros(batch, np.int64),
            tolerance=tolerance,
            enough=0.0 if series else 1e-3 * tolerance,  # a series has as many terms as were asked for
            steps=self.terms if series else self.max_steps,
            resolution=float(np.finfo(dtype).eps),
        )

    def kernel(self, network: Network) -> Kernel:
        """Make ``solve(params, trajectory, t, workspace, delta)`` of one row.

        It leaves the delta (B, 1, K) and says whether every sequence has an adjoint.

        Raises
        ------
        RnnsimError
            If the network lacks what the way needs.
        """
        if self.way == DIRECT:
            return direct_kernel(network.vjp, network.jacobian)
        iterate = iteration_kernel(network.vjp, network.swap_sequences)
        if self.way != REFINED:
            return sharing_kernel(iterate, network.shares)
        if network.convert is None:
            raise RnnsimError(f"adjoint={REFINED} needs convert, which a {network.kind} network lacks")
        return refinement_kernel(network.vjp, network.convert, iterate, network.shares)

    def message(self, workspace: AdjointWorkspace | RefinementWorkspace, before: int = 0) -> str:
        """Say that there is no adjoint: the residual, the steps and the remedy.

        ``before`` counts the input rows before those that were given.
        """
        work = workspace.work if isinstance(workspace, RefinementWorkspace) else workspace
        worst = np.argmax(np.nan_to_num(work.report[:, 0], nan=np.inf))
        residual, steps, row, longest = work.report[worst]
        size = f", the adjoint {longest:.3g} times" if longest > 100 else ""
        others = " or ".join(f"adjoint={way}" for way in (DIRECT, RELAXATION) if way != self.way)
        return (
            f"the adjoint of input row {before + int(row)} has no solution: after {int(steps)} steps "
            f"(adjoint={self.way}) its residual is {residual:.3g} times the error{size} "
            f"(tolerance {work.tolerance:.3g}); try smaller weights, or {others}"
        )


@kernel(allocates=False)
def is_far(work: AdjointWorkspace, b: int, enough: float) -> bool:
    """Whether the residual of a sequence is above ``enough``, and above what rounding makes of lambda.

    The root mean square is no larger than the maximum; a sum takes a tenth of the time of a maximum that
    minds nans.
    """
    old, new, error = work.adjoint[0, b, 0], work.adjoint[1, b, 0], work.error[b]
    zero, n, hidden = work.error.dtype.type(0), error.size, HIDDEN * work.resolution
    total, size = zero, zero
    for i in range(n):
        difference = new[i] + error[i] - old[i]
        total += difference * difference
        size += old[i] * old[i]
    if total > 4 * (n * enough**2 + size * hidden**2):
        return True
    return bool(residual(work, b, b + 1) > max(enough, hidden * largest(old)))


@kernel(allocates=False)
def residual(work: AdjointWorkspace, begin: int, end: int) -> float:
    """max |J^T lambda + dE/dx - lambda|, lambda in adjoint[0] and J^T lambda in adjoint[1]."""
    worst = 0.0
    for b in range(begin, end):
        for i in range(work.error.shape[1]):
            lambda_, moved = work.adjoint[0, b, 0, i], work.adjoint[1, b, 0, i]
            worst = larger(worst, moved + work.error[b, i] - lambda_)
    return worst


@kernel
def has_converged(work: AdjointWorkspace, begin: int, end: int, size: float, steps: int, t: int) -> bool:
    """Whether the residual is small beside the error; a nan is not.

    An adjoint so large that rounding would hide the residual is none, however small that looks: the
    equation is singular but for rounding.
    """
    scale, longest = largest(work.error[begin:end]), largest(work.adjoint[0, begin:end])
    unit, report = scale if scale > 0 else 1.0, work.report[begin]
    report[0], report[1] = size / unit, steps
    report[2], report[3] = t, longest / unit
    most = work.tolerance * scale
    return bool(size <= most and work.resolution * longest <= most)


@cache
def direct_kernel(vjp: Kernel, jacobian: Kernel) -> Kernel:
    """Solve (I - J^T) lambda = dE/dx by LAPACK, and check the residual."""

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, work: AdjointWorkspace, delta: Array
    ) -> bool:
        B = work.error.shape[0]
        copy(trajectory.error[t], work.error)
        work.report[:] = 0
        for b in range(B):
            jacobian(params, trajectory, t, b, work.matrix)
            identity_minus(work.matrix)
            copy(work.error[b], work.adjoint[0, b, 0])
            if not solve_transposed(work.matrix, work.adjoint[0, b, 0], work.pivots):
                report = work.report[b]
                report[0], report[1], report[2], report[3] = np.inf, 1, t, np.inf
                return False
        vjp(params, trajectory, t, 0, B, False, work.adjoint[0], delta, work.adjoint[1])
        return has_converged(work, 0, B, residual(work, 0, B), 1, t)

    return solve


@cache
def iteration_kernel(vjp: Kernel, swap_sequences: Kernel) -> Kernel:
    """Iterate lambda <- J^T lambda + dE/dx from dE/dx on, which sums the Neumann series."""

    @kernel
    def iterate(
        params: Params,
        trajectory: Trajectory,
        t: int,
        work: AdjointWorkspace,
        delta: Array,
        enough: float,
        begin: int,
        end: int,
    ) -> None:
        """Find the adjoint of these sequences, to a residual of ``enough`` beside the largest error.

        Those that have it are put last, out of the way.
        """
        lambda_, moved = work.adjoint[0], work.adjoint[1]
        for b in range(begin, end):
            copy(work.error[b], lambda_[b, 0])
        enough *= largest(work.error[begin:end])
        moving, steps = end, 0
        while moving > begin:
            vjp(params, trajectory, t, begin, moving, False, lambda_, delta, moved)
            steps += 1
            for b in range(moving - 1, begin - 1, -1):
                if steps == work.steps or not is_far(work, b, enough):
                    moving -= 1
                    work.places[moving] = b
                    swap_all(trajectory, t, work, delta, b, moving)
                else:
                    for j in range(lambda_.shape[2]):
                        lambda_[b, 0, j] = moved[b, 0, j] + work.error[b, j]
        for other in range(begin, end):
            swap_all(trajectory, t, work, delta, work.places[other], other)
        work.found[begin:end] = has_converged(work, begin, end, residual(work, begin, end), steps, t)

    @kernel(allocates=False)
    def swap_all(
        trajectory: Trajectory, t: int, work: AdjointWorkspace, delta: Array, b: int, other: int
    ) -> None:
        swap_sequences(trajectory, t, b, other)
        swap(work.error[b], work.error[other])
        swap(work.adjoint[0, b, 0], work.adjoint[0, other, 0])
        swap(work.adjoint[1, b, 0], work.adjoint[1, other, 0])
        swap(delta[b, 0], delta[other, 0])

    return iterate


@cache
def sharing_kernel(iterate: Kernel, shares: bool) -> Kernel:
    """Solve by iteration; cores share the sequences."""

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, work: AdjointWorkspace, delta: Array
    ) -> bool:
        B, n = work.error.shape
        copy(trajectory.error[t], work.error)
        work.report[:] = 0
        parts = parts_of(B, USUAL_STEPS * B * n * n) if shares else 1
        in_parts(iterate, B, parts, params, trajectory, t, work, delta, work.enough)
        return bool(work.found.all())

    return solve


@cache
def refinement_kernel(vjp: Kernel, convert: Kernel, iterate: Kernel, shares: bool) -> Kernel:
    """Solve by iteration in single precision, of what is left of the equation in full precision."""

    @kernel
    def refine(
        params: Params,
        trajectory: Trajectory,
        t: int,
        workspace: RefinementWorkspace,
        delta: Array,
        begin: int,
        end: int,
    ) -> None:
        """Find the adjoint of these sequences, until it is found or nothing more is gained."""
        work, low = workspace.work, workspace.low
        lambda_, moved = work.adjoint[0], work.adjoint[1]
        lambda_[begin:end] = 0
        moved[begin:end] = 0
        scale, steps = largest(work.error[begin:end]), 0
        left, before = scale, np.inf
        while left > work.enough * scale and left < 0.5 * before and steps < work.steps:
            for b in range(begin, end):
                for i in range(lambda_.shape[2]):
                    low.error[b, i] = (moved[b, 0, i] + work.error[b, i] - lambda_[b, 0, i]) / left
            gain = max(GAIN, 0.5 * work.enough * scale / left)
            iterate(
                workspace.low_params,
                workspace.low_trajectory,
                0,
                low,
                workspace.low_delta,
                gain,
                begin,
                end,
            )
            steps += int(low.report[begin, 1])
            for b in range(begin, end):
                for i in range(lambda_.shape[2]):
                    lambda_[b, 0, i] += left * low.adjoint[0, b, 0, i]
            vjp(params, trajectory, t, begin, end, False, lambda_, delta, moved)
            before, left = left, residual(work, begin, end)
        work.found[begin:end] = has_converged(work, begin, end, left, steps, t)

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, workspace: RefinementWorkspace, delta: Array
    ) -> bool:
        work = workspace.work
        B, n = work.error.shape
        copy(trajectory.error[t], work.error)
        delta[:] = 0  # of an error of zero
        work.report[:] = 0
        convert(params, trajectory, t, workspace.low_params, workspace.low_trajectory)
        parts = parts_of(B, USUAL_STEPS * B * n * n) if shares else 1
        if shares:
            workspace.low_trajectory.single_threaded[0] = parts > 1
        in_parts(refine, B, parts, params, trajectory, t, workspace, delta)
        return bool(work.found.all())

    return solve
