"""The experiments of [S92] over many seeds, with controls: ``python -m benchmarks.published``.

Each row of the table is a sweep, followed by its control, the same sweep with a learning rate of 0.
Quantiles are steps over all seeds; a seed that never solves its task counts as the latest. The harder
rows, with eight slots and four cars, use fewer seeds, since their runs are long.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from rnnsim.runs.seeds import table
from rnnsim.runs.sweeps import sweep


class Row(NamedTuple):
    """One line of the table: an experiment and its label."""

    says: str
    rule: str
    task: str
    choices: dict[str, Any]
    seeds: int | None = None  # maximum number


ONE, TWO = "fast-weights-1", "fast-weights-2"
FLIP_FLOP, BINDING = "flip-flop", "variable-binding"
PAPER, TUNED = {"settings": "published"}, {"settings": "tuned"}
CHANCE = {"criterion": "published"}
HARDER = {"slots": 8, "cars": 4}

ROWS = [
    Row("flip-flop, architecture 1", ONE, FLIP_FLOP, PAPER),
    Row("flip-flop, architecture 1, tuned", ONE, FLIP_FLOP, TUNED),
    Row("flip-flop, architecture 2", TWO, FLIP_FLOP, PAPER),
    # which is equivalent to twice the learning rate
    Row("flip-flop, architecture 2, E without the 1/2", TWO, FLIP_FLOP,
        {**PAPER, "learning_rate": 1.0}),
    Row("flip-flop, architecture 2, tuned", TWO, FLIP_FLOP, TUNED),
    Row("variable binding, published criterion", ONE, BINDING, {**CHANCE, **PAPER}),
    Row("variable binding, published criterion, eta = 0.1", ONE, BINDING,
        {**CHANCE, **PAPER, "learning_rate": 0.1}),
    Row("variable binding, published criterion, tuned", ONE, BINDING, {**CHANCE, **TUNED}),
    Row("variable binding, strict criterion", ONE, BINDING, PAPER),
    Row("variable binding, strict criterion, eta = 0.1", ONE, BINDING,
        {**PAPER, "learning_rate": 0.1}),
    Row("variable binding, strict criterion, tuned", ONE, BINDING, TUNED),
    Row("harder binding, architecture 2, 180 slow weights", TWO, BINDING, HARDER, 20),
    Row("harder binding, architecture 1, 3,104 slow weights", ONE, BINDING, HARDER, 4),
]  # fmt: skip


def lines(rows: list[Row], seeds: int, jobs: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the lines of the table, each followed by that of its control."""
    for row in rows:
        number = min(seeds, row.seeds or seeds)
        found = sweep(row.rule, row.task, number, control=True, jobs=jobs, progress=True, **row.choices)
        assert found.control is not None
        for says, what in ((row.says, found), ("- its control", found.control)):
            yield says, {"eta": f"{what.experiment.learning_rate:g}", **what.cells()}


def main() -> None:
    """Print the table of published experiments."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    print(f"{given.seeds} seeds\n")
    print(table([*lines(ROWS, given.seeds, given.jobs)]))


if __name__ == "__main__":
    main()
