"""What a message about divergence says besides."""

from __future__ import annotations

from typing import Any

from rnnsim import registry
from rnnsim.network import Network
from rnnsim.rule import Rule

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
