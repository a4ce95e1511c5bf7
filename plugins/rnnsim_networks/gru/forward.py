"""A step of the GRU (theory.md 6, eq. 32), with what its derivatives need.

    r = sig(a_r),  z = sig(a_z),  c = tanh(a_c),  x(t) = (1 - z) * c + z * x(t-1)
    a_r = W_r x(t-1) + U_r u + b_r,   a_z = W_z x(t-1) + U_z u + b_z,   a_c = U_c u + b_c + r * h,
    h = W_c x(t-1) + b_n

The drive is the net inputs (a_r, a_z, a_c), K = 3n: within a step every parameter acts through one of
them, W_c and b_n by way of r. Matrices are stacked in this order, so that a step has one product with W
and one with U.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from rnnsim.kernels import kernel
from rnnsim.numerics.linalg import (
    move_rows,
    rows_times_W,
    x_times_Wt,
)
from rnnsim.numerics.tiles import multiply_panels
from rnnsim.typing import Array, Bools, Kernel


class Stacked(NamedTuple):
    """The parameters as kernels take them: views of those of eq. (32), one upon another.

    Attributes
    ----------
    W : (3n, n) array
        W_r, W_z, W_c.
    U : (3n, m) array
        U_r, U_z, U_c.
    b : (3n,) array
        b_r, b_z, b_c.
    b_n : (n,) array
    V : (k, n) array
    c : (k,) array
        Of the readout.
    """

    W: Array
    U: Array
    b: Array
    b_n: Array
    V: Array
    c: Array


class GRUTrajectory(NamedTuple):
    """The last steps, one in each of T rows, and workspace.

    Attributes
    ----------
    inputs : (T, B, m) array
        u(t).
    resets : (T, B) bool array
    entering : (T, B, n) array
        x(t-1), or the initial state where there is a reset.
    drive : (S, B, 3n) array
        U u(t) + b of the S steps that were projected last.
    recurrent : (B, 3n) array
        W x(t-1) of the last step.
    gates : (T, B, 2n) array
        r and z.
    slopes : (T, B, 3n) array
        dx(t)/da_r, dx(t)/da_z and dx(t)/da_c of each unit.
    states : (T, B, n) array
        x(t).
    losses : (T, B) array
        mask * loss.
    output_error : (T, B, k) array
        dE/dy(t), divided by B.
    error : (T, B, n) array
        dE/dx(t), the direct part.
    W_transposed, U_transposed, V_transposed : (n, 3n), (m, 3n) and (n, k) arrays
        W^T, U^T and V^T; (0, 0) where T B is too small for them to be useful.
    W_panels : (3n, n) array
        W in panels (:mod:`rnnsim.numerics.tiles`), W_transposed being in panels too; (0, 0) where B or
        W is small.
    has_transposed : (1,) bool array
        Whether the last ``prepare`` wrote W_transposed and the others.
    rows : (B, S', 3n) array
        Workspace for S' rows of each sequence at a time: what enters or leaves a product with W.
    single_threaded : (1,) bool array
        Whether kernels start no threads, since other threads run other sequences.
    feedback : (k n,) array
        The transpose of G, where errors are fed back by a random matrix; empty otherwise.
    """

    inputs: Array
    resets: Bools
    entering: Array
    drive: Array
    recurrent: Array
    gates: Array
    slopes: Array
    states: Array
    losses: Array
    output_error: Array
    error: Array
    W_transposed: Array
    U_transposed: Array
    V_transposed: Array
    W_panels: Array
    has_transposed: Bools
    rows: Array
    single_threaded: Bools
    feedback: Array


@kernel(allocates=False)
def times_Wt(params: Stacked, trajectory: GRUTrajectory, x: Array, out: Array) -> None:
    """``out = x W^T`` for rows x (R, n), out (R, 3n)."""
    if trajectory.has_transposed[0] and trajectory.W_panels.size > 0:
        multiply_panels(x, trajectory.W_transposed, out[:0], out)
    elif trajectory.has_transposed[0]:
        rows_times_W(x, trajectory.W_transposed, out, 0, x.shape[0])
    else:
        x_times_Wt(x, params.W, out)


@cache
def step_kernel(logistic: Kernel, tanh: Kernel) -> Kernel:
    """Make the step of the sequences begin, ..., end - 1 from the two activations: eq. (32)."""

    @kernel(allocates=False)
    def step(
        params: Stacked, trajectory: GRUTrajectory, t: int, index: int, begin: int, end: int
    ) -> None:
        n = params.b_n.size
        times_Wt(params, trajectory, trajectory.entering[t, begin:end], trajectory.recurrent[begin:end])
        for b in range(begin, end):
            from_inputs, recurrent = trajectory.drive[index, b], trajectory.recurrent[b]
            gates, slopes, x = trajectory.gates[t, b], trajectory.slopes[t, b], trajectory.states[t, b]
            h, of_c = recurrent[2 * n :], slopes[2 * n :]
            # an activation overwrites the net input with the slope
            for i in range(2 * n):
                slopes[i] = from_inputs[i] + recurrent[i]
            logistic(slopes[: 2 * n], gates)
            for i in range(n):
                h[i] += params.b_n[i]
                of_c[i] = from_inputs[2 * n + i] + gates[i] * h[i]
            tanh(of_c, x)
            slopes_of_c_and_r(h, gates[n:], of_c, slopes[:n])
            mix(trajectory.entering[t, b], gates[n:], slopes[n : 2 * n], x)

    return step


# short loops over few arrays, which the compiler vectorises


@kernel(allocates=False)
def slopes_of_c_and_r(h: Array, z: Array, of_c: Array, of_r: Array) -> None:
    """dx/da_c = (1 - z) tanh'(a_c) from tanh', and dx/da_r = dx/da_c h sig'(a_r) from sig'."""
    one = h.dtype.type(1)  # an integer would make single precision double
    for i in range(h.size):
        of_c[i] *= one - z[i]
        of_r[i] *= of_c[i] * h[i]


@kernel(allocates=False)
def mix(before: Array, z: Array, of_z: Array, x: Array) -> None:
    """x = (1 - z) c + z x(t-1) from c, and dx/da_z = (x(t-1) - c) sig'(a_z) from sig'."""
    one = x.dtype.type(1)
    for i in range(x.size):
        of_z[i] *= before[i] - x[i]
        x[i] = (one - z[i]) * x[i] + z[i] * before[i]


@kernel(allocates=False)
def keep_history(trajectory: GRUTrajectory, first: int, count: int) -> None:
    """Move the rows that a rule reads as history to the front."""
    move_rows(trajectory.inputs, first, count)
    move_rows(trajectory.resets, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.gates, first, count)
    move_rows(trajectory.slopes, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.error, first, count)
