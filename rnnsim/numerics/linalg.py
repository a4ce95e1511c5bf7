"""The matrix products of the kernels, each with the implementation that is fastest at its size.

Names read as formulas. BLAS has an overhead of some hundred nanoseconds per call, so small products are
loops. BLAS has one thread (:mod:`rnnsim.numerics.threads`); large products are divided between threads.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.numerics.blas import add_xt_y, gemm
from rnnsim.numerics.parallel import bounds, in_parallel, in_parts
from rnnsim.numerics.tiles import multiply, multiply_onto, transpose_rows
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.typing import Array, Number

SMALL = 512  # multiplications below which a loop is faster than a call of BLAS
LARGE = 1 << 21  # multiplications from which threads pay
LARGE_VECTOR = 1 << 17  # the same for matrix-vector products, which are bound by memory bandwidth
ROWS = 16  # minimum rows of a part
LEAST_ROWS = 8  # the same where there are two parts
MOST_PARTS = 8
BLAS_SMALL = 1_000_000  # multiplications up to which BLAS does not pack its arguments, and is faster
LEAST_BLOCK = 16  # minimum rows of a block of a product with a BLAS call of its own


@kernel(allocates=False)
def copy(x: Array, out: Array) -> None:
    """``out = x``, of the same shape. (``out[:] = x`` compiles slowly, because it can raise.)"""
    if x.ndim == 1:  # a constant at compile time
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
    """``max(most, |x|)``; nan if either is."""
    size = abs(x)
    return size if size > most or size != size else most


@kernel(allocates=False)
def largest(x: Array) -> float:
    """``max |x_i|``; nan if any entry is."""
    most, numbers = 0.0, as_vector(x)
    for i in range(numbers.size):
        most = larger(most, numbers[i])
    return most


@kernel(allocates=False, reassociates=True)
def dot(x: Array, y: Array) -> Number:
    """``x . y``, summed in float64."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@kernel(allocates=False)
def swap(x: Array, y: Array) -> None:
    """Exchange the contents of two vectors, which may be the same."""
    for i in range(x.size):
        x[i], y[i] = y[i], x[i]


@kernel(allocates=False)
def move_rows(x: Array, first: int, count: int) -> None:
    """Copy ``count`` rows from row ``first`` on to the front, in order: the two ranges may overlap."""
    for i in range(count):
        copy(x[first + i], x[i])


