"""Errors and warnings about what diverged, or is unstable."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.errors import Diverged, RnnsimWarning
from rnnsim.network import Network, Stream
from rnnsim.rule import Rule
from rnnsim.typing import Array

OWN = "rnnsim"  # the distribution


def bounds_hint(network: Network, rule: Rule | None = None) -> str:
    """How to find an index out of bounds, where code takes part that does not come with the package."""
    installed = registry.installed()
    own = comes_with_package(type(network), installed.networks.get(network.kind))
    if rule is not None:
        own = own and comes_with_package(type(rule), installed.rules.get(rule.name))
    if own and not has_function(list(vars(network).values())):
        return ""
    return "; check_bounds=True (--check-bounds) finds out whether an index is out of bounds"


def comes_with_package(kind: type, entry: Any) -> bool:
    """Whether a class is registered under its name by the package itself."""
    return entry is not None and entry.distribution == OWN and kind is entry.thing


def has_function(value: Any) -> bool:
    """Whether there is a pair or triple of functions within tuples and lists: the user's own."""
    if not isinstance(value, tuple | list):
        return False
    plain = isinstance(value, tuple) and bool(value) and all(callable(part) for part in value)
    return plain or any(map(has_function, value))


def raise_if_diverged(stream: Stream, hint: str, grad: Array | None = None) -> None:
    """Raise if the loss or the gradient is not finite; ``hint`` is added to the message.

    Raises
    ------
    Diverged
        With the first step whose loss is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(stream.losses))
    if bad.size:
        raise Diverged(
            f"the loss is {stream.losses[bad[0]]} at step {bad[0] + 1}; "
            f"smaller weights or inputs keep it finite{hint}"
        )
    if grad is not None and not np.isfinite(grad).all():
        raise Diverged(
            f"the gradient is not finite over {len(stream.losses)} steps though the loss is; "
            f"smaller weights or shorter sequences keep it finite{hint}"
        )


def warn_if_unstable(radius: float) -> float:
    """Warn of a spectral radius that is at least 1, and return it."""
    if radius >= 1:
        warnings.warn(f"a steady state is unstable: the spectral radius there is {radius:.4g}; it is a "
                      "steady state all the same", RnnsimWarning, stacklevel=5)  # fmt: skip
    return radius
