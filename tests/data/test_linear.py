"""The linear path beside NumPy's least squares, loop by loop; that no forecast sees a later row."""

from __future__ import annotations

import naive_series as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data import linear, row_blocks
from rnnsim.data.linear import LinearPath, Regression, Way
from rnnsim.data.neighbours import ahead_of


def autoregression(seed: int, rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, columns))
    for t in range(1, rows):
        x[t] = 0.6 * x[t - 1] - 0.3 * np.roll(x[t - 1], 1) + rng.standard_normal(columns)
    return x * 10.0 ** rng.integers(-3, 4, columns) + 100 * rng.standard_normal(columns)


def regression(
    x: np.ndarray, horizons: tuple[int, ...] = (1,), starts: tuple[int, ...] = (0,),
    targets: tuple[int, ...] | None = None,
) -> Regression:  # fmt: skip
    begins = np.isin(np.arange(len(x)), starts)
    own = tuple(range(x.shape[1])) if targets is None else targets
    truth = np.concatenate([ahead_of(x[:, list(own)], begins, h) for h in horizons], axis=1)
    return Regression(x, truth, begins, horizons, own)


def parts(one: Regression, learnt: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Whether a target is learnt, or for validation."""
    rows, k0 = len(one.x), len(one.own)
    at = np.repeat([np.arange(rows) + h for h in one.horizons], k0, axis=0).T
    return at < learnt * rows, (at >= learnt * rows) & (at < 0.8 * rows)


@pytest.mark.parametrize("of_changes", [False, True])
@pytest.mark.parametrize("own_lags", [False, True])
@pytest.mark.parametrize("horizons", [(1,), (1, 4)])
def test_coefficients_are_those_of_least_squares(
    of_changes: bool, own_lags: bool, horizons: tuple[int, ...]
) -> None:
    x = autoregression(0, 120, 2)
    one = regression(x, horizons, starts=(0, 50))
    rows, _ = parts(one)
    way = Way(of_changes, own_lags, penalty=0.01)
    said = linear.forecasts(linear.fitted(one, rows, (way,) * len(horizons)), x, one.starts)
    for j, h in enumerate(horizons):
        for i in range(2):
            o = 2 * j + i
            fit_to = [t for t in range(120) if rows[t, o] and np.isfinite(one.truth[t, o])]
            columns = [i] if own_lags else [0, 1]
            expected = naive.linear_forecasts(
                x, x[:, i], one.starts, fit_to, h, i, columns, 10, of_changes, 0.01
            )
            np.testing.assert_allclose(said[:, o], expected, rtol=1e-7)


def test_the_way_is_the_one_that_forecasts_validation_best() -> None:
    x = autoregression(1, 200, 2)
    one = regression(x)
    learnt, validation = parts(one)
    (chosen,) = linear.judged(one, learnt, validation).best()
    errors = {}
    for way in linear.ways(one):
        said = linear.forecasts(linear.fitted(one, learnt, (way,)), x, one.starts)
        rows = validation[:, 0]
        squares = np.square(said - one.truth)[rows].mean(axis=0) / one.truth[rows].var(axis=0)
        errors[way] = squares.mean()
    assert errors[chosen] <= min(errors.values()) * (1 + 1e-9)
    assert max(errors.values()) > 1.05 * errors[chosen]  # the choice matters


def test_the_last_fifth_stands_for_validation_where_there_is_none() -> None:
    one = regression(autoregression(2, 150, 1))
    everything = np.isfinite(one.truth)
    earlier = everything & (np.arange(150) < 149 - 149 // 5)[:, None]
    nothing = np.zeros_like(everything)
    assert (
        linear.judged(one, everything, nothing).best()
        == linear.judged(one, earlier, everything & ~earlier).best()
    )


@given(seed=st.integers(0, 1000), row=st.integers(1, 59), start=st.integers(0, 59))
def test_no_forecast_depends_on_a_later_row(seed: int, row: int, start: int) -> None:
    x = autoregression(seed, 60, 2)
    one = regression(x, starts=(0, start))
    rng = np.random.default_rng(seed)
    path = LinearPath(*(rng.standard_normal(shape) for shape in (2, (11, 2, 2), 2)))
    later = x.copy()
    later[row] += 1.0
    first, second = (linear.forecasts(path, values, one.starts) for values in (x, later))
    np.testing.assert_array_equal(first[:row], second[:row])
    assert np.abs(first[row] - second[row]).min() > 0
    # the control: a forecast of the row that follows is seen to depend on it
    peeking = [linear.forecasts(path, values, one.starts)[1:] for values in (x, later)]
    assert not np.array_equal(peeking[0][:row], peeking[1][:row])


@given(seed=st.integers(0, 1000), length=st.integers(1, 30))
def test_rows_before_a_sequence_are_not_looked_at(seed: int, length: int) -> None:
    x = autoregression(seed, 30 + length, 2)
    starts = np.isin(np.arange(len(x)), (0, 30))
    rng = np.random.default_rng(seed)
    path = LinearPath(*(rng.standard_normal(shape) for shape in (2, (11, 2, 3), 3)))
    alone = linear.forecasts(path, x[30:], starts[30:])
    np.testing.assert_allclose(linear.forecasts(path, x, starts)[30:], alone, rtol=1e-9, atol=1e-9)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x = autoregression(3, 300, 2)
    one = regression(x, starts=(0, 70, 71))
    path = linear.fitted(one, np.isfinite(one.truth), (Way(True, False, 0.1),))
    whole = linear.forecasts(path, x, one.starts)
    monkeypatch.setattr(row_blocks, "BLOCK", 7)
    np.testing.assert_allclose(linear.forecasts(path, x, one.starts), whole, rtol=1e-12)
    for t in (5, 69, 70, 75, 299):  # row by row, from the rows that are needed
        first = max(t - 10, naive.begin(one.starts, t))
        window = x[first : t + 1]
        alone = linear.forecasts(path, window, np.arange(len(window)) == 0)[-1]
        np.testing.assert_allclose(alone, whole[t], rtol=1e-9)


def test_with_no_horizon_a_target_does_not_forecast_itself() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((200, 2))
    d = 3 * x[:, 0] + 1
    x[:, 1] = d
    one = Regression(x, d[:, None], np.arange(200) == 0, (0,), (1,))
    learnt, validation = halves(200)
    path = linear.fitted(one, learnt, linear.judged(one, learnt, validation).best())
    assert not path.weights[:, 1].any()
    np.testing.assert_allclose(linear.forecasts(path, x, one.starts)[:, 0], d, atol=1e-3)


def halves(rows: int) -> tuple[np.ndarray, np.ndarray]:
    first = (np.arange(rows) < rows // 2)[:, None]
    return first, ~first


def test_an_input_that_is_no_target_and_targets_that_are_no_inputs() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((300, 2))
    d = np.roll(x[:, :1], 1, axis=0) * 2 + 5  # d(t + 1) = 2 x(t) + 5
    starts = np.arange(300) == 0
    one = Regression(x, ahead_of(d, starts, 1), starts, (1,), (-1,))
    learnt, validation = halves(300)
    path = linear.fitted(one, learnt, linear.judged(one, learnt, validation).best())
    said = linear.forecasts(path, x, starts)[:-1, 0]
    np.testing.assert_allclose(said, d[1:, 0], atol=1e-3)


@pytest.mark.parametrize("rows", [1, 2, 3, 12, 30])
def test_few_rows_constant_and_equal_columns_give_finite_forecasts(rows: int) -> None:
    x = np.column_stack([autoregression(6, rows, 1)[:, 0], np.full(rows, 7.0), np.arange(rows)])
    x = np.column_stack([x, x[:, 0], 1e9 + x[:, 0]])
    one = regression(x)
    learnt, validation = parts(one)
    path = linear.fitted(one, learnt | validation, linear.judged(one, learnt, validation).best())
    said = linear.forecasts(path, x, one.starts)
    assert np.isfinite(said).all()
    if rows == 30:
        np.testing.assert_allclose(said[:, 1], 7.0, atol=1e-6)  # a constant stays so


def test_missing_targets_are_not_learnt() -> None:
    x = autoregression(7, 200, 2)
    one = regression(x)
    truth = one.truth.copy()
    truth[20:60, 1] = np.nan
    rows = np.isfinite(one.truth)
    way = (Way(False, False, 0.1),)
    path = linear.fitted(one._replace(truth=truth), rows, way)
    whole = linear.fitted(one, rows, way)
    np.testing.assert_allclose(path.weights[:, :, 0], whole.weights[:, :, 0], rtol=1e-9)
    assert not np.allclose(path.weights[:, :, 1], whole.weights[:, :, 1])
    expected = naive.linear_forecasts(
        x, x[:, 1], one.starts, [t for t in range(199) if np.isfinite(truth[t, 1])], 1, 1, [0, 1], 10,
        False, 0.1,
    )  # fmt: skip
    said = linear.forecasts(path, x, one.starts)[:, 1]
    np.testing.assert_allclose(said, expected, rtol=1e-7)
