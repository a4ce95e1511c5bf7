"""Views of contiguous arrays in other shapes."""

from __future__ import annotations

from rnnsim.kernels import native
from rnnsim.typing import Array


@native("arrays.vector")
def as_vector(x: Array) -> Array:
    """An array flattened."""
    return x.reshape(-1)


@native("arrays.matrix")
def as_matrix(x: Array, rows: int, columns: int) -> Array:
    """An array reshaped into a matrix of the same size."""
    return x.reshape(rows, columns)


@native("arrays.adjoint")
def as_adjoint(x: Array) -> Array:
    """A row (N,) as the adjoint rows (B, R, N) = (1, 1, N) that ``vjp`` takes, the batch being one.

    ``vjp(params, trajectory, t, 0, 1, True, as_adjoint(after), as_adjoint(delta), as_adjoint(before))``
    reads and writes the three rows themselves.
    """
    return x.reshape(1, 1, x.size)


@native("arrays.rows")
def rows_of(x: Array, t: int, count: int, begin: int, end: int) -> Array:
    """Steps t, ..., t + count - 1 of the sequences begin, ..., end - 1, as rows of a matrix.

    x (R, B, n); ``count`` is 1, or the sequences are all B, so that the rows are contiguous.
    """
    R, B, n = x.shape
    first = t * B + begin
    return x.reshape(R * B, n)[first : first + count * (end - begin)]
