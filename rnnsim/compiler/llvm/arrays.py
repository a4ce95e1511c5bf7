# mypy: disable-error-code="no-untyped-call"
"""Views of arrays in other shapes, without Numba's reference counting and its calls of C helpers."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed
from numba.np.arrayobj import populate_array


def vector(typing_context: Any, x: Any) -> Any:
    return view_code(x, 1)


def matrix(typing_context: Any, x: Any, rows: Any, columns: Any) -> Any:
    return view_code(x, 2, rows, columns)


def adjoint(typing_context: Any, x: Any) -> Any:
    refuse_unless_contiguous(x)
    view_type = types.Array(x.dtype, 3, "C", readonly=not x.mutable)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(x)(context, builder, arguments[0])
        one, row = context.get_constant(types.intp, 1), builder.mul(array.nitems, array.itemsize)
        view = context.make_array(view_type)(context, builder)
        shape, strides = [one, one, array.nitems], [row, row, array.itemsize]
        populate_array(view, array.data, shape, strides, array.itemsize, array.meminfo)
        return impl_ret_borrowed(context, builder, view_type, view._getvalue())

    return view_type(x), generate


def rows(typing_context: Any, x: Any, t: Any, count: Any, begin: Any, end: Any) -> Any:
    refuse_unless_contiguous(x)
    view_type = types.Array(x.dtype, 2, "C", readonly=not x.mutable)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(x)(context, builder, arguments[0])
        t, count, begin, end = arguments[1:]
        _, B, n = cgutils.unpack_tuple(builder, array.shape)
        data = builder.gep(array.data, [builder.mul(builder.add(builder.mul(t, B), begin), n)])
        shape = [builder.mul(count, builder.sub(end, begin)), n]
        strides = [builder.mul(n, array.itemsize), array.itemsize]
        view = context.make_array(view_type)(context, builder)
        populate_array(view, data, shape, strides, array.itemsize, array.meminfo)
        return impl_ret_borrowed(context, builder, view_type, view._getvalue())

    return view_type(x, *[types.intp] * 4), generate


def view_code(x: Any, axes: int, *sizes: Any) -> Any:
    """Make the code of a reshaped view: a vector, or a matrix of the given sizes."""

    refuse_unless_contiguous(x)
    view_type = types.Array(x.dtype, axes, "C", readonly=not x.mutable)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(x)(context, builder, arguments[0])
        shape = arguments[1:] or [array.nitems]
        strides = [array.itemsize]
        for size in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        view = context.make_array(view_type)(context, builder)
        populate_array(view, array.data, shape, strides, array.itemsize, array.meminfo)
        return impl_ret_borrowed(context, builder, view_type, view._getvalue())

    return view_type(x, *(types.intp for _ in sizes)), generate


def refuse_unless_contiguous(*arrays: Any, layouts: str = "C") -> None:
    if not all(array.layout in layouts for array in arrays):
        raise TypingError(f"not contiguous: {', '.join(map(str, arrays))}")


def arrays_of(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arrays among the arguments, as Numba's proxies of their LLVM structures."""
    return [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arguments, strict=True)
        if hasattr(kind, "layout")
    ]
