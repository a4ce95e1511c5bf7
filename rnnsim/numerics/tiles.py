"""Matrix products in tiles whose sums stay in registers.

A tile is some rows and columns of ``out = start + x W``. Its sums, in vectors, are loaded and stored
once; at each step a vector of W is used for all rows, and an entry of x for all columns. W is read in
place: BLAS first packs it, which is slower where x has few rows, and has the overhead of a call.
``start`` has the rows of x, or one that is added to all, or none, in which case the sums start at zero.

A large W that is used in many products is packed in panels beforehand: the columns of a tile, row by
row, then those of the next one; the last panel includes the remaining columns. A tile then reads memory
sequentially. In rows of 512 numbers, 4 kilobytes apart, what it reads is in the same few cache sets, and
the next row is not prefetched: two cores reach 62 GF/s in float64, and 102 with panels (171 and 208 in
float32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.compiler import NATIVE, VECTOR, in_use
from rnnsim.kernels import kernel, native
from rnnsim.numerics.views import as_vector
from rnnsim.typing import Array

ROWS = 4  # of a tile
TALL = 8  # rows of a tile one vector wide: enough independent sums to hide the latency of additions
LARGE = 1 << 19  # bytes of a matrix from which panels pay
BLOCK = 32  # columns of a block that is transposed at a time


def panels_pay(rows: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
    """Whether packing pays for a matrix that is multiplied again and again by this number of rows."""
    k, n = shape
    return rows >= ROWS and k * n * dtype.itemsize >= LARGE and in_use(NATIVE)


@native("tiles.tile_columns")
def tile_columns(x: Array) -> int:
    """The number of columns of a tile."""
    return VECTOR // x.itemsize


def tile_of(rows: int, width: int | None) -> Any:
    """Make ``tile(x, W, start, out, r, c, begin, panel)``, which computes the tile at row r, column c.

    It has ``width`` vectors of columns, by default as many as registers allow. Its columns of W are in
    the panel that begins at column ``begin`` and has ``panel`` columns.
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
    """``out = start + x W``; start (R, n), (1, n) or (0, n) is not ``out``."""
    product(x, W, start, out, W.shape[1])


@kernel(allocates=False)
def multiply_panels(x: Array, W: Array, start: Array, out: Array) -> None:
    """The same; W is packed in panels."""
    product(x, W, start, out, min(tile_columns(W), W.shape[1]))


@kernel(allocates=False, inlined=False)
def multiply_tiles(x: Array, W: Array, start: Array, out: Array, panel: int) -> None:
    """The same; W is packed in panels of ``panel`` columns, n if it is not packed."""
    R, n, columns, lanes = x.shape[0], W.shape[1], tile_columns(x), VECTOR // x.itemsize
    if n < lanes:
        multiply_narrow(x, W, start, out)
        return
    tiled, tall, end = R - R % ROWS, R - R % TALL, n - n % columns
    for c in range(0, end, columns):
        begin, width = panel_of(c, panel, n)
        for r in range(0, tiled, ROWS):
            tile(x, W, start, out, r, c, begin, width)
    for c in range(end, n, lanes):  # the last tile may overlap the one before
        (begin, width), column = panel_of(c, panel, n), min(c, n - lanes)
        for r in range(0, tall, TALL):
            tall_tile(x, W, start, out, r, column, begin, width)
        for r in range(tall, tiled, ROWS):
            narrow_tile(x, W, start, out, r, column, begin, width)
    for r in range(tiled, R):
        multiply_row(x, W, start, out, r, panel)


@native(multiply_tiles)
def product(x: Array, W: Array, start: Array, out: Array, panel: int) -> None:
    """The same by BLAS, where kernels are not compiled or there is no native code."""
    k, n = W.shape
    entries, c = W.reshape(-1), 0
    while c < n:
        begin, width = panel_of(c, panel, n)
        columns = entries[begin * k : (begin + width) * k].reshape(k, width)
        out[:, begin : begin + width] = np.dot(x, columns)
        c = begin + width
    if len(start) > 0:
        out += start


@kernel(allocates=False)
def multiply_row(x: Array, W: Array, start: Array, out: Array, r: int, panel: int) -> None:
    """Row r of ``out = start + x W``."""
    n, columns, lanes = W.shape[1], tile_columns(x), VECTOR // x.itemsize
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
    """The first column and the width of the panel of column c; the last one has the remainder too."""
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
    """Pack W (k, n) in panels into out (k, n): some rows into all panels, then the next rows."""
    k, n = W.shape
    columns, entries = min(tile_columns(W), n), as_vector(out)
    for first in range(0, k, TALL):
        c = 0
        while c < n:
            begin, width = panel_of(c, columns, n)
            for j in range(first, min(first + TALL, k)):
                source, target = W[j, begin : begin + width], entries[begin * k + j * width :]
                for i in range(width):
                    target[i] = source[i]
            c = begin + width


@kernel(allocates=False)
def transpose_into_panels(W: Array, out: Array) -> None:
    """Pack ``W^T`` in panels into out (n, k); W (k, n)."""
    k, n = W.shape
    columns, entries = min(tile_columns(W), k), as_vector(out)
    c = 0
    while c < k:
        begin, width = panel_of(c, columns, k)
        transpose_rows(W, begin, width, entries[begin * n :])
        c = begin + width


@kernel(allocates=False, inlined=False)
def transpose_rows(W: Array, begin: int, count: int, out: Array) -> None:
    """Write ``count`` rows of W as the columns of out, a flattened matrix; four at a time."""
    n = W.shape[1]
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        for i in range(0, count - 3, 4):
            w0, w1, w2, w3 = W[begin + i], W[begin + i + 1], W[begin + i + 2], W[begin + i + 3]
            for j in range(first, last):
                target = out[j * count + i :]
                target[0], target[1], target[2], target[3] = w0[j], w1[j], w2[j], w3[j]
        for i in range(count - count % 4, count):
            for j in range(first, last):
                out[j * count + i] = W[begin + i, j]
