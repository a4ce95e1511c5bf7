"""sigma, the update of a fast weight: w(t) = sigma(w(t-1), Box w(t)) [S92] (theory.md 2, eq. 18).

A sigma is a kernel ``sigma(w, box, constant, out, by_w, by_box)`` on arrays of one length: it writes
w(t) and the partial derivatives of sigma by w(t-1) and by Box w.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, shown
from rnnsim.kernels import kernel
from rnnsim.networks.derivative_checks import check_derivatives
from rnnsim.numerics.elementary import ELEMENTARY
from rnnsim.typing import Array, Kernel

Two = Callable[[float, float], float]


@cache
def sum_and_squash(logistic: Kernel, half: float) -> Kernel:
    """``1 / (1 + exp(-tau (w + Box w - 1/2)))``; ``half`` is 1/2 in the network's dtype."""

    @kernel(allocates=False)
    def squash(w: Array, box: Array, tau: float, out: Array, by_w: Array, by_box: Array) -> None:
        for c in range(w.size):
            out[c], slope = logistic(tau * (w[c] + box[c] - half))
            by_w[c] = tau * slope
            by_box[c] = by_w[c]

    return squash


@kernel(allocates=False)
def additive(w: Array, box: Array, unused: float, out: Array, by_w: Array, by_box: Array) -> None:
    """``w + Box w``."""
    for c in range(w.size):
        out[c] = w[c] + box[c]
        by_w[c] = 1
        by_box[c] = 1


@kernel(allocates=False)
def decay(w: Array, box: Array, retention: float, out: Array, by_w: Array, by_box: Array) -> None:
    """``retention w + Box w``; theory.md calls the constant lambda."""
    for c in range(w.size):
        out[c] = retention * w[c] + box[c]
        by_w[c] = retention
        by_box[c] = 1


NAMES = ("sum-and-squash", "additive", "decay")


def named(name: str, dtype: np.dtype[Any]) -> Kernel:
    """The sigma of this name for arrays of this dtype."""
    if name == "sum-and-squash":
        return sum_and_squash(ELEMENTARY[dtype.name].logistic, dtype.type(0.5))
    return {"additive": additive, "decay": decay}[name]


def sigma_kernel(
    sigma: str | tuple[Two, Two, Two], dtype: np.dtype[Any], checked: bool = True
) -> Kernel:
    """Give the kernel of a named sigma, or make one of the user's ``(s, ds_dw, ds_dbox)``.

    Raises
    ------
    UnknownName
        If no sigma has this name.
    RnnsimError
        If it is neither a name nor three functions, or a derivative is wrong.
    """
    if isinstance(sigma, str):
        return named(checks.known_name("sigma", sigma, NAMES), dtype)
    if not checks.are_functions(sigma, 3):
        raise RnnsimError(
            f"sigma is a name or three functions (s, ds_dw, ds_dbox) of (w, Box w), not {shown(sigma)}"
        )
    if checked:
        check_derivatives("sigma", sigma[0], sigma[1:])
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
