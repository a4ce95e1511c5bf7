"""The matrix products of the kernels, each in the way that is fastest at its size.

Names read as formulas. BLAS has an overhead of some hundred nanoseconds a call, so small products are
loops. It has one thread (:mod:`rnnsim.numerics.threads`); large products are cut into parts for the cores.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.numerics.blas import add_xt_y, gemm
from rnnsim.numerics.parallel import bounds, in_parallel, in_parts
from rnnsim.numerics.tiles import multiply, multiply_onto, transpose_rows
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array

SMALL = 512  # multiplications below which a loop beats a call of BLAS
LARGE = 1 << 21  # multiplications from which sharing them between cores pays
LARGE_VECTOR = 1 << 17  # the same of a matrix and a vector, which waits for the matrix
ROWS = 16  # rows of a part, where there are enough
LEAST_ROWS = 8  # of each of two parts
MOST_PARTS = 8
BLAS_SMALL = 1_000_000  # multiplications up to which BLAS takes matrices as they are, and is quicker
PIECE = 16  # the fewest rows that are worth a call of their own


@kernel(allocates=False)
def copy(x: Array, out: Array) -> None:
    """``out = x``, of one shape. (``out[:] = x`` compiles slowly: it can raise, with a message.)"""
    if x.ndim == 1:  # known to the compiler
        for i in range(x.size):
            out[i] = x[i]
    else:
        source, target = as_vector(x), as_vector(out)
        for i in range(source.size):
            target[i] = source[i]


@kernel(allocates=False)
def add_to(out: Array, x: Array) -> None:
    """``out += x``; vectors."""
    for i in range(x.size):
        out[i] += x[i]


@kernel(allocates=False)
def larger(most: float, x: float) -> float:
    """``max(most, |x|)``, but a nan stays, whatever comes after it."""
    size = abs(x)
    return size if size > most or size != size else most


@kernel(allocates=False)
def largest(x: Array) -> float:
    """``max |x_i|``; nan if any is."""
    most, numbers = 0.0, as_vector(x)
    for i in range(numbers.size):
        most = larger(most, numbers[i])
    return most


@kernel(allocates=False)
def swap(x: Array, y: Array) -> None:
    """Exchange the contents of two vectors, which may be one."""
    for i in range(x.size):
        x[i], y[i] = y[i], x[i]


@kernel(allocates=False)
def move_rows(x: Array, first: int, count: int) -> None:
    """Move ``count`` rows from row ``first`` to the front, one by one: the two places may overlap."""
    for i in range(count):
        copy(x[first + i], x[i])


@kernel(allocates=False)
def parts_of(rows: int, work: int) -> int:
    """Into how many parts so many rows are cut, that the cores may share them.

    The sizes alone decide, not the number of cores: the same sums on every machine.
    """
    return 1 if work < LARGE else max(1, min(2, rows // LEAST_ROWS), min(MOST_PARTS, rows // ROWS))


# --- a matrix and a vector: BLAS is slower, which looks for the best way at each call ---


@kernel(allocates=False)
def W_times_x(W: Array, x: Array, out: Array) -> None:
    """``out = W x``; W (k, n)."""
    k, n = W.shape
    in_parts(multiply_rows, k, 1 if k * n < LARGE_VECTOR else MOST_PARTS, W, x, out)


@kernel(allocates=False)
def multiply_rows(W: Array, x: Array, out: Array, begin: int, end: int) -> None:
    """Some rows of ``W x``, four at a time, which read x once."""
    n = W.shape[1]
    zero = out.dtype.type(0)
    for i in range(begin, end - 3, 4):
        one, two, three, four = zero, zero, zero, zero
        for j in range(n):
            one += W[i, j] * x[j]
            two += W[i + 1, j] * x[j]
            three += W[i + 2, j] * x[j]
            four += W[i + 3, j] * x[j]
        out[i], out[i + 1], out[i + 2], out[i + 3] = one, two, three, four
    for i in range(end - (end - begin) % 4, end):
        one = zero
        for j in range(n):
            one += W[i, j] * x[j]
        out[i] = one


@kernel(allocates=False)
def Wt_times_x(W: Array, x: Array, out: Array) -> None:
    """``out = W^T x``; W (k, n)."""
    k, n = W.shape
    if k * n < LARGE_VECTOR:
        multiply(as_matrix(x, 1, k), W, as_matrix(out, 1, n))
    else:
        Wt_times_x_in_parts(W, x, out)


@kernel
def Wt_times_x_in_parts(W: Array, x: Array, out: Array) -> None:
    """``out = W^T x``, the sum in parts."""
    sums = np.empty((MOST_PARTS, out.size), out.dtype)
    in_parallel(combine_part, MOST_PARTS, W, x, sums)
    copy(sums[0], out)
    for part in range(1, MOST_PARTS):
        add_to(out, sums[part])


@kernel(allocates=False)
def combine_part(part: int, W: Array, x: Array, sums: Array) -> None:
    """The sum of a part of the rows of W."""
    begin, end = bounds(part, MOST_PARTS, W.shape[0])
    combine_rows(W, x, sums[part], begin, end)


@kernel(allocates=False)
def combine_rows(W: Array, x: Array, out: Array, begin: int, end: int) -> None:
    """``out`` is the sum of some rows of W, each times its x, four at a time."""
    n = W.shape[1]
    for j in range(n):
        out[j] = 0
    for i in range(begin, end - 3, 4):
        one, two, three, four = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(n):
            out[j] += (one * W[i, j] + two * W[i + 1, j]) + (three * W[i + 2, j] + four * W[i + 3, j])
    for i in range(end - (end - begin) % 4, end):
        one = x[i]
        for j in range(n):
            out[j] += one * W[i, j]


# --- rows: x and y are stacks of row vectors ---


@kernel(allocates=False, inlined=False)
def x_times_Wt(x: Array, W: Array, out: Array) -> None:
    """``out = x W^T``; x (R, n), W (k, n), out (R, k)."""
    R, n = x.shape
    k = W.shape[0]
    if n == 0:
        out[:] = 0
    elif R == 1 or R * n * k <= SMALL:
        for r in range(R):
            W_times_x(W, x[r], out[r])
    else:
        in_parts(gemm_in_pieces, R, parts_of(R, R * n * k), x, W.T, out)


@kernel(allocates=False, inlined=False)
def x_times_W(x: Array, W: Array, out: Array) -> None:
    """``out = x W``; x (R, k), W (k, n), out (R, n)."""
    R, k = x.shape
    n = W.shape[1]
    if k == 0 or n == 0:
        out[:] = 0
        return
    in_parts(rows_times_W, R, parts_of(R, R * n * k), x, W, out)


@kernel(allocates=False)
def rows_times_W(x: Array, W: Array, out: Array, begin: int, end: int) -> None:
    """Some rows of ``out = x W`` by this core, but for a single one that is long."""
    if x.shape[0] == 1:
        Wt_times_x(W, x[0], out[0])
    else:
        multiply(x[begin:end], W, out[begin:end])


@kernel(allocates=False)
def y_plus_rows_times_W(y: Array, x: Array, W: Array, out: Array) -> None:
    """``out = y + x W``, y being rows, or one that is added to all; and not ``out``."""
    if x.shape[0] == 1 and W.size >= LARGE_VECTOR:
        Wt_times_x(W, x[0], out[0])
        for j in range(out.shape[1]):
            out[0, j] += y[0, j]
    else:
        multiply_onto(x, W, y, out)


@kernel(allocates=False)
def transpose(W: Array, out: Array) -> None:
    """``out = W^T``."""
    transpose_rows(W, 0, W.shape[0], as_vector(out))


@kernel(allocates=False)
def piece_of(rows: int, work: int) -> int:
    """How many rows make a piece that BLAS takes as it is, so much work each; all where it takes few."""
    piece = BLAS_SMALL // work
    return piece if piece >= PIECE else rows


@kernel(allocates=False)
def gemm_in_pieces(x: Array, W: Array, out: Array, begin: int, end: int) -> None:
    """Some rows of ``out = x W``, by BLAS."""
    piece = piece_of(end - begin, W.shape[0] * W.shape[1])
    for first in range(begin, end, piece):
        last = min(first + piece, end)
        gemm(x[first:last], W, out[first:last])


@kernel(allocates=False, inlined=False)
def add_xt_times_y(x: Array, y: Array, out: Array, single_threaded: bool) -> None:
    """``out += x^T y``, a sum of outer products; x (R, k), y (R, n), out (k, n).

    ``single_threaded`` leaves the other cores alone.
    """
    R, k = x.shape
    n = y.shape[1]
    if R == 1 or R * n * k <= SMALL:
        for r in range(R):
            for i in range(k):
                factor = x[r, i]
                for j in range(n):
                    out[i, j] += factor * y[r, j]
    elif n > 0:
        parts = 1 if single_threaded else parts_of(max(R, k), R * n * k)
        if parts == 1:
            add_in_pieces(x, y, 0, R, out)
        elif k > R:
            in_parts(add_to_rows, k, parts, x, y, out)
        else:
            add_in_parts(x, y, out, parts)


@kernel
def add_in_parts(x: Array, y: Array, out: Array, parts: int) -> None:
    """``out += x^T y``, the sum in parts, of which the first is added to out at once."""
    sums = np.zeros((parts - 1, *out.shape), out.dtype)
    in_parallel(add_part, parts, x, y, out, sums, parts)
    for part in range(parts - 1):
        add(sums[part], out)


@kernel(allocates=False)
def add_part(part: int, x: Array, y: Array, out: Array, sums: Array, parts: int) -> None:
    """A part of the sum ``x^T y``, added to out or to a place of its own."""
    begin, end = bounds(part, parts, x.shape[0])
    add_in_pieces(x, y, begin, end, out if part == 0 else sums[part - 1])


@kernel(allocates=False)
def add_in_pieces(x: Array, y: Array, begin: int, end: int, out: Array) -> None:
    """``out += x^T y`` of some rows."""
    piece = piece_of(end - begin, x.shape[1] * y.shape[1])
    for first in range(begin, end, piece):
        last = min(first + piece, end)
        add_xt_y(x[first:last], y[first:last], out, 0, out.shape[0])


@kernel(allocates=False)
def add_to_rows(x: Array, y: Array, out: Array, begin: int, end: int) -> None:
    """``out += x^T y`` of some rows of out, where they are more than what is added up."""
    add_xt_y(x, y, out, begin, end)


@kernel(allocates=False)
def add(x: Array, out: Array) -> None:
    """``out += x``; matrices."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] += x[i, j]


@kernel(allocates=False)
def sum_rows(x: Array, out: Array) -> None:
    """``out_i = sum_b x_ib``, in float64, in the order of b."""
    for i in range(x.shape[0]):
        total = 0.0
        for b in range(x.shape[1]):
            total += x[i, b]
        out[i] = total


@kernel(allocates=False)
def add_rows(x: Array, out: Array) -> None:
    """``out += sum of the rows of x``; x (R, k), out (k)."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[i] += x[r, i]
