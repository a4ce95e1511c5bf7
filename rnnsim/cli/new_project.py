"""What the verbs that write a new project have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from rnnsim.errors import shown_path

WHAT = ("edit it", "its tests", "how to use it", "what installs it")


def project_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add NAME and DIR to a command."""
    return click.argument("name")(click.argument("folder", required=False, metavar="[DIR]")(command))


def write_project(kind: str, name: str, folder: str | None) -> None:
    """Write the project of a rule, a task or a network, and say what to do with it."""
    from rnnsim.scaffold import new_project

    paths = new_project(kind, name, folder)
    shown = list(map(shown_path, paths))
    width = max(map(len, shown))
    for path, what in zip(shown, (f"the {kind}: {WHAT[0]}", *WHAT[1:])):
        click.echo(f"{path:<{width}}  {what}")
    click.echo(f"\ninstall it:  pip install -e {shown_path(paths[0].parent.absolute())}\n"
               f"check it:    rnnsim check {name}")  # fmt: skip
