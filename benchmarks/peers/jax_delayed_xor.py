"""On-line real-time recurrent learning of delayed XOR in JAX, with Adam and clipping.

The weights are updated at each step by the gradient of that step. Each call scans once over data that
were drawn beforehand, and continues from the state of the last call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.entries import Entry
from benchmarks.peers.jax_rtrl_online import (
    START,
    propagate_and_contract,
    propagate_transposed,
    propagate_with_row,
)
from benchmarks.peers.jax_setup import jax


class Settings(NamedTuple):
    """The options of Adam [Kingma & Ba 2015], and the maximum norm of the gradient."""

    rate: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float


class Carry(NamedTuple):
    theta: Any  # W, U, b (n, q), V and c, concatenated
    mean: Any  # running mean of the gradient
    square: Any  # running mean of its square
    powers: Any  # beta1^t, beta2^t
    x: Any  # (n,)
    p: Any


class Events(NamedTuple):
    inputs: Any  # (T, m)
    targets: Any  # (T, k)
    mask: Any  # (T,)


VARIANTS = {
    "gradient apart": propagate_and_contract,
    "gradient row folded in": propagate_with_row,
    "transposed": propagate_transposed,
}


def delayed_xor(params: Any, events: Events, settings: Settings, check: int) -> dict[str, list[Entry]]:
    """Make the entries: params (W, U, b, V, c).

    ``answer`` gives the weights and the summed loss after the first ``check`` steps.
    """
    put = jax().device_put
    on_device = Events(*put(tuple(events)))
    return {
        "JAX": [
            entry(
                f"{label}, unroll {unroll}",
                propagate,
                unroll,
                put(tuple(params)),
                on_device,
                settings,
                check,
            )
            for label, propagate in VARIANTS.items()
            for unroll in (1, 4)
        ]
    }


def entry(
    label: str,
    propagate: Callable[..., Any],
    unroll: int,
    params: Any,
    events: Events,
    settings: Settings,
    check: int,
) -> Entry:
    """Compile a scan over the data that updates weights, moments and p in place."""
    from jax import lax

    n, m, k = *params[1].shape, len(params[4])
    step = partial(step_by, propagate, settings, n, m, k)
    scan = jax().jit(partial(lax.scan, step, unroll=unroll), donate_argnums=0)
    block = jax().block_until_ready
    carried = [begin(propagate, params)]

    def answer() -> Mapping[str, np.ndarray]:
        first = Events(*(part[:check] for part in events))
        carry, y = scan(begin(propagate, params), first)
        w, V, c = (np.asarray(part) for part in views(carry.theta, n, m, k))
        loss = np.asarray(loss_of(y, first))
        return {"W": w[:, :n], "U": w[:, n:-1], "b": w[:, -1], "V": V, "c": c, "loss": loss}

    def work() -> int:
        carried[0], y = scan(carried[0], events)
        block(y)
        return len(y)

    return Entry(label, answer, work)


def loss_of(y: Any, events: Events) -> Any:
    """The summed loss of outputs (T, k)."""
    return (events.mask[:, None] * (y - events.targets) ** 2).sum() / 2


def one_by_one(params: Any, events: Events, settings: Settings, check: int) -> dict[str, list[Entry]]:
    """Make the entries of one jitted step, called from Python with arrays that are on the device.

    It gives y. ``answer`` is as in :func:`delayed_xor`.
    """
    import jax.numpy as jnp

    put = jax().device_put
    given, (n, m, k) = put(tuple(params)), (*params[1].shape, len(params[4]))
    rows = [Events(*put(row)) for row in zip(*events)]
    even = [row._replace(mask=put(1.0)) for row in rows]

    def entry(label: str, propagate: Callable[..., Any]) -> Entry:
        step = jax().jit(partial(step_by, propagate, settings, n, m, k), donate_argnums=0)
        carried = [begin(propagate, given)]

        def answer() -> Mapping[str, np.ndarray]:
            carry, outputs = begin(propagate, given), []
            for row in rows[:check]:
                carry, y = step(carry, row)
                outputs.append(y)
            w, V, c = (np.asarray(part) for part in views(carry.theta, n, m, k))
            loss = np.asarray(loss_of(jnp.stack(outputs), Events(*(part[:check] for part in events))))
            return {"W": w[:, :n], "U": w[:, n:-1], "b": w[:, -1], "V": V, "c": c, "loss": loss}

        def work() -> int:
            for row in even:
                carried[0], y = step(carried[0], row)
            jax().block_until_ready(y)
            return len(even)

        return Entry(label, answer, work)

    return {"JAX": [entry(label, propagate) for label, propagate in VARIANTS.items()]}


def begin(propagate: Callable[..., Any], params: Any) -> Carry:
    """The carry at step 0."""
    import jax.numpy as jnp

    W, U, b, V, c = params
    w = jnp.concatenate([W, U, b[:, None]], 1)
    theta = jnp.concatenate([w.ravel(), V.ravel(), c])
    return Carry(
        theta, jnp.zeros_like(theta), jnp.zeros_like(theta), jnp.ones(2),
        jnp.zeros(len(b)), START[propagate](len(b), w.size, W.dtype),
    )  # fmt: skip


def views(theta: Any, n: int, m: int, k: int) -> tuple[Any, Any, Any]:
    """Views of the flat parameters: w (n, q), V and c."""
    q = n + m + 1
    return theta[: n * q].reshape(n, q), theta[n * q : -k].reshape(k, n), theta[-k:]


def step_by(
    propagate: Callable[..., Any],
    settings: Settings,
    n: int,
    m: int,
    k: int,
    carry: Carry,
    event: Events,
) -> tuple[Carry, Any]:
    """Advance the network, p and the weights by one step; and y."""
    import jax.numpy as jnp

    w, V, c = views(carry.theta, n, m, k)
    z = jnp.concatenate([carry.x, event.inputs, jnp.ones(1)])
    x = jnp.tanh(w @ z)
    y = V @ x + c
    e = event.mask * (y - event.targets)
    p, by_w = propagate(carry.p, w[:, :n], 1 - x * x, e @ V, z, 0)
    grad = jnp.concatenate([by_w.ravel(), (e[:, None] * x).ravel(), e])
    norm = jnp.sqrt(grad @ grad)
    grad = grad * jnp.where(norm > settings.clip, settings.clip / norm, 1.0)
    return adam(carry, grad, settings)._replace(x=x, p=p), y


def adam(carry: Carry, grad: Any, settings: Settings) -> Carry:
    import jax.numpy as jnp

    powers = carry.powers * jnp.array([settings.beta1, settings.beta2])
    mean = settings.beta1 * carry.mean + (1 - settings.beta1) * grad
    square = settings.beta2 * carry.square + (1 - settings.beta2) * grad * grad
    step = settings.rate / (1 - powers[0])
    theta = carry.theta - step * mean / (jnp.sqrt(square / (1 - powers[1])) + settings.epsilon)
    return carry._replace(theta=theta, mean=mean, square=square, powers=powers)
