"""Kernels: plain functions that Numba compiles, composed by closing over one another.

A kernel is an ordinary Python function. A factory returns kernels that close over the kernels that
it was given (an activation inside a network's ``forward`` inside the loop), and :func:`compiled`
turns the outermost one into machine code, everything inside inlined. Nothing here is imported by
Numba, and Numba is imported only when something is compiled, so that listing rules stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

from rnnsim.errors import RnnsimError

F = TypeVar("F", bound=Callable[..., Any])


class Traits(NamedTuple):
    """What a kernel says of itself (:func:`kernel`)."""

    allocates: bool = True
    reassociates: bool = True
    inlined: bool = True
    inlines_all: bool = False


# Sums may be reordered and fused, so that they vectorise. Never nnan or ninf: with those the compiler
# deletes the checks that notice a run that diverges.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
    "no_cfunc_wrapper": True,
}

_compiled: dict[str, Callable[..., Any]] = {}  # by fingerprint: the same code may be composed again
_registered: dict[Callable[..., Any], Any] = {}  # inner kernels, as Numba calls them


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
        False has one copy of it, called from everywhere: for what is long beside a call.
    inlines_all : bool
        True has everything that it calls inlined, however long: for a kernel that is tailored to sizes
        (:mod:`rnnsim.tailoring`), of an outermost one.
    """

    def mark(function: F) -> F:
        traits = Traits(allocates, reassociates, inlined, inlines_all)
        function.__kernel__ = traits  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


def native(code: Callable[..., Any]) -> Callable[[F], F]:
    """Mark a function of which Numba is told how to do it otherwise than it is written.

    ``code`` is what ``numba.extending.intrinsic`` wants. As written it runs where ``NUMBA_DISABLE_JIT``
    is set.
    """

    def mark(function: F) -> F:
        function.__native__ = code  # type: ignore[attr-defined]
        return function

    return mark


def compiled(function: Callable[..., Any], owner: str = "") -> Callable[..., Any]:
    """Compile a kernel and all that it calls, or take it from the cache on disk.

    Parameters
    ----------
    function : Callable
        The outermost kernel. It is compiled for each set of argument types that it is called with.
    owner : str
        Whose kernel it is (a rule's, a task's), for those who look at the cache.

    Returns
    -------
    Callable
        The compiled kernel; the function itself where ``NUMBA_DISABLE_JIT`` is set.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    from rnnsim.fingerprint import fingerprint

    key = fingerprint(function)
    if key not in _compiled:
        _compiled[key] = _compile(function, key, owner)
    return _compiled[key]


def _compile(function: Callable[..., Any], key: str, owner: str) -> Callable[..., Any]:
    import numba

    from rnnsim.cache import KernelCache
    from rnnsim.fingerprint import reach
    from rnnsim.linking import InOnePiece, Outermost, make_callable, make_native

    numba.get_num_threads()  # launches the threads that machine code knows by name
    reached = reach(function)
    for inner in reached:
        if inner is not function and inner not in _registered:
            code = getattr(inner, "__native__", None)
            options = inner_options(inner)
            _registered[inner] = make_native(inner, code) if code else make_callable(inner, options)
    pipeline = InOnePiece if traits_of(function).inlines_all else Outermost
    dispatcher = numba.njit(**OPTIONS, pipeline_class=pipeline)(function)
    of_user = any(  # a user's own @njit function that has been compiled already
        getattr(value, "signatures", None) for references in reached.values() for _, value in references
    )
    dispatcher._cache = KernelCache(owner, function.__name__, key, not of_user)

    def call(*arguments: Any) -> Any:
        try:
            return dispatcher(*arguments)
        except numba.core.errors.NumbaError as error:
            raise RnnsimError(_cause(str(error))) from error

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


def _cause(message: str) -> str:
    """Find the cause in Numba's message, which has a paragraph for each function on the way."""
    innermost = message.split("Failed in nopython mode pipeline")[-1]
    place = re.search(r'File "([^"]+)", line (\d+)', innermost)
    where = f" ({Path(place[1]).name}, line {place[2]})" if place else ""
    lines = [line.strip() for line in innermost.splitlines()[1:] if line.strip()]
    cause = lines[0] if lines else message.strip()
    reasons = re.findall(r"raised a specific error:\s+(?:TypingError: )?(.+)", innermost)
    called = re.search(r"<function (\w+)", cause)
    if called and len(reasons) == 1:  # of a native function, which has a single form
        cause = f"{called[1]}: {reasons[0]}"
    return f"Numba cannot compile a function{where}: {cause}"


def traits_of(function: Callable[..., Any]) -> Traits:
    """What a kernel says of itself."""
    return getattr(function, "__kernel__", Traits())


def inner_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The compiler's options for a kernel that others call: no entry for Python, perhaps no counting."""
    traits = traits_of(function)
    options = {
        **OPTIONS,
        "no_cpython_wrapper": True,
        "_nrt": traits.allocates,
        "forceinline": traits.inlined and not traits.allocates,
    }
    if not traits.reassociates:
        options["fastmath"] = OPTIONS["fastmath"] - {"reassoc"}
    return options
