"""How a verb prints its summary: as text, or with ``--json`` as one JSON document and nothing else.

Every verb that has a summary takes the option, and prints by these functions. Whatever else it has to
say (notes, progress, lines that come one after the other) is then on standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON document in place of text."
)


def print_summary(as_json: bool, as_dict: Callable[[], Any], text: Callable[[], str]) -> None:
    """Print a result by one of two functions: what it is as data, or as text."""
    if as_json:
        print_json(as_dict())
    else:
        click.echo(text())


def print_json(data: Any) -> None:
    """Print strict JSON in one line; null is also a number that is not finite."""
    from rnnsim.runs import plain_data

    click.echo(plain_data.as_json(data))
