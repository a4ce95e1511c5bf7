"""What a kernel's marks come to: options of Numba's, and code in LLVM's language."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, cast

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


@cache
def native_code(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The code in LLVM's language that stands for a kernel, if there is any."""
    marked: NativeCode | None = getattr(function, "__native__", None)
    if marked is None:
        return None
    code = marked.code
    if isinstance(code, str):
        module, _, name = code.partition(".")
        code = cast("Callable[..., Any]", getattr(import_module(f"rnnsim.compiler.llvm.{module}"), name))
    return code(*marked.parameters) if marked.parameters else code
