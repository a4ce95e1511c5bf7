"""What a kernel refers to: the functions that it reaches, and the values that Numba compiles into it.

Both are read at each call, so that an edited helper or a changed constant is noticed, also in functions
without a source file (lambdas, notebooks).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from typing import Any

# Packages whose functions Numba implements; they enter the hash by their versions.
KNOWN = {"numpy", "numba", "scipy", "math", "builtins", "cmath", "operator"}

References = list[tuple[str, Any]]  # names in a function's code, with their values


def reachable_functions(root: Callable[..., Any]) -> dict[types.FunctionType, References]:
    """All functions reachable from a kernel, itself first, in a fixed order, with their references."""
    found: dict[types.FunctionType, References] = {}
    waiting: list[Any] = [root]
    for value in waiting:  # grows while it is iterated over
        function = python_function(value)
        if isinstance(function, types.FunctionType):
            if function not in found and not is_known(function.__module__):
                found[function] = references_of(function)
                waiting += callees_of(function, found[function])
        elif isinstance(function, type):
            waiting += methods_of(function)
    return found


def callees_of(function: types.FunctionType, references: References) -> list[Any]:
    """What a function may call, in a fixed order."""
    callees = [value for _, value in references if callable(value)]
    if hasattr(function, "__native__") and callable(function.__native__.code):
        callees.append(function.__native__.code)
    if hasattr(function, "__each__"):
        callees.append(function.__each__)
    return callees


def python_function(value: Any) -> Any:
    """The Python function of a user's own @njit or @vectorize function; anything else unchanged."""
    if isinstance(value, types.FunctionType):
        return value
    return getattr(getattr(value, "_dispatcher", value), "py_func", value)


@cache
def is_known(module: str | None) -> bool:
    """Whether a module belongs to one of the ``KNOWN`` packages."""
    return (module or "").split(".")[0] in KNOWN


def methods_of(kind: type) -> list[Callable[..., Any]]:
    """The methods of a class that emits code, which is none of a ``KNOWN`` package."""
    if is_known(kind.__module__) or issubclass(kind, tuple | Enum):
        return []
    return [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]


def references_of(function: types.FunctionType) -> References:
    """What a function refers to: its closure, globals and defaults, and its native code."""
    names, scope = names_of(function.__code__), function.__globals__
    reached = [(name, value) for name, value in closure_of(function).items()]
    reached += [(name, scope[name]) for name in names if name in scope]
    reached.append(("defaults", function.__defaults__ or ()))
    reached.append(("native", tuple(getattr(function, "__native__", ()))))
    reached += sorted((function.__kwdefaults__ or {}).items())
    found: References = []
    for name, value in reached:
        if isinstance(value, tuple | types.ModuleType):
            found += parts_of(name, value, names, ())
        else:
            found.append((name, value))
    return found


def closure_of(function: types.FunctionType) -> dict[str, Any]:
    """The free variables of a function that have a value."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def parts_of(
    name: str, value: Any, names: tuple[str, ...], within: tuple[Any, ...]
) -> Iterator[tuple[str, Any]]:
    """Expand tuples, and modules into the attributes whose names the function uses."""
    if isinstance(value, tuple):
        yield name, type(value)
        for i, part in enumerate(value):
            yield from parts_of(f"{name}[{i}]", part, names, within)
    elif isinstance(value, types.ModuleType):
        if value in within or is_known(value.__name__):
            return
        for attribute in names:
            if hasattr(value, attribute):
                part = getattr(value, attribute)
                yield from parts_of(f"{name}.{attribute}", part, names, (*within, value))
    else:
        yield name, value


@cache
def names_of(code: types.CodeType) -> tuple[str, ...]:
    """The names used in a code object and in nested ones, sorted."""
    inner = (names_of(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return tuple(sorted(set(code.co_names).union(*inner)))
