"""What is wrong with a function that is to be called while a network learns."""

from __future__ import annotations

import inspect
from typing import Any


def wrong_with_callback(thing: Any) -> str:
    """Say, as a relative clause, why something cannot be called with one argument, if so."""
    if not callable(thing):
        return "which is no function; it is one that takes a Seen, what there is to see of a run"
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # of a function that does not say so: it is not Python's own
        return ""
    try:
        signature.bind(None)
    except TypeError:
        has = ", ".join(signature.parameters)
        return f"which takes ({has}); it takes one argument, a Seen, what there is to see of a run"
    return ""
