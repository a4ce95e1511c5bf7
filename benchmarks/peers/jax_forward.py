"""The forward pass in JAX (theory.md 1.1): tanh, no leak, linear readout, squared error.

The input projection and the readout are products over the whole sequence, outside the scan, in the
layouts of the sequences that back-propagation through time is tried with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.entries import Entry
from benchmarks.peers.jax_bptt import UNROLLED, Layout, forwards, several, single
from benchmarks.peers.jax_setup import jax


def forward(params: Any, data: Any, what: str) -> dict[str, list[Entry]]:
    """Make the entries: params (W, U, b, V, c), data (inputs (T, B, m), targets (T, B, k))."""
    arguments = jax().device_put((tuple(params), *data))
    layouts = single() if data[0].shape[1] == 1 else several()
    return {
        "JAX": [
            entry(f"{layout.label}, unroll {unroll}", way(layout, unroll, what), arguments)
            for layout in layouts
            for unroll in (1, UNROLLED)
        ]
    }


def way(layout: Layout, unroll: int, what: str) -> Callable[..., Any]:
    """One way to compute the states and outputs, or the loss, by name."""
    import jax.numpy as jnp

    def run(params: Any, inputs: Any, targets: Any) -> Mapping[str, Any]:
        W, U, b, V, c = params
        drive = layout.pack(inputs @ U.T + b)
        states = layout.unpack(forwards(layout, layout.prepare(W), drive, unroll))
        outputs = states @ V.T + c
        if what == "states":
            return {"states": states, "outputs": outputs}
        return {"loss": jnp.sum((outputs - targets) ** 2) / 2 / inputs.shape[1]}

    return run


def entry(label: str, run: Callable[..., Any], arguments: Any) -> Entry:
    compiled, block = jax().jit(run), jax().block_until_ready

    def answer() -> Mapping[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in compiled(*arguments).items()}

    def work() -> int:
        block(compiled(*arguments))
        return 1

    return Entry(label, answer, work)
