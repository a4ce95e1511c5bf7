"""Runs on the user's own data: they forecast other rows, say how good that is, and learn row by row."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import naive_measures as naive
import numpy as np
import pytest
from forecast_task import ROWS, Waves, as_text, columns_of, register, table

import rnnsim
from rnnsim.data import intervals
from rnnsim.data.arriving import Arriving
from rnnsim.data.columns import Reading
from rnnsim.data.forecast import Forecast
from rnnsim.data.lines import Line, lines_of
from rnnsim.data.parts import TEST, VALIDATION
from rnnsim.data.roles import Roles
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.runs import forecasts
from rnnsim.runs.on_line_forecasts import OnLine
from rnnsim.training.best import Best

pytestmark = pytest.mark.usefixtures("uncompiled")


@cache
def run_of(rule: str = "bptt", ahead: tuple[int, ...] = (1, 3), is_class: bool = False,
           holes: bool = False, **choices: Any) -> rnnsim.Run:  # fmt: skip
    return rnnsim.run(rule, Waves(ahead=ahead, is_class=is_class, holes=holes), **choices)


def data(seed: int = 3, holes: bool = False, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Other rows, as a user has them."""
    return {name: one.values for name, one in table(seed, holes, rows).columns.items()}


def task_of(run: rnnsim.Run) -> Waves:
    task = run.experiment.task
    assert isinstance(task, Waves)
    return task


# --- other rows ----------------------------------------------------------------------------------------


def test_a_forecast_is_what_the_network_says_in_units() -> None:
    run, given = run_of(), data()
    found = run.predict(given)
    assert isinstance(found, Forecast)
    _, made = task_of(run).model()
    rows = task_of(run).new_rows(given)
    said = rnnsim.simulate(run.experiment.network, run.params, rows.inputs, resets=rows.resets).outputs
    for o, (j, i) in enumerate(np.ndindex(2, 2)):
        values = made.rest.mean[o] + made.rest.scale[o] * said[:, 0, o]
        np.testing.assert_allclose(found.values[:, j, i], values)
    for j, h in enumerate((1, 3)):
        for i, name in enumerate(("high", "low")):
            np.testing.assert_array_equal(found.truth[:-h, j, i], given[name][h:])
            assert np.isnan(found.truth[-h:, j, i]).all()
    assert found.targets == ("high", "low")
    assert found.time is not None
    assert (found.time.name, found.time.values.tolist()) == ("day", given["day"].tolist())


def test_rows_in_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_of().predict(data())
    monkeypatch.setattr(forecasts, "PIECE", 7)
    np.testing.assert_allclose(run_of().predict(data()).values, whole.values, rtol=1e-12)


def test_targets_and_time_may_be_absent() -> None:
    run = run_of(ahead=(0,), is_class=True)
    given = data()
    whole = run.predict(given)
    bare = run.predict({name: given[name] for name in ("high", "low")})
    np.testing.assert_array_equal(bare.values, whole.values)
    assert bare.time is None
    assert np.isnan(bare.truth).all()
    assert whole.classes == ("rain", "sun")
    np.testing.assert_allclose(whole.values.sum(axis=2), 1)
    with pytest.raises(UnknownName, match="no column is called 'low'"):
        run.predict({"high": given["high"], "lows": given["low"]})


def test_intervals_are_by_the_errors_on_the_validation_part() -> None:
    run = run_of()
    rows = task_of(run).rows_of_part(VALIDATION)
    said = run.predict(data(0))  # of the data of the run, whole
    errors = (said.truth - said.values)[rows.index][rows.counted]
    known = np.isfinite(rows.truth[rows.counted]).reshape(errors.shape)
    half = intervals.half_width(intervals.half_widths(np.where(known, errors, np.nan)), 0.8)
    found = run.predict(data(), level=0.8)
    assert found.low is not None
    assert found.high is not None
    assert found.level == 0.8
    np.testing.assert_allclose(found.high - found.values, np.broadcast_to(half, found.values.shape))
    np.testing.assert_allclose(found.values - found.low, np.broadcast_to(half, found.values.shape))
    assert run_of(ahead=(0,), is_class=True).calibration is None


