# mypy: disable-error-code="no-untyped-call"
"""The tiles of traces (:mod:`rnnsim.networks.fast_weight.tiles`), in vectors that stay in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from rnnsim.arrays import LINE
from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous
from rnnsim.compiler.llvm.tiles import fma, splat
from rnnsim.compiler.machine import VECTOR

ACROSS = LINE // VECTOR  # vectors of a line


class Tile:
    """The registers of a tile, a line of fast weights for each slow weight, and what is done there."""

    def __init__(self, builder: Any, number: Any, size: int, rows: int, tiny: Any) -> None:
        self.builder, self.size, self.lanes = builder, size, VECTOR // size
        self.vector = ir.VectorType(number, self.lanes)
        self.traces, self.sums = (
            [[cgutils.alloca_once(builder, self.vector) for _ in range(ACROSS)] for _ in range(rows)]
            for _ in range(2)
        )
        self.least = splat(builder, tiny, self.vector)

    def along(self, begin: Any) -> list[Any]:
        """Where the vectors of a line are."""
        places = [after(self.builder, begin, v * self.lanes) for v in range(ACROSS)]
        return [self.builder.bitcast(place, self.vector.as_pointer()) for place in places]

    def line(self, begin: Any) -> list[Any]:
        """Load a line."""
        return [self.builder.load(place, align=self.size) for place in self.along(begin)]

    def take(self, r: int, begin: Any) -> None:
        """Have a row's traces in registers."""
        for value, trace in zip(self.line(begin), self.traces[r], strict=True):
            self.builder.store(value, trace)

    def give(self, r: int, begin: Any) -> None:
        """Put them back."""
        for place, trace in zip(self.along(begin), self.traces[r], strict=True):
            self.builder.store(self.builder.load(trace), place, align=self.size)

    def begin_sums(self) -> None:
        for sum_ in (sum_ for row in self.sums for sum_ in row):
            self.builder.store(ir.Constant(self.vector, [0.0] * self.lanes), sum_)

    def move(self, gamma: Any, decay: Any, reach: Any, first: Any) -> None:
        """Eqs. (23) and (22): a line of each, and where the activities of the rows are."""
        builder, by = self.builder, list(zip(*map(self.line, (gamma, decay, reach)), strict=True))
        for r, (traces, sums) in enumerate(zip(self.traces, self.sums, strict=True)):
            o = splat(builder, builder.load(after(builder, first, r)), self.vector)
            for trace, sum_, (gamma_c, decay_c, reach_c) in zip(traces, sums, by, strict=True):
                p = builder.load(trace)
                builder.store(fma(builder, gamma_c, p, builder.load(sum_)), sum_)
                new = fma(builder, o, reach_c, self.least)
                builder.store(fma(builder, decay_c, p, new), trace)

    def add_apart(self, r: int, begin: Any) -> None:
        """Add a row's sums to a line of gradients."""
        for place, sum_ in zip(self.along(begin), self.sums[r], strict=True):
            total = self.builder.fadd(self.builder.load(place, align=self.size), self.builder.load(sum_))
            self.builder.store(total, place, align=self.size)

    def add_up(self, r: int, place: Any) -> None:
        """Add all of a row's sums to one gradient."""
        total = self.builder.load(self.sums[r][0])
        for sum_ in self.sums[r][1:]:
            total = self.builder.fadd(total, self.builder.load(sum_))
        total = self.builder.fadd(self.builder.load(place), sum_of(self.builder, total))
        self.builder.store(total, place)


def carry(rows: int, apart: bool) -> Any:
    """Make the code for so many slow weights, whose gradients by each c are added up or left apart."""

    def code(
        typing_context: Any, p: Any, h: Any, gamma: Any, decay: Any, reach: Any, source: Any, i: Any,
        moves: Any, width: Any, tiny: Any, grad: Any,
    ) -> Any:  # fmt: skip

        refuse_unless_contiguous(p, gamma, decay, reach, source, grad)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            of_p, of_gamma, of_decay, of_reach, of_source, of_grad = arrays_of(
                context, builder, signature, arguments
            )
            _, h, _, _, _, _, i, moves, width, tiny, _ = arguments
            C, A = (cgutils.unpack_tuple(builder, array.shape)[1] for array in (of_p, of_source))
            tile = Tile(builder, context.get_data_type(p.dtype), p.dtype.bitwidth // 8, rows, tiny)

            def row_of(r: int) -> Any:
                return builder.add(h, ir.Constant(h.type, r))

            def at(array: Any, row: Any, length: Any, column: Any) -> Any:
                return builder.gep(array.data, [builder.add(builder.mul(row, length), column)])

            zero, line = (ir.Constant(C.type, number) for number in (0, ACROSS * tile.lanes))
            tile.begin_sums()
            with cgutils.for_range_slice(builder, zero, width, line, C.type) as (c, _):
                for r in range(rows):
                    tile.take(r, at(of_p, row_of(r), C, c))
                with cgutils.for_range(builder, moves) as loop:
                    s = loop.index
                    tile.move(at(of_gamma, s, C, c), at(of_decay, s, C, c), at(of_reach, s, C, c),
                              at(of_source, s, A, i))  # fmt: skip
                for r in range(rows):
                    tile.give(r, at(of_p, row_of(r), C, c))
                if apart:
                    for r in range(rows):
                        tile.add_apart(r, at(of_grad, row_of(r), C, c))
                    tile.begin_sums()
            if not apart:
                for r in range(rows):
                    tile.add_up(r, builder.gep(of_grad.data, [row_of(r)]))
            return context.get_dummy_value()

        whole = types.intp
        return types.void(p, whole, gamma, decay, reach, source, whole, whole, whole, p.dtype,
                          grad), generate  # fmt: skip

    return code


def after(builder: Any, begin: Any, by: int) -> Any:
    """So many numbers after a place."""

    return builder.gep(begin, [ir.Constant(ir.IntType(64), by)])


def sum_of(builder: Any, vector: Any) -> Any:
    """The sum of a vector's numbers."""

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
