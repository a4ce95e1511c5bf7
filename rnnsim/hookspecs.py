"""The hooks by which a package offers rules, tasks, networks and callbacks to rnnsim.

A package implements any of them, marked with ``@rnnsim.hookimpl``, in a module that it names under the
entry-point group ``rnnsim``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from rnnsim.network import Network
    from rnnsim.rule import Rule
    from rnnsim.task import Task

PROJECT = "rnnsim"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def rnnsim_rules(register: Callable[[type[Rule]], None]) -> None:
    """Register learning rules: call ``register`` with each rule's class."""


@hookspec
def rnnsim_tasks(register: Callable[[type[Task]], None]) -> None:
    """Register tasks: call ``register`` with each task's class."""


@hookspec
def rnnsim_networks(register: Callable[[type[Network]], None]) -> None:
    """Register networks: call ``register`` with each network's class."""


@hookspec
def rnnsim_callbacks(register: Callable[[Callable[[Any], Any]], None]) -> None:
    """Register callbacks: call ``register`` with each function.

    They are called in every :func:`rnnsim.run`, before those that the user gives, with the same argument
    and the same right to end it. In a sweep or a comparison they are not: those are many runs of which
    nobody watches one, in several processes, and end by rules of their own.
    """
