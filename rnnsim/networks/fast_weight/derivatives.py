"""The one-step derivatives of the fast-weight network (theory.md 2), as in :mod:`rnnsim.network`.

w_c(t) = sigma(w_c(t-1), Box w_c(t)): the Jacobian is diagonal, dsigma/dw, and delta is dsigma/dBox w
times the adjoint. With initial fast weights ``slow``, the state that enters the first step is itself
Box w of the row, so that its adjoint is a part of delta.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.networks.fast_weight.forward import FastTrajectory, SlowWeights, find_fast_delta
from rnnsim.networks.fast_weight.layered import add_input_errors, collect_products, feed_back
from rnnsim.numerics.views import as_matrix
from rnnsim.typing import Array


@kernel(allocates=False)
def vjp(
    params: SlowWeights,
    trajectory: FastTrajectory,
    t: int,
    begin: int,
    end: int,
    own_error: bool,
    after: Array,
    delta: Array,
    before: Array,
) -> None:
    """From dE/dw(t) to dE/dBox w(t) and dE/dw(t-1), to which the step's own error is added."""
    _, R, N = after.shape
    for b in range(begin, end):
        by_state, by_drive = trajectory.by_state[t, b], trajectory.by_drive[t, b]
        for r in range(R):
            for c in range(N):
                delta[b, r, c] = by_drive[c] * after[b, r, c]
                before[b, r, c] = by_state[c] * after[b, r, c]
            if own_error:
                for c in range(N):
                    before[b, r, c] += trajectory.error[t, b, c]
            if trajectory.starts[t, b]:
                for c in range(N):
                    if trajectory.slow_start:
                        delta[b, r, c] += before[b, r, c]
                    before[b, r, c] = 0


@kernel
def collect(
    params: SlowWeights, trajectory: FastTrajectory, first: int, delta: Array, grad: SlowWeights
) -> None:
    """From dE/dBox w to dE/ds, eqs. (19) and (20), and by back-propagation in S to dE/dW_S."""
    count, B, _, _ = delta.shape
    A, outputs = trajectory.slow.shape[2], trajectory.slow_layers.units[-2]
    error = np.zeros((count * B, A - outputs), delta.dtype)
    for t in range(count):
        for b in range(B):
            output_errors(trajectory, first + t, b, delta[t, b, 0], error[t * B + b])
    collect_products(
        params.flat,
        trajectory.slow_layers,
        as_matrix(trajectory.slow[first : first + count], count * B, A),
        as_matrix(trajectory.slow_slopes[first : first + count], count * B, A),
        error,
        grad.flat,
    )


@kernel(allocates=False)
def output_errors(trajectory: FastTrajectory, t: int, b: int, delta: Array, error: Array) -> None:
    """Add dE/dBox w dBox w/ds to the errors of the outputs of S."""
    for i in range(trajectory.origin.shape[0]):
        by_origin = trajectory.by_origin[t, b, i]
        for c in range(delta.size):
            error[trajectory.origin[i, c]] += by_origin[c] * delta[c]


@kernel
def collect_inputs(
    params: SlowWeights, trajectory: FastTrajectory, first: int, own: int, delta: Array, out: Array
) -> None:
    """The inputs of S, then those of F, each by back-propagation in its net.

    Those of S act through Box w, as in ``collect``. Those of F act on y(t) alone, eq. (16): w(t) does
    not depend on them.
    """
    count, B, _, _ = delta.shape
    slow, fast, m = trajectory.slow_layers, trajectory.fast_layers, trajectory.slow_layers.units[1]
    error, outputs = np.empty(trajectory.slow.shape[2], delta.dtype), slow.units[-2]
    for i in range(count):
        for b in range(B):
            t, du = first + i, out[i, b]
            error[:] = 0
            output_errors(trajectory, t, b, delta[i, b, 0], error[outputs:])
            feed_back(params.flat, slow, trajectory.slow_slopes[t, b], error)
            add_input_errors(params.flat, slow, error, du[:m])
            if count - i <= own:
                find_fast_delta(trajectory, t, b)
                add_input_errors(trajectory.entering[t, b], fast, trajectory.delta, du[m:])


@kernel(allocates=False)
def jvp(params: SlowWeights, trajectory: FastTrajectory, t: int, v: Array, out: Array) -> None:
    """out = J v for tangents v, out (R, B, N)."""
    R, B, N = v.shape
    for r in range(R):
        for b in range(B):
            for c in range(N):
                crosses = 0 if trajectory.starts[t, b] else trajectory.by_state[t, b, c]
                out[r, b, c] = crosses * v[r, b, c]


@kernel(allocates=False)
def jacobian(params: SlowWeights, trajectory: FastTrajectory, t: int, b: int, J: Array) -> None:
    """J = dw(t)/dw(t-1), diagonal, or 0 across a reset."""
    for c in range(J.shape[0]):
        for d in range(J.shape[0]):
            J[c, d] = 0
        if not trajectory.starts[t, b]:
            J[c, c] = trajectory.by_state[t, b, c]


@kernel
def immediate(
    params: SlowWeights,
    trajectory: FastTrajectory,
    t: int,
    begin: int,
    end: int,
    row: Array,
    grad: SlowWeights,
) -> None:
    """Add row . dw(t)/dW_S with w(t-1) held constant, unless S has set it in this row."""
    N, A, outputs = row.shape[1], trajectory.slow.shape[2], trajectory.slow_layers.units[-2]
    delta, error = np.empty(N, row.dtype), np.zeros((end - begin, A - outputs), row.dtype)
    for b in range(begin, end):
        sets = trajectory.slow_start and trajectory.starts[t, b]
        for c in range(N):
            by_state = trajectory.by_state[t, b, c] if sets else 0
            delta[c] = (trajectory.by_drive[t, b, c] + by_state) * row[b, c]
        output_errors(trajectory, t, b, delta, error[b - begin])
    collect_products(
        params.flat,
        trajectory.slow_layers,
        trajectory.slow[t, begin:end],
        trajectory.slow_slopes[t, begin:end],
        error,
        grad.flat,
    )


@kernel(allocates=False)
def constrain(trajectory: FastTrajectory, grad: SlowWeights) -> None:
    """All slow weights exist."""
