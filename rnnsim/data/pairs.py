"""The rows of one part of the data: inputs, with the targets that belong to the part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.data.neighbours import run_of, together
from rnnsim.data.parts import TEST
from rnnsim.data.preparation import Preparation, Prepared, horizons_in
from rnnsim.data.row_blocks import total
from rnnsim.data.series import Series
from rnnsim.typing import Array, Bools, Integers

WARM_UP = 500  # rows before the first target of a part, which only the state sees


class Pairs(NamedTuple):
    """Rows with inputs and targets.

    Attributes
    ----------
    inputs : (rows, m) array
    targets : (rows, k) array
    base, scale : (rows, k) or (1, k) array
        See :class:`rnnsim.data.preparation.View`.
    weights : (rows, k) or (rows, 1) array
        1 where there is a target of this part.
    resets : (rows,) bool array
    rows : (rows,) int array
        Which rows of the series they are.
    """

    inputs: Array
    targets: Array
    base: Array
    scale: Array
    weights: Array
    resets: Bools
    rows: Integers


class PartRows(NamedTuple):
    """The rows of a part, as they count in it; as :class:`Pairs` has them.

    Attributes
    ----------
    weights : (rows, k) or (rows, 1) array
    resets : (rows,) bool array
    rows : (rows,) int array
    """

    weights: Array
    resets: Bools
    rows: Integers


def part_rows(prepared: Prepared, preparation: Preparation, part: Integers, wanted: int) -> PartRows:
    """The rows whose targets are in a part, and some before them, from which the state comes.

    A forecast belongs to the part that its target is in, also where it is made in the part before.

    Parameters
    ----------
    prepared : Prepared
    preparation : Preparation
    part : (rows,) int array
        See :mod:`rnnsim.data.parts`.
    wanted : int
        LEARNT, VALIDATION or TEST.
    """
    inside = horizons_in(preparation, prepared.starts, part, wanted)
    single = prepared.weights.shape[1] == 1 and (inside == inside[:, :1]).all()
    of_targets = inside[:, :1] if single else np.repeat(inside, len(preparation.targets), axis=1)
    weights = prepared.weights * of_targets
    if wanted != TEST:
        weights = weights * prepared.settled[:, None]
    counted = weights.any(axis=1)
    run = run_of(prepared.starts) - 1
    rows, begins = np.arange(len(run)), np.flatnonzero(prepared.starts)
    first = np.minimum.reduceat(np.where(counted, rows, len(rows)), begins)
    last = np.maximum.reduceat(np.where(counted, rows, -1), begins)
    first = np.maximum(first - WARM_UP, begins)
    kept = (rows >= first[run]) & (rows <= last[run])
    index = np.flatnonzero(kept)
    resets = np.ones(len(index), np.bool_)
    resets[1:] = np.diff(run[index]) > 0
    return PartRows(weights[together(index)], resets, index)


def pairs_of(part: PartRows, prepared: Prepared) -> Pairs:
    """The rows of a part as they are prepared: views, where each follows the one before."""
    rows = together(part.rows)
    base, scale = (each[rows] if len(each) > 1 else each for each in (prepared.base, prepared.scale))
    return Pairs(prepared.inputs[rows], prepared.targets[rows], base, scale, *part)


def pairs_again(part: PartRows, series: Series, before: Preparation, now: Preparation) -> Pairs:
    """The rows of a part by another preparation, which differs in its linear path."""
    chosen = np.zeros(series.rows, np.bool_)
    chosen[part.rows] = True
    view = now.view(series.select(chosen))
    for h in range(1, max(before.choices.horizons) + 1):  # the rows of their targets, too
        chosen[np.minimum(part.rows + h, series.rows - 1)] = True
    truth = before.truth(series.select(chosen))
    at = np.cumsum(chosen)[part.rows] - 1
    return Pairs(view.inputs, now.aims(truth[at], view), view.base, view.scale, *part)


def baseline(learnt: Pairs, is_class: bool) -> float:
    """The loss per target, on the rows that are learnt, of a network that says nothing.

    Of numbers that is what the linear path, or the mean, leaves; of classes the best constant answer.
    """
    if is_class:
        share = learnt.targets[learnt.weights[:, 0] > 0].mean(axis=0)
        return float(-(share[share > 0] * np.log(share[share > 0])).sum())
    weights, targets = learnt.weights, learnt.targets
    squares = total(len(targets), lambda rows: (weights[rows] * np.square(targets[rows])).ravel())
    return float(squares / max(float(weights.any(axis=1).sum()), 1.0) / 2)
