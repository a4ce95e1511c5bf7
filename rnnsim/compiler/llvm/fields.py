# mypy: disable-error-code="no-untyped-call"
"""Operations on all arrays of a NamedTuple: shards, rows, sums, zeros; and copies of sequences."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed
from numba.np.arrayobj import populate_array

from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous


def copy_sequences(
    typing_context: Any, x: Any, row: Any, begin: Any, out: Any, out_row: Any, out_begin: Any, count: Any
) -> Any:
    refuse_unless_contiguous(x, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_array, out_array = arrays_of(context, builder, signature, arguments)
        _, row, begin, _, out_row, out_begin, count = arguments
        B, B_out = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (x_array, out_array))
        sequences = builder.select(builder.icmp_signed("<", B, B_out), B, B_out)
        sequence_bytes = cgutils.unpack_tuple(builder, x_array.strides)[1]
        size = builder.mul(sequences, sequence_bytes)

        def address(array: Any, t: Any, b: Any) -> Any:
            row_offset = builder.mul(t, cgutils.unpack_tuple(builder, array.strides)[0])
            offset = builder.add(row_offset, builder.mul(b, sequence_bytes))
            return cgutils.pointer_add(builder, array.data, offset, cgutils.voidptr_t)

        with cgutils.for_range(builder, count) as loop:
            source = address(x_array, builder.add(row, loop.index), begin)
            target = address(out_array, builder.add(out_row, loop.index), out_begin)
            cgutils.raw_memcpy(builder, target, source, size, 1)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, out, *[types.intp] * 3), generate


def share(typing_context: Any, fields: Any, i: Any, shards: Any) -> Any:
    refuse_unless_contiguous(*(kind for kind in fields if isinstance(kind, types.Array)))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, i, shards = arguments
        int64, int32 = ir.IntType(64), ir.IntType(32)

        def shard_rows(rows: Any) -> Any:
            """Divide in 32 bits: LLVM emits three branches for a 64-bit division."""
            return builder.zext(builder.udiv(*(builder.trunc(x, int32) for x in (rows, shards))), int64)

        def share_of(kind: Any, value: Any) -> Any:
            if not isinstance(kind, types.Array):
                return value
            array = context.make_array(kind)(context, builder, value)
            length, *others = cgutils.unpack_tuple(builder, array.shape)
            own, strides = shard_rows(length), cgutils.unpack_tuple(builder, array.strides)
            view = context.make_array(kind)(context, builder)
            offset = builder.mul(builder.mul(i, own), strides[0])
            data = cgutils.pointer_add(builder, array.data, offset)
            populate_array(view, data, [own, *others], strides, array.itemsize, array.meminfo)
            return view._getvalue()

        parts = [share_of(kind, builder.extract_value(values, f)) for f, kind in enumerate(fields)]
        return impl_ret_borrowed(
            context, builder, fields, context.make_tuple(builder, signature.return_type, parts)
        )

    return fields(fields, types.intp, types.intp), generate


def row_as(typing_context: Any, row: Any, like: Any) -> Any:
    refuse_unless_contiguous(row, *like)
    if row.ndim != 1 or any(kind.dtype != row.dtype for kind in like):
        raise TypingError(f"not a row of numbers like those of {like}: {row}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, numbers = arguments[1], context.make_array(row)(context, builder, arguments[0])
        parts, offset = [], context.get_constant(types.intp, 0)
        for f, kind in enumerate(like):
            array = context.make_array(kind)(context, builder, builder.extract_value(values, f))
            view = context.make_array(kind)(context, builder)
            shape, strides = (
                cgutils.unpack_tuple(builder, part) for part in (array.shape, array.strides)
            )
            data = builder.gep(numbers.data, [offset])
            populate_array(view, data, shape, strides, array.itemsize, numbers.meminfo)
            offset = builder.add(offset, array.nitems)
            parts.append(view._getvalue())
        return impl_ret_borrowed(
            context, builder, like, context.make_tuple(builder, signature.return_type, parts)
        )

    return like(row, like), generate


def add(typing_context: Any, fields: Any, factor: Any, out: Any) -> Any:
    refuse_unless_contiguous(*fields, *out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, factor, out_values = arguments
        for f, (kind, out_kind) in enumerate(zip(fields, out, strict=True)):
            x = context.make_array(kind)(context, builder, builder.extract_value(values, f))
            y = context.make_array(out_kind)(context, builder, builder.extract_value(out_values, f))
            scale = context.cast(builder, factor, types.float64, kind.dtype)
            with cgutils.for_range(builder, x.nitems) as loop:
                target = builder.gep(y.data, [loop.index])
                term = builder.fmul(scale, builder.load(builder.gep(x.data, [loop.index])))
                builder.store(builder.fadd(builder.load(target), term), target)
        return context.get_dummy_value()

    return types.void(fields, types.float64, out), generate


def clear(typing_context: Any, fields: Any) -> Any:
    refuse_unless_contiguous(*fields)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for f, kind in enumerate(fields):
            x = context.make_array(kind)(context, builder, builder.extract_value(arguments[0], f))
            cgutils.memset(builder, x.data, builder.mul(x.nitems, x.itemsize), 0)
        return context.get_dummy_value()

    return types.void(fields), generate
