# mypy: disable-error-code="no-untyped-call"
"""A tile of traces, carried through several moves while it is in registers.

A tile is the traces of some slow weights, which leave neighbouring units of S for the same hidden unit,
by some fast weights c. At each move s

    grad += gamma(s) . p,      p = decay(s) p + o_i(s) reach(s)        eqs. (23) and (22)

with gamma, decay and reach of each c, and o_i of each slow weight. What the tile's rows share is loaded
once for all of them, p and the sums once for all moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.arrays import LINE
from rnnsim.kernels import native
from rnnsim.native import arrays_of, refuse_unless_contiguous
from rnnsim.tiles import VECTOR, everywhere
from rnnsim.typing import Array

ROWS = 4  # of a tile
ACROSS = LINE // VECTOR  # its vectors


def carry_code(rows: int, apart: bool) -> Any:
    """Make the code for so many slow weights, whose gradients by each c are added up or left apart."""

    def code(
        typing_context: Any, p: Any, h: Any, gamma: Any, decay: Any, reach: Any, source: Any, i: Any,
        moves: Any, width: Any, tiny: Any, grad: Any,
    ) -> Any:  # fmt: skip
        from llvmlite import ir
        from numba.core import cgutils, types

        refuse_unless_contiguous(p, gamma, decay, reach, source, grad)
        size = p.dtype.bitwidth // 8
        lanes = VECTOR // size

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = arrays_of(context, builder, signature, arguments)
            of_p, of_gamma, of_decay, of_reach, of_source, of_grad = arrays
            _, h, _, _, _, _, i, moves, width, tiny, _ = arguments
            length = cgutils.unpack_tuple(builder, of_p.shape)[1]
            units = cgutils.unpack_tuple(builder, of_source.shape)[1]
            number, word = context.get_data_type(p.dtype), length.type
            vector = ir.VectorType(number, lanes)

            def row_of(r: int) -> Any:
                return builder.add(h, ir.Constant(word, r))

            def place(array: Any, row: Any, row_length: Any, column: Any) -> Any:
                return builder.gep(array.data, [builder.add(builder.mul(row, row_length), column)])

            def later(at: Any, by: int) -> Any:
                return builder.gep(at, [ir.Constant(word, by)])

            def along(begin: Any) -> list[Any]:
                return [
                    builder.bitcast(later(begin, v * lanes), vector.as_pointer()) for v in range(ACROSS)
                ]

            def load(begin: Any) -> list[Any]:
                return [builder.load(at, align=size) for at in along(begin)]

            def fma(x: Any, y: Any, z: Any) -> Any:
                return builder.fadd(builder.fmul(x, y, flags=["contract"]), z, flags=["contract"])

            def registers() -> Any:
                return [
                    [cgutils.alloca_once(builder, vector) for _ in range(ACROSS)] for _ in range(rows)
                ]

            def begin_sums() -> None:
                for sum_ in (sum_ for row in sums for sum_ in row):
                    builder.store(ir.Constant(vector, [0.0] * lanes), sum_)

            def move(s: Any, c: Any) -> None:
                """One move of the columns from c on."""
                gamma, decay, reach = (
                    load(place(array, s, length, c)) for array in (of_gamma, of_decay, of_reach)
                )
                first = place(of_source, s, units, i)
                for r in range(rows):
                    o = everywhere(builder, builder.load(later(first, r)), vector)
                    for v, (trace, sum_) in enumerate(zip(traces[r], sums[r], strict=True)):
                        old = builder.load(trace)
                        builder.store(fma(gamma[v], old, builder.load(sum_)), sum_)
                        builder.store(fma(decay[v], old, fma(o, reach[v], least)), trace)

            def add_apart(r: int, c: Any) -> None:
                for at, sum_ in zip(along(place(of_grad, row_of(r), length, c)), sums[r], strict=True):
                    added = builder.fadd(builder.load(at, align=size), builder.load(sum_))
                    builder.store(added, at, align=size)

            def add_up(r: int) -> None:
                total = builder.load(sums[r][0])
                for sum_ in sums[r][1:]:
                    total = builder.fadd(total, builder.load(sum_))
                at = builder.gep(of_grad.data, [row_of(r)])
                builder.store(builder.fadd(builder.load(at), sum_of(builder, total)), at)

            sums, traces, least = registers(), registers(), everywhere(builder, tiny, vector)
            begin_sums()
            zero, line = ir.Constant(word, 0), ir.Constant(word, ACROSS * lanes)
            with cgutils.for_range_slice(builder, zero, width, line, word) as (c, _):
                begins = [place(of_p, row_of(r), length, c) for r in range(rows)]
                for begin, row in zip(begins, traces, strict=True):
                    for value, trace in zip(load(begin), row, strict=True):
                        builder.store(value, trace)
                with cgutils.for_range(builder, moves) as loop:
                    move(loop.index, c)
                for r, (begin, row) in enumerate(zip(begins, traces, strict=True)):
                    for at, trace in zip(along(begin), row, strict=True):
                        builder.store(builder.load(trace), at, align=size)
                    if apart:
                        add_apart(r, c)
                if apart:
                    begin_sums()
            for r in range(0 if apart else rows):
                add_up(r)
            return context.get_dummy_value()

        whole = types.intp
        return types.void(p, whole, gamma, decay, reach, source, whole, whole, whole, p.dtype,
                          grad), generate  # fmt: skip

    return code


def sum_of(builder: Any, vector: Any) -> Any:
    """The sum of a vector's numbers."""
    from llvmlite import ir

    lanes = vector.type.count
    while lanes > 1:  # the upper half onto the lower
        lanes //= 2
        halves = [
            ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(begin, begin + lanes)))
            for begin in (0, lanes)
        ]
        nothing = ir.Constant(vector.type, ir.Undefined)
        low, high = (builder.shuffle_vector(vector, nothing, half) for half in halves)
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def carry_of(rows: int, *, apart: bool) -> Any:
    """Make ``carry`` for so many slow weights."""

    @native(carry_code(rows, apart))
    def carry(
        p: Array, h: int, gamma: Array, decay: Array, reach: Array, source: Array, i: int,
        moves: int, width: int, tiny: float, grad: Array,
    ) -> None:  # fmt: skip
        """Carry traces p[h], ... by the first fast weights, and add their gradients to grad[h], ....

        p (H, C), gamma, decay and reach (s, C), source (s, A) the activities, of which these weights'
        are i, ...; grad (H,), or (H, C) where gradients are left apart. As many lines of the cache as
        ``width`` numbers need are carried, whole.
        """
        line, own = LINE // p.itemsize, slice(h, h + rows)
        c = slice(-(-width // line) * line)
        for s in range(moves):
            old, o = p[own, c], source[s, i : i + rows, np.newaxis]
            if apart:
                grad[own, c] += gamma[s, c] * old
            else:
                grad[own] += old @ gamma[s, c]
            p[own, c] = decay[s, c] * old + (o * reach[s, c] + tiny)

    return carry


carry_tile, carry_row = carry_of(ROWS, apart=False), carry_of(1, apart=False)
carry_tile_apart, carry_row_apart = carry_of(ROWS, apart=True), carry_of(1, apart=True)
