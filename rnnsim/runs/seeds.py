"""What experiments with several seeds have in common: what they do not take, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnsim.errors import RnnsimError

OF_RUN = (
    "seed", "stop", "keep", "patience", "monitor", "monitor_every", "callback", "callback_every", "log",
    "save", "progress",
)  # fmt: skip


def refuse_those_of_a_run(choices: Mapping[str, Any], what: str) -> None:
    """Refuse arguments that only a single run takes.

    Raises
    ------
    RnnsimError
        If there is one.
    """
    if taken := [name for name in OF_RUN if name in choices]:
        raise RnnsimError(
            f"{taken[0]} is an argument of a single run; a {what} is of the seeds 0, 1, ..."
        )


def table(rows: Sequence[tuple[str, Mapping[str, str]]], what: str = "") -> str:
    """Format labelled rows as an aligned Markdown table, leaving out columns without any entry.

    ``what`` is the heading of the labels.
    """
    columns = [name for name in rows[0][1] if any(row[name] for _, row in rows)]
    lines = [[what, *columns], *([label, *(row[name] for name in columns)] for label, row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        f"| {label:<{widths[0]}} | "
        + " | ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:]))
        + " |"
        for label, *cells in lines
    )
