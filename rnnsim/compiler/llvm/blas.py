# mypy: disable-error-code="no-untyped-call"
"""Calls of BLAS and LAPACK by Numba's own wrappers, without its checks and copies."""

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
        x_array, y_array, out_array = arrays_of(context, builder, signature, arguments)
        (m, k), (_, n) = (cgutils.unpack_tuple(builder, array.shape) for array in (x_array, y_array))
        x_trans, x_stride = ("n", k) if x.layout == "C" else ("t", m)
        y_trans, y_stride = ("n", n) if y.layout == "C" else ("t", k)
        call_gemm(
            context, builder, x.dtype, y_trans, x_trans, n, m, k,
            y_array.data, y_stride, x_array.data, x_stride, 0, out_array.data, n,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, out), generate


def add_xt_y(typing_context: Any, x: Any, y: Any, out: Any, begin: Any, end: Any) -> Any:
    refuse_unless_contiguous(x, y, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_array, y_array, out_array = arrays_of(context, builder, signature, arguments)
        begin, end = arguments[3:]
        (R, k), (_, n) = (cgutils.unpack_tuple(builder, array.shape) for array in (x_array, y_array))
        call_gemm(
            context, builder, x.dtype, "n", "t", n, builder.sub(end, begin), R,
            y_array.data, n, builder.gep(x_array.data, [begin]), k,
            1, builder.gep(out_array.data, [builder.mul(begin, n)]), n,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, out, types.intp, types.intp), generate


def call_gemm(
    context: Any, builder: Any, dtype: Any, trans_a: str, trans_b: str, m: Any, n: Any, k: Any,
    a: Any, lda: Any, b: Any, ldb: Any, beta: int, c: Any, ldc: Any,
) -> None:  # fmt: skip
    """``c = a b + beta c``. BLAS is column-major: a row-major ``x y`` is its ``y^T x^T``."""

    ensure_blas()
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    # kind, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc
    function = ir.FunctionType(ir.IntType(32), [
        byte, byte, byte, word, word, word, address, address, word, address, word, address, address,
        word,
    ])  # fmt: skip

    def number(value: int) -> Any:
        constant = context.get_constant(dtype, value)
        return builder.bitcast(cgutils.alloca_once_value(builder, constant), address)

    flags = [ir.Constant(byte, ord(flag)) for flag in (get_blas_kind(dtype), trans_a, trans_b)]
    a, b, c = (builder.bitcast(data, address) for data in (a, b, c))
    call = cgutils.get_or_insert_function(builder.module, function, "numba_xxgemm")
    builder.call(call, [*flags, m, n, k, number(1), a, lda, b, ldb, number(beta), c, ldc])


def solve_transposed(typing_context: Any, A: Any, x: Any, pivots: Any) -> Any:
    ensure_lapack()
    refuse_unless_contiguous(x, pivots, A)
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    # kind, n, number of right-hand sides, A, lda, pivots, x, ldx
    function = ir.FunctionType(ir.IntType(32), [
        byte, word, word, address, word, address, address, word,
    ])  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = arrays_of(context, builder, signature, arguments)
        A_data, x_data, pivots_data = (builder.bitcast(array.data, address) for array in arrays)
        n, one = arrays[1].nitems, ir.Constant(word, 1)
        kind = ir.Constant(byte, ord(get_blas_kind(x.dtype)))
        call = cgutils.get_or_insert_function(builder.module, function, "numba_xgesv")
        code = builder.call(call, [kind, n, one, A_data, n, pivots_data, x_data, n])
        return builder.icmp_signed("==", code, ir.Constant(code.type, 0))

    return types.boolean(A, x, pivots), generate
