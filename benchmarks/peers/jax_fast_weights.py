"""The gradient of fast weights in JAX, written by hand for ``jit`` and ``lax.scan``, in float64.

It is optimised for a CPU. These choices were found to matter, and are used throughout:

* Each step of a scan first propagates the traces and then contracts them with the *next* step's gamma.
  They then have a single reader, and XLA updates them in place; contracted first, they are copied.
* The last axis of the hidden layer's traces is that of the hidden units: it is long, and its factor is
  an array that is computed once (behind a barrier, else XLA recomputes it for each input of S).
* The contraction is one matrix-vector product; ``unroll`` helps only in the smallest loops.

Where the fastest way depends on the sizes, there are several, and the fastest counts. Arrays stay on
the device, and compilation is not timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks.entries import Entry
from benchmarks.peers.jax_setup import gradient_entry, jax

BLOCKS = (4, 16, 32)  # numbers of blocks of F's weights, so that a block's traces stay in cache


# --- the gradient of a whole sequence (theory.md 2): S has one hidden layer of tanh, F none ---


def fast_weights(architecture: int, tau: float, params: Any, data: Any) -> dict[str, list[Entry]]:
    """Make the entries: params (W1, b1, W2, b2), data (slow inputs, fast inputs, targets)."""
    net = FastWeights(architecture, tau)
    put = jax().device_put
    params, data = put(tuple(params)), put(tuple(data))
    cuts = [blocks for blocks in BLOCKS if data[2].shape[1] % blocks == 0]
    ways = {
        "JAX dense": {
            "step by step": net.stepwise(dense=True),
            "traces apart": net.prepared(dense=True),
        },
        "JAX structured": {
            "step by step": net.stepwise(),
            "traces apart": net.prepared(),
            **{f"traces apart, {blocks} blocks": net.prepared(blocks=blocks) for blocks in cuts},
        },
        "JAX unfolded": {"value_and_grad": net.unfolded},
    }
    return {
        group: [
            gradient_entry(label, way, (params, data), ("W1", "b1", "W2", "b2"), len(data[0]))
            for label, way in several.items()
        ]
        for group, several in ways.items()
    }


class Traces(NamedTuple):
    """p of all or some rows of F's weights, with rows b (to) and columns a (from)."""

    hidden: Any  # (b, a, m + 1, H) for the weights into S's hidden units, bias last
    output: Any  # for the weights into S's outputs, fan-in phi = H + 1: see FastWeights


