# mypy: disable-error-code="no-untyped-call"
"""Sizes that the compiler knows.

A kernel reads all sizes from its arrays, so that one serves every network; a loop over the three units
of a small one then takes longer to begin than to run. A *tailored* kernel is for arrays of the very
shapes that it was compiled for: they are put in place of those that it is given, as constants, before
anything else looks at them. The compiler then unrolls what is short and drops what never happens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Kernel

LONGEST = 100_000  # bytes of an array that machine code may hold


def known_of(x: Any) -> Any:
    """What the compiler may know of x, whatever numbers it holds.

    Of an array its shape, or all of it where it is read-only (the geometry of a network); of a tuple
    what it may know of its parts; of anything else None.
    """
    if isinstance(x, np.ndarray):
        return x if not x.flags.writeable and 0 < x.nbytes < LONGEST else x.shape
    return tuple(known_of(part) for part in x) if isinstance(x, tuple) else None


def tailor(known: Any) -> Kernel:
    """Make the kernel ``tailored(x) -> x``, which tells the compiler what is known of x.

    ``known`` is what :func:`known_of` gives, with a number in place of None where that is known too.
    Whoever calls it answers for it that x is like that: memory of another shape would be misread.
    """

    def tailored_code(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            tailored = with_constants(context, builder, x, arguments[0], known)
            context.nrt.incref(builder, x, tailored)
            return tailored

        return x(x), generate

    @native(tailored_code)
    def tailored(x: Any) -> Any:
        return x

    return tailored


def with_constants(context: Any, builder: Any, kind: Any, value: Any, known: Any) -> Any:
    """A value in LLVM's language, with constants where something is known."""
    from numba.core import types

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
    """The same array, with constants for its shape and its strides."""
    from numba.core import types
    from numba.np.arrayobj import populate_array

    array = context.make_array(kind)(context, builder, value)
    item = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [item * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]

    def constants(numbers: Any) -> Any:
        return [context.get_constant(types.intp, number) for number in numbers]

    tailored = context.make_array(kind)(context, builder)
    (size,) = constants([item])
    populate_array(tailored, array.data, constants(shape), constants(strides), size, array.meminfo)
    return tailored._getvalue()
