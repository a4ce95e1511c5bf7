# mypy: disable-error-code="no-untyped-call"
"""The product of two matrices in tiles, whose sums stay in registers.

A tile is some rows and columns of ``out = start + x W``. Its sums, a vector each, are loaded and stored
once; at each step a vector of W serves all rows, and a number of x all columns. W is read as it lies:
BLAS, which copies it into another order first, is slower where x has few rows, and has a call to pay.
``start`` has as many rows as x, or one that is added to all, or none: the sums then start at zero.

A large W that serves many products is laid in panels beforehand: the columns of a tile, row after row,
then those of the next; the last panel has what is left over too. A tile then reads on and on. In rows of
512 numbers, 4 kilobytes apart, what it reads has the same few places in the cache, and nothing of the
next row is fetched ahead: two cores do 62 GF/s in float64, and 102 from panels (171 and 208 in float32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.compiler import NATIVE, VECTOR, in_use
from rnnsim.kernels import kernel, native
from rnnsim.numerics.views import as_vector
from rnnsim.typing import Array

ROWS = 4  # of a tile
TALL = 8  # rows of one that is a vector wide: as many sums as the adder takes to be busy
LARGE = 1 << 19  # bytes of a matrix from which panels pay
TRANSPOSED = 32  # columns that are turned before the next rows


def panels_pay(rows: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
    """Whether a matrix is laid in panels that is multiplied with so many rows again and again."""
    k, n = shape
    return rows >= ROWS and k * n * dtype.itemsize >= LARGE and in_use(NATIVE)


@native("tiles.wide")
def wide(x: Array) -> int:
    """How many columns a tile has."""
    return VECTOR // x.itemsize


def tile_of(rows: int, width: int | None) -> Any:
    """Make ``tile(x, W, start, out, r, c, begin, panel)``: so many rows from r and columns from c on.

    The columns of W are those of the panel that begins at column ``begin`` and has ``panel`` columns.
    """

    @native("tiles.tile", rows, width)
    def tile(
        x: Array, W: Array, start: Array, out: Array, r: int, c: int, begin: int, panel: int
    ) -> None:
        k, end = W.shape[0], c + (width or 1) * VECTOR // x.itemsize
        columns = W.reshape(-1)[begin * k : (begin + panel) * k].reshape(k, panel)
        first = start[r : r + rows] if len(start) > 1 else start.sum(axis=0)
        out[r : r + rows, c:end] = (
            first[..., c:end] + x[r : r + rows] @ columns[:, c - begin : end - begin]
        )

    return tile


tile, narrow_tile, tall_tile = tile_of(ROWS, None), tile_of(ROWS, 1), tile_of(TALL, 1)
long_row, row, narrow_row = tile_of(1, 8), tile_of(1, None), tile_of(1, 1)


@kernel(allocates=False)
def multiply(x: Array, W: Array, out: Array) -> None:
    """``out = x W``; x (R, k), W (k, n), out (R, n)."""
    multiply_onto(x, W, out[:0], out)


@kernel(allocates=False)
def multiply_onto(x: Array, W: Array, start: Array, out: Array) -> None:
    """``out = start + x W``; start (R, n), (1, n) or (0, n), and not ``out``."""
    product(x, W, start, out, W.shape[1])


@kernel(allocates=False)
def multiply_panels(x: Array, W: Array, start: Array, out: Array) -> None:
    """The same; W lies in panels."""
    product(x, W, start, out, min(wide(W), W.shape[1]))


@kernel(allocates=False, inlined=False)
def multiply_tiles(x: Array, W: Array, start: Array, out: Array, panel: int) -> None:
    """The same; W lies in panels of so many columns, all of them where it is as usual."""
    R, n, columns, lanes = x.shape[0], W.shape[1], wide(x), VECTOR // x.itemsize
    if n < lanes:
        multiply_narrow(x, W, start, out)
        return
    low, tall, end = R - R % ROWS, R - R % TALL, n - n % columns
    for c in range(0, end, columns):
        begin, width = panel_of(c, panel, n)
        for r in range(0, low, ROWS):
            tile(x, W, start, out, r, c, begin, width)
    for c in range(end, n, lanes):  # the last goes over what is there already, if it must
        (begin, width), column = panel_of(c, panel, n), min(c, n - lanes)
        for r in range(0, tall, TALL):
            tall_tile(x, W, start, out, r, column, begin, width)
        for r in range(tall, low, ROWS):
            narrow_tile(x, W, start, out, r, column, begin, width)
    for r in range(low, R):
        multiply_row(x, W, start, out, r, panel)


@native(multiply_tiles)
def product(x: Array, W: Array, start: Array, out: Array, panel: int) -> None:
    """The same, by BLAS: what tiles take the place of."""
    k, n = W.shape
    numbers, c = W.reshape(-1), 0
    while c < n:
        begin, width = panel_of(c, panel, n)
        columns = numbers[begin * k : (begin + width) * k].reshape(k, width)
        out[:, begin : begin + width] = np.dot(x, columns)
        c = begin + width
    if len(start) > 0:
        out += start


@kernel(allocates=False)
def multiply_row(x: Array, W: Array, start: Array, out: Array, r: int, panel: int) -> None:
    """One row of it."""
    n, columns, lanes = W.shape[1], wide(x), VECTOR // x.itemsize
    long = n - n % (8 * lanes) if panel == n else 0
    end = n - (n - long) % columns
    for c in range(0, long, 8 * lanes):
        long_row(x, W, start, out, r, c, 0, n)
    for c in range(long, end, columns):
        begin, width = panel_of(c, panel, n)
        row(x, W, start, out, r, c, begin, width)
    for c in range(end, n, lanes):
        begin, width = panel_of(c, panel, n)
        narrow_row(x, W, start, out, r, min(c, n - lanes), begin, width)


@kernel(allocates=False)
def panel_of(c: int, columns: int, n: int) -> tuple[int, int]:
    """Where the panel of a column begins, and how wide it is: the last one has what is left over too."""
    last = n - n % columns - columns
    begin = min(c - c % columns, last)
    return begin, n - begin if begin == last else columns


@kernel(allocates=False)
def multiply_narrow(x: Array, W: Array, start: Array, out: Array) -> None:
    """The same where a row is shorter than a vector."""
    rows = start.shape[0]
    for r in range(x.shape[0]):
        for c in range(W.shape[1]):
            total = out.dtype.type(0)
            if rows > 0:
                total = start[r if rows > 1 else 0, c]
            for j in range(W.shape[0]):
                total += x[r, j] * W[j, c]
            out[r, c] = total


@kernel(allocates=False)
def pack_panels(W: Array, out: Array) -> None:
    """Have W (k, n) lie in panels in out (k, n): some rows into all panels, then the next."""
    k, n = W.shape
    columns, numbers = min(wide(W), n), as_vector(out)
    for first in range(0, k, TALL):
        c = 0
        while c < n:
            begin, width = panel_of(c, columns, n)
            for j in range(first, min(first + TALL, k)):
                row, place = W[j, begin : begin + width], numbers[begin * k + j * width :]
                for i in range(width):
                    place[i] = row[i]
            c = begin + width


@kernel(allocates=False)
def transpose_into_panels(W: Array, out: Array) -> None:
    """Have ``W^T`` lie in panels in out (n, k); W (k, n)."""
    k, n = W.shape
    columns, numbers = min(wide(W), k), as_vector(out)
    c = 0
    while c < k:
        begin, width = panel_of(c, columns, k)
        transpose_rows(W, begin, width, numbers[begin * n :])
        c = begin + width


@kernel(allocates=False, inlined=False)
def transpose_rows(W: Array, begin: int, count: int, out: Array) -> None:
    """Have so many rows of W be the columns of out, a vector here; four at a time."""
    n = W.shape[1]
    for first in range(0, n, TRANSPOSED):
        last = min(first + TRANSPOSED, n)
        for i in range(0, count - 3, 4):
            one, two, three, four = W[begin + i], W[begin + i + 1], W[begin + i + 2], W[begin + i + 3]
            for j in range(first, last):
                place = out[j * count + i :]
                place[0], place[1], place[2], place[3] = one[j], two[j], three[j], four[j]
        for i in range(count - count % 4, count):
            for j in range(first, last):
                out[j * count + i] = W[begin + i, j]
