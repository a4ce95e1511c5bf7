"""Registers functions that emit LLVM IR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.core.typing.templates import infer, infer_global, make_intrinsic_template


def register_native(function: Callable[..., Any], code: Callable[..., Any]) -> Any:
    """Let kernels call a function, replaced by LLVM IR."""
    template = make_intrinsic_template(function, code, function.__name__)  # type: ignore[no-untyped-call]
    infer(template)  # type: ignore[no-untyped-call]
    infer_global(function, types.Function(template))  # type: ignore[no-untyped-call]
    return template
