"""Real-time recurrent learning in JAX (theory.md 1.4): tanh, no leak, linear readout, squared error.

p(t) is computed at every step. These choices were found to matter:

* f' is folded into W before the product, p(t) = (D W) p(t-1) + D (delta z), which saves a pass;
  ``delta`` is a scatter into n blocks, which XLA does in place (as a dense array it is another pass);
* while the weights are fixed, the gradient e . p(t) is one more row of the next step's product, summed
  in the last row of the carried array: p then has a single reader, and is not copied;
* the columns of p evolve independently: while the weights are fixed, a block of columns is computed
  over the whole sequence in cache, and the cores compute blocks concurrently.

Each is the fastest at some size, and the fastest counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks.entries import Entry
from benchmarks.peers.jax_bptt import NAMES, on_cores, sharded
from benchmarks.peers.jax_setup import cores, gradient_entry, jax

BLOCKS = (4, 8, 16)


class History(NamedTuple):
    """The arrays of one sequence's forward pass that p and its contraction need."""

    z: Any  # (T, q) [x(t-1), u(t), 1]
    slope: Any  # (T, n)
    error: Any  # (T, n) dE(t)/dx(t)


def rtrl(params: Any, data: Any) -> dict[str, list[Entry]]:
    """Make the entries, with fixed weights: data (inputs (T, B, m), targets (T, B, k))."""
    steps, batch = data[0].shape[:2]
    arguments = jax().device_put((tuple(params), *data))
    ways = of_one(len(params[0])) if batch == 1 else of_several()
    made = [gradient_entry(label, way, arguments, NAMES, steps) for label, way in ways.items()]
    if batch > 1 and batch % cores().size == 0:
        spread = on_cores(arguments)
        made += [
            gradient_entry(f"{label}, a shard a core", sharded(way), spread, NAMES, steps)
            for label, way in ways.items()
        ]
    return {"JAX": made}


def of_one(n: int) -> dict[str, Callable[..., Any]]:
    """Variants for one sequence."""
    carries = {label: partial(all_columns, way) for label, way in WAYS.items()}
    for blocks in BLOCKS:
        if n % blocks == 0:
            carries[f"gradient row folded in, {blocks} blocks"] = partial(in_blocks, blocks)
    for blocks in (1, *BLOCKS):
        if n % (blocks * cores().size) == 0:
            carries[f"gradient row folded in, {blocks} blocks a core"] = partial(blocks_on_cores, blocks)
    return {label: sequences(carry) for label, carry in carries.items()}


def of_several() -> dict[str, Callable[..., Any]]:
    """Variants for several sequences: all at a time, or one after the other."""
    return {
        f"{label}, {how}": sequences(partial(all_columns, way), how)
        for label, way in WAYS.items()
        for how in ("vmap", "map")
    }


def sequences(carry: Callable[..., Any], how: str = "map") -> Callable[..., Any]:
    """Compute p of the sequences, one after the other or all at a time, and average their gradients."""
    import jax.numpy as jnp
    from jax import lax

    def gradient(params: Any, inputs: Any, targets: Any) -> Any:
        W, U, b, V, c = params
        n, m, batch = len(b), inputs.shape[2], inputs.shape[1]

        def step(x: Any, drive: Any) -> tuple[Any, Any]:
            after = jnp.tanh(drive + x @ W.T)
            return after, (x, after)

        start = jnp.zeros((batch, n), W.dtype)
        _, (entering, x) = lax.scan(step, start, inputs @ U.T + b)
        e = x @ V.T + c - targets
        one = jnp.ones((*inputs.shape[:2], 1), W.dtype)
        z = jnp.concatenate([entering, inputs, one], 2)
        history = History(*(jnp.swapaxes(part, 0, 1) for part in (z, 1 - x * x, e @ V)))
        if batch == 1:
            by_w = carry(W, History(*(part[0] for part in history)))
        elif how == "map":
            by_w = lax.map(partial(carry, W), history).sum(0) / batch
        else:
            by_w = jax().vmap(partial(carry, W))(history).sum(0) / batch
        by_w = by_w.reshape(n, n + m + 1)
        by_V = jnp.tensordot(e, x, ((0, 1), (0, 1))) / batch
        grads = by_w[:, :n], by_w[:, n:-1], by_w[:, -1], by_V, e.sum((0, 1)) / batch
        return (e * e).sum() / (2 * batch), grads

    return gradient


# --- dE/dw (width, q) of a sequence by p, for the weights into ``width`` units from ``first`` on ---


def all_columns(way: Callable[..., Any], W: Any, history: History) -> Any:
    return way(W, history, 0, len(W))


