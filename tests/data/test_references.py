"""References beside loops; that seasons are found where there are some, and nowhere else."""

from __future__ import annotations

import naive_series as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data import references
from rnnsim.data.linear import Regression
from rnnsim.data.neighbours import ahead_of

ROWS = 40


def with_gaps(seed: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    d = rng.standard_normal((ROWS, 2))
    d[rng.random((ROWS, 2)) < 0.2] = np.nan
    return d, np.isin(np.arange(ROWS), (0, start))


@given(seed=st.integers(0, 1000), start=st.integers(0, ROWS - 1), season=st.integers(1, 12))
def test_the_last_value_and_that_of_a_season_before(seed: int, start: int, season: int) -> None:
    d, starts = with_gaps(seed, start)
    horizons = (1, 0, 5)
    last = references.persistence(d, starts, horizons)
    seasonal = references.seasonal_persistence(d, starts, horizons, season)
    for j, h in enumerate(horizons):
        for i in range(2):
            o = 2 * j + i
            np.testing.assert_array_equal(last[:, o], naive.last_values(d[:, i], starts, h))
            expected = naive.last_values(d[:, i], starts, h, season)
            np.testing.assert_array_equal(seasonal[:, o], expected)


@given(seed=st.integers(0, 1000), row=st.integers(1, ROWS - 1), season=st.integers(1, 12))
def test_no_reference_depends_on_a_later_row(seed: int, row: int, season: int) -> None:
    d, starts = with_gaps(seed, 0)
    later = d.copy()
    later[row] = 100.0
    for said in (
        lambda values: references.persistence(values, starts, (1, 3)),
        lambda values: references.seasonal_persistence(values, starts, (1, 3), season),
        lambda values: references.last_class(np.abs(values[:, :1]) // 1, starts, (1,), 200),
    ):
        np.testing.assert_array_equal(said(d)[:row], said(later)[:row])
    peeking = ahead_of(d, starts, 1), ahead_of(later, starts, 1)  # the control
    assert not np.array_equal(peeking[0][:row], peeking[1][:row], equal_nan=True)


@pytest.mark.parametrize("season", [4, 12, 24, 52])
@pytest.mark.parametrize("trend", [0.0, 0.05])
def test_a_season_is_found(season: int, trend: float) -> None:
    rng, t = np.random.default_rng(season), np.arange(400)
    x = np.sin(2 * np.pi * t / season) + trend * t
    d = np.column_stack([x + 0.05 * rng.standard_normal(400), x[::-1]])
    learnt = t < 300
    found = references.season_of(d, t == 0, learnt)
    assert found is not None
    assert abs(found - season) <= season // 20
    d[300:] = 0  # what is not learnt is not looked at
    assert references.season_of(d, t == 0, learnt) == found


@pytest.mark.parametrize("rows", [1, 2, 10, 60, 500])
def test_no_season_is_found_where_there_is_none(rows: int) -> None:
    rng, t = np.random.default_rng(0), np.arange(rows)
    noise = rng.standard_normal((rows, 1))
    for d in (np.cumsum(noise, axis=0), noise, np.full((rows, 1), 3.0), 0.5 * t[:, None]):
        assert references.season_of(d, t == 0, t >= 0) is None


def test_the_last_class() -> None:
    d = np.array([[np.nan], [2], [0], [np.nan], [0], [1], [1], [1]])
    starts = np.arange(8) == 0
    last = references.last_class(d, starts, (0, 1), 3)
    assert last[:, 3:].argmax(axis=1).tolist() == [0, 2, 0, 0, 0, 1, 1, 1]
    assert last[:, :3].argmax(axis=1).tolist() == [0, 0, 2, 0, 0, 0, 1, 1]
    assert last.sum(axis=1).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]


def test_the_ridge_autoregression_is_on_values_and_not_fitted_to_the_test() -> None:
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.standard_normal((200, 2)), axis=0)
    starts = np.arange(200) == 0
    truth = ahead_of(x, starts, 1)
    one = Regression(x, truth, starts, (1,), (0, 1))
    at = np.repeat(np.arange(200)[:, None] + 1, 2, axis=1)
    learnt, validation = at < 120, (at >= 120) & (at < 160)
    path, (way,) = references.ridge_autoregression(one, learnt, validation)
    assert not way.of_changes
    changed = np.where(at >= 160, 1e6, truth)
    again, _ = references.ridge_autoregression(one._replace(truth=changed), learnt, validation)
    for array, other in zip(path, again):
        np.testing.assert_array_equal(array, other)
    changed = np.where(at >= 159, 1e6, truth)  # the control: the last row of validation counts
    again, _ = references.ridge_autoregression(one._replace(truth=changed), learnt, validation)
    assert not np.array_equal(path.weights, again.weights)
