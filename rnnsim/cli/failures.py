"""How a command that fails ends: a line or two on standard error, and status 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from rnnsim.errors import RnnsimError, lacks_memory, memory_message, shown_path

FAILED = 2
WIDTH = 200  # characters of a message of click


@contextmanager
def reported() -> Iterator[None]:
    """Print what went wrong and exit. What is raised by a mistake of ours keeps its traceback."""
    try:
        yield
    except RnnsimError as error:
        say(str(error))
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the whole help
            error.show()
        else:
            say(_usage(error))
    except click.ClickException as error:
        say(_one_line(error.format_message()))
    except MemoryError as error:
        say(memory_message(error))
    except OSError as error:
        _drop_output()
        say(_of_system(error))
    else:
        return
    sys.exit(FAILED)


def say(message: str) -> None:
    """Print a message, if standard error can be written to."""
    with suppress(OSError):
        click.echo(f"rnnsim: {message}", err=True)


def _usage(error: click.UsageError) -> str:
    """A wrong option or argument, and how to get help."""
    command = error.ctx.command_path if error.ctx else "rnnsim"
    return f"{_one_line(error.format_message())}\n'{command} --help' says what there is."


def _of_system(error: OSError) -> str:
    """An error of the operating system: of a file, of memory, or else of the output."""
    if lacks_memory(error):
        return memory_message(error)
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{shown_path(error.filename)}: {reason}"
    return f"the output cannot be written: {reason}"


def _drop_output() -> None:
    """Let Python not try again, when it ends, to write what could not be written."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _one_line(text: str) -> str:
    """What click says in one line; it repeats what it was given, however long that is."""
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH // 2]} ... {line[-WIDTH // 2 :]}"