def apart(W: Any, history: History, first: Any, width: int, *, plainly: bool = False) -> Any:
    """Contract p after the product; with ``plainly``, multiply by f' in a separate pass."""
    import jax.numpy as jnp
    from jax import lax

    n, q = len(W), history.z.shape[1]
    own = first + jnp.arange(width), jnp.arange(width)

    def step(carry: Any, row: History) -> tuple[Any, None]:
        p, grad = carry
        if plainly:
            p = (W @ p).reshape(n, width, q).at[own].add(row.z)
            p = (row.slope[:, None, None] * p).reshape(n, -1)
        else:
            p = ((row.slope[:, None] * W) @ p).reshape(n, width, q)
            p = p.at[own].add(row.slope[own[0], None] * row.z).reshape(n, -1)
        return (p, grad + row.error @ p), None

    start = jnp.zeros((n, width * q), W.dtype), jnp.zeros(width * q, W.dtype)
    return lax.scan(step, start, history)[0][1].reshape(width, q)


apart_plainly = partial(apart, plainly=True)


def with_row(W: Any, history: History) -> tuple[Any, Any]:
    """The matrices (T, n + 1, n + 1) of D W above the last step's dE/dx and a 1, which sums that row."""
    import jax.numpy as jnp

    steps, n = history.slope.shape
    last = jnp.concatenate([jnp.zeros((1, n), W.dtype), history.error[:-1]])
    upper = jnp.pad(history.slope[:, :, None] * W, ((0, 0), (0, 0), (0, 1)))
    lower = jnp.concatenate([last, jnp.ones((steps, 1), W.dtype)], 1)
    return jnp.concatenate([upper, lower[:, None]], 1), history.error[-1]


def row_folded_in(W: Any, history: History, first: Any, width: int) -> Any:
    return carry_rows(*with_row(W, history), history, first, width)


def carry_rows(matrices: Any, last: Any, history: History, first: Any, width: int) -> Any:
    """One product per step: p, with the gradient up to the previous step in its last row."""
    import jax.numpy as jnp
    from jax import lax

    n, q = history.slope.shape[1], history.z.shape[1]
    own = first + jnp.arange(width), jnp.arange(width)
    slope = lax.dynamic_slice_in_dim(history.slope, first, width, 1)

    def step(p: Any, row: Any) -> tuple[Any, None]:
        matrix, slope, z = row
        p = (matrix @ p).reshape(n + 1, width, q).at[own].add(slope[:, None] * z)
        return p.reshape(n + 1, -1), None

    start = jnp.zeros((n + 1, width * q), matrices.dtype)
    p, _ = lax.scan(step, start, (matrices, slope, history.z))
    return (p[n] + last @ p[:n]).reshape(width, q)


def transposed(W: Any, history: History, first: Any, width: int) -> Any:
    """Store p as (P, n), so that it is multiplied by (D W)^T."""
    import jax.numpy as jnp
    from jax import lax

    n, q = len(W), history.z.shape[1]
    own = jnp.arange(width), slice(None), first + jnp.arange(width)

    def step(carry: Any, row: History) -> tuple[Any, None]:
        p, grad = carry
        p = (p @ (row.slope[:, None] * W).T).reshape(width, q, n)
        p = p.at[own].add(row.slope[own[2], None] * row.z).reshape(-1, n)
        return (p, grad + p @ row.error), None

    start = jnp.zeros((width * q, n), W.dtype), jnp.zeros(width * q, W.dtype)
    return lax.scan(step, start, history)[0][1].reshape(width, q)


WAYS: dict[str, Callable[..., Any]] = {
    "plainly": apart_plainly,
    "slope folded in": apart,
    "gradient row folded in": row_folded_in,
    "transposed": transposed,
}


def in_blocks(blocks: int, W: Any, history: History) -> Any:
    """Process the sequence for one block of columns after another."""
    import jax.numpy as jnp
    from jax import lax

    width = len(W) // blocks
    matrices, last = with_row(W, history)
    part = partial(carry_rows, matrices, last, history, width=width)
    return lax.map(part, jnp.arange(blocks) * width)


def blocks_on_cores(blocks: int, W: Any, history: History) -> Any:
    """Process the sequence for several blocks of columns on each core."""
    import jax.numpy as jnp
    from jax import lax, shard_map
    from jax.sharding import PartitionSpec

    mesh = cores()
    share, width = len(W) // mesh.size, len(W) // mesh.size // blocks
    everywhere = PartitionSpec()

    def of_core(matrices: Any, last: Any, history: History) -> Any:
        start = lax.axis_index("core") * share
        part = partial(carry_rows, matrices, last, history, width=width)
        if blocks == 1:
            return part(start)
        return lax.map(part, start + jnp.arange(blocks) * width).reshape(share, -1)

    shared = shard_map(
        of_core, mesh=mesh, in_specs=everywhere, out_specs=PartitionSpec("core"), check_vma=False
    )
    return shared(*with_row(W, history), history)
