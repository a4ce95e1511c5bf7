"""Steady states from many starts, stable or not: x = F(x) with the input held fixed (theory.md 1.1).

F is one step of a network, of which ``forward`` and ``jacobian`` are all that is needed. From each
start, the method of Levenberg and Marquardt minimises ``q = |r|^2 / 2`` with ``r = (F(x) - x) / alpha``,
a minimum of which is a steady state if q is zero there, and a slow point otherwise [SB13]. With
``A = (I - J) / alpha`` and ``J = dF/dx``, a step is the solution of

    (A^T A + mu I) dx = A^T r,      mu = damping |r|,

and is taken if q falls by some part of what the linear model promises; the damping follows the ratio of
the two. As mu vanishes with r, convergence is quadratic, also to states that are not isolated (J. Fan,
Y. Yuan, Computing 74:23-39, 2005). It moves to a state that is near, where steps of Newton's method may
lead anywhere.

[SB13] D. Sussillo, O. Barak, Neural Computation 25(3):626-649, 2013.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel, options_of
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.blas import gemm, pivot_workspace, solve_transposed
from rnnsim.numerics.fixed_points import identity_minus
from rnnsim.numerics.linalg import Wt_times_x, copy, dot, largest
from rnnsim.typing import Array, Bools, Integers, Kernel, Params, State, Trajectory

FIRST, LEAST = 1e-2, 1e-8  # the damping at the beginning, and the least
TAKEN = 1e-4  # part of the promised decrease of q with which a step is taken
POOR, GOOD = 0.25, 0.75  # parts of it between which the damping stays as it is
FACTOR = 4.0  # by which it changes otherwise
CHUNK = 64  # starts of a call of a kernel, between which Ctrl-C is heard
ROUNDING = 4.0  # steps of so many units in the last place lead nowhere


class Search(NamedTuple):
    """What a search needs besides the network's own arrays: its limits and its workspace.

    Attributes
    ----------
    tolerance : float
        The largest residual max |r|, relative to max(1, max |x|).
    max_steps : int
        Evaluations of F from one start.
    resolution : float
        The relative rounding error of the dtype.
    leak : float
        alpha, or 1 if the network has none.
    x, r : (n,) arrays
        The last state that was taken, and (F(x) - x) / alpha there.
    A, normal, damped : (n, n) arrays
        A, A^T A, and A^T A + mu I.
    gradient, move : (n,) arrays
        A^T r, and dx.
    pivots : (n,) int array
    """

    tolerance: float
    max_steps: int
    resolution: float
    leak: float
    x: Array
    r: Array
    A: Array
    normal: Array
    damped: Array
    gradient: Array
    move: Array
    pivots: Integers


class Reached(NamedTuple):
    """Where a search led to from each of S starts.

    Attributes
    ----------
    states : (S, n) array
        The last states.
    residuals : (S,) array
        max |F(x) - x| / alpha there.
    steady : (S,) bool array
        Whether they are within the tolerance.
    """

    states: Array
    residuals: Array
    steady: Bools


class OneStep(NamedTuple):
    """The arrays of a network for one step of one sequence, the input being written already."""

    params: Params
    state: State
    stream: Stream
    trajectory: Trajectory


class Multistart:
    """The search for steady states of a network with a fixed input, and the linear dynamics there.

    Parameters
    ----------
    network : Network
        One with the kernel ``jacobian``.
    params : NamedTuple of arrays
        As kernels take them.
    inputs : (m,) array
    tolerance : float
        The largest residual, relative to max(1, max |x|).
    max_steps : int
        Evaluations of F from one start.
    """

    def __init__(
        self, network: Network, params: Params, inputs: Array, tolerance: float, max_steps: int
    ) -> None:
        n, dtype = network.n_state, network.dtype
        stream = empty_stream(1, 1, inputs.size, network.n_out, dtype)
        stream.inputs[0, 0], stream.mask[:] = inputs, 0
        trajectory = network.trajectory(1, 1)
        self.network = network
        self.arrays = OneStep(params, network.state(1), stream, trajectory)
        self.search = Search(
            tolerance=tolerance,
            max_steps=max_steps,
            resolution=float(np.finfo(dtype).eps),
            leak=float(getattr(trajectory, "leak", 1)),
            **{name: aligned_zeros((n,), dtype) for name in ("x", "r", "gradient", "move")},
            **{name: aligned_zeros((n, n), dtype) for name in ("A", "normal", "damped")},
            pivots=pivot_workspace(n),
        )

    def reached_from(self, starts: Array) -> Reached:
        """Search from each of the starts (S, n); each by itself, so that their order does not matter."""
        found = Reached(np.empty_like(starts), np.empty(len(starts)), np.empty(len(starts), np.bool_))
        search = self._compiled(search_kernel)
        for first in range(0, len(starts), CHUNK):
            part = slice(first, first + CHUNK)
            search(self.arrays, self.search, starts[part], Reached(*(array[part] for array in found)))
        return found

    def linear_dynamics(self, states: Array) -> tuple[Array, Array]:
        """Give r (K, n) and J = dF/dx (K, n, n) at each of the states (K, n)."""
        n, dtype = self.network.n_state, self.network.dtype
        r, J = np.empty((len(states), n), dtype), np.empty((len(states), n, n), dtype)
        self._compiled(linear_kernel)(self.arrays, self.search, states, r, J)
        return r, J

    def is_near(self, states: Array, r: Array, J: Array, distance: float) -> Bools:
        """Whether the linear dynamics at each of the states have their steady state near it.

        A residual may also be small where F hardly moves the state, as where the gates of a GRU are
        closed, with no steady state far and wide: A is then as small as r. The next step of Newton's
        method tells: it is at most ``distance max(1, |x|)``. What of r is rounding error is left out of
        it, since the inverse of A multiplies that by any number where steady states are not isolated.
        """
        A = (np.eye(self.network.n_state) - J.astype(np.float64)) / self.search.leak
        scale = np.maximum(1, np.linalg.norm(states, axis=1))
        bounds = ROUNDING * self.search.resolution / self.search.leak * scale[:, None]
        left, sizes, _ = np.linalg.svd(A)
        parts = np.einsum("kij,ki->kj", left, r)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(np.abs(parts) > bounds, np.abs(parts) / sizes, 0)
        return np.asarray(np.linalg.norm(steps, axis=1) <= distance * scale)

    def _compiled(self, make: Any) -> Kernel:
        network = self.network
        return compiled(make(step_kernel(network.forward), network.jacobian), network.kind)


@cache
def step_kernel(forward: Kernel) -> Kernel:
    """Make ``step(arrays, search) -> |r|^2``: one step from ``search.x + search.move``.

    Where it leads to, and x + dx itself, are in row 0 of the trajectory.
    """

    @kernel(allocates=options_of(forward).allocates)
    def step(arrays: OneStep, search: Search) -> float:
        params, state, stream, trajectory = arrays
        x = state[0][0]
        for i in range(x.size):
            x[i] = search.x[i] + search.move[i]
        forward(params, state, stream, 0, trajectory, 0, 1)
        return squared_residual(trajectory, search.leak)

    return step


@kernel(allocates=False)
def squared_residual(trajectory: Trajectory, leak: float) -> float:
    """|r|^2 of the step in row 0."""
    x, y, total = trajectory.entering[0, 0], trajectory.states[0, 0], 0.0
    for i in range(x.size):
        total += ((y[i] - x[i]) / leak) ** 2
    return total


@cache
def search_kernel(step: Kernel, jacobian: Kernel) -> Kernel:
    """Make ``search(arrays, search, starts, found)``."""
    allocates = options_of(step).allocates or options_of(jacobian).allocates

    @kernel(allocates=allocates)
    def search_from_each(arrays: OneStep, search: Search, starts: Array, found: Reached) -> None:
        for s in range(starts.shape[0]):
            copy(starts[s], search.x)
            found.steady[s] = descend(arrays, search)
            copy(search.x, found.states[s])
            found.residuals[s] = largest(search.r)

    @kernel(allocates=allocates, inlined=False)
    def descend(arrays: OneStep, search: Search) -> bool:
        """Go from ``search.x`` to a minimum of q; whether a steady state is there."""
        search.move[:] = 0
        before, damping = step(arrays, search), FIRST
        take(arrays.trajectory, search)
        linearise(arrays, search)
        for _ in range(search.max_steps):
            if is_steady(search):
                return True
            mu = damping * np.sqrt(before)
            if not (solve_damped(search, mu) and moves(search)):
                return False
            promised = dot(search.move, search.gradient) + mu * dot(search.move, search.move)
            after = step(arrays, search)
            part = (before - after) / promised
            if not part > POOR:  # also where F is not finite
                damping *= FACTOR
            elif part > GOOD:
                damping = max(damping / FACTOR, LEAST)
            if part > TAKEN:
                before = after
                take(arrays.trajectory, search)
                linearise(arrays, search)
        return is_steady(search)

    @kernel(allocates=allocates)
    def linearise(arrays: OneStep, search: Search) -> None:
        """A, A^T A and A^T r at the state that the last step began at."""
        jacobian(arrays.params, arrays.trajectory, 0, 0, search.A)
        identity_minus(search.A)
        for i in range(search.x.size):
            for j in range(search.x.size):
                search.A[i, j] /= search.leak
        gemm(search.A.T, search.A, search.normal)
        Wt_times_x(search.A, search.r, search.gradient)

    return search_from_each


@kernel(allocates=False)
def take(trajectory: Trajectory, search: Search) -> None:
    """Take the state that the last step began at, with its residual."""
    copy(trajectory.entering[0, 0], search.x)
    for i in range(search.x.size):
        search.r[i] = (trajectory.states[0, 0, i] - search.x[i]) / search.leak


@kernel(allocates=False)
def is_steady(search: Search) -> bool:
    """Whether the residual is within the tolerance; not if it is not finite."""
    return bool(largest(search.r) <= search.tolerance * max(1.0, largest(search.x)))


@kernel(allocates=False)
def moves(search: Search) -> bool:
    """Whether the move is more than a rounding error."""
    least = ROUNDING * search.resolution * max(1.0, largest(search.x))
    return bool(largest(search.move) > least)


@kernel(allocates=False)
def solve_damped(search: Search, mu: float) -> bool:
    """The move: (A^T A + mu I) dx = A^T r; mu is at least a rounding error of A^T A."""
    most = 0.0
    for i in range(search.x.size):
        most = max(most, search.normal[i, i])
    copy(search.normal, search.damped)
    for i in range(search.x.size):
        search.damped[i, i] += max(mu, search.resolution * most)
    copy(search.gradient, search.move)
    return solve_transposed(search.damped, search.move, search.pivots)


@cache
def linear_kernel(step: Kernel, jacobian: Kernel) -> Kernel:
    """Make ``linear_dynamics(arrays, search, states, r, J)``."""

    @kernel(allocates=options_of(step).allocates or options_of(jacobian).allocates)
    def linear_dynamics(arrays: OneStep, search: Search, states: Array, r: Array, J: Array) -> None:
        search.move[:] = 0
        for k in range(states.shape[0]):
            copy(states[k], search.x)
            step(arrays, search)
            take(arrays.trajectory, search)
            copy(search.r, r[k])
            jacobian(arrays.params, arrays.trajectory, 0, 0, J[k])

    return linear_dynamics


def merged(states: Array, residuals: Array, distance: float) -> tuple[Integers, Integers]:
    """Take states that are within a distance for one, the one with the least residual.

    The order of the states makes no difference. A state is counted for the first of those that stand
    for it, in the order of their residuals.

    Parameters
    ----------
    states : (S, n) array
    residuals : (S,) array
    distance : float
        Euclidean.

    Returns
    -------
    chosen : (K,) int array
        The states that stand for others: no two of them are within the distance.
    counts : (K,) int array
        How many states each stands for, with itself: all within the distance of it.
    """
    chosen, counts = [], []
    left = np.lexsort((*states.T[::-1], residuals))
    while left.size:
        near = np.linalg.norm(states[left] - states[left[0]], axis=1) <= distance
        chosen.append(left[0])
        counts.append(np.count_nonzero(near))
        left = left[~near]
    return np.array(chosen, np.int64), np.array(counts, np.int64)
