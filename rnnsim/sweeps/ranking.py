"""Which rule does best at a task, and whether the others do worse over the same seeds.

Rules are ranked among the cells that differ by nothing but the rule and its learning rate: by the share
that solved the task and then the median step at which they did, if any did; else by the median loss on
test data. Each is compared with the best by a signed-rank test over the seeds that both have: of the
steps to solve, where never is the largest, or of the logarithm of the loss.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnsim.sweeps.paired import holm, signed_rank
from rnnsim.sweeps.statistics import MEDIAN, Results, Statistics
from rnnsim.sweeps.store import Cell
from rnnsim.typing import Array

BY_STEPS = "share solved, then median steps to solve"
BY_LOSS = "median loss"
Key = tuple[float, ...]


class Ranking(NamedTuple):
    """The ranks of C cells.

    Attributes
    ----------
    rank : (C,) array
        From 1, the best; equals share the mean of their ranks. nan where nothing is compared: of
        controls and trials, without a result, or without another rule.
    p : (C,) array
        Of the test against the best, by Holm's correction over the tests of the task; nan also of the
        best.
    by : list of str
        ``BY_STEPS`` or ``BY_LOSS``, or nothing.
    mean : mapping
        The mean rank of each rule over the tasks.
    tasks : int
        Over how many, with other settings than the rule each a task.
    """

    rank: Array
    p: Array
    by: list[str]
    mean: Mapping[str, float]
    tasks: int


def ranking(cells: Sequence[Cell], found: Statistics, results: Results) -> Ranking:
    """Rank the rules of each task."""
    rank, p = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    by, tasks = [""] * len(cells), list[dict[str, float]]()
    compared = {BY_STEPS: results.solved_at, BY_LOSS: _logarithm(results.loss)}
    for group in _groups(cells, found):
        keys, measure = sorting_keys(cells, found, group)
        ranks = _ranks(keys)
        others = sorted(range(len(group)), key=keys.__getitem__)
        best = others.pop(0)
        values = _by_seed(results, group, compared[measure])
        tests = [signed_rank(_differences(values[best], values[other])) for other in others]
        rank[group] = ranks
        p[[group[other] for other in others]] = holm(np.array(tests))
        for i in group:
            by[i] = measure
        tasks.append(dict(zip(_names([cells[i] for i in group]), ranks)))
    everywhere = set().union(*tasks)
    whole = [of_task for of_task in tasks if of_task.keys() == everywhere]
    if len(whole) < 2:  # a mean of one says nothing new
        return Ranking(rank, p, by, {}, 0)
    mean = {name: float(np.mean([of_task[name] for of_task in whole])) for name in whole[0]}
    return Ranking(rank, p, by, dict(sorted(mean.items(), key=lambda pair: pair[1])), len(whole))


def sorting_keys(
    cells: Sequence[Cell], found: Statistics, group: Sequence[int]
) -> tuple[list[Key], str]:
    """By what some cells of a task are ranked, the least first; and what that is called."""
    criterion = [i for i in group if has_criterion(cells[i])]
    if found.solved[criterion].any():
        steps = found.solved_at[:, MEDIAN]
        return [(-float(found.share_solved[i]), float(steps[i])) for i in group], BY_STEPS
    loss = np.nan_to_num(found.loss[:, MEDIAN], nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return [(float(loss[i]),) for i in group], BY_LOSS


def has_criterion(cell: Cell) -> bool:
    """Whether a cell has something that counts as a solution of its task."""
    return bool(cell.criterion) and not cell.criterion.startswith("never")


def identity(cell: Cell) -> tuple[str, str, str]:
    """What a cell shares with those that differ from it by their rule and learning rate alone."""
    return cell.label, cell.task, json.dumps(cell.varied, sort_keys=True, default=str)


def _groups(cells: Sequence[Cell], found: Statistics) -> list[list[int]]:
    """The cells of each task and setting that several rules have."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, cell in enumerate(cells):
        if cell.role == "result" and found.results[i]:
            groups.setdefault(identity(cell), []).append(i)
    return [group for group in groups.values() if len({cells[i].rule for i in group}) > 1]


def _names(cells: Sequence[Cell]) -> list[str]:
    """The rules, with their learning rate if there are several."""
    count = Counter(cell.rule for cell in cells)
    return [
        cell.rule if count[cell.rule] == 1 or cell.learning_rate is None
        else f"{cell.rule} at {cell.learning_rate:g}"
        for cell in cells
    ]  # fmt: skip


def _ranks(keys: Sequence[Key]) -> list[float]:
    """Ranks from 1; equals share their mean."""
    ordered = sorted(keys)
    return [ordered.index(key) + (ordered.count(key) + 1) / 2 for key in keys]


def _logarithm(loss: Array) -> Array:
    """That of losses; or themselves, where they are of a kind that may be below 0."""
    if (loss < 0).any():
        return loss
    with np.errstate(divide="ignore"):
        return np.log(loss)


def _by_seed(results: Results, group: Sequence[int], values: Array) -> Array:
    """The values (cells, seeds) of the cells of a group; nan where there is no result."""
    first, last = (np.searchsorted(results.place, group, side) for side in ("left", "right"))
    own = [slice(*ends) for ends in zip(first, last)]
    seeds = np.unique(np.concatenate([results.seed[each] for each in own]))
    found = np.full((len(group), len(seeds)), np.nan)
    for row, each in zip(found, own):
        row[np.searchsorted(seeds, results.seed[each])] = values[each]
    return found


def _differences(one: Array, other: Array) -> Array:
    """Of the seeds that both have; two that are infinite alike do not differ."""
    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    with np.errstate(invalid="ignore"):
        return np.where(one == other, 0.0, one - other)
