"""The adjoint equation at a steady state: lambda = J^T lambda + dE/dx (theory.md 1.1, eq. 6).

J = dF/dx is the Jacobian of one step F of a network at a steady state. The equation is solved directly,
by LAPACK, or by relaxation, lambda <- J^T lambda + dE/dx (Pineda's adjoint network), which sums the
Neumann series sum_i (J^T)^i dE/dx. Iterative refinement relaxes in single precision, which is twice as
fast: each round computes the residual in full precision and solves for a correction with it in place of
dE/dx. Whatever the method, a solution is accepted by its residual relative to dE/dx.
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
from rnnsim.numerics.fixed_points import TYPICAL_STEPS, identity_minus
from rnnsim.numerics.linalg import copy, larger, largest, parts_of, swap
from rnnsim.numerics.parallel import in_parts
from rnnsim.rule import Settler
from rnnsim.typing import Array, Bools, Integers, Kernel, Params, Trajectory

DIRECT, RELAXATION, REFINED, NEUMANN = "direct", "relaxation", "refined", "neumann"

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
SERIES_TOLERANCE = 0.5  # of a truncated series
TERMS = 20
GAIN = 5e-7  # the relative residual that single precision can reach; its rounding error is 6e-8
NOISE = 4  # residuals below this many rounding errors of the adjoint cannot be resolved


class AdjointWorkspace(NamedTuple):
    """The workspace for the adjoint of one row.

    Attributes
    ----------
    adjoint : (2, B, 1, N) array
        lambda and J^T lambda.
    error : (B, N) array
        dE/dx.
    matrix : (N, N) array
        I - J, for the direct solution.
    pivots : (N,) int array
    report : (B, 5) array
        Residual, steps, row, largest entry of the adjoint, and number of the sequence. Sequences that
        are solved together report in the first of their rows, with the number of the worst.
    found : (B,) bool array
        Whether there is an adjoint.
    swapped_with : (B,) int array
        The sequence that each was swapped with on convergence.
    tolerance : float
        The largest residual relative to dE/dx that is accepted.
    enough : float
        The residual relative to dE/dx at which an iteration stops.
    steps : int
        The maximum number of steps.
    resolution : float
        The relative rounding error of the dtype.
    """

    adjoint: Array
    error: Array
    matrix: Array
    pivots: Integers
    report: Array
    found: Bools
    swapped_with: Integers
    tolerance: float
    enough: float
    steps: int
    resolution: float


class RefinementWorkspace(NamedTuple):
    """The workspace for an adjoint in full precision and for its corrections in single precision.

    Attributes
    ----------
    full, low : AdjointWorkspace
        In the network's dtype and in single precision.
    low_params : NamedTuple of arrays
    low_trajectory : NamedTuple
        One row.
    low_delta : (B, 1, K) array
    """

    full: AdjointWorkspace
    low_params: Params
    low_trajectory: Trajectory
    low: AdjointWorkspace
    low_delta: Array


class AdjointSolver(NamedTuple):
    """How the adjoint equation is solved.

    Attributes
    ----------
    method : "direct", "relaxation", "refined" or "neumann"
    tolerance : float or None
        The largest residual relative to dE/dx; None for the default of the network's dtype.
    max_steps : int
    terms : int
        The number of terms of the Neumann series.
    """

    method: str = DIRECT
    tolerance: float | None = None
    max_steps: int = Settler().max_steps
    terms: int = TERMS

    def workspace(self, network: Network, batch: int) -> AdjointWorkspace | RefinementWorkspace:
        """Allocate the workspace of the method."""
        full = self._workspace(network, batch, network.dtype)
        if self.method != REFINED:
            return full
        single = np.dtype(np.float32)
        return RefinementWorkspace(
            full,
            in_dtype(network.kernel_params(np.zeros(network.n_params, network.dtype)), single),
            in_dtype(network.trajectory(1, batch), single),
            self._workspace(network, batch, single),
            aligned_zeros((batch, 1, network.n_drive), single),
        )

    def _workspace(self, network: Network, batch: int, dtype: Any) -> AdjointWorkspace:
        N = network.n_state
        is_series, size = self.method == NEUMANN, N if self.method == DIRECT else 0
        tolerance = self.tolerance or (SERIES_TOLERANCE if is_series else TOLERANCE[dtype.name])
        return AdjointWorkspace(
            adjoint=aligned_zeros((2, batch, 1, N), dtype),
            error=aligned_zeros((batch, N), dtype),
            matrix=aligned_zeros((size, size), dtype),
            pivots=pivot_workspace(size),
            report=np.zeros((batch, 5)),
            found=np.zeros(batch, np.bool_),
            swapped_with=np.zeros(batch, np.int64),
            tolerance=tolerance,
            enough=0.0 if is_series else 1e-3 * tolerance,  # a series always sums all its terms
            steps=self.terms if is_series else self.max_steps,
            resolution=float(np.finfo(dtype).eps),
        )

    def kernel(self, network: Network) -> Kernel:
        """Make ``solve(params, trajectory, t, workspace, delta)`` for one row.

        It writes delta (B, 1, K) and returns whether every sequence has an adjoint.

        Raises
        ------
        RnnsimError
            If the network lacks a kernel that the method needs.
        """
        if self.method == DIRECT:
            return direct_kernel(network.vjp, network.jacobian)
        iterate = iteration_kernel(network.vjp, network.swap_sequences)
        if self.method != REFINED:
            return relaxation_kernel(iterate, network.shares)
        if network.convert is None:
            raise RnnsimError(f"adjoint={REFINED} needs convert, which a {network.kind} network lacks")
        return refinement_kernel(network.vjp, network.convert, iterate, network.shares)

    def message(self, workspace: AdjointWorkspace | RefinementWorkspace, before: int = 0) -> str:
        """Explain that there is no adjoint, with the residual, the steps and a remedy.

        ``before`` is the number of input rows before the first one that was solved for.
        """
        full = workspace.full if isinstance(workspace, RefinementWorkspace) else workspace
        worst = np.argmax(np.nan_to_num(full.report[:, 0], nan=np.inf))
        residual, steps, row, longest, b = full.report[worst]
        size = f", the adjoint {longest:.3g} times" if longest > 100 else ""
        others = " or ".join(f"adjoint={name}" for name in (DIRECT, RELAXATION) if name != self.method)
        return (
            f"the adjoint of inputs[{before + int(row)}, {int(b)}] has no solution: after {int(steps)} "
            f"steps (adjoint={self.method}) its residual is {residual:.3g} times the error{size} "
            f"(tolerance {full.tolerance:.3g}); try smaller weights, or {others}"
        )


@kernel(allocates=False, reassociates=True)
def is_far(workspace: AdjointWorkspace, b: int, enough: float) -> bool:
    """Whether the residual of a sequence is above ``enough`` and above the rounding error of lambda.

    The root mean square, a lower bound of the maximum, is compared first: it takes a tenth of the time
    of a maximum that propagates nans.
    """
    old, new, error = workspace.adjoint[0, b, 0], workspace.adjoint[1, b, 0], workspace.error[b]
    zero, n, noise = workspace.error.dtype.type(0), error.size, NOISE * workspace.resolution
    total, size = zero, zero
    for i in range(n):
        difference = new[i] + error[i] - old[i]
        total += difference * difference
        size += old[i] * old[i]
    if total > 4 * (n * enough**2 + size * noise**2):
        return True
    return bool(residual(workspace, b, b + 1) > max(enough, noise * largest(old)))


@kernel(allocates=False)
def residual(workspace: AdjointWorkspace, begin: int, end: int) -> float:
    """max |J^T lambda + dE/dx - lambda|, lambda in adjoint[0] and J^T lambda in adjoint[1]."""
    worst = 0.0
    for b in range(begin, end):
        for i in range(workspace.error.shape[1]):
            lambda_, JT_lambda = workspace.adjoint[0, b, 0, i], workspace.adjoint[1, b, 0, i]
            worst = larger(worst, JT_lambda + workspace.error[b, i] - lambda_)
    return worst


@kernel
def has_converged(
    workspace: AdjointWorkspace, begin: int, end: int, worst: float, steps: int, t: int
) -> bool:
    """Whether the residual ``worst`` is small relative to the error; a nan is not.

    If rounding errors of the adjoint exceed the tolerance, a small residual means nothing: the equation
    is then singular to working precision, and the adjoint is rejected.
    """
    scale, longest = largest(workspace.error[begin:end]), largest(workspace.adjoint[0, begin:end])
    unit, report = scale if scale > 0 else 1.0, workspace.report[begin]
    report[0], report[1] = worst / unit, steps
    report[2], report[3] = t, longest / unit
    for b in range(begin, end):
        if not residual(workspace, b, b + 1) < worst:
            report[4] = b
    most = workspace.tolerance * scale
    return bool(worst <= most and workspace.resolution * longest <= most)


@cache
def direct_kernel(vjp: Kernel, jacobian: Kernel) -> Kernel:
    """Solve (I - J^T) lambda = dE/dx by LAPACK, and check the residual."""

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, workspace: AdjointWorkspace, delta: Array
    ) -> bool:
        B = workspace.error.shape[0]
        copy(trajectory.error[t], workspace.error)
        workspace.report[:] = 0
        for b in range(B):
            copy(workspace.error[b], workspace.adjoint[0, b, 0])
            if largest(workspace.error[b]) == 0:  # the equation may be singular, its solution is 0
                continue
            jacobian(params, trajectory, t, b, workspace.matrix)
            identity_minus(workspace.matrix)
            if not solve_transposed(workspace.matrix, workspace.adjoint[0, b, 0], workspace.pivots):
                report = workspace.report[b]
                report[0], report[1], report[2], report[3], report[4] = np.inf, 1, t, np.inf, b
                return False
        vjp(params, trajectory, t, 0, B, False, workspace.adjoint[0], delta, workspace.adjoint[1])
        return has_converged(workspace, 0, B, residual(workspace, 0, B), 1, t)

    return solve


@cache
def iteration_kernel(vjp: Kernel, swap_sequences: Kernel) -> Kernel:
    """Iterate lambda <- J^T lambda + dE/dx, starting at dE/dx, which sums the Neumann series."""

    @kernel
    def iterate(
        params: Params,
        trajectory: Trajectory,
        t: int,
        workspace: AdjointWorkspace,
        delta: Array,
        enough: float,
        begin: int,
        end: int,
    ) -> None:
        """Solve for these sequences, to a residual of ``enough`` relative to the largest error.

        Sequences that have converged are swapped to the end, so that ``vjp`` leaves them out.
        """
        lambda_, JT_lambda = workspace.adjoint[0], workspace.adjoint[1]
        for b in range(begin, end):
            copy(workspace.error[b], lambda_[b, 0])
        enough *= largest(workspace.error[begin:end])
        active, steps = end, 0
        while active > begin:
            vjp(params, trajectory, t, begin, active, False, lambda_, delta, JT_lambda)
            steps += 1
            for b in range(active - 1, begin - 1, -1):
                if steps == workspace.steps or not is_far(workspace, b, enough):
                    active -= 1
                    workspace.swapped_with[active] = b
                    swap_all(trajectory, t, workspace, delta, b, active)
                else:
                    for j in range(lambda_.shape[2]):
                        lambda_[b, 0, j] = JT_lambda[b, 0, j] + workspace.error[b, j]
        for other in range(begin, end):  # back into the original order
            swap_all(trajectory, t, workspace, delta, workspace.swapped_with[other], other)
        workspace.found[begin:end] = has_converged(
            workspace, begin, end, residual(workspace, begin, end), steps, t
        )

    @kernel(allocates=False)
    def swap_all(
        trajectory: Trajectory, t: int, workspace: AdjointWorkspace, delta: Array, b: int, other: int
    ) -> None:
        swap_sequences(trajectory, t, b, other)
        swap(workspace.error[b], workspace.error[other])
        swap(workspace.adjoint[0, b, 0], workspace.adjoint[0, other, 0])
        swap(workspace.adjoint[1, b, 0], workspace.adjoint[1, other, 0])
        swap(delta[b, 0], delta[other, 0])

    return iterate


@cache
def relaxation_kernel(iterate: Kernel, shares: bool) -> Kernel:
    """Solve by iteration, with the sequences divided between threads."""

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, workspace: AdjointWorkspace, delta: Array
    ) -> bool:
        B, n = workspace.error.shape
        copy(trajectory.error[t], workspace.error)
        workspace.report[:] = 0
        parts = parts_of(B, TYPICAL_STEPS * B * n * n) if shares else 1
        in_parts(iterate, B, parts, params, trajectory, t, workspace, delta, workspace.enough)
        return bool(workspace.found.all())

    return solve


@cache
def refinement_kernel(vjp: Kernel, convert: Kernel, iterate: Kernel, shares: bool) -> Kernel:
    """Solve by iterative refinement: corrections in single precision, residuals in full precision."""

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
        """Refine the adjoint of these sequences until a round no longer halves the residual."""
        full, low = workspace.full, workspace.low
        lambda_, JT_lambda = full.adjoint[0], full.adjoint[1]
        lambda_[begin:end] = 0
        JT_lambda[begin:end] = 0
        scale, steps = largest(full.error[begin:end]), 0
        worst, before = scale, np.inf
        while worst > full.enough * scale and worst < 0.5 * before and steps < full.steps:
            for b in range(begin, end):
                for i in range(lambda_.shape[2]):
                    low.error[b, i] = (JT_lambda[b, 0, i] + full.error[b, i] - lambda_[b, 0, i]) / worst
            gain = max(GAIN, 0.5 * full.enough * scale / worst)
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
                    lambda_[b, 0, i] += worst * low.adjoint[0, b, 0, i]
            vjp(params, trajectory, t, begin, end, False, lambda_, delta, JT_lambda)
            before, worst = worst, residual(full, begin, end)
        full.found[begin:end] = has_converged(full, begin, end, worst, steps, t)

    @kernel
    def solve(
        params: Params, trajectory: Trajectory, t: int, workspace: RefinementWorkspace, delta: Array
    ) -> bool:
        full = workspace.full
        B, n = full.error.shape
        copy(trajectory.error[t], full.error)
        delta[:] = 0  # the result where the error is zero
        full.report[:] = 0
        convert(params, trajectory, t, workspace.low_params, workspace.low_trajectory)
        parts = parts_of(B, TYPICAL_STEPS * B * n * n) if shares else 1
        if shares:
            workspace.low_trajectory.single_threaded[0] = parts > 1
        in_parts(refine, B, parts, params, trajectory, t, workspace, delta)
        return bool(full.found.all())

    return solve
