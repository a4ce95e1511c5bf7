"""The benchmark on nine series: what it measures, and that it tells where the default is not good."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import series
from benchmarks.series import Figures

GOOD = {"persistence": 1.0, "ridge": 0.5, "linear path": 0.5, "bptt": 0.4}


def test_the_error_is_that_of_the_rows_that_are_scored_over_their_variance() -> None:
    truth = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 5.0]])
    scored = np.array([True, True, False])
    said = np.array([[2.0, 14.0], [4.0, 14.0], [150.0, 14.0]])
    assert series.error(said, truth, scored) == 1.0


def test_what_is_not_good_is_told() -> None:
    found = [Figures(f"s{i}", dict(GOOD)) for i in range(9)]
    assert [*series.failures_off_line(found)] == []
    for changed, message in (
        ({"bptt": 1.2, "ridge": 0.9, "linear path": 1.2}, "no better than persistence"),
        ({"bptt": 0.53, "linear path": 0.53}, "6% behind the ridge"),
        ({"bptt": 0.52, "linear path": 0.5}, "4% behind its linear path"),
    ):
        told = [*series.failures_off_line([Figures("s", GOOD | changed), *found[1:]])]
        assert any(message in line for line in told)
    level = [Figures(f"s{i}", GOOD | {"bptt": 0.5}) for i in range(9)]
    assert [*series.failures_off_line(level)] == ["bptt is ahead of its linear path on 0 of 9"]
    of_rtrl = {"persistence": 1.0, "least squares": 0.9, "linear path": 1.0, "rtrl": 1.0}
    assert [*series.failures_on_line([Figures("s", of_rtrl)])] == [
        "s: rtrl is no better than persistence"
    ]
    assert [*series.failures_on_line([Figures("s", of_rtrl | {"least squares": 1.1})])] == []


def test_least_squares_forecast_a_process_that_they_can() -> None:
    t = np.arange(200)
    x = np.column_stack([np.sin(t / 3), np.cumsum(np.ones(200))])
    said = series.least_squares(x)
    np.testing.assert_allclose(said[100:-1], x[101:], atol=0.02)
    later = x.copy()
    later[150] += 1
    np.testing.assert_array_equal(series.least_squares(later)[:150], said[:150])
    assert not np.array_equal(series.least_squares(later)[150], said[150])


def test_series_are_as_many_rows_as_said() -> None:
    x = series.mackey_glass(300)
    assert len(x) == 300
    assert 0.2 < x.min() < 0.6 < x.max() < 1.5
    pytest.importorskip("statsmodels")
    pytest.importorskip("vega_datasets")
    found = dict(series.nine())
    assert len(found) == 9
    sizes = {name: (len(columns), len(next(iter(columns.values())))) for name, columns in found.items()}
    assert sizes == {
        "sunspots": (1, 309), "elnino": (12, 61), "co2": (1, 2284), "nile": (1, 100),
        "macrodata": (12, 203), "Seattle weather": (4, 1461), "Seattle temperatures": (1, 8759),
        "Mackey-Glass": (1, 2000), "sine with trend": (1, 1000),
    }  # fmt: skip
    assert all(np.isfinite(values).all() for columns in found.values() for values in columns.values())
