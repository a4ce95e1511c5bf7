"""Reports of forecasts: each figure by its measure, on the same rows for all; who is best; the forms."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import naive_measures as naive
import numpy as np
import pytest

from rnnsim.data.forecast import Forecast
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.runs.forecast_reports import Report, report_on

T = 40


def forecast(**other: Any) -> Forecast:
    """Two columns at two horizons: truth with noise."""
    rng = np.random.default_rng(0)
    truth = 10 + rng.normal(size=(T, 2, 2)) * [1, 100]
    truth[-1:, 0] = truth[-5:, 1] = np.nan
    values = np.nan_to_num(truth, nan=10) + rng.normal(size=truth.shape) * [0.5, 50]
    made = Forecast(("x", "y"), (1, 5), np.arange(T), values, truth, values - 1, values + 1, 0.9)
    return replace(made, **other)


def others(f: Forecast, *scales: float) -> dict[str, np.ndarray]:
    """Forecasts whose errors are so many times as large."""
    return {f"times {s:g}": f.truth + s * (f.values - f.truth) for s in scales}


def figures(report: Report) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {(row.forecaster, row.column, row.horizon): row.figures() for row in report.rows}


def test_each_figure_is_its_measure() -> None:
    f = forecast()
    found = figures(report_on(f, {}, "net"))
    assert [*found] == [("net", name, h) for name in ("x", "y") for h in (1, 5)]
    for (_, name, h), of in found.items():
        at = (slice(None), (1, 5).index(h), ("x", "y").index(name))
        values, truth = f.values[at], f.truth[at]
        assert of["scored"] == np.isfinite(truth).sum()
        assert of["rmse"] == pytest.approx(naive.rmse(values, truth))
        assert of["mae"] == pytest.approx(naive.mae(values, truth))
        assert of["nrmse"] == pytest.approx(naive.nrmse(values, truth))
        assert of["jitter"] == pytest.approx(naive.jitter(values, "a" * T))
        inside = [abs(v - d) <= 1 for v, d in zip(values, truth) if not math.isnan(d)]
        assert of["coverage"] == pytest.approx(np.mean(inside))


def test_all_are_scored_on_the_rows_where_all_have_a_forecast() -> None:
    f = forecast()
    late = f.values.copy()
    late[:7] = np.nan
    absent = np.full_like(late, np.nan)
    report = report_on(f, {"late": late, "absent": absent}, "net")
    found = figures(report)
    alone = figures(report_on(f.last(T - 7), {}, "net"))
    for name in ("net", "late"):
        assert found[name, "x", 1]["rmse"] == pytest.approx(alone["net", "x", 1]["rmse"])
        assert found[name, "x", 1]["scored"] == T - 7 - 1
    assert found["absent", "x", 1]["scored"] == 0  # and does not make the others be left out
    assert report.left_out == 7
    assert report_on(f, {}, "net").left_out == 0
    assert found["net", "x", 1]["rmse"] != figures(report_on(f, {}, "net"))["net", "x", 1]["rmse"]


def test_who_is_best() -> None:
    f = forecast()
    report = report_on(f, others(f, 0.5, 2), "net")
    assert report.best == {(name, h): "times 0.5" for name in ("x", "y") for h in (1, 5)}
    assert set(report_on(f, others(f, 1.5, 2), "net").best.values()) == {"net"}
    mixed = f.truth + np.array([0.5, 2]) * (f.values - f.truth)  # better in x, worse in y
    best = report_on(f, {"mixed": mixed}, "net").best
    assert best == {("x", 1): "mixed", ("x", 5): "mixed", ("y", 1): "net", ("y", 5): "net"}
    assert "best by RMSE, of 4 columns and horizons: net in 2, mixed in 2" in report_on(
        f, {"mixed": mixed}, "net"
    ).text()  # fmt: skip


def test_a_network_is_not_best_by_saying_the_same() -> None:
    f = forecast()
    assert set(report_on(f, {"same": f.values, "worse": f.values + 900}, "net").best.values()) == {
        "same"
    }


def test_the_forms_tell_the_same() -> None:
    f = forecast()
    report = report_on(f, others(f, 2), "net")
    data = report.as_dict()
    json.dumps(data, allow_nan=False)
    lines = [*csv.DictReader(io.StringIO(report.csv()))]
    assert len(lines) == len(data["measures"]) == len(report.rows) == 8
    for line, entry, row in zip(lines, data["measures"], report.rows):
        for name, value in row.figures().items():
            assert float(line[name]) == entry[name] == value
        assert (line["forecaster"], line["column"], int(line["horizon"])) == row[:3]
        if row.coverage is None:
            assert line["coverage"] == ""
    assert data["best"] == [
        {"column": c, "horizon": h, "forecaster": "net"} for c in ("x", "y") for h in (1, 5)
    ]
    table = [line for line in report.markdown().splitlines() if line.startswith("|")]
    assert len(table) == 2 + 8
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]
    plain = report.text().split("\n\n")[0].splitlines()[1:]
    for row, of, line in zip(report.rows, cells, plain):
        assert of[:4] == [row.column, str(row.horizon), row.forecaster, str(row.found.scored)]
        assert of[4] == f"{row.figures()['rmse']:.4g}"
        assert line.split() == " ".join(of).split()


def test_what_is_undefined_is_empty_and_none() -> None:
    one = forecast().at(np.arange(T) == 3)
    report = report_on(one, {}, "net")
    assert report.csv().splitlines()[1].split(",")[6:8] == ["", ""]
    assert report.as_dict()["measures"][0]["nrmse"] is None
    assert " none " in report.text()


def test_names_of_any_kind_stay_within_their_cells() -> None:
    f = forecast(targets=("a|b", "<two\nlines>"))
    report = report_on(f, {"x|y": f.values}, "net")
    rows = report.markdown().split("\n\n")[0].splitlines()
    bars = {row.replace("\\|", "").count("|") for row in rows}
    assert len(rows) == 2 + 8
    assert len(bars) == 1
    assert "<two" not in report._repr_html_()
    assert len(report.text().split("\n\n")[0].splitlines()) == 1 + 8


def test_without_any_truth_nothing_is_scored() -> None:
    f = forecast()
    with pytest.raises(RnnsimError, match="no forecast can be scored"):
        report_on(replace(f, truth=np.full_like(f.truth, np.nan)), {}, "net")


# --- classes -------------------------------------------------------------------------------------------


def told() -> Forecast:
    rng = np.random.default_rng(2)
    weights = rng.random((T, 1, 3))
    truth = np.eye(3)[rng.integers(0, 3, (T, 1))]
    truth[-1] = np.nan
    return Forecast(("sky",), (0,), np.arange(T), weights / weights.sum(axis=2, keepdims=True), truth,
                    classes=("rain", "sun", "snow"))  # fmt: skip


def test_classes_have_accuracy_and_a_table_of_confusions() -> None:
    f = told()
    report = report_on(f, {"knows": np.nan_to_num(f.truth, nan=0.3)}, "net")
    found = figures(report)["net", "sky", 0]
    assert found["accuracy"] == pytest.approx(naive.accuracy(f.values[:, 0], f.truth[:, 0]))
    assert found["cross_entropy"] == pytest.approx(naive.cross_entropy(f.values[:, 0], f.truth[:, 0]))
    assert report.best == {("sky", 0): "knows"}
    counts = naive.confusion(f.values[:, 0], f.truth[:, 0], 3)
    assert report.as_dict()["confusion"][0] == {"forecaster": "net", "horizon": 0, "counts": counts}
    lines = report.text().split("\n\n")[-1].splitlines()
    assert [line.split() for line in lines[1:]] == [
        [name, *map(str, of)] for name, of in zip(f.classes, counts)
    ]
    assert "best by accuracy: knows" in report.text()


def test_equal_accuracies_are_told_apart_by_cross_entropy() -> None:
    f = told()
    surer = f.values**2 / (f.values**2).sum(axis=2, keepdims=True)
    pair = report_on(f, {"surer": surer}, "net")
    by_name = figures(pair)
    entropies = {name: by_name[name, "sky", 0]["cross_entropy"] for name in ("net", "surer")}
    assert by_name["net", "sky", 0]["accuracy"] == by_name["surer", "sky", 0]["accuracy"]
    assert pair.best["sky", 0] == min(entropies, key=lambda name: entropies[name])


# --- files ---------------------------------------------------------------------------------------------


def test_a_report_is_written_in_each_form(tmp_path: Path) -> None:
    report = report_on(forecast(), {}, "net")
    for form in ("text", "csv", "markdown"):
        path = report.save(tmp_path / "report", form)
        assert path.read_text() == report.as_text(form)
        assert path.read_text().endswith("\n")
    with pytest.raises(UnknownName, match="no form of a report is called 'txt'"):
        report.save(tmp_path / "other", "txt")
    with pytest.raises(RnnsimError, match=r"cannot write the report into .*: there is no folder"):
        report.save(tmp_path / "none" / "report")
    with pytest.raises(RnnsimError, match=r"cannot write the report into .*: it is a folder"):
        report.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["report"]
