"""A trained 3-bit memory is a cube of fixed points, and what tells that can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.memory import counts, is_cube, joining, search, trained


def test_a_trained_memory_is_a_cube() -> None:
    run = trained(0)
    _, found = search(run, run.params)
    assert run.solved_at is not None
    assert counts(found) == [8, 12, 6, 1, 0]
    assert is_cube(run, found)
    assert joining(run, found) == 12
    # the controls: points that are taken for others, and a network that has not learnt
    wrong = replace(found, unstable=np.roll(found.unstable, -1))  # a corner for an edge, and so on
    assert counts(wrong) == counts(found)
    assert not is_cube(run, wrong)
    assert joining(run, wrong) == 11
    _, before = search(run, run.experiment.initial_params())
    assert not is_cube(run, before)
