# mypy: disable-error-code="no-untyped-call"
"""Values with constants for what is known at compile time (:mod:`rnnsim.compiler.specialising`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.np.arrayobj import populate_array


def specialised(known: Any) -> Any:
    """Make the code that returns its argument, with constants for what is known of it."""

    def code(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = with_constants(context, builder, x, arguments[0], known)
            context.nrt.incref(builder, x, value)
            return value

        return x(x), generate

    return code


def with_constants(context: Any, builder: Any, kind: Any, value: Any, known: Any) -> Any:
    """Replace the parts of an LLVM value that are known by constants."""

    parts: Any = kind
    if known is None:
        return value
    if isinstance(known, np.ndarray):
        return context.make_constant_array(builder, kind, known)
    if isinstance(kind, types.Array) and kind.layout == "C":
        return array_of_shape(context, builder, kind, value, known)
    if isinstance(kind, types.Integer):
        return context.get_constant(kind, known)
    if isinstance(kind, types.BaseTuple):
        for i in range(parts.count):
            part = builder.extract_value(value, i)
            part = with_constants(context, builder, parts[i], part, known[i])
            value = builder.insert_value(value, part, i)
    return value


def array_of_shape(context: Any, builder: Any, kind: Any, value: Any, shape: tuple[int, ...]) -> Any:
    """The same array, with constants for its shape and strides."""

    array = context.make_array(kind)(context, builder, value)
    itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [itemsize * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]

    def constants(numbers: Any) -> Any:
        return [context.get_constant(types.intp, number) for number in numbers]

    view = context.make_array(kind)(context, builder)
    (size,) = constants([itemsize])
    populate_array(view, array.data, constants(shape), constants(strides), size, array.meminfo)
    return view._getvalue()
