"""On-line real-time recurrent learning in JAX: p is propagated and contracted within each step.

The weights are carried from step to step and updated by each step's gradient, at a rate that XLA does
not know, so that no part of a step can be precomputed. The rate is 0, so that the gradient is that of
fixed weights, which the others compute too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks.entries import Entry
from benchmarks.peers.jax_bptt import NAMES
from benchmarks.peers.jax_setup import cores, gradient_entry, jax


class Weights(NamedTuple):
    """The weights that are updated; w (n, q) is [W, U, b]."""

    w: Any
    V: Any
    c: Any


def rtrl_online(params: Any, data: Any) -> dict[str, list[Entry]]:
    """Make the entries, for one sequence: data (inputs (T, 1, m), targets (T, 1, k))."""
    steps = len(data[0])
    arguments = jax().device_put((tuple(params), *data, data[0].dtype.type(0)))
    variants = {
        "gradient apart": propagate_and_contract,
        "gradient row folded in": propagate_with_row,
        "transposed": propagate_transposed,
    }
    ways = {label: on_line(propagate) for label, propagate in variants.items()}
    if len(params[0]) % cores().size == 0:
        ways["gradient row folded in, a share of p a core"] = on_cores()
    return {"JAX": [gradient_entry(label, way, arguments, NAMES, steps) for label, way in ways.items()]}


def on_line(propagate: Callable[..., Any], core: str | None = None) -> Callable[..., Any]:
    """Scan over the steps; with ``core``, p has only the columns of this core's share of the units."""
    import jax.numpy as jnp
    from jax import lax, tree

    def gradient(params: Any, inputs: Any, targets: Any, rate: Any) -> Any:
        W, U, b, V, c = params
        n, m = U.shape
        q = n + m + 1
        width = n // cores().size if core else n
        first = lax.axis_index(core) * width if core else 0
        one = jnp.ones(1, W.dtype)

        def step(carry: Any, row: Any) -> tuple[Any, None]:
            weights, x, p, sums, loss = carry
            u, d = row
            z = jnp.concatenate([x, u, one])
            x = jnp.tanh(weights.w @ z)
            e = weights.V @ x + weights.c - d
            p, by_w = propagate(p, weights.w[:, :n], 1 - x * x, e @ weights.V, z, first)
            if core:
                by_w = lax.all_gather(by_w, core, tiled=True)
            grads = Weights(by_w, e[:, None] * x, e)
            weights = tree.map(lambda w, g: w - rate * g, weights, grads)
            return (weights, x, p, tree.map(jnp.add, sums, grads), loss + e @ e / 2), None

        weights = Weights(jnp.concatenate([W, U, b[:, None]], 1), V, c)
        start = (
            weights, jnp.zeros(n, W.dtype), START[propagate](n, width * q, W.dtype),
            tree.map(jnp.zeros_like, weights), jnp.zeros((), W.dtype),
        )  # fmt: skip
        (_, _, _, sums, loss), _ = lax.scan(step, start, (inputs[:, 0], targets[:, 0]))
        by_w = sums.w
        return loss, (by_w[:, :n], by_w[:, n:-1], by_w[:, -1], sums.V, sums.c)

    return gradient


def on_cores() -> Callable[..., Any]:
    """Each core computes its share of p and its rows of the gradient, which are then gathered."""
    from jax import shard_map
    from jax.sharding import PartitionSpec

    everywhere = PartitionSpec()
    return shard_map(  # type: ignore[no-any-return]
        on_line(propagate_with_row, "core"), mesh=cores(), in_specs=everywhere, out_specs=everywhere,
        check_vma=False,
    )  # fmt: skip


# --- one step of p, for the weights into some units from ``first`` on, and dE/dw (width, q) ---


def propagate_and_contract(
    p: Any, W: Any, slope: Any, error: Any, z: Any, first: Any
) -> tuple[Any, Any]:
    """Propagate p (n, width q), then contract it to e . p."""
    import jax.numpy as jnp

    (n, columns), q = p.shape, len(z)
    own = first + jnp.arange(columns // q), jnp.arange(columns // q)
    p = ((slope[:, None] * W) @ p).reshape(n, -1, q)
    p = p.at[own].add(slope[own[0], None] * z).reshape(n, columns)
    return p, (error @ p).reshape(-1, q)


def propagate_with_row(p: Any, W: Any, slope: Any, error: Any, z: Any, first: Any) -> tuple[Any, Any]:
    """Add e D W as a row to the product; the last row of p (n + 1, width q) is not read again."""
    import jax.numpy as jnp
    from jax import lax

    n, columns, q = len(W), p.shape[1], len(z)
    width = columns // q
    own = first + jnp.arange(width), jnp.arange(width)
    DW = slope[:, None] * W
    matrix = jnp.pad(jnp.concatenate([DW, (error @ DW)[None]]), ((0, 0), (0, 1)))
    p = (matrix @ p).reshape(n + 1, width, q)
    p = p.at[own].add(slope[own[0], None] * z)
    delta = lax.dynamic_slice_in_dim(error * slope, first, width)
    return p.reshape(n + 1, columns), p[n] + delta[:, None] * z


def propagate_transposed(p: Any, W: Any, slope: Any, error: Any, z: Any, first: Any) -> tuple[Any, Any]:
    """Propagate p stored as (width q, n)."""
    import jax.numpy as jnp

    (columns, n), q = p.shape, len(z)
    width = columns // q
    own = jnp.arange(width), slice(None), first + jnp.arange(width)
    p = (p @ (slope[:, None] * W).T).reshape(width, q, n)
    p = p.at[own].add(slope[own[2], None] * z).reshape(columns, n)
    return p, (p @ error).reshape(width, q)


def zeros(shape: Callable[[int, int], tuple[int, int]], n: int, columns: int, dtype: Any) -> Any:
    import jax.numpy as jnp

    return jnp.zeros(shape(n, columns), dtype)


START: dict[Callable[..., Any], Callable[..., Any]] = {
    propagate_and_contract: partial(zeros, lambda n, columns: (n, columns)),
    propagate_with_row: partial(zeros, lambda n, columns: (n + 1, columns)),
    propagate_transposed: partial(zeros, lambda n, columns: (columns, n)),
}
