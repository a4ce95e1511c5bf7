"""Copies of functions that keep the values that their globals and closures had at one moment.

Numba reads the globals of a function when it compiles it, which may be long after the fingerprint was
taken, and keeps what it has compiled however these values change. So what is compiled is a copy, one
for each fingerprint: a changed value leads to another copy, and each copy refers to copies.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnsim.compiler.environment import is_uncompiled
from rnnsim.compiler.fingerprint import Fingerprint, fingerprint, fingerprints
from rnnsim.compiler.references import (
    closure_of,
    is_known,
    names_of,
    python_function,
    reachable_functions,
)

_copies: dict[Fingerprint, types.FunctionType] = {}
_recompiled: dict[tuple[Fingerprint, str], Any] = {}  # the user's own @njit functions


def snapshot(function: Callable[..., Any]) -> tuple[types.FunctionType, Fingerprint]:
    """Copy a kernel with all that it reaches; the copy and its fingerprint."""
    known = fingerprint(function)
    if known in _copies:
        return _copies[known], known
    reached = reachable_functions(function)
    root, keys = python_function(function), fingerprints(reached, reached)
    copier = _Copier(keys)
    copy = copier.function(root)
    _copies.update(copier.made)  # all are complete: an exception, such as that of Ctrl-C, leaves none
    return copy, keys[root]


def frozen(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a kernel that keeps what it and all that it reaches refer to now.

    Where nothing is compiled, the kernel itself, which may do anything that Python can.
    """
    return function if is_uncompiled() else snapshot(function)[0]


class _Copier:
    """Copies the functions that have a fingerprint, and what refers to them."""

    def __init__(self, keys: Mapping[types.FunctionType, Fingerprint]) -> None:
        self.keys = keys
        self.made: dict[Fingerprint, types.FunctionType] = {}

    def function(self, function: types.FunctionType) -> types.FunctionType:
        key = self.keys[function]
        if key in _copies:
            return _copies[key]
        if key not in self.made:
            code, scope = function.__code__, function.__globals__
            cells = {name: types.CellType() for name in code.co_freevars}
            copy = types.FunctionType(
                code,
                {name: scope[name] for name in ("__builtins__", "__name__") if name in scope},
                function.__name__,
                None,
                tuple(cells.values()),
            )
            # Names of symbols are made of this. Machine code that is loaded from a file may be linked to
            # what another file calls the same, so only equal functions may have the same name.
            copy.__qualname__ = f"{key.hash[:16]}.{function.__qualname__}"
            copy.__module__ = function.__module__
            self.made[key] = copy  # before its references, which may lead back to it
            names = names_of(code)
            for name, value in closure_of(function).items():
                cells[name].cell_contents = self.value(value, names)
            for name in names:
                if name in scope:
                    copy.__globals__[name] = self.value(scope[name], names)
            copy.__defaults__ = self.value(function.__defaults__, names)
            copy.__kwdefaults__ = {
                name: self.value(value, names) for name, value in (function.__kwdefaults__ or {}).items()
            }
            copy.__dict__.update(
                {name: self.value(value, names) for name, value in vars(function).items()}
            )
        return self.made[key]

    def value(self, value: Any, names: tuple[str, ...], within: tuple[Any, ...] = ()) -> Any:
        """Copy a value that a function refers to; what cannot change stands for itself."""
        if isinstance(value, np.ndarray):
            return value.copy(order="K")
        if isinstance(value, tuple):
            parts = [self.value(part, names, within) for part in value]
            if all(part is own for part, own in zip(parts, value)):
                return value
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if isinstance(value, types.ModuleType):
            is_fixed = value in within or is_known(value.__name__)
            return value if is_fixed else self.module(value, names, (*within, value))
        function = python_function(value)
        if not isinstance(function, types.FunctionType) or function not in self.keys:
            return value
        copy = self.function(function)
        return copy if function is value else self.recompiled(value, copy, self.keys[function])

    def module(
        self, module: types.ModuleType, names: tuple[str, ...], within: tuple[Any, ...]
    ) -> types.ModuleType:
        """Copy the attributes of a module whose names a function uses."""
        copy = types.ModuleType(module.__name__)
        for name in names:
            if hasattr(module, name):
                setattr(copy, name, self.value(getattr(module, name), names, within))
        return copy

    def recompiled(self, value: Any, copy: types.FunctionType, key: Fingerprint) -> Any:
        """Make a user's own @njit or @vectorize function from a copy, with the same options."""
        import numba

        vectorized = hasattr(value, "_dispatcher")
        options = dict(getattr(value, "targetoptions", {}))
        known = (key, f"{vectorized} {sorted(options.items(), key=str)}")
        if known not in _recompiled:
            compiler: Any = numba.vectorize if vectorized else numba.jit
            if not vectorized:  # Numba would take the flags of what calls it
                options = {"fastmath": False} | options
            _recompiled[known] = compiler(**options)(copy)
        return _recompiled[known]
