"""Kernels: plain functions that Numba compiles, composed by closing over one another.

A kernel is an ordinary Python function. A factory returns kernels that close over the kernels that
it was given (an activation in a network's ``forward`` in the loop), and
:func:`rnnsim.compiler.compose.compiled` compiles the outermost one with all that it calls. Here a
function is only marked: Numba is imported when something is compiled, so that listing rules is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


class KernelOptions(NamedTuple):
    """How a kernel is to be compiled (:func:`kernel`)."""

    allocates: bool = True
    reassociates: bool = False
    inlined: bool = True
    inlines_all: bool = False


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(
    *,
    allocates: bool = True,
    reassociates: bool = False,
    inlined: bool = True,
    inlines_all: bool = False,
) -> Callable[[F], F]: ...
def kernel(
    function: F | None = None,
    *,
    allocates: bool = True,
    reassociates: bool = False,
    inlined: bool = True,
    inlines_all: bool = False,
) -> F | Callable[[F], F]:
    """Mark a function as one that Numba compiles: it may use only what Numba supports.

    A function without this mark can be called from kernels too. It is compiled as it is written, each
    operation rounded by itself.

    Parameters
    ----------
    allocates : bool
        False declares that the kernel allocates no array and returns none (views within it are fine).
        Numba's reference counting is then off in it, which saves some tens of nanoseconds for each
        array that it touches; an allocation fails to compile, with the message ``NRT required``. Such
        a kernel is inlined into its callers: as a function argument, a trajectory would be a hundred
        numbers.
    reassociates : bool
        True lets the compiler change the order of sums and products, which a reduction over an array
        needs to be vectorised. It ignores parentheses then, also in what is inlined from elsewhere in
        the same expression, so it is for kernels that do little else. In all others operations are in
        the order in which they are written; a product and a sum may be contracted (rounded once).
    inlined : bool
        False compiles it once, as a function that every caller shares: for a kernel that is long
        compared with a call.
    inlines_all : bool
        True inlines everything that it calls, however long: for an outermost kernel that is
        specialised to sizes (:mod:`rnnsim.compiler.specialising`).
    """

    def mark(function: F) -> F:
        options = KernelOptions(allocates, reassociates, inlined, inlines_all)
        function.__kernel__ = options  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


class NativeCode(NamedTuple):
    """What replaces a function when it is compiled (:func:`native`)."""

    code: str | Callable[..., Any]
    parameters: tuple[Any, ...]


def native(code: str | Callable[..., Any], *parameters: Any) -> Callable[[F], F]:
    """Mark a function that other code replaces when it is compiled.

    With ``NUMBA_DISABLE_JIT`` it runs as it is written.

    Parameters
    ----------
    code : str or Callable
        What ``numba.extending.intrinsic`` takes; or its name in :mod:`rnnsim.compiler.llvm`, such as
        ``blas.gemm``, which is imported when it is compiled.
    *parameters
        Arguments of the named function, which then returns the code.
    """

    def mark(function: F) -> F:
        function.__native__ = NativeCode(code, parameters)  # type: ignore[attr-defined]
        return function

    return mark


def fieldwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of NamedTuples from a function of arrays.

    It takes a NamedTuple of arrays and numbers, calls ``function`` with each array and the other
    arguments, and returns the results as a NamedTuple of the same class; numbers are returned as they
    are. Of another argument that is a NamedTuple too, ``function`` is given the corresponding field.
    """

    @wraps(function)
    def over_fields(fields: Any, *others: Any) -> Any:
        results = []
        for i, field in enumerate(fields):
            own = (other[i] if isinstance(other, tuple) else other for other in others)
            results.append(function(field, *own) if isinstance(field, np.ndarray) else field)
        return type(fields)(*results)

    over_fields.__each__ = function  # type: ignore[attr-defined]
    return over_fields


def options_of(function: Callable[..., Any]) -> KernelOptions:
    """The options that a kernel was marked with, or the defaults."""
    return getattr(function, "__kernel__", KernelOptions())
