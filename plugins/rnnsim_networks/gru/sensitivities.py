"""The sensitivities p = dx/dparams of the GRU as dense arrays, in the order of the flat parameters.

Each parameter acts on one unit within a step, its owner, so that theory.md 1.4, eq. (12) is

    p_l(t) = (J(t) p(t-1))_l + delta_li dx_i(t)/dw for the owner i of w

:mod:`rnnsim.networks.dense` carries p on. V and c have no column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.networks import dense
from rnnsim.numerics.linalg import add_to, add_xt_times_y, copy
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array, Bools, Integers
from rnnsim_networks.gru.derivatives import at_recurrent, immediate_entries, jacobian
from rnnsim_networks.gru.forward import GRUTrajectory, Stacked


class Moves(NamedTuple):
    """The factors of eqs. (12) and (13) for S successive steps.

    Attributes
    ----------
    matrix : (S, B, n + 1, n) array
        J, with e^T J as its last row.
    entries : (S, B, P) array
        dx_i(t)/dw of each parameter w and its owner i.
    error : (S, B, n) array
        e = dE(t)/dx(t).
    resets : (S, B) bool array
    owner : (P,) int array
        i of each parameter.
    same_until : (P,) int array
        Up to which column all parameters have the same owner.
    """

    matrix: Array
    entries: Array
    error: Array
    resets: Bools
    owner: Integers
    same_until: Integers


def owners(n: int, m: int) -> Integers:
    """The unit on which each parameter but V and c acts first."""
    units = np.arange(n)
    return np.concatenate([np.tile(np.repeat(units, size), 3) for size in (n, m, 1)] + [units])


def sensitivities(n: int, m: int, batch: int, window: int, dtype: np.dtype[Any]) -> dense.Sensitivities:
    """Allocate p = 0, and the workspace for a few steps of a window."""
    owner, steps = owners(n, m), dense.steps_together(n, window, dtype)
    ends = np.append(np.flatnonzero(np.diff(owner)) + 1, owner.size)
    moves = Moves(
        matrix=aligned_zeros((steps, batch, n + 1, n), dtype),
        entries=aligned_zeros((steps, batch, owner.size), dtype),
        error=aligned_zeros((steps, batch, n), dtype),
        resets=np.zeros((steps, batch), np.bool_),
        owner=owner,
        same_until=ends[np.searchsorted(ends, np.arange(owner.size), side="right")],
    )
    return dense.sensitivities(owner.size, moves)


@kernel(allocates=False)
def prepare(params: Stacked, trajectory: GRUTrajectory, t: int, b: int, moves: Moves, s: int) -> None:
    """Write the entries of a step."""
    immediate_entries(params, trajectory, t, b, moves.entries[s, b])


@kernel(allocates=False)
def add_immediate(moves: Moves, s: int, b: int, p: Array, begin: int) -> None:
    """Add each entry to p at its owner, and e_i times it to the last row, for a block's columns."""
    entries, error = moves.entries[s, b], moves.error[s, b]
    last, end, column = p[error.size], min(begin + p.shape[1], entries.size), begin
    while column < end:
        i, until = moves.owner[column], min(end, moves.same_until[column])
        row, e = p[i], error[i]
        for c in range(column, until):
            row[c - begin] += entries[c]
            last[c - begin] += e * entries[c]
        column = until


@kernel
def collect_rows(params: Stacked, trajectory: GRUTrajectory, first: int, delta: Array, p: Array) -> None:
    """``collect`` for each adjoint row and sequence: the local part of theory.md 1.5, eq. (14)."""
    count, B, R, K = delta.shape
    n, m = K // 3, trajectory.inputs.shape[2]
    end_W, end_U = K * n, K * (n + m)
    x, u = np.empty((count, n), p.dtype), np.empty((count, m), p.dtype)
    s, recurrent = np.empty((count, K), p.dtype), np.empty((count, K), p.dtype)
    for b in range(B):
        for t in range(count):
            copy(trajectory.entering[first + t, b], x[t])
            copy(trajectory.inputs[first + t, b], u[t])
        for r in range(R):
            own = p[b, r]
            for t in range(count):
                copy(delta[t, b, r], s[t])
                at_recurrent(s[t], trajectory.gates[first + t, b], recurrent[t])
                add_to(own[end_U : end_U + K], s[t])
                add_to(own[end_U + K :], recurrent[t, 2 * n :])
            add_xt_times_y(recurrent, x, as_matrix(own[:end_W], K, n), False)
            add_xt_times_y(s, u, as_matrix(own[end_W:end_U], K, m), False)


@kernel(allocates=False)
def unpack(total: Array, grad: Stacked) -> None:
    """Add a gradient in the order of the columns of p to the gradient."""
    flat, K = as_vector(total), grad.b.size
    end_W, end_U = grad.W.size, grad.W.size + grad.U.size
    add_to(as_vector(grad.W), flat[:end_W])
    add_to(as_vector(grad.U), flat[end_W:end_U])
    add_to(grad.b, flat[end_U : end_U + K])
    add_to(grad.b_n, flat[end_U + K : end_U + K + grad.b_n.size])


propagate = dense.propagate_kernel(jacobian, prepare, add_immediate, unpack)
contract = dense.contract_kernel(unpack)
