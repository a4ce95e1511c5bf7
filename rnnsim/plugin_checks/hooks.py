"""What is wrong with the hooks of a plugin: pluggy itself passes over a hook with another marker."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rnnsim import hookspecs
from rnnsim.errors import nearest

HOOKS = ("rnnsim_rules", "rnnsim_tasks", "rnnsim_networks", "rnnsim_callbacks")
MARK = "_impl"  # what a marker of pluggy sets on a function is called by its project, and ends so
ADVICE = "write @rnnsim.hookimpl above it"

Function = Callable[..., Any]


def wrong_with_hooks(plugin: Any) -> str:
    """Say what is wrong with the hooks of a plugin, a module as a rule; nothing if all is well."""
    functions = _functions_of(plugin)
    hooks = {name: function for name, function in functions.items() if _options_of(function)}
    for name, function in hooks.items():
        options = _options_of(function)
        called = options.get("specname") or name
        if called not in HOOKS:
            if options.get("optionalhook"):
                continue
            return nearest("hook", called, HOOKS)
        if wrong := _wrong_with_parameters(function):
            return f"{name} takes {wrong}; it takes (register)"
    for name, function in functions.items():
        if name in hooks or not name.startswith(hookspecs.PROJECT):
            continue
        if others := [project for project in _marks_of(function) if project != hookspecs.PROJECT]:
            return f"{name} is marked as a hook of {others[0]!r}; {ADVICE}"
        if name in HOOKS:
            return f"{name} is not marked as a hook; {ADVICE}"
    if not hooks:
        near = [name for name in functions if name.startswith(hookspecs.PROJECT)]
        where = f" ({nearest('hook', near[0], HOOKS)})" if near else ""
        return ("it has no hook, and so registers nothing; there are "
                f"{', '.join(HOOKS)}, each marked by @rnnsim.hookimpl{where}")  # fmt: skip
    return ""


def _functions_of(plugin: Any) -> dict[str, Function]:
    found = {name: getattr(plugin, name, None) for name in dir(plugin)}
    return {name: thing for name, thing in found.items() if inspect.isroutine(thing)}


def _marks_of(function: Function) -> dict[str, dict[str, Any]]:
    """The projects for which a function is marked as a hook, each with the options of the mark."""
    found = {}
    for name, value in getattr(function, "__dict__", {}).items():
        if name.endswith(MARK) and isinstance(value, dict) and "hookwrapper" in value:
            found[name.removesuffix(MARK)] = value
    return found


def _options_of(function: Function) -> dict[str, Any]:
    return _marks_of(function).get(hookspecs.PROJECT, {})


def _wrong_with_parameters(function: Function) -> str:
    """The parameters of a hook that it should not have; pluggy gives each by its name."""
    parameters = [*inspect.signature(function).parameters]
    return "" if parameters == ["register"] else f"({', '.join(parameters)})"
