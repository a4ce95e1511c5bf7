"""How a rule or a task is printed."""

from __future__ import annotations

import inspect
from typing import Any

import click

from rnnsim.options import Options
from rnnsim.registry import Entry


def heading(name: str, what: str, entry: Entry) -> str:
    """Format a line with the name, a description, and the distribution that it comes from."""
    origin = f"[{entry.distribution} {entry.version}]"
    return f"{click.style(name, bold=True)}  {what}{'  ' if what else ''}{origin}"


def as_dict(entry: Entry) -> dict[str, Any]:
    """What is said of a rule or a task as plain data: its name, where it comes from, its options."""
    thing = entry.thing
    descriptions = thing.describe()
    return {
        "name": thing.name,
        "package": entry.distribution,
        "version": entry.version,
        "summary": thing.summary(),
        "description": inspect.cleandoc(thing.__doc__ or ""),
        "options": {
            option: {"default": default, "choices": list(thing.choices_of(option)) or None,
                     "description": descriptions.get(option, "")}
            for option, default in thing.defaults().items()
        },
    }  # fmt: skip


def documentation(thing: type[Options]) -> str:
    """Format the docstring and the options, with their defaults."""
    lines = [inspect.cleandoc(thing.__doc__ or "")]
    descriptions = thing.describe()
    defaults = thing.defaults()
    if defaults:
        lines.append("\nOptions (-o NAME=VALUE):")
    for option, default in defaults.items():
        shown = "" if default in (None, "") else f" [{default}]"
        if choices := thing.choices_of(option):
            shown += f" ({' | '.join(choices)})"
        lines.append(f"  {option}{shown}  {descriptions.get(option, '')}")
    return "\n".join(lines)
