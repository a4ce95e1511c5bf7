"""Kernels: plain functions that Numba compiles, composed by closing over one another.

A kernel is an ordinary Python function. A factory returns kernels that close over the kernels that
it was given (an activation inside a network's ``forward`` inside the loop), and :func:`rnnsim.compiler.compiled`
turns the outermost one into machine code, everything inside inlined. Here a function is only marked:
Numba is imported when something is compiled, so that listing rules stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


class KernelOptions(NamedTuple):
    """What a kernel says of itself (:func:`kernel`)."""

    allocates: bool = True
    reassociates: bool = True
    inlined: bool = True
    inlines_all: bool = False


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(
    *,
    allocates: bool = True,
    reassociates: bool = True,
    inlined: bool = True,
    inlines_all: bool = False,
) -> Callable[[F], F]: ...
def kernel(
    function: F | None = None,
    *,
    allocates: bool = True,
    reassociates: bool = True,
    inlined: bool = True,
    inlines_all: bool = False,
) -> F | Callable[[F], F]:
    """Mark a function as one that Numba compiles: it may use only what Numba knows.

    Parameters
    ----------
    allocates : bool
        False promises that the kernel makes no array and returns none (views within it are fine).
        Numba then counts no references in it, which saves some tens of nanoseconds for each array
        that it touches; it refuses to compile an allocation, saying ``NRT required``. Where it is
        called, it is inlined: a trajectory has a hundred numbers to pass on otherwise.
    reassociates : bool
        False keeps sums in the order in which they are written, for arithmetic that relies on how they
        are rounded.
    inlined : bool
        False has one copy of it, called from splat: for what is long beside a call.
    inlines_all : bool
        True has everything that it calls inlined, however long: for a kernel that is tailored to sizes
        (:mod:`rnnsim.compiler.specialising`), of an outermost one.
    """

    def mark(function: F) -> F:
        traits = KernelOptions(allocates, reassociates, inlined, inlines_all)
        function.__kernel__ = traits  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


class NativeCode(NamedTuple):
    """By what a kernel is replaced when it is compiled (:func:`native`)."""

    code: str | Callable[..., Any]
    parameters: tuple[Any, ...]


def native(code: str | Callable[..., Any], *parameters: Any) -> Callable[[F], F]:
    """Mark a function of which the compiler is told how to do it otherwise than it is written.

    As written it runs where ``NUMBA_DISABLE_JIT`` is set.

    Parameters
    ----------
    code : str or Callable
        What ``numba.extending.intrinsic`` takes; or its name in :mod:`rnnsim.compiler.llvm`, such as
        ``blas.gemm``, which is imported when it is compiled.
    *parameters
        With which a named function makes the code, if there are any.
    """

    def mark(function: F) -> F:
        function.__native__ = NativeCode(code, parameters)  # type: ignore[attr-defined]
        return function

    return mark


def options_of(function: Callable[..., Any]) -> KernelOptions:
    """What a kernel says of itself."""
    return getattr(function, "__kernel__", KernelOptions())
