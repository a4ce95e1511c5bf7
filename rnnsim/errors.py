"""The errors that rnnsim raises: each says what was wrong and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RnnsimError(ValueError):
    """What the caller gave cannot be used; the message says what would be right."""


class UnknownName(RnnsimError):
    """No rule, task, option or column has this name; the message lists the nearest."""


class NoSteadyState(RnnsimError):
    """The network, or its adjoint, did not settle; the message names the residual."""


class Diverged(RnnsimError):
    """A number stopped being finite; the message names the step."""


class RnnsimWarning(UserWarning):
    """The answer is right, but something about it should be known."""


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
