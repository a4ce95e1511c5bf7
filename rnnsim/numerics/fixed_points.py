"""Steady states: x = F(x) with the input held fixed (theory.md 1.1), F being one step of a network.

Relaxation iterates x <- F(x). Anderson's method mixes the last few iterates, and Newton's solves
(I - J) dx = F(x) - x with J = dF/dx: both find steady states to which relaxation converges slowly or,
where they are unstable, not at all. Every method stops by the same test, at the state that it returns:
the residual ``max |F(x) - x| / alpha``, relative to ``max |x|``, is at most the tolerance. (Of a state
that vanishes, it is relative to a small part of the state at the beginning.) Where the state has grown
so far that its rounding errors exceed the tolerance relative to x(0) and F(x(0)), a small residual means
nothing, and it has not settled.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.errors import NoSteadyState, RnnsimError
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
TYPICAL_STEPS = 100  # steps of relaxation, for estimating the work
VANISHED = 1e-6  # a state this small, relative to where it began, counts as this large


class SettlingWorkspace(NamedTuple):
    """The limits of a solver, its report and its workspace.

    Attributes
    ----------
    tolerance : float
        The largest residual, relative to the state.
    max_steps : int
    resolution : float
        The relative rounding error of the dtype.
    least : (B,) array
        The least size of a state that residuals are relative to.
    first : (B,) array
        The largest of x(0) and F(x(0)).
    report : (B, 5) array
        Relative residual, steps, largest state, row in the trajectory and number of each sequence.
    settled : (B,) bool array
    swapped_with : (B,) int array
        The sequence that each was swapped with when it had settled.
    iterates, residuals : (depth + 1, B, n) arrays
        The last x and their F(x) - x, for Anderson's method.
    jacobian : (n, n) array
        J, then I - J, for Newton's method.
    transposed : (n, n) array
        (I - J)^T.
    move : (n,) array
        dx.
    pivots : (n,) int array
    """

    tolerance: float
    max_steps: int
    resolution: float
    least: Array
    first: Array
    report: Array
    settled: Bools
    swapped_with: Integers
    iterates: Array
    residuals: Array
    jacobian: Array
    transposed: Array
    move: Array
    pivots: Integers


def settling_workspace(settler: Settler, network: Network, batch: int) -> SettlingWorkspace:
    """Allocate the workspace of a solver; the default tolerance depends on the network's dtype."""
    n, dtype = network.n_state, network.dtype
    slots = settler.depth + 1 if settler.solver == "anderson" else 0
    size = n if settler.solver == "newton" else 0
    return SettlingWorkspace(
        tolerance=TOLERANCE[dtype.name] if settler.tolerance is None else settler.tolerance,
        max_steps=settler.max_steps,
        resolution=float(np.finfo(dtype).eps),
        least=np.zeros(batch),
        first=np.zeros(batch),
        report=np.zeros((batch, 5)),
        settled=np.zeros(batch, np.bool_),
        swapped_with=np.zeros(batch, np.int64),
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
    """Let the first rows of a stream settle, as many as the trajectory has.

    Raises
    ------
    RnnsimError
        If the network has no steady states.
    NoSteadyState
        If a row does not settle.
    """
    if network.step is None:
        raise RnnsimError(f"a {network.kind} network has no steady states")
    rows, batch = trajectory.states.shape[:2]
    workspace = settling_workspace(settler, network, batch)
    settle = compiled(solver_kernel(network, settler.solver), network.kind)
    if settle(params, state, stream, 0, trajectory, 0, rows, workspace) != SETTLED:
        raise NoSteadyState(unsettled_message(workspace, settler.solver))


def unsettled_message(settling: SettlingWorkspace, solver: str, before: int = 0) -> str:
    """Explain that there is no steady state, with the residual, the steps and a remedy.

    ``before`` is the number of input rows before the first one that the solver was given.
    """
    worst = np.argmax(np.nan_to_num(settling.report[:, 0], nan=np.inf))
    residual, steps, largest, row, b = settling.report[worst]
    others = " or ".join(f"solver={other}" for other in SOLVERS if other != solver)
    size = f", largest state {largest:.3g}" if largest > 100 else ""
    return (
        f"no steady state for inputs[{before + int(row)}, {int(b)}]: after {int(steps)} steps of "
        f"{solver} the residual is {residual:.3g} times the state (tolerance "
        f"{settling.tolerance:.3g}{size}); "
        f"try smaller weights, a smaller leak, or {others}"
    )


def settle_part_kernel(
    network_step: Kernel, swap_sequences: Kernel, advance: Kernel, cheap: bool
) -> Kernel:
    """Make ``settle_part``, which lets some sequences settle at one row."""

    @kernel(allocates=options_of(advance).allocates, inlined=False)
    def settle_part(
        params: Params,
        trajectory: Trajectory,
        t: int,
        workspace: SettlingWorkspace,
        begin: int,
        end: int,
    ) -> None:
        """Iterate until each of these sequences has settled, or cannot.

        Those that need no more steps are swapped to the end, so that ``network_step`` leaves them out.
        """
        for b in range(begin, end):
            workspace.least[b] = VANISHED * largest(trajectory.entering[t, b])
            workspace.settled[b] = False
            workspace.report[b, 4] = b
        active, iteration = end, 0
        while active > begin:
            network_step(params, trajectory, t, 0, begin, active)
            iteration += 1
            last = iteration == workspace.max_steps
            if iteration == 1:
                for b in range(begin, end):
                    workspace.first[b] = residual_and_size(trajectory, t, b)[1]
            for b in range(active - 1, begin - 1, -1):
                far = cheap and not last and is_far(trajectory, t, b, workspace)
                over = not far and (is_over(trajectory, t, b, iteration, workspace) or last)
                if over or not advance(params, trajectory, t, b, iteration - 1, workspace):
                    active -= 1
                    workspace.swapped_with[active] = b
                    swap_all(trajectory, t, workspace, b, active)
        for other in range(begin, end):  # back into the original order
            swap_all(trajectory, t, workspace, workspace.swapped_with[other], other)

    @kernel(allocates=False)
    def swap_all(
        trajectory: Trajectory, t: int, workspace: SettlingWorkspace, b: int, other: int
    ) -> None:
        swap_sequences(trajectory, t, b, other)
        swap_progress(workspace, b, other)

    return settle_part


@kernel(allocates=False)
def is_over(
    trajectory: Trajectory, t: int, b: int, iteration: int, workspace: SettlingWorkspace
) -> bool:
    """Whether a sequence has settled, or is not finite; either is reported."""
    residual, size = residual_and_size(trajectory, t, b)
    scale, report = max(size, workspace.least[b]), workspace.report[b]
    is_finite = np.isfinite(residual)
    workspace.settled[b] = (
        is_finite
        and residual <= workspace.tolerance * scale
        and workspace.resolution * size <= workspace.tolerance * workspace.first[b]
    )
    report[0], report[1] = residual / scale if scale > 0 else residual, iteration
    report[2], report[3] = size, t
    return bool(workspace.settled[b] or not is_finite)


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
    """Make ``settle``: like a network's ``forward``, but each row settles, from the initial state.

    ``cheap`` means that ``advance`` is thread-safe and takes less time than an exact test of
    convergence; ``shares``, that the network's kernels are thread-safe.
    """
    allocates = options_of(advance).allocates
    settle_part = settle_part_kernel(network_step, swap_sequences, advance, cheap)

    @kernel(allocates=allocates)
    def settle_row(
        params: Params, stream: Stream, row: int, trajectory: Trajectory, t: int,
        workspace: SettlingWorkspace,
    ) -> bool:  # fmt: skip
        """Let each sequence settle; threads share them. Those without a target need not."""
        B, n = trajectory.states.shape[1:]
        parts = parts_of(B, TYPICAL_STEPS * B * n * n) if cheap and shares else 1
        in_parts(settle_part, B, parts, params, trajectory, t, workspace)
        for b in range(B):
            if not workspace.settled[b] and stream.mask[row, b] == 0:
                trajectory.entering[t, b] = 0  # what does not count has finite derivatives
                network_step(params, trajectory, t, 0, b, b + 1)
                workspace.settled[b] = True
                workspace.report[b] = 0
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
        trajectory.resets[first : first + count] = False  # rows are independent of one another
        B = state.initial.shape[0]
        prepare(params, trajectory, count * B)
        for i in range(count):
            t = first + i
            copy(state.initial, trajectory.entering[t])
            project(params, trajectory, t, 1, 0, B)
            if not settle_row(params, stream, row + i, trajectory, t, workspace):
                return UNSETTLED
            readout(params, stream, row + i, trajectory, t, 1, 0, B)
        sum_rows(trajectory.losses[first : first + count], stream.losses[row : row + count])
        return SETTLED

    return settle


def solver_kernel(network: Network, solver: str) -> Kernel:
    """Make ``settle`` for a network and a solver.

    Raises
    ------
    UnknownName
        If there is no solver of this name.
    """
    checks.known_name("solver", solver, SOLVERS)
    advance = {"relaxation": relax, "anderson": anderson}.get(solver) or newton_kernel(network.jacobian)
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


@kernel(allocates=False, reassociates=True)
def is_far(trajectory: Trajectory, t: int, b: int, workspace: SettlingWorkspace) -> bool:
    """Whether the residual is clearly above the tolerance.

    Root mean squares are compared, of which that of F(x) - x is a lower bound of its maximum; the size
    of a state is at most the root of its sum of squares. A sum takes a tenth of the time of a maximum
    that propagates nans.
    """
    x, y = trajectory.entering[t, b], trajectory.states[t, b]
    total, size = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        total += (y[i] - x[i]) * (y[i] - x[i])
        size += x[i] * x[i] + y[i] * y[i]
    bound = (2 * workspace.tolerance * trajectory.leak) ** 2
    return bool(total > x.size * bound * (size + workspace.least[b] ** 2))


@kernel(allocates=False)
def residual_and_size(trajectory: Trajectory, t: int, b: int) -> tuple[float, float]:
    """Give max |F(x) - x| / alpha and max |x|, |F(x)| of sequence b; nan if any entry is."""
    residual, x, y = 0.0, trajectory.entering[t, b], trajectory.states[t, b]
    for i in range(x.size):
        residual = larger(residual, y[i] - x[i])
    return residual / trajectory.leak, larger(largest(x), largest(y))


# --- updates of x, given x and F(x): each overwrites trajectory.entering, or returns False -------------


@kernel(allocates=False)
def relax(
    params: Params, trajectory: Trajectory, t: int, b: int, iteration: int, workspace: SettlingWorkspace
) -> bool:
    """x <- F(x)."""
    copy(trajectory.states[t, b], trajectory.entering[t, b])
    return True


@kernel(allocates=False)
def swap_progress(workspace: SettlingWorkspace, b: int, other: int) -> None:
    """Swap what is kept of two sequences while they settle."""
    settled, least, first = workspace.settled, workspace.least, workspace.first
    settled[b], settled[other] = settled[other], settled[b]
    least[b], least[other] = least[other], least[b]
    first[b], first[other] = first[other], first[b]
    swap(workspace.report[b], workspace.report[other])
    for i in range(workspace.iterates.shape[0]):
        swap(workspace.iterates[i, b], workspace.iterates[i, other])
        swap(workspace.residuals[i, b], workspace.residuals[i, other])


@kernel
def anderson(
    params: Params, trajectory: Trajectory, t: int, b: int, iteration: int, workspace: SettlingWorkspace
) -> bool:
    """x <- sum_i c_i F(x_i) over the last iterates, with sum_i c_i = 1, which minimises the residual."""
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
    """Make Newton's update: x <- x + (I - J)^-1 (F(x) - x)."""

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
    """``J = I - J``, in place."""
    for i in range(J.shape[0]):
        for j in range(J.shape[0]):
            J[i, j] = -J[i, j]
        J[i, i] += 1
