"""Compiles an entry point together with all kernels that it calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rnnsim.compiler import explaining, pieces
from rnnsim.compiler.bounds import checked, explained
from rnnsim.compiler.environment import load_numba
from rnnsim.compiler.fingerprint import Fingerprint, fingerprint
from rnnsim.compiler.listeners import tell
from rnnsim.compiler.locking import compiler_lock
from rnnsim.compiler.marks import (
    ENTRY_OPTIONS,
    OPTIONS,
    inner_options,
    native_code,
    piece_of,
    public_options,
)
from rnnsim.compiler.references import reachable_functions
from rnnsim.compiler.sharing import start_threading_layer
from rnnsim.compiler.snapshot import snapshot
from rnnsim.kernels import options_of

_compiled: dict[Fingerprint, Callable[..., Any]] = {}  # equal compositions are compiled once
_registered: dict[Callable[..., Any], Any] = {}  # inner kernels, kept alive for Numba's typing


def compiled(function: Callable[..., Any], owner: str = "") -> Callable[..., Any]:
    """Compile a kernel and all that it calls, or load it from the cache on disk.

    Parameters
    ----------
    function : Callable
        The entry point. It is compiled for each set of argument types that it is called with.
    owner : str
        The rule or task that the kernel belongs to, shown by ``rnnsim cache``.

    Returns
    -------
    Callable
        The compiled kernel, with the values that globals and closures have now; the function itself
        where ``NUMBA_DISABLE_JIT`` is set.

    Raises
    ------
    RnnsimError
        If a setting of the compiler in the environment cannot be used.
    """
    if "numba" not in sys.modules:  # whoever imports it first is to say what is wrong with a setting
        load_numba()
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    key = fingerprint(function)
    if key not in _compiled:  # a kernel that is known does not wait for another that is being compiled
        with compiler_lock():
            copy, key = snapshot(function)
            if key not in _compiled:
                _compiled[key] = _compile(copy, key, owner)
    return _compiled[key]


def _compile(function: Callable[..., Any], key: Fingerprint, owner: str) -> Callable[..., Any]:
    import numba

    start_threading_layer()  # machine code refers to its symbols
    reached = reachable_functions(function)
    for inner in reached:
        if inner is not function and inner not in _registered:
            _registered[inner] = _register(inner)
    dispatcher = _entry_point(function)
    if pieces.in_use(pieces.CACHE):
        from rnnsim.compiler.cache import KernelCache

        dispatcher._cache = KernelCache(owner, function.__name__, key.hash)
    else:
        tell(owner or function.__name__, False)

    def call(*arguments: Any) -> Any:
        try:
            return dispatcher(*arguments)
        except IndexError as error:
            raise explained(error) from error
        except Exception as error:
            if not (isinstance(error, numba.core.errors.NumbaError) or explaining.is_of_author(error)):
                raise
            raise explaining.explained(error, owner, reached, key.classes, arguments) from None

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


def _register(inner: Callable[..., Any]) -> Any:
    """Let kernels call a function: as LLVM IR, through another kernel, or compiled from its body."""
    piece = piece_of(inner)
    if piece is None and not hasattr(inner, "__each__"):
        return _register_body(inner, inner)
    if piece is None or not pieces.in_use(piece):
        return _register_overload(inner)
    replacement = native_code(inner)
    if hasattr(replacement, "__kernel__"):
        return _register_body(inner, replacement)
    from rnnsim.compiler.native import register_native

    return register_native(inner, replacement)


def _register_body(function: Callable[..., Any], body: Callable[..., Any]) -> Any:
    if not pieces.in_use(pieces.LINKING):
        from rnnsim.compiler import plain

        return plain.register_inner(function, body, public_options(body))
    from rnnsim.compiler import linking

    return linking.register_inner(function, body, inner_options(body))


def _register_overload(function: Callable[..., Any]) -> Any:
    """Register the body of a function as an overload, which may be used within itself."""
    from rnnsim.compiler import plain

    options = public_options(function)
    if pieces.in_use(pieces.LINKING):
        from rnnsim.compiler import linking

        options = linking.deferred(inner_options(function))
    return plain.register_inner(function, function, options)


def _entry_point(function: Callable[..., Any]) -> Any:
    """Make the dispatcher that Python calls."""
    if not pieces.in_use(pieces.LINKING):
        from rnnsim.compiler import plain

        return plain.make_entry_point(function, public_options(function) | ENTRY_OPTIONS)
    import numba

    from rnnsim.compiler.linking import EntryPointCompiler, InliningCompiler

    pipeline = InliningCompiler if options_of(function).inlines_all else EntryPointCompiler
    return numba.njit(**OPTIONS, **ENTRY_OPTIONS, boundscheck=checked(), pipeline_class=pipeline)(
        function
    )
