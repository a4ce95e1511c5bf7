"""The command line: the entry point; each verb is a module beside this one."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from rnnsim.cli.failures import reported, say
from rnnsim.cli.interrupts import Watch, report
from rnnsim.cli.verbs import VERBS
from rnnsim.errors import RnnsimWarning
from rnnsim.version import __version__


class Group(click.Group):
    """A group that imports its commands on demand and says what went wrong in a line or two."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"rnnsim.cli.{cmd_name.replace('-', '_')}").command
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with reported():
            sys.exit(super().main(*args, **{**kwargs, "standalone_mode": False}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Be the whole of a process."""
        watch = Watch()
        try:
            return super().__call__(*args, **kwargs)
        finally:
            watch.stop()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default", RnnsimWarning)
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            sys.exit(report(error))


def _show_warning(message: Any, *_: Any) -> None:
    say(f"note: {' '.join(str(message).split())}")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rnnsim")
def main() -> None:
    """Recurrent learning rules by name.

    Pick a rule (rnnsim rules) and a task (rnnsim tasks), and watch the network learn:

    \b
        rnnsim run rtrl delayed-xor
    """
