"""Views of contiguous arrays in other shapes."""

from __future__ import annotations

from rnnsim.kernels import native
from rnnsim.typing import Array


@native("arrays.vector")
def as_vector(x: Array) -> Array:
    """All numbers of an array as a vector."""
    return x.reshape(-1)


@native("arrays.matrix")
def as_matrix(x: Array, rows: int, columns: int) -> Array:
    """The numbers of an array as a matrix of this shape, which has as many."""
    return x.reshape(rows, columns)


@native("arrays.rows")
def rows_of(x: Array, t: int, count: int, begin: int, end: int) -> Array:
    """``count`` steps from t on of the sequences begin, ..., end - 1 as rows.

    x (R, B, n); it is one step, or all sequences.
    """
    R, B, n = x.shape
    first = t * B + begin
    return x.reshape(R * B, n)[first : first + count * (end - begin)]
