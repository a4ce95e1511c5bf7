"""The setup of JAX for these benchmarks: float64, with a CPU device for each core.

A computation runs on one device, with its products on all cores, unless it is sharded explicitly; the
other devices do not slow it down.
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
        If it is not installed.
    """
    try:
        import jax
    except ImportError:
        raise SystemExit(MISSING) from None
    jax.config.update("jax_enable_x64", True)
    if jax.config.jax_num_cpu_devices != (os.cpu_count() or 1):  # settable only before first use
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    return jax


def cores() -> Any:
    """Make a mesh of the devices with a single axis, ``core``."""
    return jax().sharding.Mesh(np.array(jax().devices()), ("core",))


def gradient_entry(
    label: str,
    way: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str],
    units: int,
) -> Entry:
    """Make an entry of one way to compute (loss, gradients), the gradients being named ``names``."""
    compiled, block = jax().jit(way), jax().block_until_ready

    def answer() -> Mapping[str, np.ndarray]:
        loss, grads = compiled(*arguments)
        named = {"loss": loss, **dict(zip(names, grads, strict=True))}
        return {name: np.asarray(value) for name, value in named.items()}

    def work() -> int:
        block(compiled(*arguments))
        return units

    return Entry(label, answer, work)
