"""What experiments with several seeds have in common: what they do not take, and their tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def table(
    rows: Sequence[tuple[str, Mapping[str, str]]], what: str = "", left: Collection[str] = ()
) -> str:
    """Format labelled rows as an aligned Markdown table, leaving out columns without any entry.

    ``what`` is the heading of the labels; they and the columns named in ``left`` begin at the left.
    """
    columns = [name for name in rows[0][1] if any(row[name] for _, row in rows)]
    lines = [[what, *columns], *([label, *(row[name] for name in columns)] for label, row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    signs = ["<", *("<" if name in left else ">" for name in columns)]
    rule = [
        "-" * width if sign == "<" else "-" * (width - 1) + ":" for width, sign in zip(widths, signs)
    ]
    lines.insert(1, rule)
    return "\n".join(
        "| "
        + " | ".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(cells, signs, widths))
        + " |"
        for cells in lines
    )
