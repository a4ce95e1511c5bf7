"""What the machine code of a kernel depends on.

A kernel's bytecode, and whatever it refers to, is read anew each time that it is asked for: so a helper
that was edited, or a number that was changed, is noticed, in functions without a source file (lambdas,
notebooks) too.
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

# Packages whose functions Numba knows by itself; their versions stand for their content.
KNOWN = {"numpy", "numba", "scipy", "math", "builtins", "cmath", "operator"}

MAX_REMEMBERED = 256  # fingerprints that are remembered

References = list[tuple[str, Any]]  # what a function reaches by name

_remembered: dict[tuple[Any, ...], tuple[list[Any], str]] = {}


def fingerprint(function: Callable[..., Any]) -> str:
    """Hash everything that a kernel's machine code depends on, but for the argument types.

    That is the bytecode and the constants of the function and of every function that it reaches
    through its closure and its globals, the values of the other things that it reaches, and the
    versions of Python, NumPy, rnnsim's compiler options and the way it links.
    """
    reached = reachable_functions(function)
    seen, held = identity_key(reached)
    if seen not in _remembered:
        if len(_remembered) >= MAX_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[seen] = held, _hash(reached)
    return _remembered[seen][1]


# --- what a function reaches --------------------------------------------------------------------------


def reachable_functions(root: Callable[..., Any]) -> dict[types.FunctionType, References]:
    """The functions that a kernel reaches, itself first, in a fixed order, each with its references."""
    found: dict[types.FunctionType, References] = {}
    waiting: list[Any] = [root]
    for value in waiting:  # which grows
        function = python_function(value)
        if isinstance(function, types.FunctionType):
            if function not in found and not is_known(function.__module__):
                found[function] = references = references_of(function)
                waiting += [value for _, value in references if callable(value)]
                if hasattr(function, "__native__") and callable(function.__native__.code):
                    waiting.append(function.__native__.code)
                if hasattr(function, "__each__"):
                    waiting.append(function.__each__)
        elif isinstance(function, type) and not issubclass(function, tuple | Enum):  # of native code
            waiting += methods_of(function)
    return found


def python_function(value: Any) -> Any:
    """The function inside a user's own @njit or @vectorize'd one; anything else as it is."""
    if isinstance(value, types.FunctionType):
        return value
    return getattr(getattr(value, "_dispatcher", value), "py_func", value)


@cache
def is_known(module: str | None) -> bool:
    """Whether a module is one that the versions stand for."""
    return (module or "").split(".")[0] in KNOWN


def methods_of(kind: type) -> list[Callable[..., Any]]:
    """The functions that a class of ours, or of a plugin's, is made of."""
    if is_known(kind.__module__):
        return []
    return [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]


def references_of(function: types.FunctionType) -> References:
    """What a function reaches by name: its closure, its globals, its defaults."""
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
    """Take tuples apart, and modules, of which a function reaches only what it has the name of."""
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
    """The names in a function's code, and in the functions within it, in order."""
    inner = (names_of(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return tuple(sorted(set(code.co_names).union(*inner)))


# --- the hash, and how to do without it ---------------------------------------------------------------


def identity_key(reached: dict[types.FunctionType, References]) -> tuple[tuple[Any, ...], list[Any]]:
    """What tells, within this process, that all is as it was: far sooner than a hash.

    Code and other things are told by their identity, for which they must be held: the second result.
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
    """Options of the compiler, always in the same order."""
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
        options = getattr(value, "targetoptions", {})  # of a user's own @njit
        return f"function {order[function]} {sorted(options.items(), key=str)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        members = {name: member.value for name, member in getattr(value, "__members__", {}).items()}
        return f"{value.__module__}.{value.__qualname__}{getattr(value, '_fields', '')}{members}"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc):
        return f"{value.__module__ if hasattr(value, '__module__') else ''}.{value.__name__}"
    return repr(value)
