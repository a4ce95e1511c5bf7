"""The readout of a recurrent network (theory.md 1, eqs. 3 and 4), and dE/dx(t).

``read`` computes outputs from states, and ``read_vjp`` dE/dx(t) from dE/dy(t), for a linear readout or
for chosen units. Both work on rows: the sequences begin, ..., end - 1 of one step, or all sequences of
``count`` steps.
"""

from __future__ import annotations

from functools import cache

from rnnsim.compiler import VECTOR
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.numerics.linalg import add_rows, add_to, add_xt_times_y, transpose, x_times_Wt
from rnnsim.numerics.tiles import multiply, multiply_onto
from rnnsim.numerics.views import as_matrix, rows_of
from rnnsim.typing import Array, Kernel, Params, Trajectory


@cache
def readout_kernel(read: Kernel, read_vjp: Kernel, step_loss: Kernel) -> Kernel:
    """Make the readout: eqs. (3) and (4), and dE/dx(t)."""

    @kernel(allocates=False)
    def readout(
        params: Params,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        t: int,
        count: int,
        begin: int,
        end: int,
    ) -> None:
        states = rows_of(trajectory.states, t, count, begin, end)
        read(params, trajectory, states, rows_of(stream.outputs, row, count, begin, end))
        for i in range(count):
            step_loss(
                stream, row + i, begin, end, trajectory.losses[t + i], trajectory.output_error[t + i]
            )
        output_error = rows_of(trajectory.output_error, t, count, begin, end)
        read_vjp(params, trajectory, output_error, rows_of(trajectory.error, t, count, begin, end))

    return readout


# --- y(t) = V x(t) + c ---


@kernel(allocates=False)
def transpose_linear(params: Params, trajectory: Trajectory) -> None:
    """Write V^T, for ``read_linear``."""
    transpose(params.V, trajectory.V_transposed)


@kernel(allocates=False)
def read_linear(params: Params, trajectory: Trajectory, states: Array, outputs: Array) -> None:
    """y(t) = V x(t) + c."""
    k = params.c.size
    # A tile is at least a vector wide.
    if trajectory.has_transposed[0] and k >= VECTOR // states.itemsize:
        c = as_matrix(params.c, 1, k)
        multiply_onto(states, trajectory.V_transposed, c, outputs)
    else:
        x_times_Wt(states, params.V, outputs)
        for r in range(outputs.shape[0]):
            add_to(outputs[r], params.c)


@kernel(allocates=False)
def read_linear_vjp(params: Params, trajectory: Trajectory, output_error: Array, error: Array) -> None:
    """dE/dx(t) = V^T dE/dy(t)."""
    multiply(output_error, params.V, error)


@kernel(allocates=False)
def random_feedback(params: Params, trajectory: Trajectory, output_error: Array, error: Array) -> None:
    """G dE/dy(t) in place of V^T dE/dy(t), G fixed and random [Murray 2019] (theory.md 5)."""
    k, n = params.V.shape
    multiply(output_error, as_matrix(trajectory.feedback, k, n), error)


@kernel(allocates=False)
def readout_grad_linear(
    params: Params, trajectory: Trajectory, first: int, count: int, grad: Params
) -> None:
    """dE/dV = sum_t dE/dy(t) x(t)^T, dE/dc = sum_t dE/dy(t)."""
    B, n = trajectory.states.shape[1:]
    k = trajectory.output_error.shape[2]
    error = as_matrix(trajectory.output_error[first : first + count], count * B, k)
    states = as_matrix(trajectory.states[first : first + count], count * B, n)
    add_xt_times_y(error, states, grad.V, trajectory.single_threaded[0])
    add_rows(error, grad.c)


# --- y(t) = x_O(t) ---


@kernel(allocates=False)
def transpose_units(params: Params, trajectory: Trajectory) -> None:
    """Chosen units have no weights to transpose."""


@kernel(allocates=False)
def read_units(params: Params, trajectory: Trajectory, states: Array, outputs: Array) -> None:
    """y(t) = x_O(t)."""
    for r in range(outputs.shape[0]):
        for o in range(trajectory.units.size):
            outputs[r, o] = states[r, trajectory.units[o]]


@kernel(allocates=False)
def read_units_vjp(params: Params, trajectory: Trajectory, output_error: Array, error: Array) -> None:
    """dE/dx_O(t) = dE/dy(t)."""
    error[:] = 0
    for r in range(error.shape[0]):
        for o in range(trajectory.units.size):
            error[r, trajectory.units[o]] += output_error[r, o]


@kernel(allocates=False)
def readout_grad_units(
    params: Params, trajectory: Trajectory, first: int, count: int, grad: Params
) -> None:
    """Chosen units have no parameters."""
