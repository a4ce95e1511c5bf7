"""``rnnsim new-task``: write the project of a new task."""

from __future__ import annotations

import click

from rnnsim.cli.new_project import project_arguments, write_project


@click.command("new-task")
@project_arguments
def command(name: str, folder: str | None) -> None:
    """Write a plugin project with a task NAME in the folder DIR, by default ./NAME.

    It holds a small task that works, to be replaced by yours, with its tests, a README and what
    installs it. Nothing that is there already is touched.
    """
    write_project("task", name, folder)
