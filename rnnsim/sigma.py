"""sigma, by which a fast weight takes up its change: w(t) = sigma(w(t-1), Box w(t)) [S92] (eq. 18).

A sigma is a kernel ``sigma(w, box, constant, out, by_w, by_box)`` on arrays of one length: it writes
w(t) and the partial derivatives of sigma by w(t-1) and by Box w.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.kernels import kernel
from rnnsim.names import nearest
from rnnsim.typing import Array, Kernel

Two = Callable[[float, float], float]


@kernel(allocates=False)
def sum_and_squash(w: Array, box: Array, tau: float, out: Array, by_w: Array, by_box: Array) -> None:
    """``1 / (1 + exp(-tau (w + Box w - 1/2)))``."""
    for c in range(w.size):
        a = tau * (w[c] + box[c] - 0.5)
        e = math.exp(-abs(a))  # never overflows
        out[c] = 1 / (1 + e) if a >= 0 else e / (1 + e)
        by_w[c] = tau * e / ((1 + e) * (1 + e))
        by_box[c] = by_w[c]


@kernel(allocates=False)
def additive(w: Array, box: Array, unused: float, out: Array, by_w: Array, by_box: Array) -> None:
    """``w + Box w``."""
    for c in range(w.size):
        out[c] = w[c] + box[c]
        by_w[c] = 1
        by_box[c] = 1


@kernel(allocates=False)
def decay(w: Array, box: Array, retention: float, out: Array, by_w: Array, by_box: Array) -> None:
    """``retention w + Box w``; the source's letter is lambda."""
    for c in range(w.size):
        out[c] = retention * w[c] + box[c]
        by_w[c] = retention
        by_box[c] = 1


NAMED: dict[str, Kernel] = {"sum-and-squash": sum_and_squash, "additive": additive, "decay": decay}


def sigma_kernel(sigma: str | tuple[Two, Two, Two]) -> Kernel:
    """Give the kernel of a named sigma, or make one of the user's ``(s, ds_dw, ds_dbox)``.

    Raises
    ------
    UnknownName
        If no sigma has this name.
    """
    if isinstance(sigma, str):
        if sigma not in NAMED:
            raise UnknownName(nearest("sigma", sigma, NAMED))
        return NAMED[sigma]
    if not checks.are_functions(sigma, 3):
        raise RnnsimError(
            f"sigma is a name or three functions (s, ds_dw, ds_dbox) of (w, Box w), not {sigma!r}"
        )
    return own_kernel(*sigma)


@cache
def own_kernel(s: Two, ds_dw: Two, ds_dbox: Two) -> Kernel:
    """Make the kernel of a user's own sigma and its partial derivatives."""

    @kernel
    def own(w: Array, box: Array, unused: float, out: Array, by_w: Array, by_box: Array) -> None:
        for c in range(w.size):
            out[c] = s(w[c], box[c])
            by_w[c] = ds_dw(w[c], box[c])
            by_box[c] = ds_dbox(w[c], box[c])

    return own
