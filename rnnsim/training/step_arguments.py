"""The arguments of one step: checked, in the form (B, ...), and quickly where they have it already."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.typing import Array, Inputs


def step_inputs(network: Network, u: Inputs, batch: int) -> tuple[Array, bool]:
    """The inputs (B, columns) of a step, and whether they were given as (columns,).

    Raises
    ------
    RnnsimError
        If they have another shape or type, or are not finite.
    """
    if _is_row(u, batch, network.columns[0], network.dtype):
        is_single = u.ndim == 1  # type: ignore[union-attr]
        return u, is_single  # type: ignore[return-value]
    parts = u if isinstance(u, tuple) else (u,)
    arrays = [checks.numbers("u", part, network.dtype) for part in parts]
    if not arrays:
        raise RnnsimError("u is an array or a pair (slow, fast) of arrays, not ()")
    is_single = all(array.ndim == 1 for array in arrays) and batch == 1
    shaped = [array[None, None] if is_single else array[None] for array in arrays]
    if any(array.ndim != 3 or array.shape[1] != batch for array in shaped):
        raise _wrong_shape("u", arrays[0], batch, " or ".join(map(str, network.columns)))
    checked = network.check_inputs(tuple(shaped) if isinstance(u, tuple) else shaped[0])
    return checks.finite("u", checked[0]), is_single


def step_target(network: Network, name: str, given: Any, batch: int) -> Array:
    """The target of a step, or its error, for B sequences.

    Raises
    ------
    RnnsimError
        If it has another shape or type, or is not finite.
    """
    k = network.n_out
    if _is_row(given, batch, k, network.dtype):
        return given  # type: ignore[no-any-return]
    array = checks.numbers(name, given, network.dtype)
    if array.shape != (batch, k) and not (array.shape == (k,) and batch == 1):
        raise _wrong_shape(name, array, batch, str(k))
    return checks.finite(name, array)


def step_mask(network: Network, given: Any, batch: int) -> Array:
    """The weights (B,) of a step's targets, or one for all.

    Raises
    ------
    RnnsimError
        If they have another shape or type, or are not finite.
    """
    weights = checks.finite("mask", checks.numbers("mask", given, network.dtype))
    if weights.shape not in ((), (batch,)):
        raise RnnsimError(f"mask has shape {weights.shape}; expected {(batch,)}, or a number")
    return weights


def _is_row(given: Any, batch: int, columns: int, dtype: Any) -> bool:
    """Whether an array can be used as it is; where its squares overflow, it is looked at again."""
    return (
        type(given) is np.ndarray
        and given.dtype is dtype
        and (given.shape == (batch, columns) or (batch == 1 and given.shape == (columns,)))
        and math.isfinite(np.vdot(given, given))
    )


def _wrong_shape(name: str, array: Array, batch: int, columns: str) -> RnnsimError:
    single = f" or ({columns},)" if batch == 1 else ""
    return RnnsimError(f"{name} has shape {array.shape}; expected ({batch}, {columns}){single}")
