"""``rnnsim new-network``: write the project of a new network."""

from __future__ import annotations

import click

from rnnsim.cli.new_project import project_arguments, write_project


@click.command("new-network")
@project_arguments
def command(name: str, folder: str | None) -> None:
    """Write a plugin project with a network NAME in the folder DIR, by default ./NAME.

    It holds a small network that works, to be replaced by yours, with its tests, a README and what
    installs it. Nothing that is there already is touched.
    """
    write_project("network", name, folder)