@kernel(allocates=False)
def parts_of(rows: int, work: int) -> int:
    """The number of parts into which rows are divided for threads, given the multiplications of all.

    It depends on the sizes and not on the number of cores, so that sums are the same on every machine.
    """
    return 1 if work < LARGE else max(1, min(2, rows // LEAST_ROWS), min(MOST_PARTS, rows // ROWS))


# --- matrix-vector products: loops are faster than BLAS, which selects an implementation per call ---


@kernel(allocates=False)
def W_times_x(W: Array, x: Array, out: Array) -> None:
    """``out = W x``; W (k, n)."""
    k, n = W.shape
    in_parts(multiply_rows, k, 1 if k * n < LARGE_VECTOR else MOST_PARTS, W, x, out)


@kernel(allocates=False, reassociates=True)
def multiply_rows(W: Array, x: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out = W x``, four at a time, to read x once for all four."""
    n = W.shape[1]
    zero = out.dtype.type(0)
    for i in range(begin, end - 3, 4):
        sum0, sum1, sum2, sum3 = zero, zero, zero, zero
        for j in range(n):
            sum0 += W[i, j] * x[j]
            sum1 += W[i + 1, j] * x[j]
            sum2 += W[i + 2, j] * x[j]
            sum3 += W[i + 3, j] * x[j]
        out[i], out[i + 1], out[i + 2], out[i + 3] = sum0, sum1, sum2, sum3
    for i in range(end - (end - begin) % 4, end):
        sum0 = zero
        for j in range(n):
            sum0 += W[i, j] * x[j]
        out[i] = sum0


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
    """``out = W^T x``, with the rows of W divided into parts whose sums are then added up."""
    sums = np.empty((MOST_PARTS, out.size), out.dtype)
    in_parallel(combine_part, MOST_PARTS, W, x, sums)
    copy(sums[0], out)
    for part in range(1, MOST_PARTS):
        add_to(out, sums[part])


@kernel(allocates=False)
def combine_part(part: int, W: Array, x: Array, sums: Array) -> None:
    """One part of ``W^T x``, into its row of ``sums``."""
    begin, end = bounds(part, MOST_PARTS, W.shape[0])
    combine_rows(W, x, sums[part], begin, end)


@kernel(allocates=False)
def combine_rows(W: Array, x: Array, out: Array, begin: int, end: int) -> None:
    """``out = sum_i x_i W_i`` over rows begin, ..., end - 1, four at a time."""
    n = W.shape[1]
    for j in range(n):
        out[j] = 0
    for i in range(begin, end - 3, 4):
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(n):
            out[j] += (x0 * W[i, j] + x1 * W[i + 1, j]) + (x2 * W[i + 2, j] + x3 * W[i + 3, j])
    for i in range(end - (end - begin) % 4, end):
        x0 = x[i]
        for j in range(n):
            out[j] += x0 * W[i, j]


# --- matrix products; x and y are stacks of row vectors ---


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
        in_parts(gemm_in_blocks, R, parts_of(R, R * n * k), x, W.T, out)


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
    """Rows begin, ..., end - 1 of ``out = x W``, on one thread unless x is a single long row."""
    if x.shape[0] == 1:
        Wt_times_x(W, x[0], out[0])
    else:
        multiply(x[begin:end], W, out[begin:end])


@kernel(allocates=False)
def y_plus_rows_times_W(y: Array, x: Array, W: Array, out: Array) -> None:
    """``out = y + x W``; y has the rows of out, or one that is added to all, and is not ``out``."""
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
def block_of(rows: int, work: int) -> int:
    """Rows of a block that BLAS does not pack, given the multiplications per row; all rows if few."""
    block = BLAS_SMALL // work
    return block if block >= LEAST_BLOCK else rows


@kernel(allocates=False)
def gemm_in_blocks(x: Array, W: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out = x W``, by BLAS."""
    block = block_of(end - begin, W.shape[0] * W.shape[1])
    for first in range(begin, end, block):
        last = min(first + block, end)
        gemm(x[first:last], W, out[first:last])


@kernel(allocates=False, inlined=False)
def add_xt_times_y(x: Array, y: Array, out: Array, single_threaded: bool) -> None:
    """``out += x^T y``, a sum of outer products; x (R, k), y (R, n), out (k, n).

    With ``single_threaded`` it starts no threads.
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
            add_in_blocks(x, y, 0, R, out)
        elif k > R:
            in_parts(add_to_rows, k, parts, x, y, out)
        else:
            add_in_parts(x, y, out, parts)


@kernel
def add_in_parts(x: Array, y: Array, out: Array, parts: int) -> None:
    """``out += x^T y``, with the rows divided into parts; the first is added directly to out."""
    sums = np.zeros((parts - 1, *out.shape), out.dtype)
    in_parallel(add_part, parts, x, y, out, sums, parts)
    for part in range(parts - 1):
        add(sums[part], out)


@kernel(allocates=False)
def add_part(part: int, x: Array, y: Array, out: Array, sums: Array, parts: int) -> None:
    """Add one part of ``x^T y`` to out or to its own buffer."""
    begin, end = bounds(part, parts, x.shape[0])
    add_in_blocks(x, y, begin, end, out if part == 0 else sums[part - 1])


@kernel(allocates=False)
def add_in_blocks(x: Array, y: Array, begin: int, end: int, out: Array) -> None:
    """``out += x^T y``, summed over rows begin, ..., end - 1 of x and y."""
    block = block_of(end - begin, x.shape[1] * y.shape[1])
    for first in range(begin, end, block):
        last = min(first + block, end)
        add_xt_y(x[first:last], y[first:last], out, 0, out.shape[0])


@kernel(allocates=False)
def add_to_rows(x: Array, y: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out += x^T y``, where out has more rows than x and y."""
    add_xt_y(x, y, out, begin, end)


@kernel(allocates=False)
def add(x: Array, out: Array) -> None:
    """``out += x``; matrices."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] += x[i, j]


@kernel(allocates=False)
def sum_rows(x: Array, out: Array) -> None:
    """``out_i = sum_b x_ib``, accumulated in float64 in the order of b."""
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


@kernel(allocates=False)
def all_finite(x: Array) -> bool:
    """Whether all numbers of a vector are finite."""
    others = 0
    for i in range(x.size):
        others += 0 if np.isfinite(x[i]) else 1
    return others == 0
