# mypy: disable-error-code="no-untyped-call"
"""The tiles of traces (:mod:`rnnsim.networks.fast_weight.tiles`), in vector registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from rnnsim.arrays import LINE
from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous
from rnnsim.compiler.llvm.tiles import fma, splat
from rnnsim.compiler.machine import VECTOR

VECTORS = LINE // VECTOR  # of a cache line


class Tile:
    """A tile in registers: the traces of a cache line of fast weights for each slow weight, and sums."""

    def __init__(self, builder: Any, number: Any, size: int, rows: int, tiny: Any) -> None:
        self.builder, self.size, self.lanes = builder, size, VECTOR // size
        self.vector = ir.VectorType(number, self.lanes)
        self.traces, self.sums = (
            [[cgutils.alloca_once(builder, self.vector) for _ in range(VECTORS)] for _ in range(rows)]
            for _ in range(2)
        )
        self.tiny = splat(builder, tiny, self.vector)

    def vectors_from(self, begin: Any) -> list[Any]:
        """The addresses of the vectors of a line, from that of its first number."""
        pointers = [plus(self.builder, begin, v * self.lanes) for v in range(VECTORS)]
        return [self.builder.bitcast(pointer, self.vector.as_pointer()) for pointer in pointers]

    def load_line(self, begin: Any) -> list[Any]:
        return [self.builder.load(source, align=self.size) for source in self.vectors_from(begin)]

    def load_traces(self, r: int, begin: Any) -> None:
        """Load the traces of a row into registers."""
        for value, trace in zip(self.load_line(begin), self.traces[r], strict=True):
            self.builder.store(value, trace)

    def store_traces(self, r: int, begin: Any) -> None:
        """Store the traces of a row."""
        for target, trace in zip(self.vectors_from(begin), self.traces[r], strict=True):
            self.builder.store(self.builder.load(trace), target, align=self.size)

    def clear_sums(self) -> None:
        for sum_ in (sum_ for row in self.sums for sum_ in row):
            self.builder.store(ir.Constant(self.vector, [0.0] * self.lanes), sum_)

    def update(self, gamma: Any, decay: Any, reach: Any, source: Any) -> None:
        """Eqs. (23) and (22), given the addresses of a line of each and of the rows' activities."""
        builder = self.builder
        factors = list(zip(*map(self.load_line, (gamma, decay, reach)), strict=True))
        for r, (traces, sums) in enumerate(zip(self.traces, self.sums, strict=True)):
            o = splat(builder, builder.load(plus(builder, source, r)), self.vector)
            for trace, sum_, (gamma_c, decay_c, reach_c) in zip(traces, sums, factors, strict=True):
                p = builder.load(trace)
                builder.store(fma(builder, gamma_c, p, builder.load(sum_)), sum_)
                new = fma(builder, o, reach_c, self.tiny)
                builder.store(fma(builder, decay_c, p, new), trace)

    def add_to_line(self, r: int, begin: Any) -> None:
        """Add the sums of a row to a line of gradients."""
        for target, sum_ in zip(self.vectors_from(begin), self.sums[r], strict=True):
            total = self.builder.fadd(
                self.builder.load(target, align=self.size), self.builder.load(sum_)
            )
            self.builder.store(total, target, align=self.size)

    def add_to_number(self, r: int, target: Any) -> None:
        """Add the total of the sums of a row to one gradient."""
        total = self.builder.load(self.sums[r][0])
        for sum_ in self.sums[r][1:]:
            total = self.builder.fadd(total, self.builder.load(sum_))
        total = self.builder.fadd(self.builder.load(target), sum_of(self.builder, total))
        self.builder.store(total, target)


def carry(rows: int, apart: bool) -> Any:
    """Make the code for ``rows`` slow weights, with gradients summed over c or ``apart`` for each c."""

    def code(
        typing_context: Any, p: Any, h: Any, gamma: Any, decay: Any, reach: Any, source: Any, i: Any,
        moves: Any, width: Any, tiny: Any, grad: Any,
    ) -> Any:  # fmt: skip

        refuse_unless_contiguous(p, gamma, decay, reach, source, grad)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = arrays_of(context, builder, signature, arguments)
            p_array, gamma_array, decay_array, reach_array, source_array, grad_array = arrays
            _, h, _, _, _, _, i, moves, width, tiny, _ = arguments
            C, A = (cgutils.unpack_tuple(builder, x.shape)[1] for x in (p_array, source_array))
            tile = Tile(builder, context.get_data_type(p.dtype), p.dtype.bitwidth // 8, rows, tiny)

            def row_of(r: int) -> Any:
                return builder.add(h, ir.Constant(h.type, r))

            def at(array: Any, row: Any, length: Any, column: Any) -> Any:
                return builder.gep(array.data, [builder.add(builder.mul(row, length), column)])

            zero, line = (ir.Constant(C.type, number) for number in (0, VECTORS * tile.lanes))
            tile.clear_sums()
            with cgutils.for_range_slice(builder, zero, width, line, C.type) as (c, _):
                for r in range(rows):
                    tile.load_traces(r, at(p_array, row_of(r), C, c))
                with cgutils.for_range(builder, moves) as loop:
                    s = loop.index
                    tile.update(at(gamma_array, s, C, c), at(decay_array, s, C, c),
                                at(reach_array, s, C, c), at(source_array, s, A, i))  # fmt: skip
                for r in range(rows):
                    tile.store_traces(r, at(p_array, row_of(r), C, c))
                if apart:
                    for r in range(rows):
                        tile.add_to_line(r, at(grad_array, row_of(r), C, c))
                    tile.clear_sums()
            if not apart:
                for r in range(rows):
                    tile.add_to_number(r, builder.gep(grad_array.data, [row_of(r)]))
            return context.get_dummy_value()

        integer = types.intp
        return types.void(p, integer, gamma, decay, reach, source, integer, integer, integer, p.dtype,
                          grad), generate  # fmt: skip

    return code


def plus(builder: Any, pointer: Any, numbers: int) -> Any:
    """A pointer moved on by a constant."""

    return builder.gep(pointer, [ir.Constant(ir.IntType(64), numbers)])


def sum_of(builder: Any, vector: Any) -> Any:
    """The sum of the elements of a vector."""

    lanes = vector.type.count
    while lanes > 1:  # add the upper half to the lower one
        lanes //= 2
        halves = [
            ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(begin, begin + lanes)))
            for begin in (0, lanes)
        ]
        undefined = ir.Constant(vector.type, ir.Undefined)
        low, high = (builder.shuffle_vector(vector, undefined, half) for half in halves)
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))
