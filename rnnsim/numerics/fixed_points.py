"""Steady states: x = F(x) with the input held fixed (theory.md 1.1), F being one step of a network.

Relaxation steps until the state stands still. Anderson's method mixes the last few iterates, and
Newton's solves (I - J) dx = F(x) - x with J = dF/dx: both reach steady states that relaxation is slow
to reach or, where they are unstable, cannot reach. Whatever the method, the residual
``max |F(x) - x| / alpha`` is what is judged, and it is judged at the state that is returned. A state
so large that rounding would hide the residual has not settled, however small the residual looks.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.errors import NoSteadyState, RnnsimError, UnknownName, nearest
from rnnsim.kernels import kernel, options_of
from rnnsim.network import Network, Stream
from rnnsim.numerics.blas import pivot_workspace, solve_transposed
from rnnsim.numerics.linalg import copy, larger, largest, parts_of, sum_rows, swap, transpose
from rnnsim.numerics.parallel import in_parts
from rnnsim.rule import Settler
from rnnsim.typing import Array, Bools, Integers, Kernel, Params, State, Trajectory

SOLVERS = ("relaxation", "anderson", "newton")

SETTLED = 0
UNSETTLED = 1

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
USUAL_STEPS = 100  # of relaxation, for a guess how much work there is


class SettlingWorkspace(NamedTuple):
    """What settling is told, what it reports, and room to work."""

    tolerance: float
    max_steps: int
    resolution: float  # the rounding error of a number of size 1
    report: Array  # (B, 4) of each sequence: residual, steps, largest state, row in the trajectory
    settled: Bools  # (B,)
    places: Integers  # (B,) with which sequence each changed places when it had settled
    iterates: Array  # (depth + 1, B, n) the last x, for Anderson
    residuals: Array  # (depth + 1, B, n) and their F(x) - x
    jacobian: Array  # (n, n) J and I - J, for Newton
    transposed: Array  # (n, n) (I - J)^T
    move: Array  # (n,) dx
    pivots: Integers  # (n,)


def settling_workspace(settler: Settler, network: Network, batch: int) -> SettlingWorkspace:
    """Allocate what a solver needs; the default tolerance is that of the network's dtype."""
    n, dtype = network.n_state, network.dtype
    slots = settler.depth + 1 if settler.solver == "anderson" else 0
    size = n if settler.solver == "newton" else 0
    return SettlingWorkspace(
        tolerance=TOLERANCE[dtype.name] if settler.tolerance is None else settler.tolerance,
        max_steps=settler.max_steps,
        resolution=float(np.finfo(dtype).eps),
        report=np.zeros((batch, 4)),
        settled=np.zeros(batch, np.bool_),
        places=np.zeros(batch, np.int64),
        iterates=aligned_zeros((slots, batch, n), dtype),
        residuals=aligned_zeros((slots, batch, n), dtype),
        jacobian=aligned_zeros((size, size), dtype),
        transposed=aligned_zeros((size, size), dtype),
        move=aligned_zeros((size,), dtype),
        pivots=pivot_workspace(size),
    )


def settle_rows(
    settler: Settler,
    network: Network,
    params: Params,
    stream: Stream,
    state: State,
    trajectory: Trajectory,
) -> None:
    """Let each row of a stream settle, as many as the trajectory has.

    Raises
    ------
    RnnsimError
        If the network has no steady states.
    NoSteadyState
        If one row does not settle.
    """
    if network.step is None:
        raise RnnsimError(f"a {network.kind} network has no steady states")
    rows, batch = trajectory.states.shape[:2]
    workspace = settling_workspace(settler, network, batch)
    settle = compiled(solver_kernel(network, settler.solver), network.kind)
    if settle(params, state, stream, 0, trajectory, 0, rows, workspace) != SETTLED:
        raise NoSteadyState(unsettled_message(workspace, settler.solver))


def unsettled_message(settling: SettlingWorkspace, solver: str, before: int = 0) -> str:
    """Say that there is no steady state: the residual, the steps and the remedy.

    ``before`` counts the input rows before those that the solver was given.
    """
    worst = np.argmax(np.nan_to_num(settling.report[:, 0], nan=np.inf))
    residual, steps, largest, row = settling.report[worst]
    others = " or ".join(f"solver={other}" for other in SOLVERS if other != solver)
    size = f", largest state {largest:.3g}" if largest > 100 else ""
    return (
        f"no steady state for input row {before + int(row)}: after {int(steps)} steps of {solver} the "
        f"residual is {residual:.3g} (tolerance {settling.tolerance:.3g}{size}); "
        f"try smaller weights, a smaller leak, or {others}"
    )


