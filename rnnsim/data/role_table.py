"""The table that a run says first: what each column of the data is, what it is for, and why not."""

from __future__ import annotations

import numpy as np

from rnnsim.data.columns import CATEGORY, EMPTY, Column, Columns
from rnnsim.data.roles import Roles

SHOWN = 40  # lines of a table for the terminal
MANY = 12  # columns; of more those are not listed that are like their neighbours
LONGEST = 32  # characters of a name in it


def described(columns: Columns, roles: Roles) -> str:
    """Give a short table of the columns for the terminal: what each is, what it is for, and why not."""
    rows = [
        (_short(name), _kind(column), _role(name, roles)) for name, column in columns.columns.items()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"  {name:{widths[0]}}  {kind:{widths[1]}}  {role}".rstrip() for name, kind, role in rows]
    if len(rows) > MANY:
        lines = _without_repetition(lines, [row[1:] for row in rows])
    hidden = len(lines) - SHOWN
    if hidden > 1:
        del lines[SHOWN:]
        lines.append(f"  and so on, {hidden} more lines")
        if names := [_short(name) for name in roles.left_out]:
            named = ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)
            lines.append(f"  of {len(rows)} columns {len(names)} are left out: {named}")
    count = f"{columns.rows:,} rows"
    if len(columns.lengths) > 1:
        count += f" in {len(columns.lengths)} sequences"
    notes = [f"  {note}" for note in (*columns.notes, *roles.notes)]
    return "\n".join([f"{columns.source}: {count}", *lines, *notes])


def _without_repetition(lines: list[str], like: list[tuple[str, str]]) -> list[str]:
    """The lines without those between the first and the last of several that say the same."""
    found: list[str] = []
    first = 0
    for i in range(1, len(lines) + 1):
        if i < len(lines) and like[i] == like[first]:
            continue
        between = i - first - 2
        if between > 1:
            found += [lines[first], f"  and {between} like these", lines[i - 1]]
        else:
            found += lines[first:i]
        first = i
    return found


def _short(name: str) -> str:
    text = name if name.isprintable() else repr(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _kind(column: Column) -> str:
    kind = column.kind
    if kind == CATEGORY:
        kind = f"{len(column.categories)} categor{'y' if len(column.categories) == 1 else 'ies'}"
    missing = int(np.count_nonzero(np.isnan(column.values)))
    unit = f" [{column.unit}]" if column.unit else ""
    infinite = int(np.count_nonzero(np.isinf(column.values)))
    counts = [(missing * (column.kind != EMPTY), "missing"), (infinite, "infinite")]
    return kind + unit + "".join(f", {count:,} {what}" for count, what in counts if count)


def _role(name: str, roles: Roles) -> str:
    if name in roles.left_out:
        return f"left out: {roles.left_out[name]}"
    target = "target (classes)" if roles.classes else "target"
    said = ["input"] * (name in roles.inputs) + [target] * (name in roles.targets)
    said += ["time"] * (name == roles.time) + ["sequence"] * (name == roles.sequence)
    return ", ".join(said)
