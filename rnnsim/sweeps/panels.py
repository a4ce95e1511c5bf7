"""What the figures of a sweep have in common: a panel for each task, and how rules look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rnnsim.errors import RnnsimError
from rnnsim.runs.figures import MEDIUM, SMALL, as_text, figure_type, look
from rnnsim.sweeps.differing import name_with_settings
from rnnsim.sweeps.ranking import sorting_keys
from rnnsim.sweeps.statistics import Results, Statistics
from rnnsim.sweeps.store import Cell, Runs
from rnnsim.typing import Array

MOST_PANELS = 12

Curves = Callable[[Sequence[int]], Iterable[tuple[int, int, Mapping[str, Array]]]]
Panels = Mapping[str, list[int]]  # by title, the places of cells


class Line(NamedTuple):
    """What is drawn of a rule in a panel.

    Attributes
    ----------
    rule : str
    places : list of int
        Its cells among those of the data.
    """

    rule: str
    places: list[int]


class Data(NamedTuple):
    """The cells of a sweep and what came of them."""

    cells: Sequence[Cell]
    runs: Runs
    results: Results
    found: Statistics
    curves: Curves

    def of_role(self, *roles: str) -> list[int]:
        """The places of the cells of some roles that have a result."""
        return [
            i for i, cell in enumerate(self.cells) if cell.role in roles and self.found.results[i] > 0
        ]


def panels_of(data: Data, places: Sequence[int], lacking: str) -> Panels:
    """The cells of each panel: those of a task, and of what the plan calls them.

    Raises
    ------
    RnnsimError
        If there are none.
    """
    found: dict[str, list[int]] = {}
    for i in places:
        cell = data.cells[i]
        task = name_with_settings(cell)
        found.setdefault(f"{cell.label}\n{task}" if cell.label else task, []).append(i)
    if not found:
        raise RnnsimError(lacking)
    return found


def lines_of(data: Data, places: Sequence[int]) -> list[Line]:
    """The rules of a panel, in the order of the plan."""
    found: dict[str, list[int]] = {}
    for i in places:
        found.setdefault(data.cells[i].rule, []).append(i)
    return [Line(rule, own) for rule, own in found.items()]


class Sheet:
    """A figure with a panel for each task, in rows of at most three, and one legend.

    Parameters
    ----------
    panels : mapping
        By their titles.
    rules : sequence of str
        All that are drawn, which have the same looks in each panel.
    below : int
        How many rows of axes each panel has.
    """

    def __init__(self, panels: Mapping[str, Any], rules: Sequence[str], below: int = 1) -> None:
        shown = list(panels)[:MOST_PANELS]
        self.left_out = len(panels) - len(shown)
        columns = min(len(shown), 3 if below == 1 else 4)
        rows = math.ceil(len(shown) / columns)
        size = (1.2 + 3.3 * columns + (2.2 if columns == 1 else 0), 1.3 + 2.6 * rows * below)
        self.figure = figure_type()(figsize=size, layout="constrained")
        grid = self.figure.subplots(rows * below, columns, squeeze=False)
        self.axes: dict[str, list[Any]] = {}
        for at, title in enumerate(shown):
            row, column = divmod(at, columns)
            own = [grid[row * below + i, column] for i in range(below)]
            own[0].set_title(as_text(title), fontsize=MEDIUM)
            self.axes[title] = own
        for at in range(len(shown), rows * columns):
            row, column = divmod(at, columns)
            for i in range(below):
                grid[row * below + i, column].set_axis_off()
        self._numbers = {rule: i for i, rule in enumerate(dict.fromkeys(rules))}
        self._handles: dict[str, Any] = {}

    def look(self, rule: str, *names: str) -> dict[str, Any]:
        """The colour of a rule, and its line style or marker."""
        return look(self._numbers[rule], *names)

    def name(self, label: str, handle: Any) -> None:
        """Let a line stand in the legend, once."""
        self._handles.setdefault(label, handle)

    def finish(self, title: str, *notes: str) -> Any:
        """Set the legend and the title, and give the figure."""
        if self.left_out:
            notes = (*notes, f"{self.left_out} more tasks are not drawn")
        self.figure.suptitle("\n".join([title, *notes]), fontsize=MEDIUM)
        self.figure.legend(
            list(self._handles.values()), [as_text(label) for label in self._handles],
            loc="outside lower center", ncols=min(len(self._handles), 4), frameon=False, fontsize=SMALL,
            handlelength=3.5,
        )  # fmt: skip
        return self.figure


def best_of(data: Data, places: Sequence[int]) -> int:
    """That of some cells of a task that did best."""
    keys, _ = sorting_keys(data.cells, data.found, places)
    return places[min(range(len(keys)), key=keys.__getitem__)]


def of_several(lines: Iterable[Line]) -> list[str]:
    """What is said where one of several settings is drawn."""
    several = any(len(line.places) > 1 for line in lines)
    return ["of several settings of a rule, the one that did best is drawn"] if several else []
