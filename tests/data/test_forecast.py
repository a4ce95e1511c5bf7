"""Forecasts as tables: each cell against plain loops, in both forms, and in files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rnnsim.data.forecast import Forecast
from rnnsim.data.stamps import Stamps
from rnnsim.errors import RnnsimError, UnknownName

T, H, K = 5, 2, 2
DAYS = np.array("2021-03-01", "M8[D]") + np.arange(T)


def forecast(**other: Any) -> Forecast:
    """Two columns at two horizons, day by day; the truth of the last rows is not known."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(T, H, K))
    truth = rng.normal(size=(T, H, K))
    truth[-1, 0] = truth[-3:, 1] = np.nan
    made = Forecast(
        targets=("x", "y"), horizons=(1, 3), rows=np.arange(T), values=values, truth=truth,
        low=values - 1, high=values + 2, level=0.8,
        time=Stamps("day", DAYS.astype("M8[s]").astype(float)),
    )  # fmt: skip
    return replace(made, **other)


def classes(**other: Any) -> Forecast:
    """Two classes at two horizons, in two sequences."""
    weights = np.random.default_rng(1).random((T, H, 2))
    probabilities = weights / weights.sum(axis=2, keepdims=True)
    probabilities[0] = np.nan
    truth = np.eye(2)[np.array([[0, 1]] * T)]
    truth[-1] = np.nan
    made = Forecast(
        targets=("sky",), horizons=(1, 3), rows=np.arange(T), values=probabilities, truth=truth,
        sequence=np.array(["a", "a", "b", "b", "b"], object), classes=("rain", "sun"),
    )  # fmt: skip
    return replace(made, **other)


def known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def long_rows(f: Forecast) -> Iterator[tuple[Any, ...]]:
    for t in range(T):
        for j, h in enumerate(f.horizons):
            for i, name in enumerate(f.targets):
                at = (t, j, i)
                assert f.low is not None
                assert f.high is not None
                yield (t, DAYS[t].item(), (DAYS[t] + h).item(), h, name, f.values[at], f.low[at],
                       f.high[at], known(f.truth[at]))  # fmt: skip


def test_the_long_form_has_a_line_for_each_row_horizon_and_column() -> None:
    f = forecast()
    frame = f.frame()
    names = ["row", "day", "for", "horizon", "column", "forecast", "low", "high", "truth"]
    assert frame.columns == names
    assert frame.rows() == [*long_rows(f)]
    assert frame.rows() != [*long_rows(replace(f, values=f.values[:, ::-1]))]  # the control


def test_the_wide_form_has_a_line_for_each_row() -> None:
    f = forecast()
    frame = f.frame("wide")
    assert frame.columns == [
        "row", "day", "for +1", "x +1", "x +1 low", "x +1 high", "x +1 truth", "y +1", "y +1 low",
        "y +1 high", "y +1 truth", "for +3", "x +3", "x +3 low", "x +3 high", "x +3 truth", "y +3",
        "y +3 low", "y +3 high", "y +3 truth",
    ]  # fmt: skip
    assert len(frame) == T
    for line in long_rows(f):
        row, _, of, h, name, *rest = line
        own = frame.row(row, named=True)
        found = [own[f"{name} +{h}{what}"] for what in ("", " low", " high", " truth")]
        assert (own[f"for +{h}"], found) == (of, rest)


def test_with_one_horizon_the_form_is_wide_and_names_are_those_of_columns() -> None:
    f = forecast()
    one = Forecast(("x",), (1,), f.rows, f.values[:, :1, :1], f.truth[:, :1, :1])
    assert one.frame().columns == ["row", "x", "x truth"]
    assert one.frame("long").columns == ["row", "horizon", "column", "forecast", "truth"]
    with pytest.raises(UnknownName, match="no form is called"):
        one.frame("broad")


def test_columns_of_any_name_have_a_place() -> None:
    f = forecast()
    one = Forecast(("row",), (1,), f.rows, f.values[:, :1, :1], f.truth[:, :1, :1])
    assert one.frame().columns == ["row", "row_", "row truth"]


