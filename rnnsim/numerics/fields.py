"""Operations on all arrays of a NamedTuple, such as parameters, a gradient, or the memory of shards."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import fieldwise, kernel, native
from rnnsim.typing import Array, Integers, Number, Params


@native("fields.share")
@fieldwise
def share(x: Array, i: int, shards: int) -> Array:
    """The rows of shard i, of equally large shards."""
    own = len(x) // shards
    return x[i * own : (i + 1) * own]


@native("fields.add")
@fieldwise
def add(x: Array, factor: float, out: Array) -> Array:
    """``out += factor x``."""
    out += x.dtype.type(factor) * x
    return out


@native("fields.clear")
@fieldwise
def clear(x: Array) -> Array:
    """``x = 0``."""
    x[...] = 0
    return x


# --- a row of all parameters -------------------------------------------------------------------------


@native("fields.row_as")
def row_as(row: Array, like: Params) -> Any:
    """Views of a row of numbers, one for each parameter, as a NamedTuple like ``like``.

    A kernel that adds to a gradient then adds to the row: ``immediate(..., row_as(row, grad))``.

    Parameters
    ----------
    row : (n_params,) array
    like : NamedTuple of arrays
        The parameters or the gradient, as kernels take them.
    """
    return next_part(like, row, np.zeros(1, np.int64))


@fieldwise
def next_part(x: Array, row: Array, used: Integers) -> Array:
    """The next numbers of a row that is used up from the front, in the shape of x."""
    begin = used[0]
    used[0] += x.size
    return row[begin : begin + x.size].reshape(x.shape)


@kernel(allocates=False)
def add_row(scalar: Number, row: Array, grad: Params) -> None:
    """``grad += scalar row``, of any network; row (n_params,)."""
    add(row_as(row, grad), scalar, grad)
