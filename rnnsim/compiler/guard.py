"""Whether what a kernel refers to is still what it was when it was compiled.

A fingerprint reads everything that a kernel reaches, which takes a thousand times as long as a small
gradient. What is kept from call to call is therefore guarded by a comparison of references by identity,
and of arrays and containers by content. Functions of the package itself do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter, is_
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from rnnsim.compiler.references import is_known, names_of, reachable_functions

OWN = __name__.partition(".")[0]
OF_FUNCTION = tuple(map(attrgetter, ("__code__", "__defaults__", "__kwdefaults__")))
CONTAINERS = (list, dict, set)


class Guard:
    """Compares what a kernel refers to now with what it referred to when the guard was made.

    Parameters
    ----------
    kernel : Callable
    thing : object, optional
        What the kernel was made of.
    names : sequence of str
        Its attributes that are compared too.
    """

    def __init__(self, kernel: Callable[..., Any], thing: Any = None, names: Sequence[str] = ()) -> None:
        functions = [
            function
            for function in reachable_functions(kernel)
            if (function.__module__ or "").partition(".")[0] != OWN
        ]
        self._held: list[tuple[Callable[[Any], Any], Sequence[Any], list[Any]]] = []
        self._arrays: list[tuple[Any, Any]] = []
        self._containers: list[tuple[Any, str]] = []
        self._watch(partial(_attribute, thing), names)
        for get in OF_FUNCTION:
            self._watch(get, functions)
        self._watch(_contents, [cell for function in functions for cell in function.__closure__ or ()])
        for scope, names in _scopes_of(functions):
            self._watch(scope.get, names)

    def holds(self) -> bool:
        """Whether nothing has changed."""
        return (
            all(all(map(is_, map(get, keys), before)) for get, keys, before in self._held)
            and all(np.array_equal(array, before, equal_nan=True) for array, before in self._arrays)
            and all(repr(container) == before for container, before in self._containers)
        )

    def _watch(self, get: Callable[[Any], Any], keys: Sequence[Any]) -> None:
        values = list(map(get, keys))
        self._held.append((get, keys, values))
        for value in values:
            self._watch_contents(value)

    def _watch_contents(self, value: Any) -> None:
        """What may change in place."""
        if isinstance(value, np.ndarray):
            self._arrays.append((value, value.copy()))
        elif isinstance(value, CONTAINERS):
            self._containers.append((value, repr(value)))
        elif isinstance(value, tuple):
            for part in value:
                self._watch_contents(part)


def _attribute(thing: Any, name: str) -> Any:
    return getattr(thing, name, None)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _scopes_of(functions: Iterable[FunctionType]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """The namespaces in which functions look names up, modules included, each with these names."""
    found: dict[int, tuple[Mapping[str, Any], set[str]]] = {}
    for function in functions:
        names = names_of(function.__code__)
        waiting: list[Mapping[str, Any]] = [function.__globals__]
        seen: set[int] = set()
        for scope in waiting:  # grows while it is iterated over
            if id(scope) in seen:
                continue
            seen.add(id(scope))
            found.setdefault(id(scope), (scope, set()))[1].update(names)
            values = [scope.get(name) for name in names]
            waiting += [
                vars(value)
                for value in values
                if isinstance(value, ModuleType) and not is_known(value.__name__)
            ]
    return [(scope, sorted(names)) for scope, names in found.values()]
