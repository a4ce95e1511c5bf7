"""Composing kernels: the outermost one becomes machine code, with all that it calls inside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnsim.compiler import pieces
from rnnsim.compiler.fingerprint import fingerprint, reachable_functions
from rnnsim.compiler.listeners import tell
from rnnsim.compiler.marks import OPTIONS, inner_options, native_code, piece_of, public_options
from rnnsim.errors import RnnsimError
from rnnsim.kernels import options_of

_compiled: dict[str, Callable[..., Any]] = {}  # by fingerprint: the same code may be composed again
_registered: dict[Callable[..., Any], Any] = {}  # inner kernels, as Numba calls them


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
    key = fingerprint(function)
    if key not in _compiled:
        _compiled[key] = _compile(function, key, owner)
    return _compiled[key]


def _compile(function: Callable[..., Any], key: str, owner: str) -> Callable[..., Any]:
    import numba

    numba.get_num_threads()  # launches the threads that machine code knows by name
    reached = reachable_functions(function)
    for inner in reached:
        if inner is not function and inner not in _registered:
            _registered[inner] = _register(inner)
    dispatcher = _entry_point(function)
    if pieces.in_use(pieces.CACHE):
        from rnnsim.compiler.cache import KernelCache

        of_user = any(  # a user's own @njit function that has been compiled already
            getattr(value, "signatures", None)
            for references in reached.values()
            for _, value in references
        )
        dispatcher._cache = KernelCache(owner, function.__name__, key, not of_user)
    else:
        tell(owner or function.__name__, False)

    def call(*arguments: Any) -> Any:
        try:
            return dispatcher(*arguments)
        except numba.core.errors.NumbaError as error:
            raise RnnsimError(_cause(str(error))) from error

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


def _register(inner: Callable[..., Any]) -> Any:
    """Let kernels call a function: as code in LLVM's language, by another kernel, or as it is written."""
    piece, body, linked = piece_of(inner), inner, pieces.in_use(pieces.LINKING)
    native = piece is not None and pieces.in_use(piece)
    if native:
        body = native_code(inner)
        if not hasattr(body, "__kernel__"):
            from rnnsim.compiler.native import register_native

            return register_native(inner, body)
    if linked:
        from rnnsim.compiler import linking

        if piece is None or native:
            return linking.register_inner(inner, body, inner_options(body))
    from rnnsim.compiler import plain

    options = linking.deferred(inner_options(body)) if linked else public_options(body)
    return plain.register_inner(inner, body, options)


def _entry_point(function: Callable[..., Any]) -> Any:
    """A dispatcher that Python calls."""
    if not pieces.in_use(pieces.LINKING):
        from rnnsim.compiler import plain

        return plain.make_entry_point(function, public_options(function))
    import numba

    from rnnsim.compiler.linking import EntryPointCompiler, InliningCompiler

    pipeline = InliningCompiler if options_of(function).inlines_all else EntryPointCompiler
    return numba.njit(**OPTIONS, pipeline_class=pipeline)(function)


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
