"""Checks of arguments, with error messages that say what is expected."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError, UnknownName, nearest, shown
from rnnsim.typing import Array

DTYPES = ("float64", "float32")


LARGEST = 2**53  # the largest number of steps
LARGEST_SIZE = 10**8  # the largest size of a network, for which arrays are allocated
MOST_PROCESSES = 1000


# --- numbers, bools, names and paths ---


def whole(name: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> int:
    """Check a whole number with bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise RnnsimError(f"{name} is a whole number, not {shown(value)}") from None
    if number < at_least:
        raise RnnsimError(f"{name} is {shown(number)}; it must be at least {at_least}")
    if number > at_most:
        raise RnnsimError(f"{name} is {shown(number)}; it must be at most {at_most}")
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
        number = float(_scalar(value))
    except (TypeError, ValueError, OverflowError):
        raise RnnsimError(f"{name} is a number, not {shown(value)}") from None
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


def _scalar(value: Any) -> Any:
    """A number of NumPy as one of Python: ``float`` drops an imaginary part, with only a warning."""
    if isinstance(value, np.ndarray | np.generic):
        if value.ndim or np.ma.is_masked(value):
            raise TypeError
        return value.item()
    return value


def boolean(name: str, value: Any) -> bool:
    """Check a bool; text may say it too, as on the command line."""
    words = {"true": True, "false": False}
    said = words.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(said, bool | np.bool_):
        raise RnnsimError(f"{name} is true or false, not {shown(value)}")
    return bool(said)


def known_name(kind: str, name: Any, known: Collection[str]) -> str:
    """Check that a name is one of those that are known.

    Raises
    ------
    UnknownName
        With the names that are near.
    """
    if not isinstance(name, str) or name not in known:
        raise UnknownName(nearest(kind, name, known))
    return name


def path(name: str, value: Any) -> Path:
    """Check the path of a file or a folder; whether there is one is not looked at."""
    try:
        text = os.fspath(value)
        os.fsencode(text)
    except (TypeError, UnicodeError):
        raise RnnsimError(f"{name} is a path, not {shown(value)}") from None
    if not isinstance(text, str) or not text or "\0" in text:
        raise RnnsimError(f"{name} is a path, not {shown(value)}")
    return Path(text)


def are_functions(given: Any, count: int) -> bool:
    """Whether an argument is a user's own function with its derivatives: a tuple of ``count``.

    Each must be hashable, as a kernel is kept for each.
    """
    return (
        isinstance(given, tuple)
        and len(given) == count
        and all(callable(function) and type(function).__hash__ for function in given)
    )


def name_or_functions(name: str, given: Any, count: int, functions: str) -> None:
    """Check a name, whichever it is, or a user's own function with its derivatives.

    ``functions`` describes them, for the message.
    """
    if not isinstance(given, str) and not are_functions(given, count):
        raise RnnsimError(f"{name} is a name or {functions}, not {shown(given)}")


# --- arrays ---


def float_dtype(value: Any) -> np.dtype[Any]:
    """Check that a dtype is one that the kernels support, in the machine's byte order."""
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except Exception:  # noqa: BLE001 (NumPy raises errors of many kinds)
        dtype = np.dtype(object)
    if dtype not in map(np.dtype, DTYPES):
        order = " (of this machine's byte order)" if dtype.name in DTYPES else ""
        raise RnnsimError(f"dtype is {' or '.join(DTYPES)}{order}, not {shown(value)}")
    return np.dtype(dtype.name)


