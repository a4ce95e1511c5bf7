# mypy: disable-error-code="no-untyped-call"
"""Calls of BLAS and LAPACK, as Numba itself makes them but without its checks and copies."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.np.linalg import ensure_blas, ensure_lapack, get_blas_kind

from rnnsim.compiler.llvm.arrays import arrays_of, refuse_unless_contiguous


def gemm(typing_context: Any, x: Any, y: Any, out: Any) -> Any:
    refuse_unless_contiguous(x, y, layouts="CF")
    refuse_unless_contiguous(out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_x, of_y, of_out = arrays_of(context, builder, signature, arguments)
        (m, k), (_, n) = (cgutils.unpack_tuple(builder, array.shape) for array in (of_x, of_y))
        x_by, x_row = ("n", k) if x.layout == "C" else ("t", m)
        y_by, y_row = ("n", n) if y.layout == "C" else ("t", k)
        call_gemm(
            context, builder, x.dtype, y_by, x_by, n, m, k,
            of_y.data, y_row, of_x.data, x_row, 0, of_out.data, n,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, out), generate


def add_xt_y(typing_context: Any, x: Any, y: Any, out: Any, begin: Any, end: Any) -> Any:
    refuse_unless_contiguous(x, y, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_x, of_y, of_out = arrays_of(context, builder, signature, arguments)
        begin, end = arguments[3:]
        (R, k), (_, n) = (cgutils.unpack_tuple(builder, array.shape) for array in (of_x, of_y))
        call_gemm(
            context, builder, x.dtype, "n", "t", n, builder.sub(end, begin), R,
            of_y.data, n, builder.gep(of_x.data, [begin]), k,
            1, builder.gep(of_out.data, [builder.mul(begin, n)]), n,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, out, types.intp, types.intp), generate


def call_gemm(
    context: Any, builder: Any, dtype: Any, by_a: str, by_b: str, m: Any, n: Any, k: Any,
    a: Any, row_a: Any, b: Any, row_b: Any, beta: int, c: Any, row_c: Any,
) -> None:  # fmt: skip
    """``c = a b + beta c``. BLAS counts columns where we count rows: our ``x y`` is its ``y^T x^T``."""

    ensure_blas()
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    function = ir.FunctionType(ir.IntType(32), [  # of what, by, by, m, n, k, 1, a, b, beta, c
        byte, byte, byte, word, word, word, address, address, word, address, word, address, address,
        word,
    ])  # fmt: skip

    def number(value: int) -> Any:
        constant = context.get_constant(dtype, value)
        return builder.bitcast(cgutils.alloca_once_value(builder, constant), address)

    kinds = [ir.Constant(byte, ord(kind)) for kind in (get_blas_kind(dtype), by_a, by_b)]
    a, b, c = (builder.bitcast(data, address) for data in (a, b, c))
    call = cgutils.get_or_insert_function(builder.module, function, "numba_xxgemm")
    builder.call(call, [*kinds, m, n, k, number(1), a, row_a, b, row_b, number(beta), c, row_c])


def solve_transposed(typing_context: Any, A: Any, x: Any, pivots: Any) -> Any:
    ensure_lapack()
    refuse_unless_contiguous(x, pivots, A)
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    returned = ir.FunctionType(ir.IntType(32), [  # kind, n, 1, A, row, pivots, x, n
        byte, word, word, address, word, address, address, word,
    ])  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = arrays_of(context, builder, signature, arguments)
        of_A, of_x, of_pivots = (builder.bitcast(array.data, address) for array in arrays)
        n, one = arrays[1].nitems, ir.Constant(word, 1)
        kind = ir.Constant(byte, ord(get_blas_kind(x.dtype)))
        call = cgutils.get_or_insert_function(builder.module, returned, "numba_xgesv")
        code = builder.call(call, [kind, n, one, of_A, n, of_pivots, of_x, n])
        return builder.icmp_signed("==", code, ir.Constant(code.type, 0))

    return types.boolean(A, x, pivots), generate
