"""Recurrent back-propagation in JAX (theory.md 1.1): tanh, linear readout, squared error.

The whole batch is relaxed until its slowest pattern has converged. The adjoint equation (6) is solved
in four ways, of which the fastest counts; the iterative ones stop at a residual relative to dE/dx.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.entries import Entry
from benchmarks.peers.jax_bptt import NAMES
from benchmarks.peers.jax_setup import gradient_entry, jax

MAX_STEPS = 10_000


def equilibrium(params: Any, data: Any, tolerance: float) -> dict[str, list[Entry]]:
    """Make the entries: params (W, U, b, V, c), data (inputs (B, m), targets (B, k))."""
    put = jax().device_put
    arguments = put((tuple(params), *data))
    adjoints = {
        "direct": direct,
        "relaxation": partial(relaxed, tolerance),
        "gmres": partial(krylov, "gmres", tolerance),
        "bicgstab": partial(krylov, "bicgstab", tolerance),
    }
    ways = {
        f"adjoint {label}{', W turned once' if transposed else ''}": gradient_by(
            adjoint, tolerance, transposed
        )
        for label, adjoint in adjoints.items()
        for transposed in (False, True)
    }
    return {"JAX": [gradient_entry(label, way, arguments, NAMES, 1) for label, way in ways.items()]}


def gradient_by(adjoint: Callable[..., Any], tolerance: float, transposed: bool) -> Callable[..., Any]:
    import jax.numpy as jnp
    from jax import lax

    def gradient(params: Any, inputs: Any, targets: Any) -> Any:
        W, U, b, V, c = params
        batch = len(inputs)
        drive = inputs @ U.T + b
        forth = lax.optimization_barrier(W.T) if transposed else W.T
        x = settled(lambda x: jnp.tanh(drive + x @ forth), jnp.zeros_like(drive), tolerance)
        e = x @ V.T + c - targets
        slope = 1 - x * x
        s = slope * adjoint(W, slope, e @ V) / batch
        loss = (e * e).sum() / (2 * batch)
        return loss, (s.T @ x, s.T @ inputs, s.sum(0), e.T @ x / batch, e.sum(0) / batch)

    return gradient


def settled(step: Callable[[Any], Any], x: Any, tolerance: Any) -> Any:
    """Iterate until no number changes by more than the tolerance, with one product per iteration."""
    import jax.numpy as jnp
    from jax import lax

    def moving(carry: Any) -> Any:
        before, after, count = carry
        return (jnp.max(jnp.abs(after - before)) > tolerance) & (count < MAX_STEPS)

    def move(carry: Any) -> Any:
        _, x, count = carry
        return x, step(x), count + 1

    return lax.while_loop(moving, move, (x, step(x), 0))[1]


# --- lambda = W^T D lambda + dE/dx, for each row of (B, n) ---


def direct(W: Any, slope: Any, error: Any) -> Any:
    import jax.numpy as jnp

    matrices = jnp.eye(len(W)) - W.T * slope[:, None]
    return jnp.linalg.solve(matrices, error[..., None])[..., 0]


def relaxed(tolerance: float, W: Any, slope: Any, error: Any) -> Any:
    import jax.numpy as jnp

    enough = tolerance * jnp.max(jnp.abs(error))
    return settled(lambda adjoint: error + (slope * adjoint) @ W, error, enough)


def krylov(solver: str, tolerance: float, W: Any, slope: Any, error: Any) -> Any:
    """Solve all rows as one block-diagonal system."""
    from jax.scipy.sparse import linalg

    def matvec(adjoint: Any) -> Any:
        return adjoint - (slope * adjoint) @ W

    return getattr(linalg, solver)(matvec, error, x0=error, tol=tolerance, atol=0.0)[0]
