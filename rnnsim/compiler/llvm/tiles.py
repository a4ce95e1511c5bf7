# mypy: disable-error-code="no-untyped-call"
"""The tiles of a matrix product (:mod:`rnnsim.numerics.tiles`), in vectors that stay in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous
from rnnsim.compiler.machine import VECTOR, vectors


def wide(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, vectors() * VECTOR * 8 // x.dtype.bitwidth)

    return types.intp(x), generate


def tile(rows: int, width: int | None) -> Any:
    """Make the code of tiles of so many rows and vectors."""

    def code(
        typing_context: Any, x: Any, W: Any, start: Any, out: Any, r: Any, c: Any, begin: Any, panel: Any
    ) -> Any:
        refuse_unless_contiguous(x, W, start, out)
        bits = x.dtype.bitwidth
        lanes = VECTOR * 8 // bits

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            of_x, of_W, of_start, of_out = arrays_of(context, builder, signature, arguments)
            r, c, begin, panel = arguments[4:]
            (k, n), columns = cgutils.unpack_tuple(builder, of_W.shape), width or vectors()
            number = context.get_data_type(x.dtype)
            vector, index = ir.VectorType(number, lanes), ir.IntType(32)

            def place(data: Any, row: Any, length: Any, column: Any) -> Any:
                return builder.gep(data, [builder.add(builder.mul(row, length), column)])

            def below(number: Any, by: int) -> Any:
                return builder.add(number, ir.Constant(number.type, by))

            def along(begin: Any) -> list[Any]:
                places = [builder.gep(begin, [ir.Constant(index, v * lanes)]) for v in range(columns)]
                return [builder.bitcast(place, vector.as_pointer()) for place in places]

            sums = [[cgutils.alloca_once(builder, vector) for _ in range(columns)] for _ in range(rows)]
            of_each = cgutils.unpack_tuple(builder, of_start.shape)[0]
            none, one = (ir.Constant(of_each.type, number) for number in (0, 1))
            with builder.if_else(builder.icmp_signed("==", of_each, none)) as (at_zero, elsewhere):
                with at_zero:
                    for sum_ in (sum_ for row in sums for sum_ in row):
                        builder.store(ir.Constant(vector, [0.0] * lanes), sum_)
                with elsewhere:
                    is_one = builder.icmp_signed("==", of_each, one)
                    for i, row in enumerate(sums):
                        each = builder.select(is_one, none, below(r, i))
                        for sum_, at in zip(row, along(place(of_start.data, each, n, c)), strict=True):
                            builder.store(builder.load(at, align=bits // 8), sum_)
            panel_data, column = place(of_W.data, begin, k, none), builder.sub(c, begin)
            with cgutils.for_range(builder, k) as loop:
                w = [
                    builder.load(at, align=bits // 8)
                    for at in along(place(panel_data, loop.index, panel, column))
                ]
                for i, row in enumerate(sums):
                    x_j = builder.load(place(of_x.data, below(r, i), k, loop.index))
                    x_everywhere = splat(builder, x_j, vector)
                    for sum_, w_j in zip(row, w, strict=True):
                        builder.store(fma(builder, x_everywhere, w_j, builder.load(sum_)), sum_)
            for i, row in enumerate(sums):
                for sum_, at in zip(row, along(place(of_out.data, below(r, i), n, c)), strict=True):
                    builder.store(builder.load(sum_), at, align=bits // 8)
            return context.get_dummy_value()

        return types.void(x, W, start, out, *[types.intp] * 4), generate

    return code


def splat(builder: Any, number: Any, vector: Any) -> Any:
    """A vector of the same number."""

    anything, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(anything, number, first)
    lanes = ir.Constant(ir.VectorType(first.type, vector.count), [first] * vector.count)
    return builder.shuffle_vector(one, anything, lanes)


def fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """``x y + z``, in one instruction where there is one."""
    return builder.fadd(builder.fmul(x, y, flags=["contract"]), z, flags=["contract"])
