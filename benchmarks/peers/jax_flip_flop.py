"""On-line learning of fast weights on a stream of events in JAX (the flip-flop)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.entries import Entry
from benchmarks.peers.jax_setup import jax


def flip_flop(
    architecture: int, tau: float, rate: float, W: Any, events: Any, targets: Any, check: int
) -> dict[str, list[Entry]]:
    """Make the entries: S and F see the same inputs and are linear, without hidden units or biases.

    Each call of ``work`` scans once over ``events`` (T, m) and ``targets`` (T,), which are on the
    device, and continues from the last call. ``answer`` gives the weights after ``check`` steps.
    """
    import jax.numpy as jnp

    layouts = on_line_1(tau, rate) if architecture == 1 else on_line_2(tau, rate)
    rows = jnp.concatenate([jnp.asarray(events), jnp.asarray(targets)[:, None]], 1)
    ways = [
        on_line_entry(layout, unroll, jnp.asarray(W), rows, check)
        for layout in layouts
        for unroll in (1, 4)
    ]
    return {"JAX structured": ways}


class Layout(NamedTuple):
    """The layout of the carried arrays: ``step(carry, (u, d)) -> carry, E``."""

    label: str
    pack: Callable[[Any], Any]  # from the slow weights; everything else is zero
    step: Callable[[Any, Any], tuple[Any, Any]]
    unpack: Callable[[Any], Any]  # to the slow weights


def on_line_entry(layout: Layout, unroll: int, W: Any, rows: Any, check: int) -> Entry:
    """Compile a scan over the stream that updates slow weights, fast weights and traces in place."""
    from jax import lax

    scan = jax().jit(partial(lax.scan, layout.step, unroll=unroll), donate_argnums=0)
    block = jax().block_until_ready
    carried = [layout.pack(W)]

    def answer() -> Mapping[str, np.ndarray]:
        carry, losses = scan(layout.pack(W), rows[:check])
        return {"W": np.asarray(layout.unpack(carry)), "loss": np.asarray(losses.sum())}

    def work() -> int:
        carried[0], losses = scan(carried[0], rows)
        block(losses)
        return len(rows)

    return Entry(f"{layout.label}, unroll {unroll}", answer, work)


def on_line_1(tau: float, rate: float) -> list[Layout]:
    """Architecture 1 with one output of F: w (m,), W (m, m), p (m, m) with p[c] the trace of w_c.

    The layouts are three arrays, or a single one with a row per fast weight, which gives one loop.
    """
    import jax.numpy as jnp

    def parts(W: Any, w: Any, p: Any, row: Any) -> Any:
        u, d = row[:-1], row[-1]
        e = jnp.sum(w * u) - d
        after = 1 / (1 + jnp.exp(-tau * (w + jnp.sum(W * u, 1) - 0.5)))
        a = tau * after * (1 - after)
        return (W - rate * (e * u)[:, None] * p, after, a[:, None] * (p + u)), e * e / 2

    def apart(carry: Any, row: Any) -> Any:
        return parts(*carry, row=row)

    def together(carry: Any, row: Any) -> Any:
        m = len(carry)
        (W, w, p), E = parts(carry[:, :m], carry[:, -1], carry[:, m:-1], row)
        return jnp.concatenate([W, p, w[:, None]], 1), E

    def pack_apart(W: Any) -> Any:
        return jnp.array(W), jnp.zeros(len(W)), jnp.zeros(W.shape)

    def pack_together(W: Any) -> Any:
        return jnp.concatenate([W, jnp.zeros((len(W), len(W) + 1))], 1)

    return [
        Layout("arrays", pack_apart, apart, lambda carry: carry[0]),
        Layout("one array", pack_together, together, lambda carry: carry[:, : len(carry)]),
    ]


def on_line_2(tau: float, rate: float) -> list[Layout]:
    """Architecture 2 with one output of F: w (m,), W (m + 1, m), p of FROM weights (m, m), of TO (m, m).

    The layouts are separate arrays, or a single one with a row per fast weight, each of which repeats
    the TO unit's weights.
    """
    import jax.numpy as jnp

    def parts(W: Any, V: Any, w: Any, p: Any, q: Any, row: Any) -> Any:
        """One step; W (m, m) and V (m,) are the weights of FROM and TO units, p and q their traces."""
        u, d = row[:-1], row[-1]
        e = jnp.sum(w * u) - d
        gamma = e * u
        f, t = jnp.sum(W * u, 1), jnp.sum(V * u)
        after = 1 / (1 + jnp.exp(-tau * (w + f * t - 0.5)))
        a = tau * after * (1 - after)
        W, V = W - rate * gamma[:, None] * p, V - rate * jnp.sum(gamma[:, None] * q, 0)
        return (W, V, after, a[:, None] * (p + t * u), a[:, None] * (q + f[:, None] * u)), e * e / 2

    def apart(carry: Any, row: Any) -> Any:
        return parts(*carry, row=row)

    def together(carry: Any, row: Any) -> Any:
        m = len(carry)
        W, p, q, V = (carry[:, i * m : (i + 1) * m] for i in range(4))
        (W, v, w, p, q), E = parts(W, V[0], carry[:, -1], p, q, row)
        V = jnp.broadcast_to(v, V.shape)
        return jnp.concatenate([W, p, q, V, w[:, None]], 1), E

    def pack_apart(W: Any) -> Any:
        m = W.shape[1]
        return jnp.array(W[:m]), jnp.array(W[m]), jnp.zeros(m), jnp.zeros((m, m)), jnp.zeros((m, m))

    def pack_together(W: Any) -> Any:
        m = W.shape[1]
        V = jnp.broadcast_to(W[m], (m, m))
        return jnp.concatenate([W[:m], jnp.zeros((m, 2 * m)), V, jnp.zeros((m, 1))], 1)

    def unpack_apart(carry: Any) -> Any:
        return jnp.concatenate([carry[0], carry[1][None]])

    def unpack_together(carry: Any) -> Any:
        m = len(carry)
        return jnp.concatenate([carry[:, :m], carry[:1, 3 * m : 4 * m]])

    return [
        Layout("arrays", pack_apart, apart, unpack_apart),
        Layout("one array", pack_together, together, unpack_together),
    ]
