"""The command line: the entry point and its error handling; each verb is a module beside this one."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from rnnsim.cli.verbs import VERBS
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.version import __version__


class Group(click.Group):
    """A group that imports its commands on demand and prints an error as one line, with status 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"rnnsim.cli.{cmd_name.replace('-', '_')}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default", RnnsimWarning)
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except RnnsimError as error:
            click.echo(f"rnnsim: {error}", err=True)
            sys.exit(2)
        except MemoryError as error:
            click.echo(f"rnnsim: not enough memory: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("rnnsim: interrupted", err=True)
            sys.exit(130)


def _show_warning(message: Any, *_: Any) -> None:
    click.echo(f"rnnsim: note: {message}", err=True)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rnnsim")
def main() -> None:
    """Recurrent learning rules by name.

    Pick a rule (rnnsim rules) and a task (rnnsim tasks), and watch the network learn:

    \b
        rnnsim run rtrl delayed-xor
    """
