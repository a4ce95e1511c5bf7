"""The activations f of the units, each with its derivative.

An activation is a kernel ``activate(a, x)`` on vectors of one length: it reads the net inputs ``a``,
writes ``f(a)`` into ``x`` and overwrites ``a`` with the slopes ``f'(a)``, since the net input is not
needed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.networks.derivative_checks import check_derivatives
from rnnsim.numerics.elementary import ELEMENTARY, Elementary
from rnnsim.typing import Array, Kernel

Function = Callable[[float], float]


@kernel(allocates=False)
def relu(a: Array, x: Array) -> None:
    for i in range(a.size):
        # this comparison keeps a nan
        x[i] = 0 if a[i] <= 0 else a[i]
        a[i] = 0 if a[i] <= 0 else 1  # f'(0) = 0


@kernel(allocates=False)
def identity(a: Array, x: Array) -> None:
    for i in range(a.size):
        x[i] = a[i]
        a[i] = 1


@cache
def elementwise(function: Kernel) -> Kernel:
    """Make the activation of a function that returns f(a) and f'(a) of one net input."""

    @kernel(allocates=False)
    def activate(a: Array, x: Array) -> None:
        for i in range(a.size):
            x[i], a[i] = function(a[i])

    return activate


# --- by name ------------------------------------------------------------------------------------------

NAMES = ("tanh", "logistic", "relu", "softplus", "identity")


def named(name: str, dtype: np.dtype[Any]) -> Kernel:
    """The activation of this name for arrays of this dtype."""
    if name in Elementary._fields:
        return elementwise(getattr(ELEMENTARY[dtype.name], name))
    return {"relu": relu, "identity": identity}[name]


# f^-1 and the open interval in which it exists, for eq. (5).
INVERSES: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "tanh": (np.arctanh, -1.0, 1.0),
    "logistic": (lambda x: np.log(x) - np.log1p(-x), 0.0, 1.0),
    "relu": (lambda x: x, 0.0, math.inf),
    "softplus": (lambda x: x + np.log(-np.expm1(-x)), 0.0, math.inf),
    "identity": (lambda x: x, -math.inf, math.inf),
}


@cache
def activation_kernel(
    activation: str | tuple[Function, Function], dtype: np.dtype[Any], checked: bool = True
) -> Kernel:
    """Give the kernel of a named activation, or make one of the user's ``(f, df)``.

    With ``checked``, df is compared with differences of f.

    Raises
    ------
    UnknownName
        If no activation has this name.
    RnnsimError
        If it is neither a name nor a pair of functions, or df is not the derivative of f.
    """
    if isinstance(activation, str):
        return named(checks.known_name("activation", activation, NAMES), dtype)
    if not checks.are_functions(activation, 2):
        raise RnnsimError(
            f"activation is a name or a pair (f, df) of functions of the net input, not {activation!r}"
        )
    f, df = activation
    if checked:
        check_derivatives("activation", f, [df])

    @kernel
    def activate(a: Array, x: Array) -> None:
        for i in range(a.size):
            net = a[i]
            x[i] = f(net)
            a[i] = df(net)

    return activate
