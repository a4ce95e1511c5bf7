"""The rows of one part of the data: inputs, with the targets that belong to the part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.data.parts import TEST
from rnnsim.data.preparation import Preparation, Prepared, run_of, targets_in
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


def pairs_of(prepared: Prepared, preparation: Preparation, part: Integers, wanted: int) -> Pairs:
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
    inside = targets_in(preparation, prepared.starts, part, wanted)
    single = prepared.weights.shape[1] == 1 and (inside == inside[:, :1]).all()
    weights = prepared.weights * (inside[:, :1] if single else inside)
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
    chosen: slice | Integers = index
    if len(index) and index[-1] - index[0] + 1 == len(index):
        chosen = slice(int(index[0]), int(index[-1]) + 1)  # views in place of copies
    return Pairs(
        inputs=prepared.inputs[chosen],
        targets=prepared.targets[chosen],
        base=prepared.base[chosen] if len(prepared.base) > 1 else prepared.base,
        scale=prepared.scale[chosen] if len(prepared.scale) > 1 else prepared.scale,
        weights=weights[chosen],
        resets=resets,
        rows=index,
    )


def prepared_again(pairs: Pairs, series: Series, before: Preparation, now: Preparation) -> Pairs:
    """The same rows by another preparation, which differs in its linear path."""
    chosen = np.zeros(series.rows, np.bool_)
    chosen[pairs.rows] = True
    view = now.view(series.select(chosen))
    for h in range(1, max(before.choices.horizons) + 1):  # the rows of their targets, too
        chosen[np.minimum(pairs.rows + h, series.rows - 1)] = True
    truth = before.truth(series.select(chosen))
    at = np.cumsum(chosen)[pairs.rows] - 1
    return pairs._replace(**view._asdict(), targets=now.aims(truth[at], view))


def baseline(learnt: Pairs, is_class: bool) -> float:
    """The loss per target, on the rows that are learnt, of a network that says nothing.

    Of numbers that is what the linear path, or the mean, leaves; of classes the best constant answer.
    """
    if is_class:
        share = learnt.targets[learnt.weights[:, 0] > 0].mean(axis=0)
        return float(-(share[share > 0] * np.log(share[share > 0])).sum())
    squares = (learnt.weights * np.square(learnt.targets)).sum()
    return float(squares / max(float(learnt.weights.any(axis=1).sum()), 1.0) / 2)
