"""The result of a sweep, as it is read from its file, while it is carried out or afterwards."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from rnnsim import checks
from rnnsim.runs import html_tables
from rnnsim.runs.plain_data import plain
from rnnsim.sweeps import figures, summaries, tables
from rnnsim.sweeps.differing import told_apart
from rnnsim.sweeps.store import Cell, Runs, Store


class Sweep:
    """What came of the runs of a sweep.

    Attributes
    ----------
    path : Path or None
        The file of the results; None if they are in memory.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.path = store.path

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Read the results in a file, as far as they are there.

        Raises
        ------
        RnnsimError
            If there is no such file, or it is another.
        """
        return cls(Store(checks.path("the file of results", path), writes=False))

    @cached_property
    def cells(self) -> list[Cell]:
        """All settings, also those in which learning rates were tried.

        Where some differ by more than their plan varies, ``varied`` has that too.
        """
        return told_apart(self._store.cells())

    @cached_property
    def runs(self) -> Runs:
        """All runs: an array for each of their columns."""
        return self._store.runs()

    @property
    def outcomes(self) -> dict[str, int]:
        """How many of the runs ended in which way."""
        return summaries.outcomes_of(self.runs)

    @property
    def problems(self) -> list[tuple[int, int, str, str]]:
        """The cell, the seed, the outcome and what is said of each run of which something is said."""
        return self._store.problems()

    def curves(self, *cells: int) -> Any:
        """The cell, the seed and the learning curve (arrays by name) of each run of some cells."""
        return self._store.curves(cells or [cell.id for cell in self.cells if cell.role == "result"])

    @cached_property
    def _summary(self) -> summaries.Summary:
        return summaries.summary(self.cells, self.runs, self._store.problems(), self._store.versions())

    def summary(self, format: str = "text") -> str:
        """Format what the runs come to: a row for each cell of the results and its control.

        Medians and quartiles over the seeds of the steps to solve the task, of loss and score on test
        data; how many solved it, diverged, or have no result; the rank of the rules at each task, with
        a paired test of each against the best. How learning rates were chosen is said above.

        Parameters
        ----------
        format : str
            ``text``, ``markdown``, ``latex`` (with booktabs), or ``csv`` (all numbers, not rounded).

        Raises
        ------
        RnnsimError
            If there is no such format, or the file cannot be read.
        """
        return tables.formatted(self._summary, format)

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain data: text, numbers, and None where there is none.

        Returns
        -------
        dict
            ``outcomes``, how many runs ended in which way; ``trials``, how many more there are by which
            learning rates were chosen; ``cells``, a list of what :meth:`summary` has as CSV, with
            ``varied`` and ``choice`` (how the learning rate was chosen); quantiles of steps are None
            also where so many runs never solved the task, and those of losses where so many diverged;
            ``test``, what the p-values are of; ``mean_rank`` of each rule over ``mean_rank_tasks``;
            ``problems``, why runs have no result; and ``versions``, those of what changed its version
            between runs.
        """
        found: dict[str, Any] = plain(summaries.as_dict(self._summary))
        return found

    def plot(self, path: str | Path | None = None, what: str = "curves") -> Any:
        """Draw the results, and save the figure if ``path`` is given.

        Each task has a panel, and each rule a colour, with a line style or a marker of its own. Where a
        rule has several settings, the one that did best is drawn.

        Parameters
        ----------
        path : path, optional
        what : str
            ``curves``: loss over the steps, the median over seeds with a band between the quartiles.
            ``rates``: what came of each learning rate that was tried, or is part of the grid, on
            validation data. ``solved``: the share of the seeds that solved the task by each step.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RnnsimError
            If there is no such figure or nothing to draw in it, matplotlib is not installed, or the file
            cannot be written.
        """
        return figures.draw(what, self.cells, self.runs, self._store.curves, path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the table, and the learning curves."""
        table = tables.as_html(self._summary)
        return table + html_tables.picture(self.plot, "learning curves", figures.PIXELS)
