"""Recursive least squares beside ridge on all pairs so far; nothing is known before its time."""

from __future__ import annotations

import copy

import naive_series as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data import recursive
from rnnsim.data.recursive import Advanced, Recursive


def series(seed: int, rows: int, columns: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, columns))
    for t in range(1, rows):
        x[t] = 0.5 * x[t - 1] - 0.4 * np.roll(x[t - 1], 1) + rng.standard_normal(columns)
    return 5 * x + 30


def begins(rows: int, *others: int) -> np.ndarray:
    return np.isin(np.arange(rows), (0, *others))


def run(
    x: np.ndarray, d: np.ndarray, horizons: tuple[int, ...], starts: np.ndarray,
    own: tuple[int, ...] | None = None,
) -> tuple[Recursive, Advanced]:  # fmt: skip
    state = recursive.recursive(x.shape[1], own or tuple(range(d.shape[1])), horizons)
    return state, recursive.advance(state, x, d, starts)


@pytest.mark.parametrize("h", [1, 3])
def test_it_is_ridge_on_all_pairs_so_far(h: int) -> None:
    x = series(0, 50)
    _, said = run(x, x, (h,), begins(50))
    richer = naive.recursive_own(x[:, 0], h)
    expected = naive.followed(x[:, 0], richer, x[:, 0], h)
    np.testing.assert_allclose(said.base[:, 0], expected, rtol=1e-8)
    assert np.abs(expected - x[:, 0]).max() > 1  # which is more than persistence


def test_what_h_rows_ahead_is_said_in_one_run_is_said_alone() -> None:
    x = series(1, 40, 2)
    _, both = run(x, x, (1, 4), begins(40, 17))
    for j, h in enumerate((1, 4)):
        _, alone = run(x, x, (h,), begins(40, 17))
        np.testing.assert_allclose(both.base[:, 2 * j : 2 * j + 2], alone.base, rtol=1e-10)
        np.testing.assert_allclose(both.scale[:, 2 * j : 2 * j + 2], alone.scale, rtol=1e-10)


@given(seed=st.integers(0, 100), cut=st.integers(1, 29), start=st.integers(0, 29))
def test_rows_may_come_one_by_one_or_all_at_once(seed: int, cut: int, start: int) -> None:
    x = series(seed, 30, 2)
    starts = begins(30, start)
    state, whole = run(x, x, (0, 2), starts)
    again = recursive.recursive(2, (0, 1), (0, 2))
    first = recursive.advance(again, x[:cut], x[:cut], starts[:cut])
    again = copy.deepcopy(again)  # as if it had been saved
    second = recursive.advance(again, x[cut:], x[cut:], starts[cut:])
    for name in Advanced._fields:
        parts = np.concatenate([getattr(first, name), getattr(second, name)])
        np.testing.assert_array_equal(parts, getattr(whole, name))
    np.testing.assert_array_equal(state.on_all.inverse, again.on_all.inverse)


@given(seed=st.integers(0, 100), row=st.integers(8, 29), h=st.integers(0, 3))
def test_nothing_depends_on_a_later_row(seed: int, row: int, h: int) -> None:
    x = series(seed, 30, 2)
    later = x.copy()
    later[row] += 100.0
    # with h = 0 columns that are targets are not looked at in their own row: another one is
    own = (-1, 1) if h == 0 else (0, 1)
    first, second = (run(values, values, (h,), begins(30), own)[1] for values in (x, later))
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one[:row], other[:row])
    assert not np.array_equal(first.signals[row], second.signals[row])
    # the control: with targets of the row that follows, the same comparison fails
    peeking = [
        run(v, np.roll(v, -1, axis=0), (max(h, 1),), begins(30), own)[1].scale for v in (x, later)
    ]
    assert not np.array_equal(peeking[0][:row], peeking[1][:row])


def test_a_target_of_the_same_row_does_not_tell_itself() -> None:
    rng = np.random.default_rng(2)
    d = rng.standard_normal((60, 1))
    _, said = run(d, d, (0,), begins(60))
    errors = np.square(said.base - d)[30:].mean()
    assert errors > 0.5 * d.var()


def test_missing_targets_are_not_learnt_and_their_errors_are_not_known() -> None:
    x = series(3, 40, 2)
    d = x.copy()
    d[10:20, 1] = np.nan
    _, said = run(x, d, (1,), begins(40))
    assert np.isfinite(said.base).all()
    assert np.isfinite(said.signals).all()
    assert (said.signals[10:20, 3] == 0).all()
    assert (said.signals[20:, 3] != 0).all()
    d[:] = np.nan
    _, said = run(x, d, (1,), begins(40))
    np.testing.assert_array_equal(said.base, x)  # persistence, while nothing is known


