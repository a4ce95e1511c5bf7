"""Parts of data: shares of rows or of whole sequences; classes that no row that is learnt has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.data.parts import LEARNT, TEST, VALIDATION, parts_of
from rnnsim.data.series import Series
from rnnsim.registry import make_task

pytestmark = pytest.mark.usefixtures("uncompiled")
SAID = "there are more sequences than rows in any of them, so that shares are of whole sequences"


def series(*lengths: int) -> Series:
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.diff(sequence, prepend=-1) > 0
    zeros = np.zeros((len(sequence), 1))
    return Series((), zeros, ("x",), zeros, (), starts, sequence, tuple(map(str, range(len(lengths)))),
                  None, np.arange(len(sequence)))  # fmt: skip


def task(rows: int, sequences: int, **options: Any) -> Any:
    rng = np.random.default_rng(0)
    data = [{"x": rng.normal(size=rows).cumsum()} for _ in range(sequences)]
    return make_task("table", {"data": data, **options})


def test_shares_are_of_whole_sequences_where_these_are_many_and_short() -> None:
    part = parts_of(series(*[3] * 40), 0.2, 0.2)
    np.testing.assert_array_equal(part, np.repeat([LEARNT, VALIDATION, TEST], [3 * 24, 3 * 8, 3 * 8]))
    of_rows = parts_of(series(*[10] * 10), 0.2, 0.2)  # the control: as many rows as sequences
    np.testing.assert_array_equal(of_rows, np.tile([LEARNT] * 6 + [VALIDATION] * 2 + [TEST] * 2, 10))
    one_is_long = parts_of(series(*[3] * 40, 60), 0.2, 0.2)
    assert one_is_long[-60:].tolist() == [LEARNT] * 36 + [VALIDATION] * 12 + [TEST] * 12


def test_named_sequences_beside_a_share_of_the_others() -> None:
    part = parts_of(series(*[2] * 10), 0.2, "0,1")
    np.testing.assert_array_equal(part, np.repeat([TEST, LEARNT, VALIDATION], [4, 12, 4]))


def test_short_sequences_are_learnt_and_it_is_said() -> None:
    told = task(3, 40).told()
    assert f"{SAID}: 24 are learnt, 8 for validation, 8 the test" in told
    assert SAID not in task(10, 10).told()
    rng = np.random.default_rng(0)
    run = rnnsim.run("bptt", [rng.normal(size=3) for _ in range(40)], steps=50, hidden=2)
    assert {row.found.scored for row in run.evaluate().rows} == {16}  # two pairs of each of 8 sequences


def labelled(kinds: np.ndarray, **options: Any) -> str:
    data = {"a": np.arange(len(kinds)) ** 1.5, "kind": kinds}
    return str(make_task("table", {"data": data, "target": "kind", **options}).told())


def test_a_class_that_is_not_learnt_is_said() -> None:
    kinds = np.array(["up", "down"])[np.arange(50) % 2].astype(object)
    line = ": a class of no row that is learnt, and has an output all the same; validation= and test="
    assert "of no row" not in labelled(kinds)  # the control
    kinds[45] = "flat"
    assert f"\n  flat{line}" in labelled(kinds)
    assert "of no row" not in labelled(kinds, test=0, validation=0)
    kinds[32] = "odd"
    assert "\n  flat, odd: classes of no row that is learnt, and have outputs all" in labelled(kinds)
    kinds[31:49] = [f"k{i:02}" for i in range(18)]
    assert "k07 and 10 more: classes" in labelled(kinds)
