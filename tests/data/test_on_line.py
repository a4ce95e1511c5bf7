"""Tables that are learnt as their rows come: nothing that is said depends on a later row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import rnnsim
from rnnsim.data.on_line import copied, state_as_data, state_from
from rnnsim.data.recursive import advance, recursive
from rnnsim.errors import RnnsimError

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = 90
SMALL = {"hidden": 3, "on_line": True}


def waves(rows: int = ROWS, seed: int = 0) -> dict[str, np.ndarray]:
    t, rng = np.arange(rows), np.random.default_rng(seed)
    return {"a": 5 + np.sin(t / 3) + 0.1 * rng.standard_normal(rows),
            "b": 100 * np.cos(t / 3) + rng.standard_normal(rows)}  # fmt: skip


def forecasts(run: rnnsim.Run) -> np.ndarray:
    """What was said of all rows, in units: (rows, k), also of those that are not scored."""
    rows = run.experiment.task.rows_of_part(2)
    found = run.forecaster()
    outputs = found._said(rows)
    follow = rows.followed(outputs).shrink
    return np.asarray(rows.base + rows.scale * follow * outputs)


@pytest.mark.parametrize("ahead", ["1", "1,3"])
def test_a_forecast_depends_on_no_later_row(ahead: str) -> None:
    data = waves()
    before = forecasts(rnnsim.run("rtrl", data, ahead=ahead, **SMALL))
    changed = {name: np.r_[values[:60], values[60:] + 3.0] for name, values in data.items()}
    after = forecasts(rnnsim.run("rtrl", changed, ahead=ahead, **SMALL))
    np.testing.assert_array_equal(after[:60], before[:60])
    assert (after[60] != before[60]).any()  # the control: the row itself is seen


def test_intervals_are_of_errors_that_were_known_when_the_first_was_said() -> None:
    """That of four rows ahead, said at the last row before the second half, was not."""
    half, data = ROWS // 2, waves()

    def first_interval(begin: int) -> np.ndarray:
        changed = {name: np.r_[values[:begin], values[begin:] + 30] for name, values in data.items()}
        found = rnnsim.run("rtrl", changed, ahead=4, **SMALL).forecaster().forecast()
        assert found.rows[0] == half
        assert found.low is not None
        return np.asarray(found.low[0])

    np.testing.assert_array_equal(first_interval(half + 1), first_interval(ROWS))
    assert (first_interval(half) != first_interval(ROWS)).any()  # the control: the row itself is known


def ratio_to_persistence(data: dict[str, np.ndarray], ahead: int, seed: int) -> float:
    """The squared error of forecasts of x over that of its last value, in the second half."""
    run = rnnsim.run("rtrl", data, target="x", ahead=ahead, seed=seed, **SMALL)
    by = {row.forecaster: row.figures()["rmse"] ** 2 for row in run.evaluate().rows}
    return float(by["rtrl"] / by["persistence"])


@pytest.mark.parametrize("ahead", [1, 5, 20])
def test_a_random_walk_is_forecast_no_better_than_by_its_last_value(ahead: int) -> None:
    rows, ratios = 300, []
    for seed in range(3):
        walk = np.cumsum(np.random.default_rng(seed).standard_normal(rows + ahead))
        ratios.append(ratio_to_persistence({"x": walk[:rows]}, ahead, seed))
    least = 1 - 9 * ahead / rows  # three standard deviations of the ratio, of errors that overlap
    assert least < np.mean(ratios) < 1.5
    known = {"x": walk[:rows], "later": walk[ahead:]}  # the control: what is to come is a column
    assert ratio_to_persistence(known, ahead, 0) < min(least, 0.5)


def test_what_goes_on_is_the_same_to_the_bit(tmp_path: Path) -> None:
    whole = rnnsim.run("rtrl", waves(), ahead=2, **SMALL)
    at_40 = {"callback": lambda seen: bool(seen.step >= 40), "callback_every": 40}
    half = rnnsim.run("rtrl", waves(), ahead=2, save=tmp_path / "half", **at_40, **SMALL)
    assert half.outcome == "stopped"
    assert half.said is not None
    assert len(half.said) == half.steps
    kept = load_file(tmp_path / "half" / "arrays.safetensors")
    assert [name for name in kept if name.endswith("said")] == ["said"]  # once
    resumed = rnnsim.load(tmp_path / "half").resume()
    np.testing.assert_array_equal(resumed.said, whole.said)
    np.testing.assert_array_equal(forecasts(resumed), forecasts(whole))
    np.testing.assert_array_equal(resumed.params.W, whole.params.W)


def test_a_loaded_run_forecasts_other_rows_the_same(tmp_path: Path) -> None:
    run = rnnsim.run("rtrl", waves(), save=tmp_path / "run", **SMALL)
    again = rnnsim.load(tmp_path / "run")
    later = waves(30, seed=1)
    np.testing.assert_array_equal(again.predict(later).values, run.predict(later).values)
    assert again.evaluate().text() == run.evaluate().text()


def test_the_second_half_is_scored() -> None:
    run = rnnsim.run("rtrl", waves(), **SMALL)
    assert {row.found.scored for row in run.evaluate().rows} == {ROWS - 1 - ROWS // 2}
    assert run.steps == ROWS
    late = run.metrics["step"] > ROWS // 2
    assert run.loss == pytest.approx(run.metrics["loss"][late].mean(), rel=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"linear": False}, "on_line is learnt beside a linear path; leave out linear=false, or"),
        (
            {"target": "c", "kind": "class"},
            "on_line is for numbers, and the target is a class; choose another target=, or on_line",
        ),
        ({"lags": 2}, "on_line shows the network the last changes, .*; leave out lags=, or on_line"),
        (
            {"target_at": "end"},
            "on_line learns a target at each row; leave out target_at=end, or on_line",
        ),
        ({"test": 0.3}, "on_line learns all rows, .*; leave out validation=, test=, or on_line"),
        (
            {"solved_below": 0.1},
            "on_line has no validation rows .*; leave out solved_below=, or on_line",
        ),
        ({"batch": 2}, "each row is forecast before it is learnt, .*: batch is 1, not 2"),
    ],
)
def test_what_is_not_learnt_on_line(given: dict[str, Any], message: str) -> None:
    data = {**waves(), "c": np.arange(ROWS) % 3}
    with pytest.raises(RnnsimError, match=f"^{message}") as caught:
        rnnsim.run("rtrl", data, **SMALL, **given)
    assert "\n" not in str(caught.value)


def test_what_the_path_has_learnt_is_the_same_as_data() -> None:
    state = recursive(2, (0, 1), (1, 3))
    rows = np.random.default_rng(0).standard_normal((30, 2))
    starts = np.arange(30) == 0
    kept = copied(state)
    advance(state, rows, rows, starts)
    again = state_from(state_as_data(state))
    for one, other in ((again, state), (kept, recursive(2, (0, 1), (1, 3)))):
        more, same = (advance(copied(x), rows, rows, starts & False) for x in (one, other))
        np.testing.assert_array_equal(more.base, same.base)
    assert (advance(copied(again), rows, rows, starts & False).base[0] != 0).any()
