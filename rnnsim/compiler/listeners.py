"""Who wants to know of each compilation."""

from __future__ import annotations

from collections.abc import Callable

# called with the owner of each kernel that is to be compiled, and whether the cache can keep it
listeners: list[Callable[[str, bool], None]] = []


def tell(owner: str, cacheable: bool) -> None:
    """Tell all listeners of a compilation."""
    for listener in listeners:
        listener(owner, cacheable)
