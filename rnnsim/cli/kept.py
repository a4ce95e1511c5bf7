"""What a verb leaves behind in files, beside what it prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from rnnsim.errors import RnnsimError


@contextmanager
def kept(*files: tuple[Callable[[str], Any], str | None]) -> Iterator[None]:
    """Print in this context; then write files, each by its function, where there is a place for it.

    They are written also where nobody reads what is printed; and if one of them fails, the others still
    are, and the status is 2.
    """
    try:
        yield
    finally:
        written = [_written(write, place) for write, place in files if place is not None]
    if not all(written):
        sys.exit(2)


def _written(write: Callable[[str], Any], place: str) -> bool:
    """Write a file; if that fails, say why."""
    try:
        write(place)
    except RnnsimError as error:
        click.echo(f"rnnsim: {error}", err=True)
        return False
    return True
