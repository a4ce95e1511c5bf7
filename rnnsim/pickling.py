"""Pickling of things by the arguments that they were made from.

A network holds kernels, which are closures and cannot be pickled; another process makes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from types import FunctionType
from typing import Any, Self

import numpy as np

from rnnsim.errors import RnnsimError


class PickledByArguments:
    """A class whose instances are pickled by the arguments of their constructor."""

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = tuple(map(_as_now, arguments))
        made._named = {name: _as_now(value) for name, value in named.items()}
        return made

    _arguments: tuple[Any, ...]
    _named: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        for function in functions_in((*self._arguments, *self._named.values())):
            check_found_by_name(function)
        return _make, (type(self), self._arguments, self._named)

    def remade(self, **named: Any) -> Self:
        """One made from the same arguments but for these."""
        return type(self)(*self._arguments, **{**self._named, **named})

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __deepcopy__(self, _: Any) -> Self:
        return copy(self)  # kernels are shared


def _make(kind: type, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return kind(*arguments, **named)


def _as_now(argument: Any) -> Any:
    """An argument as it is now: the caller may change arrays and lists later."""
    return copy(argument) if isinstance(argument, np.ndarray | list) else argument


def functions_in(value: Any) -> Iterator[FunctionType]:
    """The functions in nested tuples and lists."""
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from functions_in(part)


def check_found_by_name(function: FunctionType) -> None:
    """Refuse a function that another process does not find, since functions are pickled by name.

    Raises
    ------
    RnnsimError
        If its module has no such function.
    """
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not function:
        raise RnnsimError(
            f"the function {function.__qualname__} cannot be sent to another process, which does not "
            "find it by this name; define it by def, at the top level of a module"
        )
