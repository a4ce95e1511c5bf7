"""The recurrent network's forward kernels (theory.md 1), as :mod:`rnnsim.network` describes them.

The drive is the net input a(t), so N = K = n. What does not depend on the equations of a step is in
:mod:`rnnsim.networks.stepping`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from rnnsim.kernels import kernel
from rnnsim.numerics.linalg import (
    add_to,
    move_rows,
    swap,
    x_times_Wt,
    y_plus_rows_times_W,
)
from rnnsim.numerics.tiles import multiply_panels
from rnnsim.numerics.views import as_vector
from rnnsim.typing import Array, Bools, Kernel, Params


class RecurrentTrajectory(NamedTuple):
    """The last steps, one in each of T rows, and the constants of the network.

    Attributes
    ----------
    inputs : (T, B, m) array
        u(t).
    resets : (T, B) bool array
    entering : (T, B, n) array
        x(t-1), or the initial state where there is a reset.
    drive : (S, B, n) array
        U u(t) + b of the S steps that were projected last.
    slopes : (T, B, n) array
        f'(a(t)).
    states : (T, B, n) array
        x(t).
    losses : (T, B) array
        mask * loss.
    output_error : (T, B, k) array
        dE/dy(t), divided by B.
    error : (T, B, n) array
        dE/dx(t), the direct part.
    W_transposed, U_transposed, V_transposed : (n, n), (m, n) and (n, k) arrays
        W^T, U^T and V^T; (0, 0) where T B is too small for them to be useful.
    W_panels : (n, n) array
        W in panels (:mod:`rnnsim.numerics.tiles`), W_transposed being in panels too; (0, 0) where B or
        W is small.
    has_transposed : (1,) bool array
        Whether the last ``prepare`` wrote W_transposed and the others.
    single_threaded : (1,) bool array
        Whether kernels start no threads, since other threads run other sequences.
    leak : float
        alpha.
    feedback : (k n,) array
        The transpose of G, where errors are fed back by a random matrix; empty otherwise.
    units : (k,) int array
        The units that are outputs, where the readout is not linear.
    connectivity : (n, n) bool array
        Which connections exist; (0, 0) where all do.
    """

    inputs: Array
    resets: Bools
    entering: Array
    drive: Array
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
    single_threaded: Bools
    leak: Any
    feedback: Array
    units: Array
    connectivity: Bools


@cache
def step_kernel(activate: Kernel) -> Kernel:
    """Make the step of the sequences begin, ..., end - 1: eqs. (1) and (2)."""

    @kernel(allocates=False)
    def step(
        params: Params, trajectory: RecurrentTrajectory, t: int, index: int, begin: int, end: int
    ) -> None:
        entering, states = trajectory.entering[t, begin:end], trajectory.states[t, begin:end]
        drive = trajectory.drive[index, begin:end]
        net = trajectory.slopes[t, begin:end]  # activate() overwrites the net input with the slope
        if trajectory.has_transposed[0] and trajectory.W_panels.size > 0:
            multiply_panels(entering, trajectory.W_transposed, drive, net)
        elif trajectory.has_transposed[0]:
            y_plus_rows_times_W(drive, entering, trajectory.W_transposed, net)
        else:
            x_times_Wt(entering, params.W, net)
            add_to(as_vector(net), as_vector(drive))
        activate(as_vector(net), as_vector(states))
        leak = trajectory.leak
        if leak != 1:
            B, n = net.shape
            for b in range(B):
                for i in range(n):
                    states[b, i] = (1 - leak) * entering[b, i] + leak * states[b, i]

    return step


@kernel(allocates=False)
def swap_sequences(trajectory: RecurrentTrajectory, t: int, b: int, other: int) -> None:
    """Swap two sequences in step t, whose drive is in row 0."""
    swap(trajectory.entering[t, b], trajectory.entering[t, other])
    swap(trajectory.drive[0, b], trajectory.drive[0, other])
    swap(trajectory.slopes[t, b], trajectory.slopes[t, other])
    swap(trajectory.states[t, b], trajectory.states[t, other])


@kernel(allocates=False)
def keep_history(trajectory: RecurrentTrajectory, first: int, count: int) -> None:
    """Move the rows that a rule reads as history to the front."""
    move_rows(trajectory.inputs, first, count)
    move_rows(trajectory.resets, first, count)
    move_rows(trajectory.entering, first, count)
    move_rows(trajectory.slopes, first, count)
    move_rows(trajectory.states, first, count)
    move_rows(trajectory.error, first, count)
