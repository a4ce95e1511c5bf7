"""``rnnsim new-rule``: write the project of a new rule."""

from __future__ import annotations

import click

from rnnsim.cli.new_project import project_arguments, write_project


@click.command("new-rule")
@project_arguments
def command(name: str, folder: str | None) -> None:
    """Write a plugin project with a rule NAME in the folder DIR, by default ./NAME.

    It holds a small rule that works, to be replaced by yours, with its tests, a README and what
    installs it. Nothing that is there already is touched.
    """
    write_project("rule", name, folder)
