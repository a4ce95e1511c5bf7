"""Figures of forecasts: the lines against the data, what is left out is said, and files are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnsim.data.forecast import Forecast
from rnnsim.data.stamps import Stamps
from rnnsim.errors import RnnsimError
from rnnsim.runs import forecast_figures
from rnnsim.runs.forecast_figures import SHOWN
from rnnsim.runs.forecast_reports import Report, report_on

pytest.importorskip("matplotlib")
ROWS = 50


def forecast(rows: int = ROWS, horizons: tuple[int, ...] = (1, 7), **other: Any) -> Forecast:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(rows, len(horizons), 2)).cumsum(axis=0)
    for j, h in enumerate(horizons):
        truth[rows - h :, j] = np.nan
    values = np.nan_to_num(truth) + rng.normal(size=truth.shape)
    made = Forecast(("x", "price $"), horizons, np.arange(rows), values, truth, values - 1, values + 2,
                    0.9, Stamps("day", 86_400.0 * np.arange(rows)), units={"x": "°C"})  # fmt: skip
    return replace(made, **other)


def classes(rows: int = ROWS, horizons: tuple[int, ...] = (0,)) -> Forecast:
    rng = np.random.default_rng(1)
    weights = rng.random((rows, len(horizons), 3))
    truth = np.eye(3)[rng.integers(0, 3, (rows, len(horizons)))]
    return Forecast(("sky",), horizons, np.arange(rows), weights / weights.sum(axis=2, keepdims=True),
                    truth, classes=("rain", "sun", "snow"))  # fmt: skip


def lines(axes: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), float))
            for line in axes.lines if not line.get_label().startswith("_")}  # fmt: skip


def test_each_column_has_a_panel_with_what_was_said_and_what_came() -> None:
    f = forecast()
    figure = forecast_figures.forecasts(f, "a title")
    assert [axes.get_ylabel() for axes in figure.axes] == ["x [°C]", r"price \$"]
    assert figure.axes[-1].get_xlabel() == "day"
    days = np.arange("1970-01-01", ROWS, dtype="M8[D]")
    for i, axes in enumerate(figure.axes):
        found = lines(axes)
        assert [*found] == ["truth", "forecast, 1 row ahead", "forecast, 7 rows ahead"]
        came, known = found["truth"], np.isfinite(f.truth[:, 0, i])
        np.testing.assert_array_equal(came[1][:ROWS][known], f.truth[known, 0, i])
        np.testing.assert_array_equal(came[0][:ROWS], days + 1)
        assert np.isnan(came[1][known.sum() :]).all()
        for name, values, h in (("forecast, 1 row ahead", f.values[:, 0, i], 1),
                                ("forecast, 7 rows ahead", f.values[:, 1, i], 7)):  # fmt: skip
            np.testing.assert_array_equal(found[name][1], values)
            np.testing.assert_array_equal(found[name][0], days + h)  # where the row is that it is of
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices[:, 1]
        assert f.low is not None
        assert f.high is not None
        assert corners.min() == pytest.approx(f.low[:, 0, i].min())
        assert corners.max() == pytest.approx(f.high[:, 0, i].max())
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 4


def test_of_many_rows_the_last_are_shown_and_that_is_said() -> None:
    f = forecast(1234)
    figure = forecast_figures.forecasts(f, "a title")
    assert figure.get_suptitle() == "a title\nthe last 300 of 1,234 rows"
    np.testing.assert_array_equal(lines(figure.axes[0])["truth"][1][:SHOWN], f.truth[-SHOWN:, 0, 0])
    assert forecast_figures.forecasts(forecast(SHOWN), "a title").get_suptitle() == "a title"
    wide = replace(
        forecast(), targets=tuple(f"c{i}" for i in range(20)),
        **{name: np.zeros((ROWS, 2, 20)) for name in ("values", "truth", "low", "high")},
    )  # fmt: skip
    figure = forecast_figures.forecasts(wide, "a title")
    assert figure.get_suptitle() == "a title\nthe first 12 of 20 columns"
    assert len(figure.axes) == 12


def test_truth_that_one_horizon_does_not_know_is_that_of_another() -> None:
    f = forecast()
    f.truth[20, 0, 0] = np.nan  # of row 21, which is that of row 14 + 7
    _, y = lines(forecast_figures.forecasts(f, "a title").axes[0])["truth"]
    assert y[20] == f.truth[14, 1, 0]
    f.truth[14, 1, 0] = np.nan
    _, y = lines(forecast_figures.forecasts(f, "a title").axes[0])["truth"]
    assert np.isnan(y[20])


def test_lines_are_broken_between_sequences() -> None:
    f = forecast(horizons=(1,), sequence=np.repeat(["a", "b"], ROWS // 2))
    assert f.time is not None
    f = replace(f, time=f.time._replace(values=np.tile(f.time.values[: ROWS // 2], 2)))
    figure = forecast_figures.forecasts(f, "a title")
    x, y = lines(figure.axes[0])["forecast, 1 row ahead"]
    (gap,) = np.flatnonzero(np.isnan(y))
    assert gap == ROWS // 2
    np.testing.assert_array_equal(np.delete(y, gap), f.values[:, 0, 0])
    np.testing.assert_array_equal(np.delete(x, gap), np.arange(ROWS) + 1)  # times lie over one another
    _, y = lines(figure.axes[0])["truth"]
    assert np.isnan(y[[ROWS // 2 - 1, ROWS // 2]]).tolist() == [False, True]
    marks = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert marks == [ROWS // 2]


def test_a_lane_for_each_class() -> None:
    f = classes()
    found = lines(forecast_figures.forecasts(f, "a title").axes[0])
    np.testing.assert_array_equal(found["truth"][1], f.truth[:, 0].argmax(axis=1))
    np.testing.assert_array_equal(found["forecast, of the same row"][1], f.values[:, 0].argmax(axis=1))


# --- errors --------------------------------------------------------------------------------------------


def report(horizons: tuple[int, ...] = (1, 7)) -> Report:
    f = forecast(horizons=horizons)
    return report_on(f, {"persistence": f.values + 1, "ridge": f.values - 3}, "bptt")


def test_errors_by_horizon_beside_those_of_simple_methods() -> None:
    of = report()
    figure = forecast_figures.errors(of, "a title")
    assert [axes.get_title() for axes in figure.axes] == ["x", r"price \$"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["RMSE [°C]", "RMSE"]
    for axes, column in zip(figure.axes, ("x", "price $")):
        found = lines(axes)
        assert [*found] == ["bptt", "persistence", "ridge"]
        for name, (x, y) in found.items():
            own = {row.horizon: row.figures()["rmse"] for row in of.rows
                   if (row.forecaster, row.column) == (name, column)}  # fmt: skip
            assert dict(zip(x.tolist(), y.tolist())) == own
    styles = [(line.get_linestyle(), line.get_marker(), line.get_color()) for line in axes.lines]
    for each in zip(*styles):
        assert len(set(each)) == 3  # each of them tells the lines apart


def test_with_one_horizon_a_bar_for_each() -> None:
    of = report((1,))
    figure = forecast_figures.errors(of, "a title")
    for axes, column in zip(figure.axes, ("x", "price $")):
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == [row.figures()["rmse"] for row in of.rows if row.column == column]
        assert [text.get_text() for text in axes.get_yticklabels()] == ["bptt", "persistence", "ridge"]


def test_the_table_of_confusions() -> None:
    f = classes(horizons=(1, 3))
    of = report_on(f, {"other": f.values[::-1]}, "bptt")
    figure = forecast_figures.confusion(of, "a title")
    assert [axes.get_title() for axes in figure.axes] == ["1 row ahead", "3 rows ahead"]
    for axes, h in zip(figure.axes, (1, 3)):
        counts = of.confusions["bptt", h]
        assert [int(text.get_text()) for text in axes.texts] == counts.ravel().tolist()
        shares = counts / counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(axes.images[0].get_array(), shares)
    with pytest.raises(RnnsimError, match="must be of forecasts of classes"):
        forecast_figures.confusion(report(), "a title")


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_figures_are_written(ending: str, begins: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"figure.{ending}"
    forecast_figures.forecasts(forecast(), "a title", path)
    assert path.read_bytes().startswith(begins)
    with pytest.raises(RnnsimError, match="must end in"):
        forecast_figures.errors(report(), "a title", tmp_path / "figure.xyz")
    with pytest.raises(RnnsimError, match="there is nothing to draw"):
        forecast_figures.forecasts(forecast().last(0), "a title")
