"""The plain back end: kernels compiled by public Numba alone, from their bodies in Python.

Inner kernels are registered as overloads, which Numba compiles for each set of argument types.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba.extending import overload


def register_inner(
    function: Callable[..., Any], body: Callable[..., Any], options: dict[str, Any]
) -> None:
    """Let kernels call a function, compiled from ``body``."""
    options = options | without_wrappers()
    each = getattr(body, "__each__", None)
    bodies = _always(body) if each is None else _over_fields(each)
    given: Any = options
    overload(function, jit_options=given, strict=False)(bodies)


@cache
def without_wrappers() -> dict[str, Any]:
    """Options that leave out the wrappers of inner kernels, where this Numba has them.

    A wrapper unboxes all arrays of a trajectory, and is most of what would be compiled.
    """
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    try:
        numba.njit(**options)(lambda x: x).compile((numba.int64,))
    except KeyError:
        return {}
    return options


def _always(body: Callable[..., Any]) -> Callable[..., Any]:
    def body_of(*arguments: Any, **named: Any) -> Callable[..., Any]:
        return body

    return body_of


def make_entry_point(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Make the dispatcher that Python calls."""
    return numba.njit(**options)(function)


def _over_fields(each: Callable[..., Any]) -> Callable[..., Any]:
    """Make the overload of a fieldwise function.

    Numba cannot loop over tuples of different types, so a call is generated for each field.
    """

    def body_of(fields: Any, *others: Any) -> Any:
        tuples = [isinstance(kind, numba.types.BaseNamedTuple) for kind in (fields, *others)]
        names = [f"a{i}" for i in range(len(tuples))]
        results = []
        for i, kind in enumerate(fields):
            own = ", ".join(f"{a}[{i}]" if is_tuple else a for a, is_tuple in zip(names, tuples))
            is_array = isinstance(kind, numba.types.Array)
            results.append(f"each({own})" if is_array else f"a0[{i}]")
        given = ", ".join(names)
        code = f"def body({given}):\n    return make({', '.join(results)},)\n"
        scope: dict[str, Any] = {"each": each, "make": fields.instance_class}
        exec(code, scope)
        return scope["body"]

    return body_of
