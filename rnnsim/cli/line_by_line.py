"""Forecasts line by line: what arrives on standard input or in a file is answered at once."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from rnnsim.cli.forecasting import STDIN, loaded
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.folders import check_writable

if TYPE_CHECKING:
    from rnnsim.data.columns import Reading


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
            with _text(file, on_line.reading) as text:
                for line in on_line.forecasts(text):
                    click.echo(line)  # which flushes
        finally:  # also where it is interrupted, or nobody reads any more
            if save is not None:
                on_line.learnt().save(save)


@contextmanager
def _text(file: str, reading: Reading) -> Iterator[TextIO]:
    """The lines of a file, in the encoding that its run says, or its first bytes."""
    from rnnsim.data.blocks import WESTERN_BYTES, TextSource, encoding_of, unpacked

    name = "standard input" if file == STDIN else shown_path(file)
    encoding, errors = reading.encoding or "utf-8", "strict" if reading.encoding else WESTERN_BYTES
    try:
        if file != STDIN:
            encoding = encoding_of(TextSource(name, Path(file)), reading.encoding)
            with open(file, "rb") as lines:
                yield io.TextIOWrapper(unpacked(lines), encoding, errors, newline="")
        elif (arrives := getattr(sys.stdin, "buffer", None)) is not None:
            yield io.TextIOWrapper(unpacked(arrives), encoding, errors, newline="")
        else:  # something stands in for it
            yield sys.stdin
    except IsADirectoryError:
        raise RnnsimError(f"{name} is a folder; --learn reads the lines of a file, or of - (standard "
                          "input)") from None  # fmt: skip
    except UnicodeDecodeError:
        raise RnnsimError(f"{name} is not in {encoding}, the encoding= of the run") from None
