"""The matrix products of the kernels, each in the way that is fastest at its size.

Names read as formulas. BLAS has an overhead of some hundred nanoseconds a call, so small products are
loops. It has one thread (:mod:`rnnsim.threads`); large products are cut into parts for the cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import kernel, prange
from rnnsim.native import as_vector, gemm
from rnnsim.typing import Array

_LINE = 64  # bytes
SMALL = 512  # multiplications below which a loop beats a call of BLAS
LARGE = 1 << 21  # multiplications from which sharing them between cores pays
LARGE_VECTOR = 1 << 17  # the same of a matrix and a vector, which waits for the matrix
ROWS = 16  # rows of a part, where there are enough
LEAST_ROWS = 8  # of each of two parts
MOST_PARTS = 8
BLAS_SMALL = 1_000_000  # multiplications up to which BLAS takes matrices as they are, and is quicker
PIECE = 16  # the fewest rows that are worth a call of their own
SQUARE = 16  # rows and columns turned at a time: a line of the cache each


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Allocate zeros that begin with a line of the cache: wide loads then never cross one.

    NumPy's own arrays often begin in the middle of one, which costs a loop over rows a third of its
    speed.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    return np.asarray(room[first : first + size].view(dtype).reshape(shape))


def constant(x: Array) -> Array:
    """Make an array read-only: where sizes are known to the compiler, so is what it holds."""
    x.flags.writeable = False
    return x


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


@kernel(allocates=False)
def bounds(part: int, parts: int, rows: int) -> tuple[int, int]:
    """Where a part begins and ends."""
    return part * rows // parts, (part + 1) * rows // parts


# --- a matrix and a vector: BLAS is slower, which looks for the best way at each call ---


@kernel(allocates=False)
def W_times_x(W: Array, x: Array, out: Array) -> None:
    """``out = W x``; W (k, n)."""
    k, n = W.shape
    if k * n < LARGE_VECTOR:
        multiply_rows(W, x, out, 0, k)
    else:
        W_times_x_in_parts(W, x, out)


@kernel(parallel=True)
def W_times_x_in_parts(W: Array, x: Array, out: Array) -> None:
    k = W.shape[0]
    for part in prange(MOST_PARTS):
        begin, end = bounds(part, MOST_PARTS, k)
        multiply_rows(W, x, out, begin, end)


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
        combine_rows(W, x, out, 0, k)
    else:
        Wt_times_x_in_parts(W, x, out)


@kernel(parallel=True)
def Wt_times_x_in_parts(W: Array, x: Array, out: Array) -> None:
    k, n = W.shape
    sums = np.empty((MOST_PARTS, n), out.dtype)
    for part in prange(MOST_PARTS):
        begin, end = bounds(part, MOST_PARTS, k)
        combine_rows(W, x, sums[part], begin, end)
    for j in range(n):
        out[j] = sums[0, j]
    for part in range(1, MOST_PARTS):
        for j in range(n):
            out[j] += sums[part, j]


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
        share_rows(x, W.T, out, parts_of(R, R * n * k))


@kernel(allocates=False, inlined=False)
def x_times_W(x: Array, W: Array, out: Array) -> None:
    """``out = x W``; x (R, k), W (k, n), out (R, n)."""
    R, k = x.shape
    n = W.shape[1]
    if k == 0 or n == 0:
        out[:] = 0
    elif R == 1 or R * n * k <= SMALL:
        for r in range(R):
            Wt_times_x(W, x[r], out[r])
    else:
        share_rows(x, W, out, parts_of(R, R * n * k))


@kernel(allocates=False, inlined=False)
def product(x: Array, W: Array, Wt: Array, out: Array) -> None:
    """``out = x W`` of some rows, W^T being at hand; x (R, k), W (k, n), Wt (n, k), out (R, n).

    Beyond a certain size BLAS copies W into an order that it likes, which takes as long as the product
    where there are few rows. And it is slow at ``x W^T`` with few rows, whatever their length.
    """
    R, k = x.shape
    n = W.shape[1]
    if R * k * n <= BLAS_SMALL:
        gemm(x, W, out)
        return
    last = n - n % 4
    for i in range(0, last, 4):
        for r in range(0, R - 3, 4):
            sixteen_sums(x, Wt, out, r, i)
    for r in range(R - R % 4, R):
        multiply_rows(Wt, x[r], out[r], 0, last)
    for r in range(R):
        multiply_rows(Wt, x[r], out[r], last, n)


@kernel(allocates=False)
def sixteen_sums(x: Array, y: Array, out: Array, r: int, i: int) -> None:
    """Four rows of x by four of y: each number that is read serves four sums."""
    a, b, c, d, p, q, s, t = x[r], x[r + 1], x[r + 2], x[r + 3], y[i], y[i + 1], y[i + 2], y[i + 3]
    zero = out.dtype.type(0)
    ap, aq, as_, at, bp, bq, bs, bt = zero, zero, zero, zero, zero, zero, zero, zero
    cp, cq, cs, ct, dp, dq, ds, dt = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(a.size):
        a_j, b_j, c_j, d_j, p_j, q_j, s_j, t_j = a[j], b[j], c[j], d[j], p[j], q[j], s[j], t[j]
        ap += a_j * p_j
        aq += a_j * q_j
        as_ += a_j * s_j
        at += a_j * t_j
        bp += b_j * p_j
        bq += b_j * q_j
        bs += b_j * s_j
        bt += b_j * t_j
        cp += c_j * p_j
        cq += c_j * q_j
        cs += c_j * s_j
        ct += c_j * t_j
        dp += d_j * p_j
        dq += d_j * q_j
        ds += d_j * s_j
        dt += d_j * t_j
    out[r, i], out[r, i + 1], out[r, i + 2], out[r, i + 3] = ap, aq, as_, at
    out[r + 1, i], out[r + 1, i + 1], out[r + 1, i + 2], out[r + 1, i + 3] = bp, bq, bs, bt
    out[r + 2, i], out[r + 2, i + 1], out[r + 2, i + 2], out[r + 2, i + 3] = cp, cq, cs, ct
    out[r + 3, i], out[r + 3, i + 1], out[r + 3, i + 2], out[r + 3, i + 3] = dp, dq, ds, dt


@kernel(allocates=False)
def turn(W: Array, out: Array) -> None:
    """``out = W^T``, square by square."""
    k, n = W.shape
    for first in range(0, k, SQUARE):
        for begin in range(0, n, SQUARE):
            for i in range(first, min(first + SQUARE, k)):
                for j in range(begin, min(begin + SQUARE, n)):
                    out[j, i] = W[i, j]


@kernel(allocates=False)
def piece_of(rows: int, work: int) -> int:
    """How many rows make a piece that BLAS takes as it is, so much work each; all where it takes few."""
    piece = BLAS_SMALL // work
    return piece if piece >= PIECE else rows


@kernel(allocates=False)
def share_rows(x: Array, W: Array, out: Array, parts: int) -> None:
    """``out = x W`` by BLAS, the rows in parts."""
    if parts == 1:
        gemm_in_pieces(x, W, out, 0, x.shape[0])
    else:
        gemm_of_parts(x, W, out, parts)


@kernel(parallel=True)
def gemm_of_parts(x: Array, W: Array, out: Array, parts: int) -> None:
    """``out = x W``, a core having a part of the rows."""
    R = x.shape[0]
    for part in prange(parts):
        begin, end = bounds(part, parts, R)
        gemm_in_pieces(x, W, out, begin, end)


@kernel(allocates=False)
def gemm_in_pieces(x: Array, W: Array, out: Array, begin: int, end: int) -> None:
    """Some rows of ``out = x W``."""
    piece = piece_of(end - begin, W.shape[0] * W.shape[1])
    for first in range(begin, end, piece):
        last = min(first + piece, end)
        gemm(x[first:last], W, out[first:last])


@kernel(allocates=False, inlined=False)
def add_xt_times_y(x: Array, y: Array, out: Array) -> None:
    """``out += x^T y``, a sum of outer products; x (R, k), y (R, n), out (k, n)."""
    R, k = x.shape
    n = y.shape[1]
    if R == 1 or R * n * k <= SMALL:
        for r in range(R):
            for i in range(k):
                factor = x[r, i]
                for j in range(n):
                    out[i, j] += factor * y[r, j]
    elif n > 0:
        parts = parts_of(R, R * n * k)
        if parts == 1:
            add_gemm(x, y, out)
        else:
            add_gemm_of_parts(x, y, out, parts)


@kernel
def add_gemm(x: Array, y: Array, out: Array) -> None:
    """``out += x^T y`` by BLAS."""
    sums = np.empty((2, *out.shape), out.dtype)
    sum_in_pieces(x, y, 0, x.shape[0], sums)
    add(sums[0], out)


@kernel(parallel=True)
def add_gemm_of_parts(x: Array, y: Array, out: Array, parts: int) -> None:
    """``out += x^T y`` by BLAS, the sum in parts."""
    R = x.shape[0]
    sums = np.empty((parts, 2, *out.shape), out.dtype)
    for part in prange(parts):
        begin, end = bounds(part, parts, R)
        sum_in_pieces(x, y, begin, end, sums[part])
    for part in range(parts):
        add(sums[part, 0], out)


@kernel(allocates=False)
def sum_in_pieces(x: Array, y: Array, begin: int, end: int, sums: Array) -> None:
    """``sums[0] = x^T y`` of some rows; sums[1] is room."""
    piece = piece_of(end - begin, x.shape[1] * y.shape[1])
    for first in range(begin, end, piece):
        last, place = min(first + piece, end), min(first - begin, 1)
        gemm(x[first:last].T, y[first:last], sums[place])
        if place == 1:
            add(sums[1], sums[0])


@kernel(allocates=False)
def add(x: Array, out: Array) -> None:
    """``out += x``; matrices."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] += x[i, j]


@kernel(allocates=False)
def add_rows(x: Array, out: Array) -> None:
    """``out += sum of the rows of x``; x (R, k), out (k)."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[i] += x[r, i]
