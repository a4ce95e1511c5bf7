# mypy: disable-error-code="no-untyped-call"
"""The tiles of a matrix product (:mod:`rnnsim.numerics.tiles`), with sums in vector registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous
from rnnsim.compiler.machine import VECTOR, vectors


def tile_columns(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, vectors() * VECTOR * 8 // x.dtype.bitwidth)

    return types.intp(x), generate


def tile(rows: int, width: int | None) -> Any:
    """Make the code of a tile of ``rows`` rows and ``width`` vectors of columns."""

    def code(
        typing_context: Any, x: Any, W: Any, start: Any, out: Any, r: Any, c: Any, begin: Any, panel: Any
    ) -> Any:
        refuse_unless_contiguous(x, W, start, out)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x_array, W_array, start_array, out_array = arrays_of(context, builder, signature, arguments)
            r, c, begin, panel = arguments[4:]
            (k, n), columns = cgutils.unpack_tuple(builder, W_array.shape), width or vectors()
            number = context.get_data_type(x.dtype)
            sums = Sums(builder, number, x.dtype.bitwidth // 8, rows, columns)
            sums.initialise(start_array, r, n, c)
            panel_data = address(builder, W_array.data, begin, k, ir.Constant(n.type, 0))
            column = builder.sub(c, begin)
            with cgutils.for_range(builder, k) as loop:
                W_row = address(builder, panel_data, loop.index, panel, column)
                sums.add(x_array.data, r, k, loop.index, W_row)
            sums.store(out_array.data, r, n, c)
            return context.get_dummy_value()

        return types.void(x, W, start, out, *[types.intp] * 4), generate

    return code


class Sums:
    """The sums of a tile, which LLVM keeps in registers."""

    def __init__(self, builder: Any, number: Any, size: int, rows: int, columns: int) -> None:
        self.builder, self.size, self.columns = builder, size, columns
        self.vector = ir.VectorType(number, VECTOR // size)
        self.sums = [
            [cgutils.alloca_once(builder, self.vector) for _ in range(columns)] for _ in range(rows)
        ]

    def vectors_from(self, begin: Any) -> list[Any]:
        """The addresses of the vectors of a row of the tile, from that of its first number."""
        offsets = [ir.Constant(ir.IntType(32), v * self.vector.count) for v in range(self.columns)]
        pointers = [self.builder.gep(begin, [offset]) for offset in offsets]
        return [self.builder.bitcast(pointer, self.vector.as_pointer()) for pointer in pointers]

    def initialise(self, start: Any, r: Any, n: Any, c: Any) -> None:
        """Set the sums to rows r, ... of ``start``, to its only row, or to zero if it has none."""
        builder = self.builder
        start_rows = cgutils.unpack_tuple(builder, start.shape)[0]
        zero, one = (ir.Constant(start_rows.type, number) for number in (0, 1))
        is_empty = builder.icmp_signed("==", start_rows, zero)
        with builder.if_else(is_empty) as (without_start, with_start):
            with without_start:
                for sum_ in (sum_ for row in self.sums for sum_ in row):
                    builder.store(ir.Constant(self.vector, [0.0] * self.vector.count), sum_)
            with with_start:
                is_one = builder.icmp_signed("==", start_rows, one)
                for i, row in enumerate(self.sums):
                    row_of_start = builder.select(is_one, zero, plus(builder, r, i))
                    begin = address(builder, start.data, row_of_start, n, c)
                    for sum_, source in zip(row, self.vectors_from(begin), strict=True):
                        builder.store(builder.load(source, align=self.size), sum_)

    def add(self, x: Any, r: Any, k: Any, j: Any, W_row: Any) -> None:
        """Add column j of rows r, ... of x times a row of W."""
        builder = self.builder
        w = [builder.load(source, align=self.size) for source in self.vectors_from(W_row)]
        for i, row in enumerate(self.sums):
            x_j = splat(
                builder, builder.load(address(builder, x, plus(builder, r, i), k, j)), self.vector
            )
            for sum_, w_j in zip(row, w, strict=True):
                builder.store(fma(builder, x_j, w_j, builder.load(sum_)), sum_)

    def store(self, out: Any, r: Any, n: Any, c: Any) -> None:
        """Write the sums to rows r, ... of out."""
        builder = self.builder
        for i, row in enumerate(self.sums):
            begin = address(builder, out, plus(builder, r, i), n, c)
            for sum_, target in zip(row, self.vectors_from(begin), strict=True):
                builder.store(builder.load(sum_), target, align=self.size)


def address(builder: Any, data: Any, row: Any, length: Any, column: Any) -> Any:
    """The address of an entry of a matrix with rows of this length."""

    return builder.gep(data, [builder.add(builder.mul(row, length), column)])


def plus(builder: Any, number: Any, by: int) -> Any:
    return builder.add(number, ir.Constant(number.type, by))


def splat(builder: Any, number: Any, vector: Any) -> Any:
    """A vector whose elements are all this number."""

    undefined, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(undefined, number, first)
    lanes = ir.Constant(ir.VectorType(first.type, vector.count), [first] * vector.count)
    return builder.shuffle_vector(one, undefined, lanes)


def fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """``x y + z``, as one instruction where the processor has it."""
    return builder.fadd(builder.fmul(x, y, flags=["contract"]), z, flags=["contract"])