def test_a_class_has_its_name_and_the_probability_of_each() -> None:
    f = classes()
    frame = f.frame()
    assert frame.columns == ["row", "sequence", "horizon", "column", "forecast", "p(rain)", "p(sun)",
                             "truth"]  # fmt: skip
    for line, (t, j) in zip(frame.rows(), np.ndindex(T, H), strict=True):
        p = f.values[t, j]
        said = None if np.isnan(p).any() else f.classes[int(p.argmax())]
        came = None if np.isnan(f.truth[t, j]).any() else f.classes[int(f.truth[t, j].argmax())]
        assert f.sequence is not None
        assert line == (t, f.sequence[t], f.horizons[j], "sky", said, *map(known, p), came)
    wide = f.frame("wide")
    assert wide["sky +3"].to_list() == frame.filter(pl.col("horizon") == 3)["forecast"].to_list()
    assert f.most_probable[0].tolist() == [-1, -1]
    with pytest.raises(RnnsimError, match="most_probable is for those of classes"):
        _ = forecast().most_probable


def test_rows_that_are_chosen_keep_what_follows_what() -> None:
    f = classes()
    assert f.follows.tolist() == [False, True, False, True, True]
    assert f.last(2).follows.tolist() == [False, True]
    assert f.at(np.array([1, 1, 0, 1, 1], bool)).follows.tolist() == [False, True, False, True]
    assert f.at(np.array([0, 1, 1, 0, 1], bool)).follows.tolist() == [False, False, False]
    assert forecast().last(3).frame().rows() == [*long_rows(forecast())][-3 * H * K :]
    assert len(f.last(100)) == T
    assert len(f.last(0).frame()) == 0


def test_forms_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RnnsimError, match=r"truth of a forecast must be \(5, 2, 2\), not \(5, 2\)"):
        forecast(truth=np.zeros((T, H)))


# --- files, and what is shown --------------------------------------------------------------------------


def test_a_csv_file_holds_the_table(tmp_path: Path) -> None:
    f = forecast()
    path = f.save(tmp_path / "out.csv")
    again = pl.read_csv(path, try_parse_dates=True)
    assert again.rows() == f.frame().rows()
    assert path.read_text().splitlines()[1].startswith("0,2021-03-01,2021-03-02,1,x,0.12573")
    assert path.read_text().splitlines()[-1].endswith(",")  # what is not known is empty
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    times = f.time._replace(values=f.time.values + 3600) if f.time else None
    assert ",2021-03-01 01:00:00,2021-03-02 01:00:00," in replace(f, time=times).as_csv()


def test_a_parquet_file_holds_the_table(tmp_path: Path) -> None:
    for f in (forecast(), classes()):
        path = f.save(str(tmp_path / "out.PARQUET"), "wide")
        again = pl.read_parquet(path)
        assert again.equals(f.frame("wide"))
        assert again.schema == f.frame("wide").schema


def test_a_file_is_replaced_as_a_whole_or_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnnsim.files.os.fsync", fail)
    with pytest.raises(RnnsimError, match=r"cannot write .*out.csv: No space left on device"):
        forecast().save(path)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "why"),
    [("out.xlsx", "must end in .csv or .parquet"), ("out", "must end in"),
     ("none/out.csv", "there is no folder"), ("", "is a path")],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=why):
        forecast().save(str(tmp_path / name) if name else "")


def test_what_is_shown() -> None:
    f = forecast()
    text = str(f)
    assert text.startswith("x, y, 1, 3 rows ahead, at 5 rows, intervals that are to cover 0.8\n| row |")
    assert "| 2021-03-01 | 2021-03-04 | 3       | y " in text
    none = np.full(f.values.shape, np.nan)
    assert forecast(low=none, high=none).title.endswith(
        "at 5 rows, without intervals: there are too few rows for validation"
    )
    html = forecast(targets=("<x>", "y"))._repr_html_()
    assert "<div>&lt;x&gt;, y, 1, 3 rows ahead" in html
    assert "<x>" not in html


def test_many_rows_become_a_table() -> None:
    many = 100_000
    zeros = np.zeros((many, H, K))
    large = Forecast(("x", "y"), (1, 3), np.arange(many), zeros, zeros,
                     time=Stamps("t", np.arange(many) * 60.0))  # fmt: skip
    assert len(large.frame()) == 4 * many
    buffer = io.StringIO(large.as_csv("wide"))
    assert next(buffer).startswith("row,t,for +1,x +1")


def test_years_go_on_after_the_end() -> None:
    f = forecast(time=Stamps("year", np.arange(1990.0, 1990 + T), is_date=False))
    assert f.frame()["for"].to_list()[-4:] == [1995, 1995, 1997, 1997]
    assert f.frame()["year"].dtype == pl.Int64
    assert forecast().frame()["day"].to_list()[0] == date(2021, 3, 1)
