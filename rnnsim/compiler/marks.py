"""Translates the marks of a kernel into options of Numba and native code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from rnnsim.compiler.bounds import checked
from rnnsim.compiler.pieces import BINDING, NATIVE, SHARING, Piece
from rnnsim.kernels import NativeCode, options_of

# Never nnan or ninf: they let the compiler delete the checks for divergence.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
    "no_cfunc_wrapper": True,
}
# Of what Python calls. A kernel touches no Python object: other threads may run meanwhile.
ENTRY_OPTIONS: dict[str, Any] = {"nogil": True}


def inner_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The options of an inner kernel: no wrapper for Python, and perhaps no reference counting."""
    marked = options_of(function)
    options = {
        **OPTIONS,
        "no_cpython_wrapper": True,
        "_nrt": marked.allocates,
        "forceinline": marked.inlined and not marked.allocates,
    }
    if checked():
        options["boundscheck"] = True
    if not hasattr(function, "__kernel__"):  # a user's function, as it is written
        options["fastmath"] = set()  # which Numba would otherwise take from the caller
    elif marked.reassociates:
        options["fastmath"] = OPTIONS["fastmath"] | {"reassoc"}
    return options


def public_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The subset of these options that Numba documents."""
    options = inner_options(function)
    return {
        name: options[name] for name in ("error_model", "fastmath", "boundscheck") if name in options
    }


def piece_of(function: Callable[..., Any]) -> Piece | None:
    """The piece of the fast back end that a native function belongs to; None for any other."""
    marked: NativeCode | None = getattr(function, "__native__", None)
    if marked is None:
        return None
    named = isinstance(marked.code, str) and marked.code.partition(".")[0]
    return {"parallel": SHARING, "bind": BINDING}.get(str(named), NATIVE)


@cache
def native_code(function: Callable[..., Any]) -> Any:
    """The replacement of a native function: a function that emits LLVM IR, or another kernel."""
    code, parameters = function.__native__  # type: ignore[attr-defined]
    if isinstance(code, str):
        module, _, name = code.partition(".")
        code = getattr(import_module(f"rnnsim.compiler.llvm.{module}"), name)
    return code(*parameters) if parameters else code
