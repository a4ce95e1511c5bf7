# mypy: disable-error-code="no-untyped-call"
"""Kernels whose arguments are unboxed once and not at every call.

Numba unboxes arguments at each call, which takes a fifth of a microsecond for each array; a rule has
some eighty of them. A bound kernel reads them from memory, laid out as machine code has them. That
matters for calls of about a hundred microseconds, not for a loop over thousands of steps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
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


def bind_arguments(function: Kernel, value: Any, owner: str = "") -> Callable[..., Any]:
    """Compile a kernel and bind its first argument.

    Parameters
    ----------
    function : Callable
        Its other arguments, if any, are integers.
    value : array, number or tuple of such
        Kernel and caller may both change the contents of the arrays. If the tuple contains anything else
        (a random generator), it is unboxed at every call.
    owner : str
        As for :func:`rnnsim.compiler.compiled`.

    Returns
    -------
    Callable
        Takes the other arguments and returns the kernel's result.
    """
    import numba

    if numba.config.DISABLE_JIT or not is_plain(value) or not in_use(BINDING):  # type: ignore[attr-defined]
        return partial(compiled(entry_point(function), owner), value)
    memory = memory_of(value)
    contents = contents_kernel(numba.typeof(value), ctypes.sizeof(memory), classes_of(value))

    @kernel(inlines_all=options_of(function).inlines_all)
    def bound(address: int, *others: int) -> Any:
        return function(contents(address), *others)

    bound.__name__ = function.__name__  # shown by ``rnnsim cache``
    run, address = compiled(bound, owner), ctypes.addressof(memory)

    def call(*others: int) -> Any:
        return run(address, *others)

    call.holds = value, memory  # type: ignore[attr-defined]
    return call


def entry_point(function: Kernel) -> Kernel:
    """Wrap a kernel as an entry point: only the wrapper counts references."""

    @kernel(inlines_all=options_of(function).inlines_all)
    def outermost(value: Any, *others: int) -> Any:
        return function(value, *others)

    outermost.__name__ = function.__name__  # shown by ``rnnsim cache``
    return outermost


def is_plain(value: Any) -> bool:
    """Whether a value consists of arrays and numbers only."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return isinstance(value, np.ndarray) or type(value) in NUMBERS


def memory_of(value: Any) -> Any:
    """A value in the memory layout of machine code: a C structure with the addresses of its arrays."""
    if isinstance(value, np.ndarray):
        sizes = ctypes.c_ssize_t * value.ndim
        uncounted = (None, None)  # meminfo and parent: Python keeps the arrays alive
        parts = [*map(ctypes.c_void_p, uncounted), ctypes.c_ssize_t(value.size)]
        parts += [ctypes.c_ssize_t(value.itemsize), ctypes.c_void_p(value.ctypes.data)]
        return structure([*parts, sizes(*value.shape), sizes(*value.strides)])
    if isinstance(value, tuple):
        return structure(list(map(memory_of, value)))
    return NUMBERS[type(value)](value)


def structure(parts: list[Any]) -> Any:
    """A C structure with these parts."""
    fields = [(f"part{i}", type(part)) for i, part in enumerate(parts)]
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})(*parts)


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