@cache
def settle_kernel(
    network_step: Kernel,
    swap_sequences: Kernel,
    prepare: Kernel,
    project: Kernel,
    readout: Kernel,
    advance: Kernel,
    cheap: bool,
    shares: bool,
) -> Kernel:
    """Make ``settle``: as a network's ``forward``, but each row settles, from the initial state.

    ``cheap`` says that ``advance`` takes less time than to judge a state, and may be called from
    several threads; ``shares``, that the network's kernels may be.
    """
    allocates = options_of(advance).allocates

    @kernel(allocates=allocates, inlined=False)
    def settle_part(
        params: Params,
        trajectory: Trajectory,
        t: int,
        workspace: SettlingWorkspace,
        begin: int,
        end: int,
    ) -> None:
        """Iterate until these sequences have settled; those that have are put last, out of the way."""
        workspace.report[begin:end] = 0
        moving = end
        for iteration in range(workspace.max_steps):
            network_step(params, trajectory, t, 0, begin, moving)
            last = iteration == workspace.max_steps - 1
            for b in range(moving - 1, begin - 1, -1):
                if last or not cheap or not is_far(trajectory, t, b, workspace.tolerance):
                    residual, size = residual_and_size(trajectory, t, b)
                    if (
                        residual <= workspace.tolerance
                        and workspace.resolution * size <= workspace.tolerance
                    ):
                        moving -= 1
                        workspace.places[moving] = b
                        swap_sequences(trajectory, t, b, moving)
                        swap_iterates(workspace, b, moving)
                        continue
                    workspace.report[b, 0], workspace.report[b, 1] = residual, iteration + 1
                    workspace.report[b, 2], workspace.report[b, 3] = size, t
                    if not np.isfinite(residual):
                        return
                if not advance(params, trajectory, t, b, iteration, workspace):
                    return
            if moving == begin:
                for other in range(begin, end):
                    swap_sequences(trajectory, t, workspace.places[other], other)
                workspace.settled[begin:end] = True
                return

    @kernel(allocates=allocates)
    def settle_row(params: Params, trajectory: Trajectory, t: int, workspace: SettlingWorkspace) -> bool:
        """Let each sequence settle; cores share them."""
        B, n = trajectory.states.shape[1:]
        workspace.settled[:] = False
        parts = parts_of(B, USUAL_STEPS * B * n * n) if cheap and shares else 1
        in_parts(settle_part, B, parts, params, trajectory, t, workspace)
        return bool(workspace.settled.all())

    @kernel(allocates=allocates)
    def settle(
        params: Params,
        state: State,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        first: int,
        count: int,
        workspace: SettlingWorkspace,
    ) -> int:
        copy(stream.inputs[row : row + count], trajectory.inputs[first : first + count])
        trajectory.resets[first : first + count] = False  # no row follows from another
        B = state.initial.shape[0]
        prepare(params, trajectory, count * B)
        for t in range(first, first + count):
            copy(state.initial, trajectory.entering[t])
            project(params, trajectory, t, 1, 0, B)
            if not settle_row(params, trajectory, t, workspace):
                return UNSETTLED
            readout(params, stream, row + t - first, trajectory, t, 1, 0, B)
        sum_rows(trajectory.losses[first : first + count], stream.losses[row : row + count])
        return SETTLED

    return settle


def solver_kernel(network: Network, solver: str) -> Kernel:
    """Make ``settle`` of a network with one of the solvers.

    Raises
    ------
    UnknownName
        If there is no solver of this name.
    """
    if solver not in SOLVERS:
        raise UnknownName(nearest("solver", solver, SOLVERS))
    advance = {"relaxation": relax, "anderson": mix}.get(solver) or newton_kernel(network.jacobian)
    cheap = solver == "relaxation"
    return settle_kernel(
        network.step,
        network.swap_sequences,
        network.prepare,
        network.project,
        network.readout,
        advance,
        cheap,
        network.shares,
    )


