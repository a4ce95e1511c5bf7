"""Callbacks for each compilation."""

from __future__ import annotations

from collections.abc import Callable

# called with the owner of each kernel to be compiled, and whether the cache can keep it
listeners: list[Callable[[str, bool], None]] = []


def tell(owner: str, cacheable: bool) -> None:
    """Call all listeners."""
    for listener in listeners:
        listener(owner, cacheable)