class FastWeights:
    """Both architectures: Box w_ba is a product of S's outputs, its *origins*, one or two of them.

    Architecture 1 has one origin, S's output (b, a); architecture 2 has two, FROM (a) and TO (b). The
    weights into origins of either kind are arrays (b or 1, a or 1, H), so that they broadcast over F's
    weights (b, a); *gains* are dBox w/d(origin), broadcasting likewise.

    The output traces without structural zeros are (b, a, phi) for each origin. Dense ones are
    (b, a, k, phi), with k the number of S's outputs.
    """

    def __init__(self, architecture: int, tau: float) -> None:
        import jax.numpy as jnp
        from jax import lax, nn

        self.architecture, self.tau = architecture, tau
        self.np, self.lax, self.nn = jnp, lax, nn

    # the two nets

    def slow(self, params: Any, s: Any) -> tuple[Any, Any]:
        """S's hidden units and its outputs, for one step or for all."""
        W1, b1, W2, b2 = params
        h = self.np.tanh(s @ W1.T + b1)
        return h, h @ W2.T + b2

    def origins(self, c: Any, shape: tuple[int, int]) -> tuple[Any, ...]:
        """S's outputs, or their weights, in shapes that broadcast over F's weights (b, a)."""
        rows, columns = shape
        if self.architecture == 1:
            return (c.reshape(rows, columns, *c.shape[1:]),)
        return c[None, :columns], c[columns:, None]

    def gains(self, c: Any, shape: tuple[int, int]) -> tuple[Any, ...]:
        """dBox w/d(origin)."""
        return (self.np.ones((1, 1)),) if self.architecture == 1 else self.origins(c, shape)[::-1]

    def change(self, c: Any, shape: tuple[int, int]) -> Any:
        """Box w."""
        origins = self.origins(c, shape)
        return origins[0] if self.architecture == 1 else origins[0] * origins[1]

    def squash(self, w: Any, change: Any) -> Any:
        return self.nn.sigmoid(self.tau * (w + change - 0.5))

    def dsigma(self, w: Any) -> Any:
        """dsigma/dw(t-1), which equals dsigma/dBox w, as a function of w(t)."""
        return self.tau * w * (1 - w)

    def error(self, w: Any, u: Any, d: Any) -> tuple[Any, Any]:
        """E and its gradient gamma (b, a); F is a single linear layer."""
        e = w @ u - d
        return e @ e / 2, e[:, None] * u

    # the traces

    def begin(self, shape: tuple[int, int], params: Any, dense: bool) -> Traces:
        (H, m), k = params[0].shape, len(params[3])
        zeros = self.np.zeros
        if dense:
            return Traces(zeros((*shape, m + 1, H)), zeros((*shape, k, H + 1)))
        return Traces(zeros((*shape, m + 1, H)), (zeros((*shape, H + 1)),) * self.architecture)

    def propagate(
        self, p: Traces, a: Any, gains: Any, incoming: Any, h: Any, s: Any, dense: bool
    ) -> Traces:
        """Eq. (22) with a (b, a) = dsigma/dw = dsigma/dBox w, and the weights into each origin."""
        x, z = self.with_one(s), self.with_one(h)
        reach = sum(gain[..., None] * W for gain, W in zip(gains, incoming, strict=True))
        reach = self.lax.optimization_barrier(a[..., None] * reach * (1 - h * h))
        hidden = a[..., None, None] * p.hidden + reach[:, :, None, :] * x[:, None]
        if dense:
            by_output = a[..., None] * self.by_output(gains, a.shape)
            return Traces(hidden, a[..., None, None] * p.output + by_output[..., None] * z)
        pairs = zip(p.output, gains, strict=True)
        return Traces(
            hidden, tuple(a[..., None] * old + (a * gain)[..., None] * z for old, gain in pairs)
        )

    def by_output(self, gains: Any, shape: tuple[int, int]) -> Any:
        """dBox w/ds (b, a, k), including the zeros."""
        rows, columns = shape
        if self.architecture == 1:
            return self.np.eye(rows * columns).reshape(rows, columns, -1)
        k = rows + columns
        eye = self.np.eye(k)
        return gains[0][..., None] * eye[None, :columns] + gains[1][..., None] * eye[columns:, None]

    def contract(self, gamma: Any, p: Traces, dense: bool) -> tuple[Any, Any]:
        """Eq. (23): gamma . p, summed over the weights of F that a slow weight affects."""
        hidden = self.over_all(gamma, p.hidden)
        if dense:
            return hidden, self.over_all(gamma, p.output)
        if self.architecture == 1:
            return hidden, (gamma[..., None] * p.output[0],)
        from_units = self.np.einsum("ba,baj->aj", gamma, p.output[0])
        return hidden, (from_units, self.np.einsum("ba,baj->bj", gamma, p.output[1]))

    def over_all(self, gamma: Any, p: Any) -> Any:
        flat = gamma.reshape(-1) @ p.reshape(gamma.size, -1)
        return flat.reshape(p.shape[2:])

    def with_one(self, z: Any) -> Any:
        """Append the bias unit."""
        return self.np.concatenate([z, self.np.ones((*z.shape[:-1], 1))], -1)

    def unpack(self, hidden: Any, output: Any, dense: bool) -> tuple[Any, ...]:
        """The gradient with respect to W1, b1, W2, b2."""
        if not dense:
            output = self.np.concatenate([g.reshape(-1, g.shape[-1]) for g in output])
        return hidden[:-1].T, hidden[-1], output[:, :-1], output[:, -1]

    def add(self, one: Any, other: Any) -> Any:
        from jax import tree

        return tree.map(self.np.add, one, other)

    # ways to run over a sequence

    def stepwise(self, dense: bool = False) -> Callable[..., Any]:
        """Compute everything within the scan, as is necessary if the weights may change at each step."""

        def gradient(params: Any, data: Any) -> Any:
            s, u, d = data
            shape = d.shape[1], u.shape[1]
            incoming = self.origins(params[2], shape)

            def step(carry: Any, row: Any) -> Any:
                w, p, loss, grads = carry
                s, u, d = row
                h, c = self.slow(params, s)
                w = self.squash(w, self.change(c, shape))
                p = self.propagate(p, self.dsigma(w), self.gains(c, shape), incoming, h, s, dense)
                E, gamma = self.error(w, u, d)
                return (w, p, loss + E, self.add(grads, self.contract(gamma, p, dense))), None

            w, p = self.np.zeros(shape), self.begin(shape, params, dense)
            E, gamma = self.error(w, u[0], d[0])
            start = w, p, E, self.contract(gamma, p, dense)
            (_, _, loss, grads), _ = self.lax.scan(step, start, (s[:-1], u[1:], d[1:]))
            hidden, output = grads
            return loss, self.unpack(hidden, output, dense)

        return gradient

    def prepared(self, dense: bool = False, blocks: int = 1) -> Callable[..., Any]:
        """Compute S for all steps by two products, F's weights in a small scan, then the traces.

        This is possible while the weights are fixed. The traces are computed for one of ``blocks``
        blocks of F's rows after another.
        """

        def gradient(params: Any, data: Any) -> Any:
            s, u, d = data
            shape = d.shape[1], u.shape[1]
            h, c = self.slow(params, s)

            def move(w: Any, c: Any) -> Any:
                after = self.squash(w, self.change(c, shape))
                return after, (w, self.dsigma(after))

            _, (w, a) = self.lax.scan(move, self.np.zeros(shape), c)
            E, gamma = self.vmap(self.error)(w, u, d)
            gains = self.vmap(partial(self.gains, shape=shape))(c)
            part = partial(self.carry_block, params, s[:-1], h[:-1], dense)
            by_row = gamma[1:], a[:-1], tuple(gain[:-1] for gain in gains)
            hidden, output = self.in_blocks(
                part, by_row, self.origins(params[2], shape), shape[0], blocks
            )
            return E.sum(), self.unpack(hidden, output, dense)

        return gradient

    def vmap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax().vmap(function)  # type: ignore[no-any-return]

    def carry_block(
        self, params: Any, s: Any, h: Any, dense: bool, by_row: Any, incoming: Any
    ) -> tuple[Any, Any]:
        """Compute the traces of some rows of F over the sequence, and the gradient by them."""
        shape = by_row[0].shape[1:]

        def step(carry: Any, row: Any) -> Any:
            p, grads = carry
            s, h, (gamma, a, gains) = row
            p = self.propagate(p, a, gains, incoming, h, s, dense)
            return (p, self.add(grads, self.contract(gamma, p, dense))), None

        p = self.begin(shape, params, dense)
        start = p, self.contract(self.np.zeros(shape), p, dense)
        (_, grads), _ = self.lax.scan(step, start, (s, h, by_row))
        return grads  # type: ignore[no-any-return]

    def in_blocks(self, part: Any, by_row: Any, incoming: Any, rows: int, blocks: int) -> Any:
        """Map over blocks of rows; per-row results are concatenated, all others summed."""
        if blocks == 1:
            return part(by_row, incoming)
        cut = rows // blocks

        def split(array: Any, axis: int) -> Any:
            if array.shape[axis] == 1:
                return self.np.broadcast_to(array, (blocks, *array.shape))
            new = (*array.shape[:axis], blocks, cut, *array.shape[axis + 1 :])
            return self.np.moveaxis(array.reshape(new), axis, 0)

        gamma, a, gains = by_row
        pieces = (
            (split(gamma, 1), split(a, 1), tuple(split(gain, 1) for gain in gains)),
            tuple(split(W, 0) for W in incoming),
        )
        hidden, output = self.lax.map(lambda piece: part(*piece), pieces)
        joined = [g.reshape(-1, g.shape[-1]) for g in output]
        if self.architecture == 2:
            joined[0] = output[0].sum(0)  # FROM units belong to every row
        return hidden.sum(0), joined

    def unfolded(self, params: Any, data: Any) -> Any:
        """Back-propagation through the unfolded network by autodiff, as an independent check."""
        shape = data[2].shape[1], data[1].shape[1]

        def loss(params: Any) -> Any:
            def step(w: Any, row: Any) -> Any:
                s, u, d = row
                E, _ = self.error(w, u, d)
                return self.squash(w, self.change(self.slow(params, s)[1], shape)), E

            return self.lax.scan(step, self.np.zeros(shape), data)[1].sum()

        return jax().value_and_grad(loss)(params)
