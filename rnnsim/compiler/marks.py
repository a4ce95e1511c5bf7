"""What a kernel's marks come to: options of Numba's, and code in LLVM's language."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from rnnsim.compiler.pieces import BINDING, NATIVE, SHARING, Piece
from rnnsim.kernels import NativeCode, options_of

# Sums may be reordered and fused, so that they vectorise. Never nnan or ninf: with those the compiler
# deletes the checks that notice a run that diverges.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
    "no_cfunc_wrapper": True,
}


def inner_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The compiler's options for a kernel that others call: no entry for Python, perhaps no counting."""
    traits = options_of(function)
    options = {
        **OPTIONS,
        "no_cpython_wrapper": True,
        "_nrt": traits.allocates,
        "forceinline": traits.inlined and not traits.allocates,
    }
    if not traits.reassociates:
        options["fastmath"] = OPTIONS["fastmath"] - {"reassoc"}
    return options


def public_options(function: Callable[..., Any]) -> dict[str, Any]:
    """Those of them that Numba documents."""
    return {name: inner_options(function)[name] for name in ("error_model", "fastmath")}


def piece_of(function: Callable[..., Any]) -> Piece | None:
    """The piece of the fast back end that a native function belongs to; None for any other."""
    marked: NativeCode | None = getattr(function, "__native__", None)
    if marked is None:
        return None
    named = isinstance(marked.code, str) and marked.code.partition(".")[0]
    return {"parallel": SHARING, "bind": BINDING}.get(str(named), NATIVE)


@cache
def native_code(function: Callable[..., Any]) -> Any:
    """What stands for a native function: code in LLVM's language, or another kernel."""
    code, parameters = function.__native__  # type: ignore[attr-defined]
    if isinstance(code, str):
        module, _, name = code.partition(".")
        code = getattr(import_module(f"rnnsim.compiler.llvm.{module}"), name)
    return code(*parameters) if parameters else code
