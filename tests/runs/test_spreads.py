"""The median and the quartiles of curves, beside loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.runs.spreads import POINTS, Curve, spread_of

values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def at(step: float, points: list[tuple[float, float]]) -> float:
    """A curve of (step, value) at a step: linear between points, as they are at the ends beyond."""
    for (x, y), (x2, y2) in pairwise(points):
        if x <= step <= x2:
            return y + (y2 - y) * (step - x) / (x2 - x)
    return points[0][1] if step < points[0][0] else points[-1][1]


@given(st.lists(st.tuples(values, st.sampled_from([1, 2, 3])), min_size=1, max_size=5))
def test_few_points_are_quartiles_of_means_over_the_steps_of_the_longest(
    given: list[tuple[list[float], int]],
) -> None:
    """Curves with a point every 1, 2 or 3 steps."""
    curves = [
        Curve(every * np.arange(1, len(own) + 1), np.array(own)) for own, every in given
    ]  # fmt: skip
    steps, found = spread_of(curves)
    last = max(curve.step[-1] for curve in curves)
    grid = min((c.step for c in curves if c.step[-1] == last), key=len)
    np.testing.assert_array_equal(steps, grid)
    rows = []
    for step, own, _ in curves:
        points, begin = [], 0
        for end in grid:
            inside = [y for x, y in zip(step, own) if begin < x <= end]
            points += [(float(end), sum(inside) / len(inside))] if inside else []
            begin = end
        rows.append([at(end, points) for end in grid])
    np.testing.assert_allclose(found, np.quantile(rows, [0.25, 0.5, 0.75], axis=0), atol=1e-12)


@pytest.mark.parametrize("points", [1, POINTS, POINTS + 1, 512])
def test_many_points_are_merged_and_none_is_lost(points: int) -> None:
    own = np.random.default_rng(points).random(points)
    steps, (low, middle, high) = spread_of([Curve(np.arange(1, points + 1), own)])
    assert len(steps) == min(points, POINTS)
    assert steps[-1] == points
    sizes = np.diff(steps, prepend=0)
    assert np.ptp(sizes) <= 1
    assert (middle * sizes).sum() == pytest.approx(own.sum())
    np.testing.assert_array_equal(low, high)


def test_values_that_are_not_known_are_left_out() -> None:
    """The rest of such a curve is as if it had no points there; one without any is worse than all."""
    step, own = np.arange(1, 5), np.array([1.0, math.nan, 3.0, math.nan])
    assert spread_of([Curve(step, own)])[1][1].tolist() == [1, 2, 3, 3]
    assert spread_of([Curve(step, np.full(4, math.nan))])[1][1].tolist() == [math.inf] * 4
    assert spread_of([Curve(step, own, diverged=True)])[1][1].tolist() == [1, 2, 3, math.inf]
    assert spread_of([Curve(step[:0], own[:0])])[1].shape == (3, 0)
