"""A sweep in numbers: a row for each of its cells, and what is to be said of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnsim.sweeps.paired import EXACT
from rnnsim.sweeps.ranking import Ranking, has_criterion, identity, ranking
from rnnsim.sweeps.statistics import QUANTILES, Statistics, results_of, statistics
from rnnsim.sweeps.store import OUTCOMES, WITHOUT_RESULT, Cell, Runs

COUNTS = ("runs", "results", "solved", "diverged", "failed", "refused")
MEASURES = ("loss", "validation_loss", "score")
TEST = (f"Wilcoxon's signed-rank test over the seeds that both have, two-sided (zeros left out, mean "
        f"ranks of equals; exact up to {EXACT} pairs, else normal), by Holm's correction")  # fmt: skip

Problem = tuple[str, str, int]  # the outcome, the error, how often


class Row(NamedTuple):
    """A cell and what its runs come to.

    Attributes
    ----------
    cell : Cell
    numbers : mapping
        Columns by name: those of :meth:`rnnsim.sweeps.result.Sweep.as_dict`; inf where a task was never
        solved or a run diverged, None where there is nothing.
    """

    cell: Cell
    numbers: Mapping[str, Any]

    @property
    def is_control(self) -> bool:
        """Whether its learning rate is 0, to see what is solved by chance."""
        return self.cell.role == "control"


class Summary(NamedTuple):
    """What is said of a sweep.

    Attributes
    ----------
    rows : list of Row
        In the order of the plan; a control stands below its result.
    varied : list of str
        The names of the settings that differ.
    outcomes : mapping
        How many runs of the rows ended in which way.
    trials : int
        How many other runs there are, by which learning rates were chosen.
    ranks : Ranking
    problems : list
        Why runs have no result: the outcome, the error and how often, the most frequent first.
    versions : mapping
        The versions of what changed its version between runs.
    """

    rows: list[Row]
    varied: list[str]
    outcomes: Mapping[str, int]
    trials: int
    ranks: Ranking
    problems: list[Problem]
    versions: Mapping[str, list[str]]


def summary(
    cells: Sequence[Cell], runs: Runs, problems: Iterable[tuple[int, int, str, str]] = (),
    versions: Sequence[Mapping[str, str]] = (),
) -> Summary:  # fmt: skip
    """Summarise the runs of a sweep.

    Parameters
    ----------
    cells : sequence of Cell
        In the order of the plan; trials are counted and not shown.
    runs : Runs
    problems : iterable of tuple
        The cell, the seed, the outcome and the error of each run for which something is said.
    versions : sequence of mapping
        By which they were carried out, one after another.
    """
    shown = _in_order(cells)
    results = results_of(shown, runs)
    found = statistics(shown, runs, results)
    ranks = ranking(shown, found, results)
    lost = Counter((outcome, error) for _, _, outcome, error in problems if outcome in WITHOUT_RESULT)
    of_rows = runs.of(np.isin(runs.cell, [cell.id for cell in shown]))
    return Summary(
        _rows(shown, found, ranks), list(dict.fromkeys(name for cell in shown for name in cell.varied)),
        outcomes_of(of_rows), len(runs.cell) - len(of_rows.cell), ranks,
        [(*problem, count) for problem, count in lost.most_common()], _changed(versions),
    )  # fmt: skip


def _changed(versions: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The different versions of each of those that have several."""
    names = dict.fromkeys(name for each in versions for name in each)
    found = {name: list(dict.fromkeys(each.get(name, "none") for each in versions)) for name in names}
    return {name: several for name, several in found.items() if len(several) > 1}


def as_dict(summary: Summary) -> dict[str, Any]:
    """A summary as plain data."""
    return {
        "outcomes": dict(summary.outcomes),
        "trials": summary.trials,
        "cells": [
            {
                "role": row.cell.role,
                **row.numbers,
                "varied": dict(row.cell.varied),
                "choice": row.cell.choice,
            }
            for row in summary.rows
        ],
        "test": TEST,
        "mean_rank": dict(summary.ranks.mean),
        "mean_rank_tasks": summary.ranks.tasks,
        "problems": [
            {"outcome": outcome, "error": error, "runs": count}
            for outcome, error, count in summary.problems
        ],
        "versions": {name: list(several) for name, several in summary.versions.items()},
    }


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    """Results, each with its control below it; one of several learning rates stands below the last.

    Of several with the same rule, task and settings, it is that at the same place of the plan.
    """
    results = [cell for cell in cells if cell.role == "result"]
    places = {(cell.place, cell.rule, *identity(cell)): i for i, cell in enumerate(results)}
    last = {(cell.rule, *identity(cell)): i for i, cell in enumerate(results)}
    below: dict[int, list[Cell]] = {}
    for cell in cells:
        if cell.role == "control":
            key = (cell.rule, *identity(cell))
            at = places.get((cell.place, *key), last.get(key, len(results) - 1))
            below.setdefault(at, []).append(cell)
    found = list(below.get(-1, []))
    for i, cell in enumerate(results):
        found += [cell, *below.get(i, [])]
    return found


def _rows(cells: Sequence[Cell], found: Statistics, ranks: Ranking) -> list[Row]:
    columns: dict[str, list[Any]] = {}
    for name in COUNTS:
        columns[name] = getattr(found, name).tolist()
        if name == "solved":
            columns["share_solved"] = _listed(found.share_solved)
    columns["within_published"] = _listed(found.within)
    columns |= _quantiles("solved_at", found.solved_at, whole=True)
    for name in MEASURES:
        columns |= _quantiles(name, getattr(found, name))
    columns |= {"rank": _listed(ranks.rank), "ranked_by": ranks.by, "p": _listed(ranks.p)}
    for i, cell in enumerate(cells):
        if not has_criterion(cell):
            for name in (*(f"solved_at_{quantile}" for quantile in QUANTILES), "share_solved", "solved"):
                columns[name][i] = None
    rows = zip(*columns.values())
    return [Row(cell, {**_about(cell), **dict(zip(columns, row))}) for cell, row in zip(cells, rows)]


def _about(cell: Cell) -> dict[str, Any]:
    """What a cell is."""
    choice = cell.choice or {}
    return {
        "label": cell.label,
        "rule": cell.rule,
        "task": cell.task,
        "learning_rate": cell.learning_rate,
        "rate_chosen": cell.choice is not None and cell.role == "result",
        "rate_at_edge": bool(choice.get("at_edge")) and cell.role == "result",
        "steps": cell.steps,
        "criterion": cell.criterion,
        "published": cell.published,
        "score_name": cell.score,
    }


def _quantiles(name: str, values: Any, whole: bool = False) -> dict[str, list[Any]]:
    return {
        f"{name}_{quantile}": [
            int(value) if whole and value is not None and np.isfinite(value) else value
            for value in _listed(column)
        ]
        for quantile, column in zip(QUANTILES, values.T)
    }  # fmt: skip


def _listed(values: Any) -> list[float | None]:
    """The numbers of an array; None for nan."""
    return [None if value != value else value for value in values.tolist()]


def outcomes_of(runs: Runs) -> dict[str, int]:
    """How many runs ended in which way."""
    counts = np.bincount(runs.outcome, minlength=len(OUTCOMES)).tolist()
    return {name: count for name, count in zip(OUTCOMES, counts) if count}
