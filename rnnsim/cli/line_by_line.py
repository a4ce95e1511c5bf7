"""Forecasts line by line: what arrives on standard input or in a file is answered at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from rnnsim.cli.forecasting import STDIN, loaded
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.folders import check_writable


def forecast_lines(folder: str, file: str, level: float, save: str | None) -> None:
    """Print a line of forecasts for each line that comes, and learn on; then keep what was learnt.

    Raises
    ------
    RnnsimError
        If the run or a line cannot be used.
    """
    from rnnsim.runs.on_line_forecasts import OnLine

    if save is not None:
        check_writable(save)
    source = "standard input" if file == STDIN else shown_path(file)
    with loaded(folder) as run:
        on_line = OnLine(run, source, level)
        try:
            with _text(file) as text:
                for line in on_line.forecasts(text):
                    click.echo(line)  # which flushes
        finally:  # also where it is interrupted, or nobody reads any more
            if save is not None:
                on_line.learnt().save(save)


@contextmanager
def _text(file: str) -> Iterator[TextIO]:
    if file == STDIN:
        yield sys.stdin
        return
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            yield text
    except IsADirectoryError:
        raise RnnsimError(f"{shown_path(file)} is a folder; --learn reads the lines of a file, or of - "
                          "(standard input)") from None  # fmt: skip
    except UnicodeDecodeError:
        raise RnnsimError(f"{shown_path(file)} is no text; --learn reads lines of UTF-8") from None
