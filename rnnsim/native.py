# mypy: disable-error-code="no-untyped-call"
"""What Numba can do, done in less time: views of arrays, products by BLAS and equations by LAPACK.

Numba's own ``np.dot`` and ``np.linalg.solve`` count references, copy, and raise errors whose messages
take seconds to compile; its ``reshape`` asks C each time whether an array can be seen in another shape.
Here sizes are not checked, and arrays are contiguous: the kernels that call these know both.

What precedes each function is for Numba: its signature, and what makes its code in LLVM's language.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Array, Integers

# --- views --------------------------------------------------------------------------------------------


def vector_code(typing_context: Any, x: Any) -> Any:
    return view_code(x, 1)


@native(vector_code)
def as_vector(x: Array) -> Array:
    """All numbers of an array as a vector."""
    return x.reshape(-1)


def matrix_code(typing_context: Any, x: Any, rows: Any, columns: Any) -> Any:
    return view_code(x, 2, rows, columns)


@native(matrix_code)
def as_matrix(x: Array, rows: int, columns: int) -> Array:
    """The numbers of an array as a matrix of this shape, which has as many."""
    return x.reshape(rows, columns)


def view_code(x: Any, axes: int, *sizes: Any) -> Any:
    """An array in another shape; as a vector where no sizes are given."""
    from numba.core import types
    from numba.core.imputils import impl_ret_borrowed
    from numba.np.arrayobj import populate_array

    refuse_unless_contiguous(x)
    seen = types.Array(x.dtype, axes, "C", readonly=not x.mutable)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(x)(context, builder, arguments[0])
        shape = arguments[1:] or [array.nitems]
        strides = [array.itemsize]
        for size in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        view = context.make_array(seen)(context, builder)
        populate_array(view, array.data, shape, strides, array.itemsize, array.meminfo)
        return impl_ret_borrowed(context, builder, seen, view._getvalue())

    return seen(x, *(types.intp for _ in sizes)), generate


def refuse_unless_contiguous(*arrays: Any) -> None:
    from numba.core.errors import TypingError

    if not all(array.layout in "CF" for array in arrays) or arrays[-1].layout != "C":
        raise TypingError(f"not contiguous: {', '.join(map(str, arrays))}")


# --- BLAS and LAPACK ----------------------------------------------------------------------------------


def gemm_code(typing_context: Any, x: Any, y: Any, out: Any) -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.np.linalg import ensure_blas, get_blas_kind

    ensure_blas()
    refuse_unless_contiguous(x, y, out)
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    returned = ir.FunctionType(ir.IntType(32), [  # kind, by, by, n, m, k, 1, y, row, x, row, 0, out, row
        byte, byte, byte, word, word, word, address, address, word, address, word, address, address,
        word,
    ])  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def number(value: int) -> Any:
            constant = context.get_constant(x.dtype, value)
            return builder.bitcast(cgutils.alloca_once_value(builder, constant), address)

        def described(kind: Any, value: Any) -> Any:
            array = context.make_array(kind)(context, builder, value)
            shape = cgutils.unpack_tuple(builder, array.shape)
            turned = ir.Constant(byte, ord("n" if kind.layout == "C" else "t"))
            row = shape[1] if kind.layout == "C" else shape[0]
            return shape, turned, builder.bitcast(array.data, address), row

        (m, k), x_turned, of_x, x_row = described(x, arguments[0])
        (_, n), y_turned, of_y, y_row = described(y, arguments[1])
        _, _, of_out, row = described(out, arguments[2])
        kind = ir.Constant(byte, ord(get_blas_kind(x.dtype)))
        call = cgutils.get_or_insert_function(builder.module, returned, "numba_xxgemm")
        builder.call(call, [  # BLAS counts columns where we count rows: out^T = y^T x^T
            kind, y_turned, x_turned, n, m, k, number(1), of_y, y_row, of_x, x_row, number(0), of_out,
            row,
        ])  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, out), generate


@native(gemm_code)
def gemm(x: Array, y: Array, out: Array) -> None:
    """``out = x y`` by BLAS; out is neither x nor y. x and y may be transposed."""
    np.dot(x, y, out)


def solve_code(typing_context: Any, A: Any, x: Any, pivots: Any) -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.np.linalg import ensure_lapack, get_blas_kind

    ensure_lapack()
    refuse_unless_contiguous(x, pivots, A)
    byte, word, address = ir.IntType(8), ir.IntType(64), ir.IntType(8).as_pointer()
    returned = ir.FunctionType(ir.IntType(32), [  # kind, n, 1, A, row, pivots, x, n
        byte, word, word, address, word, address, address, word,
    ])  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip((A, x, pivots), arguments, strict=True)
        ]
        of_A, of_x, of_pivots = (builder.bitcast(array.data, address) for array in arrays)
        n, one = arrays[1].nitems, ir.Constant(word, 1)
        kind = ir.Constant(byte, ord(get_blas_kind(x.dtype)))
        call = cgutils.get_or_insert_function(builder.module, returned, "numba_xgesv")
        code = builder.call(call, [kind, n, one, of_A, n, of_pivots, of_x, n])
        return builder.icmp_signed("==", code, ir.Constant(code.type, 0))

    return types.boolean(A, x, pivots), generate


@native(solve_code)
def solve_transposed(A: Array, x: Array, pivots: Integers) -> bool:
    """Solve ``A^T y = x`` by LAPACK: y replaces x, and A is used up. False where A is singular.

    LAPACK counts columns where we count rows, hence the transpose. A (n, n), x (n) with n > 0, and room
    for n pivots, which are whole numbers of either size.
    """
    try:
        x[:] = np.linalg.solve(A.T, x)
    except np.linalg.LinAlgError:
        return False
    return True


def room_for_pivots(n: int) -> Integers:
    """Allocate what ``solve_transposed`` needs beside the numbers."""
    return np.zeros(n, np.int64)