def test_scale_and_signals_are_those_of_what_is_known() -> None:
    x = series(4, 30)
    _, said = run(x, x, (2,), begins(30))
    errors = np.zeros(30)
    errors[2:] = x[2:, 0] - said.base[:-2, 0]
    for t in (1, 2, 9, 29):
        age = 0.999 ** np.arange(t - 2, -1, -1.0)
        known = errors[2 : t + 1]
        expected = np.sqrt((age * known**2).sum() / age.sum()) if len(known) else 1.0
        assert said.scale[t, 0] == pytest.approx(expected)
        assert said.signals[t, 1] == pytest.approx(np.clip(errors[t] / expected, -5, 5))
        moves = np.diff(x[: t + 1, 0])
        age = 0.999 ** np.arange(t - 1, -1, -1.0)
        size = np.sqrt((age * moves**2).sum() / age.sum())
        assert said.signals[t, 0] == pytest.approx(np.clip(moves[-1] / size, -5, 5))


@pytest.mark.parametrize("size", [1e4, 1e9, 1e12, 1e50, 1e75, 1e100])
def test_a_single_wild_value_is_got_over(size: float) -> None:
    """Else the inverse is rounding error from there on, and the scale that of the value for long."""
    x = series(6, 120)
    x[60] = size
    state, said = run(x, x, (1,), begins(120))
    for part in (said.base, said.scale, state.on_own.inverse, state.on_own.weights):
        assert np.isfinite(part).all()
    assert np.abs(said.base[70:-1] - x[71:]).max() < 2 * np.abs(np.diff(x[70:], axis=0)).max()
    assert (said.scale[70:] < 1000 * said.scale[59]).all()
    assert np.isfinite(recursive.advance(state, x, x, begins(120)).base).all()  # once more


def test_a_sequence_goes_on_learning_but_does_not_look_back() -> None:
    x = series(5, 60)
    x[30:] += 1000
    _, said = run(x, x, (1,), begins(60, 30))
    _, one = run(x, x, (1,), begins(60))  # the control: without a beginning, the jump is an error
    assert (said.signals[30] == 0).all()
    assert (one.signals[30] == 5).all()
    assert one.scale[30, 0] > 3 * said.scale[30, 0]  # of which a single error makes up a part alone
    np.testing.assert_array_equal(said.scale[30], said.scale[29])  # no error of it was known there


def test_constant_columns_and_many_columns_are_forecast_by_their_last_value() -> None:
    x = np.full((20, 3), 4.0)
    _, said = run(x, x, (1,), begins(20))
    np.testing.assert_array_equal(said.base, x)
    many = recursive.recursive(200, tuple(range(200)), (1,))
    assert many.on_all.lags[0] == 0  # too many regressors: own lags alone


@pytest.mark.parametrize("h", [1, 4])
def test_an_addition_is_followed_as_far_as_it_has_helped(h: int) -> None:
    x = series(6, 60)
    d = x[:, 0]
    richer = naive.recursive_own(d, h)
    state = recursive.factors(1, (h,))
    factor = recursive.follow(state, (h,), x, (richer - d)[:, None], x, begins(60))
    expected = naive.followed(d, richer, d, h)
    np.testing.assert_allclose(d + factor[:, 0] * (richer - d), expected, rtol=1e-9)
    assert ((factor > 0) & (factor < 1)).any()
    # what is of no use is left out, and what would be of use turned round too
    wrong = recursive.follow(recursive.factors(1, (h,)), (h,), x, -(richer - d)[:, None], x, begins(60))
    assert wrong[-1, 0] < 0.2 < factor[-1, 0]


def test_of_a_random_walk_nothing_is_known_but_its_last_value() -> None:
    ratios = []
    for seed in range(6):
        x = np.cumsum(np.random.default_rng(seed).standard_normal((250, 1)), axis=0)
        _, said = run(x, x, (1, 5), begins(250))
        for j, h in enumerate((1, 5)):
            error = np.square(said.base[:-h, j] - x[h:, 0])[100:].mean()
            ratios.append(error / np.square(x[h:, 0] - x[:-h, 0])[100:].mean())
    assert 0.98 < np.mean(ratios) < 1.1
