"""A hash of everything that the machine code of a kernel depends on.

The bytecode of a kernel and everything that it refers to are read at each call, so that an edited
helper or a changed constant is noticed, also in functions without a source file (lambdas, notebooks).
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

from rnnsim.compiler.marks import OPTIONS, inner_options
from rnnsim.compiler.pieces import names_in_use, sources
from rnnsim.kernels import options_of

# Packages whose functions Numba implements; they enter the hash by their versions.
KNOWN = {"numpy", "numba", "scipy", "math", "builtins", "cmath", "operator"}

MAX_REMEMBERED = 256  # fingerprints

References = list[tuple[str, Any]]  # names in a function's code, with their values

_remembered: dict[tuple[Any, ...], tuple[list[Any], str]] = {}


def fingerprint(function: Callable[..., Any]) -> str:
    """Hash everything that a kernel's machine code depends on, except the argument types.

    That is the bytecode and constants of the function and of every function reachable through closures
    and globals, the values of all other references, the versions of Python and NumPy, the compiler
    options, the source of rnnsim's compiler and the pieces of it that are in use.
    """
    reached = reachable_functions(function)
    seen, held = identity_key(reached)
    if seen not in _remembered:
        if len(_remembered) >= MAX_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[seen] = held, _hash(reached)
    return _remembered[seen][1]


# --- references ---------------------------------------------------------------------------------------


def reachable_functions(root: Callable[..., Any]) -> dict[types.FunctionType, References]:
    """All functions reachable from a kernel, itself first, in a fixed order, with their references."""
    found: dict[types.FunctionType, References] = {}
    waiting: list[Any] = [root]
    for value in waiting:  # grows while it is iterated over
        function = python_function(value)
        if isinstance(function, types.FunctionType):
            if function not in found and not is_known(function.__module__):
                found[function] = references = references_of(function)
                waiting += [value for _, value in references if callable(value)]
                if hasattr(function, "__native__") and callable(function.__native__.code):
                    waiting.append(function.__native__.code)
                if hasattr(function, "__each__"):
                    waiting.append(function.__each__)
        elif isinstance(function, type) and not issubclass(
            function, tuple | Enum
        ):  # used by native code
            waiting += methods_of(function)
    return found


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
    """The methods of a class, unless it belongs to a ``KNOWN`` package."""
    if is_known(kind.__module__):
        return []
    return [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]


def references_of(function: types.FunctionType) -> References:
    """What a function refers to: its closure, globals and defaults, and its native code."""
    names, scope = names_of(function.__code__), function.__globals__
    reached = [
        (name, cell.cell_contents)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    ]
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


# --- the hash, and a cheap key for it ---------------------------------------------------------------


def identity_key(reached: dict[types.FunctionType, References]) -> tuple[tuple[Any, ...], list[Any]]:
    """A key that within this process implies an equal hash, and costs far less.

    Objects are compared by identity. The second result holds references to them, so that no other object
    can have their id.
    """
    order = {function: i for i, function in enumerate(reached)}
    seen: list[Any] = []
    held: list[Any] = []
    for function, references in reached.items():
        held.append(function.__code__)
        seen += (id(function.__code__), options_of(function))
        for name, value in references:
            inner = python_function(value)
            if isinstance(inner, types.FunctionType) and inner in order:
                seen += (name, order[inner])
            elif isinstance(value, np.ndarray):
                seen += (name, _content_of_value(value, order))
            elif isinstance(value, int | float | complex | str | bytes | np.generic):
                seen += (name, repr(value))
                continue
            if inner is not value or not isinstance(value, types.FunctionType | np.ndarray):
                seen += (name, id(value))
                held.append(value)
    return tuple(seen), held


def _hash(reached: dict[types.FunctionType, References]) -> str:
    digest = hashlib.sha256(repr((sys.version_info[:3], np.__version__)).encode())
    digest.update(sources())
    digest.update(repr(names_in_use()).encode())
    digest.update(_options_content(OPTIONS).encode())
    order = {function: i for i, function in enumerate(reached)}
    for function, references in reached.items():
        values = [f"{name}={_content_of_value(value, order)}" for name, value in references]
        digest.update(";".join((repr(_content_of_code(function.__code__)), *values)).encode())
        digest.update(f"{options_of(function)} {_options_content(inner_options(function))}".encode())
    return digest.hexdigest()


def _options_content(options: dict[str, Any]) -> str:
    """The options in a fixed order."""
    return repr(sorted((k, repr(sorted(v) if isinstance(v, set) else v)) for k, v in options.items()))


def _content_of_code(code: types.CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _content_of_code(const) if isinstance(const, types.CodeType) else repr(const)
        for const in code.co_consts
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _content_of_value(value: Any, order: dict[types.FunctionType, int]) -> str:
    function = python_function(value)
    if isinstance(function, types.FunctionType) and function in order:
        options = getattr(value, "targetoptions", {})  # of a user's @njit function
        return f"function {order[function]} {sorted(options.items(), key=str)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        members = {name: member.value for name, member in getattr(value, "__members__", {}).items()}
        return f"{value.__module__}.{value.__qualname__}{getattr(value, '_fields', '')}{members}"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc):
        return f"{value.__module__ if hasattr(value, '__module__') else ''}.{value.__name__}"
    return repr(value)
