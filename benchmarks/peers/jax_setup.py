"""JAX as the peers use it: in float64, with a CPU device for each core.

A computation runs on one device and its products on all cores, unless it is cut into shards by hand;
that there are more devices costs it nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.entries import Entry

MISSING = "the side-by-side benchmark needs JAX: pip install 'rnnsim[peers]'"


def jax() -> Any:
    """Import JAX.

    Raises
    ------
    SystemExit
        If it is absent.
    """
    try:
        import jax
    except ImportError:
        raise SystemExit(MISSING) from None
    jax.config.update("jax_enable_x64", True)
    if jax.config.jax_num_cpu_devices != (os.cpu_count() or 1):  # can be set before the first use alone
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    return jax


def cores() -> Any:
    """Make a mesh of one axis, ``core``: the devices."""
    return jax().sharding.Mesh(np.array(jax().devices()), ("core",))


def gradient_entry(
    label: str,
    way: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str],
    units: int,
) -> Entry:
    """Compile one way to compute (loss, gradients), the gradients by ``names``."""
    compiled, block = jax().jit(way), jax().block_until_ready

    def answer() -> Mapping[str, np.ndarray]:
        loss, grads = compiled(*arguments)
        named = {"loss": loss, **dict(zip(names, grads, strict=True))}
        return {name: np.asarray(value) for name, value in named.items()}

    def work() -> int:
        block(compiled(*arguments))
        return units

    return Entry(label, answer, work)
