"""Whether what a kernel refers to has changed since it was compiled."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rnnsim.compiler import Guard

CODE = """
def helper(x):
    return gain * x

def root(x, by=1.0):
    return helper(x) + table[0] + shelf.offset + sum(steps) + by
"""


def program() -> dict[str, Any]:
    shelf = ModuleType("shelf")
    shelf.offset = 1.5  # type: ignore[attr-defined]
    scope: dict[str, Any] = {"__name__": "users", "gain": 2.0, "table": np.ones(3), "shelf": shelf,
                             "steps": [1.0]}  # fmt: skip
    exec(CODE, scope)
    return scope


def another(scope: dict[str, Any]) -> None:
    exec("def helper(x):\n    return 3 * x", scope)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a global of a helper": lambda scope: scope.update(gain=2.5),
    "an array in place": lambda scope: scope["table"].__setitem__(0, 5.0),
    "another array": lambda scope: scope.update(table=np.full(3, 2.0)),
    "an attribute of a module": lambda scope: setattr(scope["shelf"], "offset", 2.0),
    "a list in place": lambda scope: scope["steps"].append(1.0),
    "a helper defined anew": another,
    "a default": lambda scope: setattr(scope["root"], "__defaults__", (2.0,)),
    "a name that was built in": lambda scope: scope.update(sum=max),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed(what: str) -> None:
    scope = program()
    guard = Guard(scope["root"])
    assert guard.holds()
    scope["unrelated"] = 3
    assert guard.holds()  # the control
    CHANGES[what](scope)
    assert not guard.holds()


def test_a_closure_is_looked_into() -> None:
    def make() -> tuple[Callable[[float], float], Callable[[float], None]]:
        factor, weights = 2.0, np.ones(2)

        def root(x: float) -> float:
            return float(factor * x + weights[0])

        def change(value: float) -> None:
            nonlocal factor
            factor = value

        return root, change

    root, change = make()
    root.__module__ = "users"
    guard = Guard(root)
    assert guard.holds()
    change(3.0)
    assert not guard.holds()