def numbers(name: str, given: Any, dtype: Any = None, kinds: str = "biuf") -> Array:
    """Convert real numbers to an array of a dtype; refuse anything else.

    Every argument that is an array goes through this function. It is not copied where that is not
    needed.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    given : array_like
    dtype : dtype, optional
        By default that of ``given``.
    kinds : str
        The kinds of dtype that are allowed, as NumPy writes them.

    Raises
    ------
    RnnsimError
        If it is masked, ragged, complex, of objects or of text, or if a number is too large.
    """
    try:
        if _is_masked(given):
            raise RnnsimError(f"{name} is a masked array with masked entries; fill them (.filled(0)), "
                              "and give what is not to count by mask=")  # fmt: skip
        array = np.asarray(given)
    except RnnsimError:
        raise
    except Exception as error:  # noqa: BLE001 (an object that is to become an array may fail in any way)
        why = (str(error) or type(error).__name__).splitlines()[0]
        if "inhomogeneous" in why:
            why = "its rows have different lengths"
        raise RnnsimError(f"{name} cannot be read as {_expected(kinds)}: {why}") from None
    if array.dtype.kind not in kinds:
        raise RnnsimError(f"{name} must be {_expected(kinds)}, not {_found(given, array)}")
    if dtype is None or array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if array.dtype.kind == "f" and array.dtype.itemsize > converted.dtype.itemsize:
        lost = np.isinf(converted) & np.isfinite(array)
        if lost.any():
            raise RnnsimError(f"{name} holds {array[lost].flat[0]:g}, which is too large for "
                              f"{converted.dtype}")  # fmt: skip
    return converted


def _expected(kinds: str) -> str:
    """What an array must be, in words."""
    return f"an array of {'real numbers' if 'f' in kinds else 'bools'}"


def _found(given: Any, array: Array) -> str:
    """What an array is instead, in words."""
    if not array.ndim:
        return shown(given)
    converted = array.dtype.kind == "O" and not isinstance(given, np.ndarray)
    if converted and all(isinstance(entry, int | float) for entry in array.flat):
        return "of integers beyond 64 bits"
    return "of strings" if array.dtype.kind in "US" else f"of {array.dtype}"


def _is_masked(given: Any) -> bool:
    """Whether an array has masked entries, or a nested list has such an array in it."""
    if isinstance(given, list | tuple):
        return any(map(_is_masked, given))
    return isinstance(given, np.ma.MaskedArray) and bool(np.ma.is_masked(given))


def over_time(name: str, array: Any, features: int, dtype: Any) -> Array:
    """Check an array over time and give it as (T, B, features)."""
    out = numbers(name, array, dtype)
    shape = out.shape
    if out.ndim == 2:
        out = out[:, None, :]
    if out.ndim != 3 or out.shape[2] != features:
        raise RnnsimError(f"{name} has shape {shape}; expected (T, B, {features}) or (T, {features})")
    if out.shape[0] == 0 or out.shape[1] == 0:
        raise RnnsimError(f"{name} has shape {shape}: it needs at least one step and sequence")
    return _plain(out)


def _plain(array: Array) -> Array:
    """Copy an array only where needed. A read-only array would have another Numba type."""
    return np.require(array, None, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def finite(name: str, array: Array) -> Array:
    """Check that every value is finite; the message names the first that is not."""
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise RnnsimError(f"{name} holds {array[where]} at {where}; every value must be finite")
    return array


def per_step(name: str, array: Any, steps: int, batch: int, dtype: Any) -> Array:
    """Check an array of one value for each step and sequence and give it as (T, B)."""
    given = numbers(name, array, dtype, "b" if dtype is np.bool_ else "biuf")
    out = given.reshape(-1, 1) if given.ndim == 1 and batch == 1 else given
    if out.shape != (steps, batch):
        raise RnnsimError(
            f"{name} has shape {given.shape}; expected {(steps, batch)}"
            + (f" or {(steps,)}" if batch == 1 else "")
        )
    return finite(name, _plain(out))


def state(name: str, given: Any, batch: int, size: int, dtype: Any) -> Array:
    """Check a state, (B, n) or (n,) for all sequences, and give it as an array (B, n) of its own."""
    state = numbers(name, given, dtype)
    if state.shape not in ((batch, size), (size,)):
        raise RnnsimError(f"{name} has shape {state.shape}; expected {(batch, size)} or {(size,)}")
    return np.array(np.broadcast_to(finite(name, state), (batch, size)), order="C")


def unit_indices(name: str, units: Sequence[int], n: int) -> Array:
    """Check indices of units: integers, distinct and below n."""
    try:
        indices = [whole(name, unit, 0) for unit in units]
    except TypeError:
        raise RnnsimError(f"{name} is a sequence of unit indices, not {shown(units)}") from None
    if not indices or max(indices) >= n or len(set(indices)) < len(indices):
        raise RnnsimError(f"{name} must be different unit indices from 0 to {n - 1}, not {shown(units)}")
    return np.array(indices, np.int64)
