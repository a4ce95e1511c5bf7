"""A hash of everything that the machine code of a kernel depends on.

Each function has one, of its own code and values and of those of every function that it reaches. It is
the same in every process, so that machine code can be found on disk by it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import types
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from rnnsim.compiler.bounds import checked
from rnnsim.compiler.marks import OPTIONS, inner_options
from rnnsim.compiler.pieces import names_in_use, sources
from rnnsim.compiler.references import (
    References,
    callees_of,
    is_known,
    python_function,
    reachable_functions,
)
from rnnsim.kernels import options_of

MAX_REMEMBERED = 256  # fingerprints

Functions = dict[types.FunctionType, References]

# Values that are compared by their ``repr``: numbers, text, and containers, which may change in place.
PLAIN = (int, float, complex, str, bytes, np.generic, types.NoneType,
         list, dict, set, frozenset, slice, range)  # fmt: skip
NAMED = types.FunctionType | types.BuiltinFunctionType | np.ufunc
DESCRIBED = ("numba.", "llvmlite.")  # the packages whose types and constants have a complete ``repr``

_remembered: dict[tuple[Any, ...], tuple[list[Any], Fingerprint]] = {}


class Fingerprint(NamedTuple):
    """What identifies the machine code of a function.

    Attributes
    ----------
    hash : str
        Of the bytecode and constants of the function and of every function reachable through closures
        and globals, the values of all other references, the versions of Python and NumPy, the compiler
        options, the source of rnnsim's compiler and the pieces of it that are in use.
    classes : tuple of type
        The classes that the functions refer to, compared by identity: one that is defined anew, by
        reloading its module, is another type to Numba.
    """

    hash: str
    classes: tuple[type, ...]


def fingerprint(function: Callable[..., Any]) -> Fingerprint:
    """The fingerprint of a kernel, of everything but its argument types."""
    reached = reachable_functions(function)
    seen, held = identity_key(reached)
    if seen not in _remembered:
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.pop(next(iter(_remembered)), None)
        root = python_function(function)
        _remembered[seen] = held, fingerprints([root], reached)[root]
    return _remembered[seen][1]


def fingerprints(
    functions: Iterable[types.FunctionType], reached: Functions
) -> dict[types.FunctionType, Fingerprint]:
    """The fingerprints of some of the functions that a kernel reaches."""
    common = hashlib.sha256(repr((sys.version_info[:3], np.__version__)).encode())
    common.update(sources())
    common.update(repr((names_in_use(), _content_of_options(OPTIONS))).encode())
    contents = {function: _content(function, reached) for function in reached}
    edges = {function: _edges(function, reached) for function in reached}
    return {function: _combined(function, contents, edges, common) for function in functions}


def _combined(
    root: types.FunctionType,
    contents: dict[types.FunctionType, Fingerprint],
    edges: dict[types.FunctionType, list[types.FunctionType]],
    common: Any,
) -> Fingerprint:
    """The fingerprint of a function: its own content, then that of all that it reaches."""
    order = {root: 0}
    waiting = [root]
    digest = common.copy()
    classes: list[type] = []
    for function in waiting:  # grows while it is iterated over
        for callee in edges[function]:
            if callee not in order:
                order[callee] = len(order)
                waiting.append(callee)
        own = contents[function]
        digest.update(f"{own.hash} {[order[callee] for callee in edges[function]]};".encode())
        classes += own.classes
    return Fingerprint(digest.hexdigest(), tuple(classes))


def _edges(function: types.FunctionType, reached: Functions) -> list[types.FunctionType]:
    """The functions that a function may call, in the order of its references."""
    found: list[types.FunctionType] = []
    for value in callees_of(function, reached[function]):
        callee = python_function(value)
        if isinstance(callee, types.FunctionType):
            if callee in reached:
                found.append(callee)
        elif isinstance(callee, type):
            found += [method for method in vars(callee).values() if is_in(method, reached)]
    return found


def is_in(value: Any, reached: Functions) -> bool:
    """Whether a value is one of these functions; it may not be hashable."""
    return isinstance(value, types.FunctionType) and value in reached


# --- the content of a function, and a cheap key for it ------------------------------------------------


def identity_key(reached: Functions) -> tuple[tuple[Any, ...], list[Any]]:
    """A key that within this process implies an equal fingerprint, and costs far less.

    Objects are compared by identity. The second result holds references to them, so that no other object
    can have their id.
    """
    order = {function: i for i, function in enumerate(reached)}
    seen: list[Any] = [names_in_use(), checked()]
    held: list[Any] = []
    for function, references in reached.items():
        held.append(function.__code__)
        seen += (id(function.__code__), options_of(function))
        for name, value in references:
            inner = python_function(value)
            if isinstance(inner, types.FunctionType) and inner in order:
                seen += (name, order[inner])
            elif isinstance(value, np.ndarray):
                seen += (name, _content_of_value(value))
            elif isinstance(value, PLAIN):
                seen += (name, type(value), repr(value))
                continue
            if inner is not value or not isinstance(value, types.FunctionType | np.ndarray):
                seen += (name, id(value))
                held.append(value)
    return tuple(seen), held


def _content(function: types.FunctionType, reached: Functions) -> Fingerprint:
    """The function's own part of its fingerprint: other functions are left to its edges."""
    references = reached[function]
    values = []
    for name, value in references:
        inner = python_function(value)
        if is_in(inner, reached):
            options = getattr(value, "targetoptions", {})  # of a user's @njit function
            values.append(f"{name}=function {sorted(options.items(), key=str)}")
        else:
            values.append(f"{name}={_content_of_value(value)}")
    options = f"{options_of(function)} {_content_of_options(inner_options(function))}"
    text = ";".join((repr(_content_of_code(function.__code__)), *values, options))
    classes = (value for _, value in references if isinstance(value, type))
    return Fingerprint(
        hashlib.sha256(text.encode()).hexdigest(),
        tuple(kind for kind in classes if not is_known(kind.__module__)),
    )


def _content_of_options(options: dict[str, Any]) -> str:
    """The options in a fixed order."""
    return repr(sorted((k, repr(sorted(v) if isinstance(v, set) else v)) for k, v in options.items()))


def _content_of_code(code: types.CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _content_of_code(const) if isinstance(const, types.CodeType) else repr(const)
        for const in code.co_consts
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _content_of_value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        members = {name: member.value for name, member in getattr(value, "__members__", {}).items()}
        return f"{value.__module__}.{value.__qualname__}{getattr(value, '_fields', '')}{members}"
    if isinstance(value, NAMED):
        return f"{getattr(value, '__module__', '')}.{value.__name__}"
    text = repr(value)
    if describes_itself(value) and " at 0x" not in text:
        return f"{type(value)} {text}"
    # its text may leave out what matters: no other process is to find code by it
    return f"{type(value)} {id(value)} in process {os.getpid()} {_this_process}"


def describes_itself(value: Any) -> bool:
    """Whether all of a value is in its ``repr``."""
    if hasattr(value, "native_name"):  # a C callback of Numba, with a function behind it
        return False
    return isinstance(value, (*PLAIN, Enum, np.dtype)) or type(value).__module__.startswith(DESCRIBED)


_this_process = os.urandom(16).hex()
