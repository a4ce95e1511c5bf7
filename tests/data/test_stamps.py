"""Time stamps: what comes after a row, and how they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data.stamps import Stamps, later, moments, series, time_format


def stamps(*texts: str) -> Stamps:
    return Stamps("when", np.array(texts, "M8[s]").astype(float))


def follows(rows: int, *begins: int) -> np.ndarray:
    found = np.arange(rows) > 0
    found[list(begins)] = False
    return found


def texts(of: Stamps, found: np.ndarray) -> list[str]:
    return [str(x) for x in moments(of._replace(values=found)).astype("M8[s]")]


@pytest.mark.parametrize(
    ("given_", "rows", "last"),
    [
        (("2021-01-01", "2021-01-02", "2021-01-03"), 2, "2021-01-05"),
        (("2021-01-04", "2021-01-11", "2021-01-18"), 1, "2021-01-25"),
        (("2021-01-01T22", "2021-01-01T23", "2021-01-02T00"), 3, "2021-01-02T03"),
        (("2020-01-01", "2020-02-01", "2020-03-01"), 1, "2020-04-01"),
        (("2020-01-31", "2020-02-29", "2020-03-31"), 2, "2020-05-31"),  # the ends of months
        (("2019-12-15T06", "2020-01-15T06", "2020-02-15T06"), 13, "2021-03-15T06"),
        (("2019-03-31", "2019-06-30", "2019-09-30"), 1, "2019-12-31"),  # quarters
        (("2019-01-01", "2020-01-01", "2021-01-01"), 1, "2022-01-01"),  # with a leap year
    ],
)
def test_the_time_after_the_end_goes_on_by_steps(given_: Any, rows: int, last: str) -> None:
    of = stamps(*given_)
    found = texts(of, later(of, follows(3), rows))
    assert found[-1] == str(np.datetime64(last, "s"))
    assert found[: max(0, 3 - rows)] == texts(of, of.values)[rows:]


def test_where_steps_are_irregular_only_what_the_data_have_is_known() -> None:
    of = stamps("2021-01-01", "2021-01-02", "2021-01-05", "2021-01-06", "2021-01-20")
    found = texts(of, later(of, follows(5), 2))
    assert found == ["2021-01-05T00:00:00", "2021-01-06T00:00:00", "2021-01-20T00:00:00", "NaT", "NaT"]
    alone = stamps("2021-01-01")
    assert texts(alone, later(alone, follows(1), 1)) == ["NaT"]


def test_one_gap_among_many_steps_does_not_make_them_irregular() -> None:
    days = np.datetime64("2021-01-01") + np.delete(np.arange(60), 30)
    of = Stamps("when", days.astype("M8[s]").astype(float))
    assert texts(of, later(of, follows(59), 1))[-1] == "2021-03-02T00:00:00"


def test_years_are_numbers() -> None:
    of = Stamps("year", np.arange(1990.0, 1995), is_date=False)
    assert later(of, follows(5), 2).tolist() == [1992, 1993, 1994, 1995, 1996]
    assert later(of, follows(5), 0).tolist() == of.values.tolist()
    (own,) = series(of)
    assert own.to_list() == [1990, 1991, 1992, 1993, 1994]
    (half,) = series(Stamps("t", np.array([0.5, np.nan]), is_date=False))
    assert half.to_list() == [0.5, None]


@given(st.integers(1, 5), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_no_time_is_taken_from_another_sequence(rows: int, lengths: list[int]) -> None:
    values = np.concatenate([1000 * (i + 1) + np.arange(n) for i, n in enumerate(lengths)])
    begins = np.cumsum([0, *lengths[:-1]])
    of = Stamps("t", values.astype(float), is_date=False)
    found = later(of, follows(len(values), *begins), rows)
    right = (found == values + rows) | np.isnan(found)
    assert right.all()
    if max(lengths) > rows:
        assert np.isfinite(found).any()


def test_dates_are_written_as_dates_and_times_with_them_where_there_are_some() -> None:
    dates, with_missing = stamps("2021-01-01", "2021-01-02"), stamps("2021-01-01", "NaT")
    assert series(dates)[0].dtype == pl.Date
    with_missing.values[1] = np.nan
    assert [str(x) for x in series(with_missing)[0].to_list()] == ["2021-01-01", "None"]
    times = stamps("2021-01-01", "2021-01-02T03")
    assert isinstance(series(times)[0].dtype, pl.Datetime)
    assert series(dates, times.values)[0].dtype == series(dates, times.values)[1].dtype
    assert time_format(times) == "%Y-%m-%d %H:%M:%S"
    assert time_format(times._replace(values=times.values + 0.25)) == "%Y-%m-%d %H:%M:%S%.f"