@kernel(allocates=False)
def is_far(trajectory: Trajectory, t: int, b: int, tolerance: float) -> bool:
    """Whether the root mean square of F(x) - x, and so its maximum, is surely above the tolerance.

    A sum takes a tenth of the time of a maximum that minds nans.
    """
    x, y = trajectory.entering[t, b], trajectory.states[t, b]
    total = x.dtype.type(0)
    for i in range(x.size):
        total += (y[i] - x[i]) * (y[i] - x[i])
    return bool(total > x.size * (2 * tolerance * trajectory.leak) ** 2)


@kernel(allocates=False)
def residual_and_size(trajectory: Trajectory, t: int, b: int) -> tuple[float, float]:
    """Give max |F(x) - x| / alpha and max |x| of sequence b; nan if any is."""
    residual, x, y = 0.0, trajectory.entering[t, b], trajectory.states[t, b]
    for i in range(x.size):
        residual = larger(residual, y[i] - x[i])
    return residual / trajectory.leak, largest(x)


# --- how to go on from x and F(x): each replaces x in trajectory.entering, or says that it cannot ------


@kernel(allocates=False)
def relax(
    params: Params, trajectory: Trajectory, t: int, b: int, iteration: int, workspace: SettlingWorkspace
) -> bool:
    """x <- F(x)."""
    copy(trajectory.states[t, b], trajectory.entering[t, b])
    return True


@kernel(allocates=False)
def swap_iterates(workspace: SettlingWorkspace, b: int, other: int) -> None:
    """Have what Anderson's method remembers of two sequences change places."""
    for i in range(workspace.iterates.shape[0]):
        swap(workspace.iterates[i, b], workspace.iterates[i, other])
        swap(workspace.residuals[i, b], workspace.residuals[i, other])


@kernel
def mix(
    params: Params, trajectory: Trajectory, t: int, b: int, iteration: int, workspace: SettlingWorkspace
) -> bool:
    """Anderson: x <- sum_i c_i F(x_i) over the last few, sum_i c_i = 1, of the least residual."""
    slots, n = workspace.iterates.shape[0], workspace.iterates.shape[2]
    newest = iteration % slots
    x, r = workspace.iterates[:, b], workspace.residuals[:, b]
    for i in range(n):
        x[newest, i] = trajectory.entering[t, b, i]
        r[newest, i] = trajectory.states[t, b, i] - trajectory.entering[t, b, i]
        trajectory.entering[t, b, i] = trajectory.states[t, b, i]
    others = min(iteration, slots - 1)
    if others == 0:
        return True
    differences = np.empty((n, others), x.dtype)
    for j in range(others):
        older = (newest - 1 - j) % slots
        for i in range(n):
            differences[i, j] = r[older, i] - r[newest, i]
    c = np.linalg.lstsq(differences, -np.ascontiguousarray(r[newest]))[0]
    for j in range(others):
        older = (newest - 1 - j) % slots
        for i in range(n):
            trajectory.entering[t, b, i] += c[j] * (
                x[older, i] + r[older, i] - x[newest, i] - r[newest, i]
            )
    return True


@cache
def newton_kernel(jacobian: Kernel) -> Kernel:
    """Make Newton's step: x <- x + (I - J)^-1 (F(x) - x)."""

    @kernel(allocates=False)
    def newton(
        params: Params,
        trajectory: Trajectory,
        t: int,
        b: int,
        iteration: int,
        workspace: SettlingWorkspace,
    ) -> bool:
        jacobian(params, trajectory, t, b, workspace.jacobian)
        identity_minus(workspace.jacobian)
        transpose(workspace.jacobian, workspace.transposed)
        for i in range(workspace.move.size):
            workspace.move[i] = trajectory.states[t, b, i] - trajectory.entering[t, b, i]
        if not solve_transposed(workspace.transposed, workspace.move, workspace.pivots):
            return False
        for i in range(workspace.move.size):
            trajectory.entering[t, b, i] += workspace.move[i]
        return True

    return newton


@kernel(allocates=False)
def identity_minus(J: Array) -> None:
    """``I - J`` in place of J."""
    for i in range(J.shape[0]):
        for j in range(J.shape[0]):
            J[i, j] = -J[i, j]
        J[i, i] += 1
