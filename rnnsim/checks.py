"""Checks of arguments, with error messages that say what is expected."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

DTYPES = ("float64", "float32")


LARGEST = 2**53  # the largest number of steps
LARGEST_SIZE = 10**8  # the largest size of a network, for which arrays are allocated


def whole(name: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> int:
    """Check a whole number with bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise RnnsimError(f"{name} is a whole number, not {value!r}") from None
    if number < at_least:
        raise RnnsimError(f"{name} is {number}; it must be at least {at_least}")
    if number > at_most:
        raise RnnsimError(f"{name} is {number}; it must be at most {at_most}")
    return number


def real(
    name: str,
    value: Any,
    above: float = -math.inf,
    at_most: float = math.inf,
    at_least: float = -math.inf,
) -> float:
    """Check a finite number with bounds."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise RnnsimError(f"{name} is a number, not {value!r}") from None
    if not math.isfinite(number):
        raise RnnsimError(f"{name} is {number}; it must be finite")
    if not above < number <= at_most:
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"at most {at_most:g}"] * (
            at_most < math.inf
        )
        raise RnnsimError(f"{name} is {number:g}; it must be {' and '.join(bounds)}")
    if number < at_least:
        raise RnnsimError(f"{name} is {number:g}; it must be at least {at_least:g}")
    return number


def float_dtype(value: Any) -> np.dtype[Any]:
    """Check that a dtype is one that the kernels support."""
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.name not in DTYPES:
        raise RnnsimError(f"dtype is {' or '.join(DTYPES)}, not {value!r}")
    return dtype


def over_time(name: str, array: Any, features: int, dtype: Any) -> Array:
    """Check an array over time and give it as (T, B, features)."""
    try:
        given = np.asarray(array)
        out = np.asarray(given, dtype)
    except (TypeError, ValueError):
        raise RnnsimError(f"{name} must be an array of numbers") from None
    if given.dtype.kind not in "biuf":
        raise RnnsimError(f"{name} must be an array of real numbers, not of {given.dtype}")
    if out.ndim == 2:
        out = out[:, None, :]
    if out.ndim != 3 or out.shape[2] != features:
        raise RnnsimError(
            f"{name} has shape {given.shape}; expected (T, B, {features}) or (T, {features})"
        )
    if out.shape[0] == 0 or out.shape[1] == 0:
        raise RnnsimError(f"{name} has shape {given.shape}: it needs at least one step and sequence")
    return _plain(out)


def _plain(array: Any, dtype: Any = None) -> Array:
    """Copy an array only where needed. A read-only array would have another Numba type."""
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def finite(name: str, array: Array) -> Array:
    """Check that every value is finite; the message names the first that is not."""
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise RnnsimError(f"{name} holds {array[where]} at {where}; every value must be finite")
    return array


def per_step(name: str, array: Any, steps: int, batch: int, dtype: Any) -> Array:
    """Check an array of one value for each step and sequence and give it as (T, B)."""
    given = np.asarray(array)
    if given.dtype.kind not in ("biuf" if dtype is not np.bool_ else "b"):
        raise RnnsimError(
            f"{name} must be an array of "
            f"{'bools' if dtype is np.bool_ else 'bools or numbers'}, not {given.dtype}"
        )
    out = given.reshape(-1, 1) if given.ndim == 1 and batch == 1 else given
    if out.shape != (steps, batch):
        raise RnnsimError(
            f"{name} has shape {given.shape}; expected {(steps, batch)}"
            + (f" or {(steps,)}" if batch == 1 else "")
        )
    return finite(name, _plain(out, dtype))


def state(name: str, given: Any, batch: int, size: int, dtype: Any) -> Array:
    """Check a state, (B, n) or (n,) for all sequences, and give it as an array (B, n) of its own."""
    state = np.asarray(given)
    if state.shape not in ((batch, size), (size,)):
        raise RnnsimError(f"{name} has shape {state.shape}; expected {(batch, size)} or {(size,)}")
    if state.dtype.kind not in "biuf":
        raise RnnsimError(f"{name} must be an array of real numbers, not of {state.dtype}")
    values = finite(name, state.astype(dtype))
    return np.array(np.broadcast_to(values, (batch, size)), order="C")


def are_functions(given: Any, count: int) -> bool:
    """Whether an argument is a user's own function with its derivatives: a tuple of ``count``."""
    return isinstance(given, tuple) and len(given) == count and all(map(callable, given))


def unit_indices(name: str, units: Sequence[int], n: int) -> Array:
    """Check indices of units: integers, distinct and below n."""
    indices = [whole(name, unit, 0) for unit in units]
    if not indices or max(indices) >= n or len(set(indices)) < len(indices):
        raise RnnsimError(f"{name} must be different unit indices from 0 to {n - 1}, not {units!r}")
    return np.array(indices, np.int64)