def test_without_data_the_test_part_is_scored() -> None:
    run = run_of()
    report = run.evaluate()
    rows = task_of(run).rows_of_part(TEST)
    whole = run.predict(data(0)).at(np.isin(np.arange(ROWS), rows.index[rows.counted]))
    errors = whole.values[:, 0, 0] - np.where(
        np.isfinite(rows.truth[rows.counted][:, 0]), whole.truth[:, 0, 0], np.nan
    )
    network = report.rows[0]
    assert (network.forecaster, network.column, network.horizon) == ("bptt", "high", 1)
    # the state comes from the rows before, as far back as it is kept
    assert network.figures()["rmse"] == pytest.approx(np.sqrt(np.nanmean(errors**2)), rel=1e-6)
    names = {row.forecaster for row in report.rows}
    assert names == {"bptt", "persistence"}
    held = [row.found.scored for row in report.rows if row.column == "high"]
    assert len(set(held[:2])) == 1


def test_other_data_are_scored() -> None:
    given = data(5)
    report = run_of().evaluate(given, level=0.5)
    (own,) = [row for row in report.rows if row[:3] == ("persistence", "high", 3)]
    moved = given["high"][3:] - given["high"][:-3]
    assert own.figures()["rmse"] == pytest.approx(np.sqrt((moved**2).mean()))
    assert report.level == 0.5
    with pytest.raises(RnnsimError, match="no forecast can be scored"):
        run_of().evaluate({**given, "high": given["high"][:1], "low": given["low"][:1],
                           "day": given["day"][:1], "sky": given["sky"][:1]})  # fmt: skip


def test_the_parameters_that_did_best_are_asked() -> None:
    run = run_of()
    best = Best(10, 1.0, run.experiment.network.init(5))
    kept = dataclasses.replace(run, best=best).predict(data())
    given = run.predict(data(), params=best.params)
    last = run.predict(data())
    np.testing.assert_array_equal(kept.values, given.values)
    assert not np.allclose(kept.values, last.values)
    for found in (kept, given, last):
        assert found.low is not None
    assert not np.allclose(given.values - given.low, last.values - last.low)  # by errors of its own


def test_other_parameters_have_no_intervals_where_the_data_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(self: Waves, part: int) -> Any:
        raise RnnsimError("there is no file waves.csv")

    run = run_of()
    with_intervals = run.predict(data(), params=run.params)
    monkeypatch.setattr(Waves, "rows_of_part", gone)
    assert with_intervals.low is not None
    assert run.predict(data(), params=run.params).low is None
    assert run.predict(data()).low is not None  # those of the run are kept with it


def test_other_runs_answer_as_before_and_refuse_rows() -> None:
    run = rnnsim.run("bptt", "delayed-xor", hidden=2, steps=20, window=10)
    assert run.predict(np.zeros((3, 2))).shape == (3, 1, 1)
    with pytest.raises(RnnsimError, match="this run is of the task delayed-xor; only runs on data"):
        run.evaluate()
    with pytest.raises(RnnsimError, match="this run is of the task delayed-xor"):
        run.plot(what="forecast")
    with pytest.raises(RnnsimError, match="resets and initial_state are for runs on arrays"):
        run_of().predict(data(), resets=np.zeros(ROWS, bool))
    with pytest.raises(RnnsimError, match="data is for the figures"):
        run_of().plot(what="curve", data=data())
    with pytest.raises(UnknownName, match="no figure is called 'forecats'; did you mean forecast"):
        run_of().plot(what="forecats")


def test_figures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = run_of()
    for what in ("curve", "forecast", "errors"):
        run.plot(tmp_path / f"{what}.svg", what=what)
    run.plot(tmp_path / "other.svg", what="forecast", data=data())
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 4
    figure = run_of(ahead=(0,), is_class=True).plot(what="confusion")
    assert figure.get_suptitle() == "bptt on two waves"


