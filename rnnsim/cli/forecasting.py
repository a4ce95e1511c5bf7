"""What the verbs that use a trained network have in common: their arguments, and the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from glob import has_magic
from typing import TYPE_CHECKING, Any

import click

from rnnsim import checks
from rnnsim.errors import RnnsimError, shown_path

if TYPE_CHECKING:
    from rnnsim.runs.result import Run

STDIN = "-"

RUN = click.argument("folder", metavar="RUN")
LEVEL = click.option(
    "--level", type=float, default=0.9, show_default=True, metavar="SHARE",
    help="The share of truths that intervals are to cover.",
)  # fmt: skip


def checked_level(level: float) -> float:
    """The share that intervals are to cover.

    Raises
    ------
    RnnsimError
        If it is none.
    """
    from rnnsim.data.intervals import level_of

    return level_of(level)


def rows_of(file: str | None) -> Any:
    """A file or a folder of rows, or ``-`` for standard input, as it is named on the command line.

    Raises
    ------
    RnnsimError
        If there is no such file.
    """
    if file is None or file == STDIN:
        return file
    path = checks.path("FILE", file)
    if not (path.exists() or "," in file or has_magic(file)):  # several files
        raise RnnsimError(f"there is no file {shown_path(file)}; FILE must be rows of data to forecast "
                          "from, or - for standard input")  # fmt: skip
    return file


@contextmanager
def loaded(folder: str) -> Iterator[Run]:
    """The run of a folder, to be asked; it is said if that compiles something."""
    from rnnsim.runs.loading import load
    from rnnsim.runs.progress import compilation_announced

    with compilation_announced():
        yield load(folder)
