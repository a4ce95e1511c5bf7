"""What a column is, judged by all its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.data import blocks
from rnnsim.data.columns import Column, Reading
from rnnsim.data.reading import read
from rnnsim.data.times import written

DAY = 86400.0


def columns_of(path: Path, *texts: list[str], names: str = "a,b", **options: Any) -> list[Column]:
    """The columns of a file of cells."""
    path = path / "t.csv"
    path.write_text(names + "\n" + "".join(",".join(cells) + "\n" for cells in zip(*texts)))
    return list(read(path, Reading(**options)).columns.values())


def first(path: Path, cells: list[str], name: str = "a", **options: Any) -> Column:
    others = [f"{(7 * i) % 11 / 4}" for i in range(len(cells))]
    return columns_of(path, cells, others, names=f"{name},b", **options)[0]


NOT_DATA: dict[str, tuple[str, list[Any], str, str]] = {
    "row numbers": ("a", [0, 1, 2, 3], "number", "row numbers"),
    "row numbers from 1": ("a", [1, 2, 3, 4], "number", "row numbers"),
    "not by one": ("a", [1, 2, 3, 5], "number", ""),
    "not from 0": ("a", [2, 3, 4, 5], "number", ""),
    "years": ("year", [1990, 1990, 1991, 1991], "number", "years"),
    "years by one": ("a", [1990, 1991, 1992, 1993], "number", "years"),
    "numbers like years": ("a", [1990, 1995, 1991, 1992], "number", ""),
    "epoch seconds": ("a", [1700000000 + 60 * i for i in range(4)], "time", "time stamps"),
    "epoch milliseconds": ("ts", [1700000000000 + 61 * i * i for i in range(4)], "time", "time stamps"),
    "many people": ("people", [1000000000, 1010000000, 1030000000, 1100000000], "number", ""),
    "time by steps": ("time", [0.5, 1.0, 1.5, 2.0], "number", "time stamps"),
    "time that is none": ("time", [0.5, 3.0, 1.5, 2.0], "number", ""),
    "dates as numbers": ("date", [20201230, 20201231, 20210101, 20210102], "time", "time stamps"),
    "dates that are none": ("date", [20201230, 20201231, 20201232, 20210102], "number", ""),
    "long identifiers": ("a", [2**60, 2**61, 2**60 + 5, 2**62], "number", "identifiers"),
    "called id": ("user_id", [17, 17, 29, 4], "number", "identifiers"),
    "leading zeros": ("a", ["0017", "0203", "1204", "0017"], "category", "identifiers"),
    "two digits": ("a", ["01", "12", "07", "09"], "number", ""),
    "the same": ("a", [5, 5, 5, 5], "number", "the same in all rows"),
    "the same text": ("a", ["x", "x", "x", "x"], "category", "the same in all rows"),
    "all different text": ("a", ["x", "y", "z", "w"], "category", "identifiers"),
    "text": ("a", ["x", "y", "x", "x"], "category", ""),
    "hex": ("a", ["1e5", "1a3", "22b", "9f2"], "category", "identifiers"),
    "nothing": ("a", ["NA", "-", "", "null"], "empty", ""),
}


@pytest.mark.parametrize("name", NOT_DATA)
def test_what_is_no_data(tmp_path: Path, name: str) -> None:
    """The controls are those in which one value is another."""
    called, cells, kind, remark = NOT_DATA[name]
    found = first(tmp_path, [str(cell) for cell in cells], called)
    assert (found.kind, found.remark, found.trouble) == (kind, remark, "")


def test_row_numbers_and_years_in_each_sequence() -> None:
    again = read([np.arange(4.0), np.arange(3.0)])
    on = read([np.arange(4.0), np.arange(4.0, 7.0)])
    none = read([np.arange(4.0), np.arange(2.0, 5.0)])
    assert [each.columns["x1"].remark for each in (again, on, none)] == [
        "row numbers",
        "row numbers",
        "",
    ]
    assert read([np.arange(1990.0, 1995), np.arange(1985.0, 1989)]).columns["x1"].remark == "years"


TIMES: dict[str, tuple[list[str], list[float], str]] = {
    "dates": (["1970-01-02", "1970-01-03"], [DAY, 2 * DAY], "%Y-%m-%d"),
    "dotted": (["2.1.1970", "13.1.1970"], [DAY, 12 * DAY], "%d.%m.%Y"),
    "day first": (["02/01/1970", "13/01/1970"], [DAY, 12 * DAY], "%d/%m/%Y"),
    "month first": (["01/02/1970", "01/13/1970"], [DAY, 12 * DAY], "%m/%d/%Y"),
    "by their order": (["01/02/1970", "01/03/1970", "02/01/1970"], [DAY, 2 * DAY, 31 * DAY], "%m/%d/%Y"),
    "with a time": (["1970-01-01 01:00", "1970-01-01 02:30"], [3600, 9000], "%Y-%m-%d %H:%M"),
    "with T": (["1970-01-01T00:00:01", "1970-01-01T00:00:02"], [1, 2], "%Y-%m-%dT%H:%M:%S"),
    "fractions": (["1970-01-01 00:00:01.5", "1970-01-01 00:00:02"], [1.5, 2], "%Y-%m-%d %H:%M:%S.%f"),
    "UTC": (["1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z"], [1, 2], "%Y-%m-%dT%H:%M:%S%z"),
    "a zone": (
        ["1970-01-01 01:00:01+01:00", "1970-01-01 02:00:02+02:00"],
        [1, 2],
        "%Y-%m-%d %H:%M:%S%z",
    ),
    "months": (["1970-01", "1970-02"], [0, 31 * DAY], "%Y-%m"),
    "named months": (["Jan 1970", "Feb 1970"], [0, 31 * DAY], "%b %Y"),
    "quarters": (["1970Q1", "1970Q2"], [0, 90 * DAY], "quarters"),
    "weeks": (["1970-W02", "1970-W03"], [4 * DAY, 11 * DAY], "weeks"),
    "weeks of two years": (["1976W53", "1977W01"], [2552 * DAY, 2559 * DAY], "weeks"),
    "days of weeks": (["1970-W02-1", "1970-W02-3"], [4 * DAY, 6 * DAY], "weeks"),
    "afternoon": (["1/1/1970 1:00 PM", "1/1/1970 2:00 PM"], [13 * 3600, 14 * 3600], "%m/%d/%Y %I:%M %p"),
    "times of day": (["01:00", "01:15"], [3600, 4500], "%H:%M"),
    "in one word": (["19700101T010000", "19700101T020000"], [3600, 7200], "%Y%m%dT%H%M%S"),
    "some missing": (["1970-01-02", "NA", "-"], [DAY, np.nan, np.nan], "%Y-%m-%d"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times(tmp_path: Path, name: str) -> None:
    cells, seconds, form = TIMES[name]
    found = first(tmp_path, cells)
    assert (found.kind, found.remark, found.form) == ("time", "time stamps", form)
    assert np.array_equal(found.values, seconds, equal_nan=True)
    again = [written(second, form) for second in found.values[~np.isnan(found.values)]]
    assert np.array_equal(first(tmp_path, again).values, [s for s in seconds if not np.isnan(s)])


def test_dates_and_times_of_day_are_one_time(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("date,time,b\n1970-01-02,01:00,1\n1970-01-02,02:00,2.5\n")
    found = read(path)
    assert found.columns["date"].values.tolist() == [DAY + 3600, DAY + 7200]
    assert found.columns["date"].form == "%Y-%m-%d %H:%M"
    assert found.notes == ("date and time are one time, date",)
    path.write_text("time,b\n01:00,1\n02:00,2.5\n")
    assert read(path).notes == ()


def test_what_is_nearly_a_time_is_text(tmp_path: Path) -> None:
    for cells in (["2020-01-01", "2020-01-32"], ["2020-01-01", "soon"], ["day 1", "day 2"]):
        assert first(tmp_path, cells).kind == "category"


def test_a_date_that_can_be_read_in_two_ways_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("date,b\n01/02/1970,1\n01/03/1970,2.5\n")
    assert read(path).notes == ("the column date: 01/02/1970 is taken as 1970-02-01",)
    path.write_text("date,b\n01/02/1970,1\n01/13/1970,2.5\n")
    assert read(path).notes == ()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["100.0%", "87.8%", "3%"], "t.csv, line 2, column a: '100.0%' is no plain number; take % out "
         "of the column, or leave it out by inputs="),
        (["$5.00", "$6", "$7"], "t.csv, line 2, column a: '$5.00' is no plain number; take $ out of the "
         "column, or leave it out by inputs="),
        (["5 km", "6 km", "7 km"], "t.csv, line 2, column a: '5 km' is no plain number; take km out of "
         "the column, or leave it out by inputs="),
        (["5", "6 km", "7 km"], "t.csv, line 3, column a: '6 km' is no plain number; take km out of "
         "the column, or leave it out by inputs="),
        (["5", "red", "7", "8"], "t.csv, line 3, column a: 'red' is no number, as the others are; "
         "na=red takes it as missing, inputs= leaves the column out"),
        (["5", "red", "7", "8", "blue", "9"], "t.csv, line 3, column a: 'red' (and 1 more) is no "
         "number, as the others are; na=red takes it as missing, inputs= leaves the column out"),
        (['"2,5"', "1.5", '"3,5"'], "t.csv, line 2, column a: '2,5' (and 1 more) is no number, as the "
         "others are; decimal=, says that decimals have a comma, inputs= leaves the column out"),
        (["5", "6", "7", "Total"], "t.csv, line 5, column a: 'Total' is no number, as the others are; "
         "delete the row if it holds totals, na=Total takes it as missing, inputs= leaves the column "
         "out"),
        (["2020-01-01", "2020-01-02", "Total"], "t.csv, line 4, column a: 'Total' is no time, as the "
         "others are; delete the row if it holds totals, na=Total takes it as missing, inputs= leaves "
         "the column out"),
        (["2020-01-01", "soon", "2020-01-32", "NA", "2020-01-05", "2020-01-06", "2020-01-07"],
         "t.csv, line 3, column a: 'soon' (and 1 more) is no time, as the others are; na=soon takes it "
         "as missing, inputs= leaves the column out"),
        (["1.5", '"2,5"', "7"], "t.csv, line 3, column a: '2,5' is no number, as the others are; "
         "decimal=, says that decimals have a comma, inputs= leaves the column out"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("block", [blocks.BLOCK, 4])
def test_columns_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str], message: str, block: int
) -> None:
    """The others of the file are read."""
    monkeypatch.setattr(blocks, "BLOCK", block)
    found = columns_of(tmp_path, cells, [f"{i * i}.5" for i in range(len(cells))])
    assert (found[0].trouble, found[1].trouble) == (message, "")
    assert found[1].values.tolist() == [i * i + 0.5 for i in range(len(cells))]


@given(st.lists(st.none() | st.text("abcxz /'", min_size=1, max_size=5), min_size=1, max_size=20))
def test_categories_are_what_was_there(cells: list[str | None]) -> None:
    """By a plain reckoning: words in the order of the alphabet, nan where nothing is."""
    import polars as pl

    from rnnsim.data.cells import Style
    from rnnsim.data.judging import column_of_text

    found = column_of_text("a", pl.Series("a", cells, dtype=pl.String), Style(), (), str)
    there = [c.strip() for c in cells if c is not None and c.strip()]
    if found.kind == "empty":
        assert not there
        return
    back = [found.categories[int(v)] if not np.isnan(v) else None for v in found.values]
    assert back == [(c or "").strip() or None for c in cells]
    assert list(found.categories) == sorted(set(there))