def test_a_summary_says_how_good_forecasts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of()
    report = run.evaluate()
    head = "\n\nforecasts of the test part, in the columns' units\n\n"
    assert run.summary().endswith(f"{head}{report.text()}")
    assert run.as_dict()["forecasts"] == report.as_dict()
    assert report._repr_html_() in run._repr_html_()
    other = rnnsim.run("bptt", "delayed-xor", hidden=2, steps=20, window=10)
    assert "forecasts" not in other.summary()
    assert other.as_dict()["forecasts"] is None

    def gone(self: Waves, part: int) -> Any:
        raise RnnsimError("there is no file waves.csv")

    monkeypatch.setattr(Waves, "rows_of_part", gone)
    assert run.summary().endswith(f"{head}cannot be scored: there is no file waves.csv")
    assert run.as_dict()["forecasts"] is None


# --- kept ----------------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.mark.usefixtures("registered")
def test_a_run_that_is_loaded_forecasts_the_same(tmp_path: Path) -> None:
    run = run_of()
    again = rnnsim.load(run.save(tmp_path / "run"))
    one, other = run.predict(data()), again.predict(data())
    for name in ("values", "low", "high"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert again.evaluate().as_dict() == run.evaluate().as_dict()


# --- row by row ----------------------------------------------------------------------------------------


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def values_of(said: list[str], forecast: Forecast) -> np.ndarray:
    """What lines say, in the form of a forecast."""
    rows = [*csv.DictReader(said)]
    several = len(forecast.horizons) > 1
    found = np.empty(forecast.values.shape)
    for t, j, i in np.ndindex(found.shape):
        ahead = f" +{forecast.horizons[j]}" if several else ""
        name = f"p({forecast.classes[i]})" if forecast.classes else forecast.targets[i]
        found[t, j, i] = float(rows[t][f"{name}{ahead}"] or "nan")
    return found


FEW = 50
STILL = {"rule": "rtrl", "window": 1, "steps": 40}


@pytest.mark.parametrize("kind", [{"ahead": (1, 5)}, {"ahead": (1,)}, {"ahead": (0,), "is_class": True}])
def test_rows_that_arrive_are_forecast_from_like_rows_of_a_file(kind: Any) -> None:
    """Without learning."""
    run = run_of(**STILL, **kind, learning_rate=0.0)
    whole = run.predict(data(rows=FEW))
    said = [*OnLine(run, "a pipe").forecasts(lines(as_text(table(3, rows=FEW))))]
    np.testing.assert_allclose(values_of(said, whole), whole.values, rtol=1e-9)
    rows = [*csv.DictReader(said)]
    assert [row["row"] for row in rows] == [*map(str, range(FEW))]
    assert rows[1]["day"] == "2020-09-14"  # as it came
    if whole.high is not None:
        name = "high high" if len(whole.horizons) == 1 else "high +1 high"
        np.testing.assert_allclose([float(row[name]) for row in rows], whole.high[:, 0, 0])


@pytest.mark.parametrize("kind", [{"ahead": (1, 3)}, {"ahead": (1,)}, {"ahead": (1, 2), "holes": True},
                                  {"ahead": (0,), "is_class": True}])  # fmt: skip
def test_each_target_is_learnt_when_it_is_known(kind: Any) -> None:
    """Beside one call of a learner with delayed targets, which answers before it learns."""
    run = run_of(**STILL, **kind)
    holes = kind.get("holes", False)
    on_line = OnLine(run, "a pipe")
    said = [*on_line.forecasts(lines(as_text(table(3, holes, FEW))))]
    rows = task_of(run).new_rows(data(3, holes, FEW))
    furthest, made = max(kind["ahead"]), rows.preparation
    delay = max(0, furthest - 1)
    truth = np.full(rows.truth.shape, np.nan)  # of the row that is so much older
    truth[delay:] = rows.truth[: FEW - delay]
    targets = (truth - rows.base) / made.rest.scale
    mask = np.isfinite(targets).astype(float)
    if kind.get("is_class"):
        mask = mask.min(axis=1)
    learner = run.learner(delay=delay)
    outputs = learner.learn(rows.inputs, np.nan_to_num(targets), mask=mask, resets=rows.resets).outputs
    wanted = rows.forecast(outputs[:, 0])
    np.testing.assert_allclose(values_of(said, wanted), wanted.values, rtol=1e-9)
    still = run.predict(data(3, holes, FEW))
    assert not np.allclose(wanted.values, still.values, rtol=1e-3)  # it has learnt
    moved = on_line.learnt()
    assert not np.array_equal(moved.params.W, run.params.W)
    assert moved.checkpoint is None


@pytest.mark.parametrize("ahead", [(1,), (1, 3)])
def test_intervals_follow_what_was_said_and_came_of_late(
    ahead: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a loop over what was printed."""
    monkeypatch.setattr("rnnsim.runs.on_line_forecasts.LEAST", 12)
    run, given = run_of(**STILL, ahead=ahead), data(rows=FEW)
    whole = run.predict(given)
    said = [*OnLine(run, "a pipe", 0.5).forecasts(lines(as_text(table(3, rows=FEW))))]
    values, rows = values_of(said, whole), [*csv.DictReader(said)]
    for j, h in enumerate(ahead):
        name = f"high +{h}" if len(ahead) > 1 else "high"
        for t in range(FEW):
            width = (float(rows[t][f"{name} high"]) - float(rows[t][f"{name} low"])) / 2
            known = t - max(ahead) + 1  # forecasts whose truth is known for all horizons
            if known < 12:
                assert run.calibration is not None
                wanted = intervals.half_width(run.calibration.half_widths, 0.5)[j, 0]
            else:
                errors = [values[s, j, 0] - given["high"][s + h] for s in range(known)]
                wanted = naive.half_width(errors, 500)
            assert width == pytest.approx(wanted), (t, h)


def test_no_forecast_depends_on_later_rows() -> None:
    run = run_of(**STILL, ahead=(1, 3))
    whole = lines(as_text(table(3, rows=FEW)))
    other = [*whole[:30], *lines(as_text(table(4, rows=FEW)))[30:]]
    one, two = ([*OnLine(run, "a pipe").forecasts(each)] for each in (whole, other))
    assert one[:30] == two[:30]
    assert one[30] != two[30]
    assert len(one) == len(two) == FEW + 1


def test_a_line_is_answered_before_the_next_is_asked_for() -> None:
    asked: list[int] = []

    def text() -> Iterator[str]:
        for i, line in enumerate(lines(as_text(table(3, rows=6)))):
            asked.append(i)
            yield line

    answers = OnLine(run_of(**STILL), "a pipe").forecasts(text())
    next(answers)  # the header
    for i in range(1, 7):
        assert next(answers).startswith(f"{i - 1},")
        assert asked[-1] == i
    assert next(answers, None) is None


def test_a_sequence_begins_where_its_name_changes() -> None:
    roles = Roles(("high",), ("high",), sequence="id")
    read = [*lines_of(["id,high\n", "a,1\n", "a,2\n", "b,7\n", "\n", "b,8\n"], roles, "a pipe")]
    assert [line.sequence for line in read] == ["a", "a", "b", "b"]
    _, made = task_of(run_of()).model()
    rows = Arriving(roles, made, "a pipe")
    assert [rows.add(line) for line in read] == [True, False, True, False]
    assert rows.columns().columns["high"].values.tolist() == [7, 8]
    assert rows.columns().lengths == (2,)


@pytest.mark.parametrize(
    ("times", "refused"), [(["2020-01-02", "2020-01-03", "2020-01-01"], 2), (["1", "2", "10"], None),
                           (["10", "2"], 1), (["3", "3"], 1), (["", "3", "soon", "1"], None)],
)  # fmt: skip
def test_rows_are_to_arrive_in_the_order_of_time(times: list[str], refused: int | None) -> None:
    roles, made = task_of(run_of()).model()
    rows = Arriving(roles._replace(time="day"), made, "a pipe")
    lines = [Line(time, "", {"high": "1", "low": "2"}, i + 2) for i, time in enumerate(times)]
    for line in lines[:refused]:
        rows.add(line)
    if refused:
        with pytest.raises(RnnsimError, match=f"^a pipe, line {refused + 2}: day is {times[refused]}, "):
            rows.add(lines[refused])


def test_rows_that_arrive_are_read_as_people_write_them() -> None:
    roles, made = task_of(run_of(ahead=(0,), is_class=True)).model()
    text = ["\ufeffhigh; sky ;low\n", "1,5;sun;NA\n", "true;;2\n", "3;fog;-\n"]
    rows = Arriving(roles, made, "a pipe")
    for line in lines_of(text, roles, "a pipe"):
        rows.add(line)
    found = {name: one.values.tolist() for name, one in rows.columns().columns.items()}
    assert str(found) == str({"high": [1.5, 1.0, 3.0], "low": [math.nan, 2.0, math.nan],
                              "sky": [1.0, math.nan, math.nan]})  # fmt: skip


def test_lines_without_a_header_are_read_where_the_data_had_none() -> None:
    roles = Roles(("x1", "x2"), ("x1",))
    read = [*lines_of(["1,2\n", "3,4\n"], roles, "a pipe", Reading(header="no"))]
    assert [line.cells for line in read] == [{"x1": "1", "x2": "2"}, {"x1": "3", "x2": "4"}]
    assert [line.number for line in read] == [1, 2]
    named = [*lines_of(["x2,x1\n", "3,4\n"], roles, "a pipe")]
    assert [(line.cells, line.number) for line in named] == [({"x1": "4", "x2": "3"}, 2)]


def test_two_lines_may_hold_the_names_as_in_a_file() -> None:
    roles = Roles(("North max", "South max"), ("North max",), time="day")
    text = ["sep=;\n", ";North;;South\n", "day;max;min;max\n", "d1;1;2;3\n", "d2;4;5;6\n"]
    read = [*lines_of(text, roles, "a pipe")]
    assert [(line.cells, line.time, line.number) for line in read] == [
        ({"North max": "1", "South max": "3"}, "d1", 4),
        ({"North max": "4", "South max": "6"}, "d2", 5),
    ]
    with pytest.raises(RnnsimError, match="no column is called 'North max'"):
        [*lines_of(["day;max;min;max\n", "d1;1;2;3\n"], roles, "a pipe")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ([], "a pipe has no lines; the first must be the names of the columns"),
        (["high,lows\n", "1,2\n"], "a pipe: no column is called 'low'; did you mean lows"),
        (["high,low\n", "1,2\n", "3\n"], "a pipe, line 3: 1 cells; there must be as many as columns, 2"),
        (["high,low\n", "1,2\n", "much,2\n"], "a pipe, line 3: high is 'much'; it must be a number"),
    ],
)
def test_lines_that_cannot_be_read_are_refused(text: list[str], error: str) -> None:
    with pytest.raises(RnnsimError) as caught:
        list(OnLine(run_of(**STILL), "a pipe").forecasts(text))
    assert str(caught.value).startswith(error)


def test_the_room_for_rows_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forecast from few rows before is the same."""
    run = run_of(**STILL)
    text = lines(as_text(table(3, rows=FEW)))
    whole = [*OnLine(run, "a pipe").forecasts(text)]
    monkeypatch.setattr("rnnsim.data.arriving.PAST", 2)
    few = OnLine(run, "a pipe")
    assert [*few.forecasts(text)] == whole
    assert few._rows.columns().rows == 2 + 1 + 3
    assert columns_of({}).rows == 0
