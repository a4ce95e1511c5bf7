"""The errors that rnnsim raises. Messages say what is wrong and what is expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RnnsimError(ValueError):
    """An argument cannot be used; the message says what is expected."""


class UnknownName(RnnsimError):
    """No rule, task, option or column has this name; the message lists the nearest."""


class NoSteadyState(RnnsimError):
    """The network, or its adjoint, did not settle; the message names the residual."""


class Diverged(RnnsimError):
    """A loss, a gradient or a parameter is not finite; the message names the step."""


class RnnsimWarning(UserWarning):
    """The result is right, but something about it should be known."""


def nearest(kind: str, name: object, known: Iterable[str]) -> str:
    """Give a message that nothing has this name, with the nearest names.

    >>> nearest("rule", "btpp", ["bptt", "rtrl"])
    "no rule is called 'btpp'; did you mean bptt?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"no {kind} is called {name!r}; did you mean {' or '.join(close)}?"
    return f"no {kind} is called {name!r}; there are {', '.join(names) or 'none'}"
