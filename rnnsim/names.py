"""What to say where a name is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that no such thing has this name, and which names are near it.

    >>> nearest("rule", "btpp", ["bptt", "rtrl"])
    "no rule is called 'btpp'; did you mean bptt?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"no {kind} is called {name!r}; did you mean {' or '.join(close)}?"
    return f"no {kind} is called {name!r}; there are {', '.join(names) or 'none'}"
