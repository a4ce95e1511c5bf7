# mypy: disable-error-code="no-untyped-call"
"""Kernels whose arguments are unboxed once and not at every call.

Numba unboxes arguments at each call, which takes a fifth of a microsecond for each array; a rule has
some eighty of them. A bound kernel reads them from memory, laid out as machine code has them. That
matters for calls of about a hundred microseconds, not for a loop over thousands of steps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import numpy as np

from rnnsim.compiler.compose import compiled
from rnnsim.compiler.pieces import BINDING, in_use
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel, native, options_of
from rnnsim.typing import Kernel

NUMBERS: dict[type, Any] = {
    bool: ctypes.c_bool,
    int: ctypes.c_int64,
    float: ctypes.c_double,
    np.bool_: ctypes.c_bool,
    np.int64: ctypes.c_int64,
    np.float64: ctypes.c_double,
    np.float32: ctypes.c_float,
}


class Bound(partial):  # type: ignore[type-arg]
    """A compiled kernel with its first arguments, made by :func:`bind_arguments`.

    Attributes
    ----------
    values : tuple
        These arguments.
    memories : tuple
        Where machine code finds them; empty if they are unboxed at every call.
    """

    values: tuple[Any, ...]
    memories: tuple[Any, ...]


def bind_arguments(function: Kernel, *values: Any, owner: str = "") -> Bound:
    """Compile a kernel and bind its first arguments, one or two.

    Parameters
    ----------
    function : Callable
        Its other arguments, if any, are unboxed at every call.
    *values : array, number or tuple of such
        Kernel and caller may both change the contents of the arrays. If a tuple contains anything else
        (a random generator), all are unboxed at every call.
    owner : str
        As for :func:`rnnsim.compiler.compiled`.

    Returns
    -------
    Bound
        Takes the other arguments and returns the kernel's result.
    """
    import numba

    if numba.config.DISABLE_JIT or not is_plain(values) or not in_use(BINDING):  # type: ignore[attr-defined]
        return _held(compiled(entry_point(function), owner), values, values, ())
    memories = tuple(map(memory_of, values))
    contents = [
        contents_kernel(numba.typeof(value), ctypes.sizeof(memory), classes_of(value))
        for value, memory in zip(values, memories)
    ]
    bound = (_bound_one if len(values) == 1 else _bound_two)(function, *contents)
    bound.__name__ = function.__name__  # shown by ``rnnsim cache``
    return _held(compiled(bound, owner), map(ctypes.addressof, memories), values, memories)


def rebind(bound: Bound, *values: Any) -> Bound:
    """Bind other values, of the same types, in place of the last ones.

    The compiled kernel is the same, with what functions referred to when it was bound first.

    Raises
    ------
    TypeError
        If a type differs: machine code would misread it.
    """
    kept = len(bound.values) - len(values)
    for value, before in zip(values, bound.values[kept:]):
        if layout_of(value) != layout_of(before):
            raise TypeError(f"{layout_of(value)} is bound in place of {layout_of(before)}")
    values = bound.values[:kept] + values
    if not bound.memories:
        return _held(bound.func, values, values, ())
    memories = bound.memories[:kept] + tuple(map(memory_of, values[kept:]))
    return _held(bound.func, map(ctypes.addressof, memories), values, memories)


def _held(
    run: Callable[..., Any], arguments: Iterable[Any], values: tuple[Any, ...],
    memories: tuple[Any, ...],
) -> Bound:  # fmt: skip
    made = Bound(run, *arguments)
    made.values, made.memories = values, memories
    return made


def _bound_one(function: Kernel, contents: Kernel) -> Kernel:
    @kernel(inlines_all=options_of(function).inlines_all)
    def bound(address: int, *others: Any) -> Any:
        return function(contents(address), *others)

    return bound


def _bound_two(function: Kernel, contents: Kernel, second: Kernel) -> Kernel:
    @kernel(inlines_all=options_of(function).inlines_all)
    def bound(address: int, other: int, *others: Any) -> Any:
        return function(contents(address), second(other), *others)

    return bound


def entry_point(function: Kernel) -> Kernel:
    """Wrap a kernel as an entry point: only the wrapper counts references."""

    @kernel(inlines_all=options_of(function).inlines_all)
    def outermost(value: Any, *others: Any) -> Any:
        return function(value, *others)

    outermost.__name__ = function.__name__  # shown by ``rnnsim cache``
    return outermost


def layout_of(value: Any) -> Any:
    """The types of the arrays and numbers in a value."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.ndim, value.flags.c_contiguous
    if isinstance(value, tuple):
        return type(value), *map(layout_of, value)
    return type(value)


def is_plain(value: Any) -> bool:
    """Whether a value consists of arrays and numbers only."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return isinstance(value, np.ndarray) or type(value) in NUMBERS


def memory_of(value: Any) -> Any:
    """A value in the memory layout of machine code: a C structure with the addresses of its arrays."""
    if isinstance(value, np.ndarray):
        uncounted = (0, 0)  # meminfo and parent: Python keeps the arrays alive
        words = (*uncounted, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
        return (ctypes.c_ssize_t * len(words))(*words)  # each has the size of an address
    if isinstance(value, tuple):
        return structure(list(map(memory_of, value)))
    return NUMBERS[type(value)](value)


def structure(parts: list[Any]) -> Any:
    """A C structure with these parts."""
    return _structure_of(tuple(map(type, parts)))(*parts)


@cache
def _structure_of(kinds: tuple[type, ...]) -> Any:
    """The class of structures with parts of these types, kept, since making one takes long."""
    fields = [(f"part{i}", kind) for i, kind in enumerate(kinds)]
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


def classes_of(value: Any) -> tuple[type, ...]:
    """The classes of the tuples in a value: their field names are part of what is compiled."""
    if not isinstance(value, tuple):
        return ()
    return (type(value), *(inner for part in value for inner in classes_of(part)))


def contents_kernel(kind: Any, size: int, classes: tuple[type, ...]) -> Kernel:
    """Make ``contents(address)``, which reads a value of a Numba type with ``size`` bytes."""

    @native("bind.contents", kind, size)
    def contents(address: int) -> Any:
        raise RnnsimError(f"machine code alone reads {classes} from an address")

    return contents
