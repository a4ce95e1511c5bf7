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


def rows_code(typing_context: Any, x: Any, t: Any, count: Any, begin: Any, end: Any) -> Any:
    from numba.core import cgutils, types
    from numba.core.imputils import impl_ret_borrowed
    from numba.np.arrayobj import populate_array

    refuse_unless_contiguous(x)
    seen = types.Array(x.dtype, 2, "C", readonly=not x.mutable)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(x)(context, builder, arguments[0])
        t, count, begin, end = arguments[1:]
        _, B, n = cgutils.unpack_tuple(builder, array.shape)
        data = builder.gep(array.data, [builder.mul(builder.add(builder.mul(t, B), begin), n)])
        shape = [builder.mul(count, builder.sub(end, begin)), n]
        strides = [builder.mul(n, array.itemsize), array.itemsize]
        view = context.make_array(seen)(context, builder)
        populate_array(view, data, shape, strides, array.itemsize, array.meminfo)
        return impl_ret_borrowed(context, builder, seen, view._getvalue())

    return seen(x, *[types.intp] * 4), generate


@native(rows_code)
def rows_of(x: Array, t: int, count: int, begin: int, end: int) -> Array:
    """``count`` steps from t on of the sequences begin, ..., end - 1 as rows.

    x (R, B, n); it is one step, or all sequences.
    """
    return x[t : t + count, begin:end].reshape(count * (end - begin), x.shape[2])


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


def refuse_unless_contiguous(*arrays: Any, layouts: str = "C") -> None:
    from numba.core.errors import TypingError

    if not all(array.layout in layouts for array in arrays):
        raise TypingError(f"not contiguous: {', '.join(map(str, arrays))}")


# --- BLAS and LAPACK ----------------------------------------------------------------------------------


def gemm_code(typing_context: Any, x: Any, y: Any, out: Any) -> Any:
    from numba.core import cgutils, types

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


@native(gemm_code)
def gemm(x: Array, y: Array, out: Array) -> None:
    """``out = x y`` by BLAS; out is neither x nor y. x and y may be transposed."""
    np.dot(x, y, out)


def add_xt_y_code(typing_context: Any, x: Any, y: Any, out: Any, begin: Any, end: Any) -> Any:
    from numba.core import cgutils, types

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


@native(add_xt_y_code)
def add_xt_y(x: Array, y: Array, out: Array, begin: int, end: int) -> None:
    """Rows begin, ..., end - 1 of ``out += x^T y``, by BLAS."""
    out[begin:end] += x[:, begin:end].T @ y


def arrays_of(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arrays among the arguments, in LLVM's language."""
    return [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arguments, strict=True)
        if hasattr(kind, "layout")
    ]


def call_gemm(
    context: Any, builder: Any, dtype: Any, by_a: str, by_b: str, m: Any, n: Any, k: Any,
    a: Any, row_a: Any, b: Any, row_b: Any, beta: int, c: Any, row_c: Any,
) -> None:  # fmt: skip
    """``c = a b + beta c``. BLAS counts columns where we count rows: our ``x y`` is its ``y^T x^T``."""
    from llvmlite import ir
    from numba.core import cgutils
    from numba.np.linalg import ensure_blas, get_blas_kind

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
        arrays = arrays_of(context, builder, signature, arguments)
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
