"""What the runs of each cell of a sweep come to, over its seeds.

A run that diverged, or had no steady state, never solved its task, and its loss and score are worse than
any number. Runs that failed or were refused have no result, and count for nothing but their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnsim.criterion import HIGHER_IS_BETTER
from rnnsim.numerics.quantiles import between
from rnnsim.sweeps.store import OUTCOMES, WITHOUT_RESULT, Cell, Runs
from rnnsim.typing import Array, Bools

QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
MEDIAN = list(QUANTILES).index("median")
DIVERGED = ("diverged", "no steady state")


class Results(NamedTuple):
    """The runs that have a result, R of them, in the order of their cells and seeds.

    Attributes
    ----------
    place : (R,) int array
        Of the cell among all.
    seed : (R,) int array
    solved_at, loss, validation_loss : (R,) arrays
        inf where there is none: it never solved its task, or has no finite loss.
    score : (R,) array
        -inf in place of inf where higher is better.
    """

    place: Array
    seed: Array
    solved_at: Array
    loss: Array
    validation_loss: Array
    score: Array


class Statistics(NamedTuple):
    """What the runs of C cells come to.

    Attributes
    ----------
    runs, results, solved, diverged, failed, refused : (C,) int arrays
        How many runs there are, have a result, solved the task, and so on.
    within : (C,) array
        The share of those with a result that solved the task by the step of a published figure; nan
        where there is none.
    solved_at : (C, Q) array
        ``QUANTILES`` over the results: of each the value of the nearest seed; inf means never. nan where
        there is no result.
    loss, validation_loss, score : (C, Q) arrays
        Likewise, linear between the two nearest seeds; inf (-inf where higher is better) means that so
        many diverged. nan also where no run has such a number and not all diverged.
    """

    runs: Array
    results: Array
    solved: Array
    diverged: Array
    failed: Array
    refused: Array
    within: Array
    solved_at: Array
    loss: Array
    validation_loss: Array
    score: Array

    @property
    def share_solved(self) -> Array:
        """Of the runs with a result (C,); nan where there is none."""
        return ratio(self.solved, self.results)


def results_of(cells: Sequence[Cell], runs: Runs) -> Results:
    """The runs of these cells that have a result.

    Parameters
    ----------
    cells : sequence of Cell
    runs : Runs
        Those of other cells are left out.
    """
    place = _places(cells, runs.cell)
    kept = (place >= 0) & ~_ended(runs, WITHOUT_RESULT)
    place, runs = place[kept], runs.of(kept)
    order = np.lexsort((runs.seed, place))
    place, runs = place[order], runs.of(order)
    lost = _ended(runs, DIVERGED)
    sign = np.array([-1.0 if cell.score in HIGHER_IS_BETTER else 1.0 for cell in cells])
    solved_at, loss, validation_loss, score = (
        np.where(lost | ~np.isfinite(values), np.inf, values)
        for values in (
            runs.solved_at, runs.loss, runs.validation_loss, _signed(sign[place], runs.score),
        )
    )  # fmt: skip
    return Results(place, runs.seed, solved_at, loss, validation_loss, _signed(sign[place], score))


def statistics(cells: Sequence[Cell], runs: Runs, results: Results | None = None) -> Statistics:
    """Compute what the runs of each cell come to.

    Parameters
    ----------
    cells : sequence of Cell
    runs : Runs
        Those of other cells are left out.
    results : Results, optional
        Of the same, if they are there already.
    """
    found = results_of(cells, runs) if results is None else results
    place, count = _places(cells, runs.cell), len(cells)

    def number(of: Bools) -> Array:
        return np.bincount(place[(place >= 0) & of], minlength=count)

    total = np.bincount(found.place, minlength=count)
    diverged = number(_ended(runs, DIVERGED))
    published = np.array([np.nan if cell.published is None else cell.published for cell in cells])
    by_then = np.bincount(found.place[found.solved_at <= published[found.place]], minlength=count)

    def over_seeds(values: Array, nearest: bool = False) -> Array:
        quantiles = _quantiles(found.place, values, total, nearest)
        known = np.bincount(found.place[np.isfinite(values)], minlength=count) > 0
        quantiles[~known & (diverged < total) & (not nearest)] = np.nan
        return quantiles

    return Statistics(
        runs=number(np.ones(len(runs.cell), bool)),
        results=total,
        solved=np.bincount(found.place[np.isfinite(found.solved_at)], minlength=count),
        diverged=diverged,
        failed=number(_ended(runs, ("failed",))),
        refused=number(_ended(runs, ("refused",))),
        within=np.where(np.isnan(published), np.nan, ratio(by_then, total)),
        solved_at=over_seeds(found.solved_at, nearest=True),
        loss=over_seeds(found.loss),
        validation_loss=over_seeds(found.validation_loss),
        score=over_seeds(found.score),
    )


def ratio(part: Array, whole: Array) -> Array:
    """Shares; nan where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _places(cells: Sequence[Cell], ids: Array) -> Array:
    """The places of cells among others by their numbers; -1 where a cell is not among them."""
    known = np.array([cell.id for cell in cells], np.int64)
    if not known.size:
        return np.full(len(ids), -1)
    order = np.argsort(known)
    found = order[np.minimum(np.searchsorted(known, ids, sorter=order), known.size - 1)]
    return np.where(known[found] == ids, found, -1)


def _ended(runs: Runs, outcomes: Sequence[str]) -> Bools:
    return np.isin(runs.outcome, [OUTCOMES.index(name) for name in outcomes])


def _signed(sign: Array, values: Array) -> Array:
    """So that lower is better; and back."""
    return sign * values


def _quantiles(place: Array, values: Array, total: Array, nearest: bool) -> Array:
    """``QUANTILES`` (C, Q) of the values of each cell, of which there are ``total``."""
    ordered = values[np.lexsort((values, place))]
    begin = np.cumsum(total) - total
    at = np.array(list(QUANTILES.values())) * np.maximum(total - 1, 0)[:, None]
    at = np.rint(at) if nearest else at
    low, high = np.floor(at), np.ceil(at)
    known = total > 0
    found = np.full(at.shape, np.nan)
    below, above = (ordered[(begin[:, None] + side)[known].astype(np.int64)] for side in (low, high))
    found[known] = between(below, above, (at - low)[known])
    return found
