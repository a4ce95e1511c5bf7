"""What a network beside a linear path sees, and how far it is followed."""

from __future__ import annotations

import naive_series as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data import signals


@given(seed=st.integers(0, 1000), start=st.integers(0, 19), h=st.integers(0, 4))
def test_changes_and_last_errors_are_those_of_loops(seed: int, start: int, h: int) -> None:
    rng = np.random.default_rng(seed)
    d, base = rng.standard_normal((2, 20, 2))
    d[rng.random((20, 2)) < 0.2] = np.nan
    starts = np.isin(np.arange(20), (0, start))
    errors = signals.last_errors(d, base, starts, (h,))
    changes = signals.changes(base, starts)
    for t in range(20):
        first = naive.begin(starts, t)
        said_at, known_at = (t - h, t) if h > 0 else (t - 1, t - 1)
        known = said_at >= first
        expected = d[known_at] - base[said_at] if known else np.zeros(2)
        np.testing.assert_array_equal(errors[t], np.where(np.isnan(expected), 0, expected))
        np.testing.assert_array_equal(changes[t], base[t] - naive.row_before(base, starts, t, 1))


def test_scales_are_of_what_counts_alone() -> None:
    values = np.array([[3.0, 0.0], [4.0, 0.0], [1e9, 5.0]])
    counted = np.array([True, True, False])
    np.testing.assert_allclose(signals.scale_of(values, counted), [np.sqrt(12.5), 1.0])
    tiny = np.array([[1e-9], [-1e-9]])
    both = np.ones((2, 1), np.bool_)
    np.testing.assert_allclose(signals.rest_scale(tiny, both, np.array([1.0])), [1e-9])
    np.testing.assert_allclose(signals.rest_scale(tiny * 1e-9, both, np.array([7.0])), [7.0])


def test_signals_are_bounded() -> None:
    changes, errors = np.array([[1.0], [100.0]]), np.array([[-1.0], [-100.0]])
    found = signals.signals(changes, errors, np.array([2.0]), np.array([4.0]))
    np.testing.assert_array_equal(found, [[0.5, -0.25], [5.0, -5.0]])


def test_noise_is_left_out_and_what_helps_is_followed() -> None:
    rng = np.random.default_rng(0)
    rest = rng.standard_normal((50, 400))
    counted = np.ones(rest.shape, np.bool_)
    chance = signals.shrinkage(rest, rng.standard_normal(rest.shape), counted)
    assert (chance == 0).mean() > 0.75  # half are of the wrong sign, and a third of the others small
    assert chance.mean() < 0.05
    helps = signals.shrinkage(rest, 0.5 * rest, counted)
    np.testing.assert_allclose(helps, 1.0, atol=0.03)
    too_much = signals.shrinkage(rest, 4 * rest, counted)
    np.testing.assert_allclose(too_much, 0.25)
    assert (signals.shrinkage(rest, -rest, counted) == 0).all()
    assert (signals.shrinkage(rest, 0 * rest, counted) == 0).all()


def test_the_factor_is_the_one_of_least_squares_times_one_less_the_inverse_of_f() -> None:
    rng = np.random.default_rng(1)
    said = rng.standard_normal(30)
    aim = 0.6 * said + 0.5 * rng.standard_normal(30)
    counted = np.arange(30) < 25
    slope = np.linalg.lstsq(said[:25, None], aim[:25], rcond=None)[0][0]
    variance = np.mean((aim - slope * said)[:25] ** 2) / np.sum(said[:25] ** 2)
    found = signals.shrinkage(aim[:, None], said[:, None], counted[:, None])
    assert found[0] == pytest.approx(slope * (1 - variance / slope**2))
