"""Whether two sweeps have the same results, and how many runs a file has."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import Runs


def same(one: Sweep, other: Sweep) -> None:
    """That two sweeps have the same results to the bit; seconds excepted."""
    assert [cell._replace(id=0) for cell in one.cells] == [cell._replace(id=0) for cell in other.cells]
    numbers = {a.id: b.id for a, b in zip(one.cells, other.cells)}
    order = np.lexsort((one.runs.seed, [numbers[id] for id in one.runs.cell]))
    for name in set(Runs._fields) - {"seconds", "cell"}:
        np.testing.assert_array_equal(getattr(one.runs, name)[order], getattr(other.runs, name))
    assert [*one.runs.cell[order]] == [{b: a for a, b in numbers.items()}[id] for id in other.runs.cell]
    curves = {(numbers[cell], seed): curve for cell, seed, curve in one.curves()}
    for cell, seed, curve in other.curves():
        mine = curves.pop((cell, seed))
        assert mine.keys() == curve.keys()
        for name in curve:
            np.testing.assert_array_equal(mine[name], curve[name])
    assert not curves


def recorded(file: Path) -> int:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return int(database.execute("select count(*) from runs").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
