# mypy: disable-error-code="no-untyped-call"
"""Of all arrays in a NamedTuple at once: a share of each, sums, zeros; and copies of sequences."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.np.arrayobj import populate_array

from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous


def copy_sequences(
    typing_context: Any, x: Any, row: Any, begin: Any, out: Any, to: Any, begin_there: Any, count: Any
) -> Any:
    refuse_unless_contiguous(x, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_x, of_out = arrays_of(context, builder, signature, arguments)
        _, row, begin, _, to, begin_there, count = arguments
        here, there = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (of_x, of_out))
        sequences = builder.select(builder.icmp_signed("<", here, there), here, there)
        bytes_of_one = cgutils.unpack_tuple(builder, of_x.strides)[1]
        size = builder.mul(sequences, bytes_of_one)

        def place(array: Any, t: Any, b: Any) -> Any:
            before = builder.mul(t, cgutils.unpack_tuple(builder, array.strides)[0])
            skipped = builder.add(before, builder.mul(b, bytes_of_one))
            return cgutils.pointer_add(builder, array.data, skipped, cgutils.voidptr_t)

        with cgutils.for_range(builder, count) as loop:
            source = place(of_x, builder.add(row, loop.index), begin)
            target = place(of_out, builder.add(to, loop.index), begin_there)
            cgutils.raw_memcpy(builder, target, source, size, 1)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, out, *[types.intp] * 3), generate


def share(typing_context: Any, fields: Any, i: Any, shards: Any) -> Any:
    refuse_unless_contiguous(*(kind for kind in fields if isinstance(kind, types.Array)))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, i, shards = arguments
        word, few = ir.IntType(64), ir.IntType(32)

        def divided(rows: Any) -> Any:
            """Of 32 bits: LLVM makes three branches of a division of 64."""
            return builder.zext(builder.udiv(*(builder.trunc(x, few) for x in (rows, shards))), word)

        def share_of(kind: Any, value: Any) -> Any:
            if not isinstance(kind, types.Array):
                return value
            array = context.make_array(kind)(context, builder, value)
            length, *others = cgutils.unpack_tuple(builder, array.shape)
            own, strides = divided(length), cgutils.unpack_tuple(builder, array.strides)
            view = context.make_array(kind)(context, builder)
            skipped = builder.mul(builder.mul(i, own), strides[0])
            data = cgutils.pointer_add(builder, array.data, skipped)
            populate_array(view, data, [own, *others], strides, array.itemsize, array.meminfo)
            return view._getvalue()

        parts = [share_of(kind, builder.extract_value(whole, f)) for f, kind in enumerate(fields)]
        return impl_ret_borrowed(
            context, builder, fields, context.make_tuple(builder, signature.return_type, parts)
        )

    return fields(fields, types.intp, types.intp), generate


def add(typing_context: Any, fields: Any, factor: Any, out: Any) -> Any:
    refuse_unless_contiguous(*fields, *out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, factor, onto = arguments
        for f, (kind, kind_of_out) in enumerate(zip(fields, out, strict=True)):
            x = context.make_array(kind)(context, builder, builder.extract_value(whole, f))
            y = context.make_array(kind_of_out)(context, builder, builder.extract_value(onto, f))
            by = context.cast(builder, factor, types.float64, kind.dtype)
            with cgutils.for_range(builder, x.nitems) as loop:
                place = builder.gep(y.data, [loop.index])
                term = builder.fmul(by, builder.load(builder.gep(x.data, [loop.index])))
                builder.store(builder.fadd(builder.load(place), term), place)
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
