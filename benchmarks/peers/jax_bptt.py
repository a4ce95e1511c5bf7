"""Back-propagation through time in JAX (theory.md 1.2): tanh, no leak, linear readout, squared error.

The input projection and the readout are products over the whole sequence, outside the scans. In the
hand-written versions the backward scan carries only the adjoint, and each weight gradient is a single
product after it. These choices were found to matter too, each being the fastest for some sizes:

* the memory layout of W and its transpose: left to XLA, or transposed once behind a barrier; or the
  sequences as columns;
* for a single sequence, a matrix-vector product, or a sum that XLA fuses with the tanh into one loop;
* a batch cut into shards, one per core: their scans then run concurrently, and products that XLA would
  not parallelise keep all cores busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.entries import Entry
from benchmarks.peers.jax_setup import cores, gradient_entry, jax

NAMES = ("W", "U", "b", "V", "c")
UNROLLED = 4


def bptt(params: Any, data: Any) -> dict[str, list[Entry]]:
    """Make the entries: params (W, U, b, V, c), data (inputs (T, B, m), targets (T, B, k))."""
    steps, batch = data[0].shape[:2]
    put = jax().device_put
    arguments = put((tuple(params), *data))
    layouts = single() if batch == 1 else several()
    ways: dict[str, Callable[..., Any]] = {}
    for layout in layouts:
        for unroll in (1, UNROLLED):
            ways[f"by hand, {layout.label}, unroll {unroll}"] = by_hand(layout, unroll)
    for unroll in (1, UNROLLED):
        ways[f"value_and_grad, unroll {unroll}"] = by_autodiff(layouts[0], unroll)
    made = [entry(label, way, arguments, steps) for label, way in ways.items()]
    made += [
        entry(f"by hand, {layout.label}, a shard a core", sharded(by_hand(layout, 1)),
              on_cores(arguments), steps)
        for layout in layouts
        if batch % cores().size == 0
    ]  # fmt: skip
    return {"JAX": made}


def entry(label: str, way: Callable[..., Any], arguments: Any, steps: int) -> Entry:
    return gradient_entry(label, way, arguments, NAMES, 1)


class Layout(NamedTuple):
    """The layout of the sequences: a(t) = drive + forth(W, x), and back(W, s) = W^T s with delta s."""

    label: str
    pack: Callable[[Any], Any]  # from (T, B, features) to the layout that is carried
    unpack: Callable[[Any], Any]  # the inverse
    prepare: Callable[[Any], Any]  # of W, before the scans
    forth: Callable[[Any, Any], Any]
    back: Callable[[Any, Any], Any]


def several() -> list[Layout]:
    """Layouts for several sequences."""
    import jax.numpy as jnp
    from jax import lax

    def same(z: Any) -> Any:
        return z

    def swapped(z: Any) -> Any:
        return jnp.swapaxes(z, 1, 2)

    def both(W: Any) -> Any:
        return W, lax.optimization_barrier(W.T)

    return [
        Layout("rows", same, same, same, lambda W, x: x @ W.T, lambda W, s: s @ W),
        Layout("rows, W turned once", same, same, both, lambda W, x: x @ W[1], lambda W, s: s @ W[0]),
        Layout("columns", swapped, swapped, same, lambda W, x: W @ x, lambda W, s: W.T @ s),
    ]


def single() -> list[Layout]:
    """Layouts for one sequence, as a row or as a vector."""
    import jax.numpy as jnp

    def vectors(z: Any) -> Any:
        return z[:, 0]

    def rows(x: Any) -> Any:
        return x[:, None]

    rows_of_one, *_ = several()
    return [
        Layout("vectors", vectors, rows, lambda W: W, lambda W, x: W @ x, lambda W, s: s @ W),
        Layout(
            "sums", vectors, rows, lambda W: (W, W.T),
            lambda W, x: jnp.sum(W[1] * x[:, None], 0), lambda W, s: jnp.sum(W[0] * s[:, None], 0),
        ),
        rows_of_one,
    ]  # fmt: skip


def forwards(layout: Layout, W: Any, drive: Any, unroll: int) -> Any:
    """The states of all steps, in the layout that is carried."""
    import jax.numpy as jnp
    from jax import lax

    def step(x: Any, a: Any) -> tuple[Any, Any]:
        x = jnp.tanh(a + layout.forth(W, x))
        return x, x

    return lax.scan(step, jnp.zeros_like(drive[0]), drive, unroll=unroll)[1]


def by_autodiff(layout: Layout, unroll: int) -> Callable[..., Any]:
    """Differentiate the loss by ``value_and_grad``."""

    def loss(params: Any, inputs: Any, targets: Any) -> Any:
        W, U, b, V, c = params
        drive = layout.pack(inputs @ U.T + b)
        x = layout.unpack(forwards(layout, layout.prepare(W), drive, unroll))
        e = x @ V.T + c - targets
        return (e * e).sum() / (2 * inputs.shape[1])

    return jax().value_and_grad(loss)  # type: ignore[no-any-return]


def by_hand(layout: Layout, unroll: int) -> Callable[..., Any]:
    """Propagate the adjoint back, eq. (10), and collect the gradient, eq. (9)."""
    import jax.numpy as jnp
    from jax import lax

    def gradient(params: Any, inputs: Any, targets: Any) -> Any:
        W, U, b, V, c = params
        (steps, batch, _), n = inputs.shape, len(b)
        prepared = layout.prepare(W)
        carried = forwards(layout, prepared, layout.pack(inputs @ U.T + b), unroll)
        x = layout.unpack(carried)
        e = x @ V.T + c - targets

        def step(s: Any, row: Any) -> tuple[Any, Any]:
            own, slope = row
            s = slope * (own + layout.back(prepared, s))
            return s, s

        rows = layout.pack(e @ V), 1 - carried * carried
        _, s = lax.scan(step, jnp.zeros_like(carried[0]), rows, reverse=True, unroll=unroll)
        x, s, u, e = (
            z.reshape(steps * batch, -1) / scale
            for z, scale in ((x, 1), (layout.unpack(s), batch), (inputs, 1), (e, 1))
        )
        by_W = s[batch:].T @ x[:-batch] if steps > 1 else jnp.zeros((n, n), s.dtype)
        by_V = e.T @ x / batch
        loss = (e * e).sum() / (2 * batch)
        return loss, (by_W, s.T @ u, s.sum(0), by_V, e.sum(0) / batch)

    return gradient


# --- a shard of the batch on each core ---


def sharded(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """Compute the gradient on shards of the batch, and average."""
    from jax import lax, shard_map, tree
    from jax.sharding import PartitionSpec

    everywhere, batch = PartitionSpec(), PartitionSpec(None, "core")
    mesh = cores()

    def part(*arguments: Any) -> Any:
        return tree.map(lambda g: lax.psum(g, "core") / mesh.size, gradient(*arguments))

    return shard_map(  # type: ignore[no-any-return]
        part, mesh=mesh, in_specs=(everywhere, batch, batch), out_specs=everywhere, check_vma=False
    )


def on_cores(arguments: Any) -> Any:
    """Replicate the parameters on all devices, and put a shard of the data on each."""
    from jax.sharding import NamedSharding, PartitionSpec

    params, *data = arguments
    put, mesh = jax().device_put, cores()
    everywhere = NamedSharding(mesh, PartitionSpec())
    batch = NamedSharding(mesh, PartitionSpec(None, "core"))
    return (put(params, everywhere), *(put(array, batch) for array in data))
