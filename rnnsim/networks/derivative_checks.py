"""Compares the derivatives that users give of functions of their own with differences.

A wrong derivative trains without complaint, only worse. So it is looked at once, when a network is made,
at points where the function is smooth: where differences over small and over larger steps agree. (The
derivative of a step is a matter of choice, as in networks of spikes or of rounded numbers.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError

STEP = 1e-4
LARGER_STEPS = {1e-2: 0.05, 0.2: 0.5}  # steps, and how far the differences may be from those of STEP
TOLERANCE = 0.01  # relative; functions may compute in single precision
POINTS = (-2.9, -1.3, -0.61, -0.17, 0.23, 0.71, 1.1, 2.7)

Values = Callable[..., Any]


def check_derivatives(name: str, f: Values, derivatives: Sequence[Values]) -> None:
    """Check the derivatives of a function of numbers with respect to each argument.

    Raises
    ------
    RnnsimError
        If one is not what differences give where the function is smooth.
    """
    f, derivatives = in_python(f), [in_python(df) for df in derivatives]
    count = len(derivatives)
    for i in range(len(POINTS)):
        at = [POINTS[(i + 3 * j) % len(POINTS)] for j in range(count)]
        for j in range(count):

            def along(x: float, j: int = j, at: list[float] = at) -> Any:
                return f(*at[:j], x, *at[j + 1 :])

            given = attempt(derivatives[j], *at)
            compare(f"derivative {j + 1} of {count}" if count > 1 else "derivative", name,
                    ", ".join(f"{x:g}" for x in at), along, at[j], given)  # fmt: skip


def check_loss_gradient(value: Values, gradient: Values, k: int) -> None:
    """Check the gradient of a loss of (y, d), vectors of k numbers, with respect to y.

    Raises
    ------
    RnnsimError
        If it is not what differences give where the loss is smooth.
    """
    value, gradient = in_python(value), in_python(gradient)
    rng = np.random.default_rng(0)
    for _ in range(3):
        y, d = rng.uniform(-1.5, 1.5, k), rng.uniform(0.1, 0.9, k)
        given = attempt_array(gradient, y, d, k)
        for o in range(min(k, 8)) if given is not None else ():

            def along(x: float, o: int = o, y: Any = y, d: Any = d) -> Any:
                moved = y.copy()
                moved[o] = x
                return value(moved, d)

            where = f"y = {np.round(y, 3)}, d = {np.round(d, 3)}"
            compare(f"derivative by y[{o}]", "loss", where, along, y[o], float(given[o]))


def adds_up_over_outputs(value: Values, k: int) -> bool:
    """Whether a loss of (y, d) is the sum of what it gives for each output alone."""
    value, rng = in_python(value), np.random.default_rng(0)
    for _ in range(3):
        y, d = rng.uniform(-1.5, 1.5, k), rng.uniform(0.1, 0.9, k)
        whole = attempt(value, y, d)
        parts = [attempt(value, y[o : o + 1], d[o : o + 1]) for o in range(k)]
        known = [part for part in parts if part is not None]
        if whole is None or len(known) < k or not math.isclose(whole, sum(known), rel_tol=1e-6):
            return False
    return True


def compare(which: str, name: str, where: str, f: Values, x: float, given: float | None) -> None:
    """Compare a derivative with differences of ``f`` at x, unless the function is not smooth there.

    Raises
    ------
    RnnsimError
    """
    slope = difference(f, x, STEP)
    if given is None or slope is None:
        return
    for step, margin in LARGER_STEPS.items():
        coarse = difference(f, x, step)
        if coarse is None or abs(coarse - slope) > margin * max(abs(slope), abs(coarse), 0.01):
            return
    if abs(given - slope) > TOLERANCE * max(abs(slope), abs(given), TOLERANCE):
        raise RnnsimError(
            f"the {which} of your {name} is {given:.4g} at {where}; differences give {slope:.4g} "
            "(check_derivatives=False takes it as it is)"
        )


def difference(f: Values, x: float, step: float) -> float | None:
    """The central difference of a function; None where it has none."""
    above, below = attempt(f, x + step), attempt(f, x - step)
    return None if above is None or below is None else (above - below) / (2 * step)


def attempt(f: Values, *arguments: Any) -> float | None:
    """The value of a user's function as a number; None if it gives none in plain Python."""
    try:
        with np.errstate(all="ignore"):
            value = float(f(*arguments))
    except Exception:  # noqa: BLE001 (it may need Numba, or other arguments; then compiling tells)
        return None
    return value if math.isfinite(value) else None


def attempt_array(f: Values, y: Any, d: Any, k: int) -> Any:
    """The same for a vector of k numbers."""
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(f(y.copy(), d), float)
    except Exception:  # noqa: BLE001 (as above)
        return None
    return value if value.shape == (k,) and np.isfinite(value).all() else None


def in_python(f: Values) -> Values:
    """A user's function, or what Numba has compiled, in Python."""
    function: Values = getattr(f, "py_func", f)
    return function
