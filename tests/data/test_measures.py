"""Measures of forecasts against plain loops, and where they are undefined."""

from __future__ import annotations

import itertools
import math
from typing import Any

import naive_measures as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnsim.data import measures

NAN = math.nan
numbers = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3)) | st.just(NAN)


@st.composite
def columns(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecasts, the truth, and the sequence of each row."""
    T = draw(st.integers(0, 12))
    values, truth = (draw(arrays(float, T, elements=numbers)) for _ in range(2))
    return values, truth, np.sort(draw(arrays(int, T, elements=st.integers(0, 2))))


def follows_of(sequence: np.ndarray) -> np.ndarray:
    found = np.zeros(len(sequence), bool)
    found[1:] = sequence[1:] == sequence[:-1]
    return found


def same(found: float, wanted: float | None) -> bool:
    if wanted is None:
        return math.isnan(found)
    return found == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@given(columns())
def test_measures_of_numbers_are_those_of_plain_loops(data: Any) -> None:
    values, truth, sequence = data
    found = measures.of_numbers(values, truth, follows_of(sequence))
    assert found.scored == len(naive.pairs(values, truth))
    assert same(found.rmse, naive.rmse(values, truth))
    assert same(found.mae, naive.mae(values, truth))
    assert same(found.nrmse, naive.nrmse(values, truth))
    assert same(found.jitter, naive.jitter(values, sequence))


def test_what_is_wrong_is_not_the_same() -> None:
    """The control."""
    assert not same(1.0, None)
    assert not same(NAN, 1.0)
    assert not same(1.0, 1.00001)
    assert same(naive.jitter([1, 2, 5], "aab") or 0, 1.0)
    assert not same(naive.jitter([1, 2, 5], "aab") or 0, naive.jitter([1, 2, 5], "aaa"))


def numbers_of(values: Any, truth: Any) -> measures.Measures:
    return measures.of_numbers(np.array(values, float), np.array(truth, float),
                               np.arange(len(values)) > 0)  # fmt: skip


def test_one_row_and_constant_truth_have_no_nrmse() -> None:
    found = numbers_of([3], [1])
    assert (found.scored, found.rmse, found.mae) == (1, 2, 2)
    assert math.isnan(found.nrmse)
    assert math.isnan(found.jitter)
    assert math.isnan(numbers_of([1, 2, 3], [0.1, 0.1, 0.1]).nrmse)
    assert numbers_of([1, 2, 3], [0.1, 0.1, 0.2]).nrmse > 0
    nothing = numbers_of([NAN, 1], [1, NAN])
    assert nothing.scored == 0
    assert all(map(math.isnan, (nothing.rmse, nothing.mae, nothing.nrmse)))


def test_the_mean_of_the_truth_forecast_always_has_nrmse_1() -> None:
    truth = np.random.default_rng(0).normal(5, 3, 1000)
    found = numbers_of(np.full(1000, truth.mean()), truth)
    assert found.nrmse == pytest.approx(1)
    assert found.rmse == pytest.approx(truth.std())
    assert found.jitter == 0


def test_squares_that_overflow_and_infinite_forecasts() -> None:
    found = numbers_of([1e200, -1e200], [0, 1e190])
    assert found.rmse == pytest.approx(1e200)
    assert math.isfinite(found.nrmse)
    assert numbers_of([math.inf, 1], [0, 1]).rmse == math.inf


# --- classes -------------------------------------------------------------------------------------------


@st.composite
def told(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and the truth of three classes, some of which are missing."""
    T, C = draw(st.integers(0, 9)), 3
    weights = draw(arrays(float, (T, C), elements=st.integers(0, 4).map(float)))
    weights[weights.sum(axis=1) == 0] = 1
    truth = np.eye(C)[draw(arrays(int, T, elements=st.integers(0, C - 1)))].reshape(T, C)
    truth[draw(arrays(bool, T))] = NAN
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    probabilities[draw(arrays(bool, T))] = NAN
    return probabilities, truth


@given(told())
def test_measures_of_classes_are_those_of_plain_loops(data: Any) -> None:
    probabilities, truth = data
    found = measures.of_classes(probabilities, truth, np.arange(len(truth)) > 0)
    assert found.scored == len(naive.scored(probabilities, truth))
    assert same(found.accuracy, naive.accuracy(probabilities, truth))
    assert same(found.cross_entropy, naive.cross_entropy(probabilities, truth))
    places = [NAN if np.isnan(p).any() else naive.largest(p) for p in probabilities]
    moved = [float(a != b) for a, b in itertools.pairwise(places) if not math.isnan(a + b)]
    assert same(found.jitter, sum(moved) / len(moved) if moved else None)
    counts = measures.confusion(probabilities, truth)
    assert counts.tolist() == naive.confusion(probabilities, truth, 3)
    assert counts.sum() == found.scored


def test_a_class_that_was_held_to_be_impossible_has_no_finite_cross_entropy() -> None:
    found = measures.of_classes(np.array([[1.0, 0]]), np.array([[0.0, 1]]), np.array([False]))
    assert (found.accuracy, found.cross_entropy) == (0, math.inf)


def test_rows_are_the_truth_and_columns_the_forecast() -> None:
    says_first = np.array([[0.9, 0.1]] * 3)
    counts = measures.confusion(says_first, np.array([[0.0, 1], [0, 1], [1, 0]]))
    assert counts.tolist() == [[1, 0], [2, 0]]


def test_coverage_counts_the_truths_in_their_interval() -> None:
    low, high = np.array([0, 0, 0, NAN, 0.0]), np.array([1, 1, 1, 1, 1.0])
    assert measures.coverage(low, high, np.array([0, 1, 2, 0.5, NAN])) == pytest.approx(2 / 3)
    assert math.isnan(measures.coverage(low[3:4], high[3:4], np.zeros(1)))
