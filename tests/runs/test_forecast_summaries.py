"""What a summary says of a run on the user's own data: how it ended, and how its forecasts are made."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.data.calibration import Calibration
from rnnsim.errors import RnnsimError
from rnnsim.runs import forecast_reports
from rnnsim.training.best import Best
from rnnsim.training.experiment import configure

pytestmark = pytest.mark.usefixtures("uncompiled")

SMALL: dict[str, Any] = {"hidden": 2, "window": 10, "steps": 72}
GENERIC = ("held-out loss", "best constant answer", "solved", "keep best", "learning rate")


def waves(rows: int = 60) -> dict[str, np.ndarray]:
    rng, t = np.random.default_rng(0), np.arange(rows)
    return {"a": np.sin(t / 3) + 0.1 * rng.normal(size=rows), "b": np.cos(t / 5)}


@cache
def run_of(rule: str = "bptt", **choices: Any) -> rnnsim.Run:
    return rnnsim.run(rule, waves(), **{**SMALL, **choices})


def following(*shares: float, **choices: Any) -> rnnsim.Run:
    """A run whose network is followed so far."""
    run = run_of(**choices)
    assert run.calibration is not None
    return replace(run, calibration=Calibration(np.array(shares), run.calibration.half_widths))


def test_a_summary_says_how_the_run_ended() -> None:
    run = run_of()
    first, second, *_ = run.summary().splitlines()
    assert first == "bptt on the mapping, seed 0: 72 steps"
    task: Any = run.experiment.task
    learnt = task.learnt_rows()
    rows = f"{72 / learnt:.3g} passes over the {learnt} rows that are learnt"
    assert second == f"{rows}; {run.steps_per_second:,.0f} steps per second"
    early = replace(run, outcome="stopped early", steps=learnt).summary().splitlines()
    assert early[0].endswith(f": {learnt} of 72 steps, stopped early: {run.experiment.patience} looks "
                             "at validation data without an improvement")  # fmt: skip
    assert early[1].startswith("1 pass over ")
    on_two = run_of(batch=2).summary().splitlines()[1]
    assert on_two.startswith(f"{2 * 72 / learnt:.3g} passes")


def test_what_is_said_of_other_tasks_is_not_said_of_data() -> None:
    of_task = rnnsim.run("bptt", "delayed-xor", hidden=2, steps=320, window=10).summary()
    assert all(words in of_task for words in GENERIC if words != "keep best")  # the control
    for run in (
        run_of(),
        run_of("rtrl", on_line=True, window=1, steps=60),
        run_of(target="a", linear=False),
    ):
        said = f"{run.summary()}\n{run._repr_html_().partition('<img')[0]}"
        assert not [words for words in GENERIC if words in said]


def test_a_criterion_of_the_user_is_told() -> None:
    run = run_of(solved_below=1e-9)
    assert "seed 0: not solved (held-out squared at most 1e-09, looked at every" in run.summary()
    assert ", scaled as it is learnt); " in run.summary()
    assert "solved at step 40 (held-out" in replace(run, solved_at=40).summary()
    assert "solved at step" in run._repr_html_()


def test_the_weights_that_forecast_are_told() -> None:
    run = run_of()
    learnt: Any = run.experiment.task
    early = replace(run, best=Best(learnt.learnt_rows(), 0.1, run.params)).summary()
    assert f"the weights after {learnt.learnt_rows()} steps (1 pass) did best on validation" in early
    assert "still improving" not in early
    assert (
        "still improving: try more steps (288)" in replace(run, best=Best(72, 0.1, run.params)).summary()
    )
    assert "before the first step did best" in replace(run, best=Best(0, 0.1, run.params)).summary()
    assert "did best" not in replace(run, best=None).summary()


def test_how_far_the_network_is_followed_is_told() -> None:
    run = following(0.25, 0.5)
    assert "a share that is found on validation rows: a 0.25, b 0.5" in run.summary()
    assert run.as_dict()["data"]["followed"] == [
        {"column": "a", "horizon": 1, "share": 0.25}, {"column": "b", "horizon": 1, "share": 0.5},
    ]  # fmt: skip
    assert "a 0.25, b 0.5" in run._repr_html_()
    none = following(0, 0)
    assert "on validation rows the network does not improve the linear path" in none.summary()
    several = following(0.1, 0.2, 0.3, 0.4, ahead="1,2")
    assert "a 1 ahead 0.1, b 1 ahead 0.2, a 2 ahead 0.3, b 2 ahead 0.4" in several.summary()
    many = following(*np.arange(10) / 10, ahead="1,2,3,4,5")
    assert "0.45 in the median of 10 outputs, from 0 to 0.9" in many.summary()


def test_without_a_linear_path_or_validation_rows_nothing_is_followed() -> None:
    alone = run_of(linear=False, target="a")
    assert "linear path" not in alone.summary()
    assert alone.as_dict()["data"]["followed"] is None
    whole = run_of(validation=0)
    assert "without validation rows the network is followed whole" in whole.summary()
    assert whole.as_dict()["data"]["followed"] is None


def test_a_run_that_learns_row_by_row_says_so() -> None:
    run = run_of("rtrl", on_line=True, window=1, steps=60)
    said = run.summary()
    assert "of the 60 rows 60 were forecast and then learnt, one by one" in said
    assert "forecasts of the second half of the rows, made before their truth was known" in said
    assert "validation" not in said
    assert "at the last rows" in said
    told = run.as_dict()["data"]
    assert (told["source"], told["on_line"], told["learnt_rows"]) == ("the mapping", True, 60)


def test_without_a_test_part_that_is_said() -> None:
    run = run_of()
    task: Any = run.experiment.task
    data = waves()
    with pytest.MonkeyPatch.context() as patch:
        rows = task.rows_of_part(2)
        empty = replace(rows, counted=np.zeros_like(rows.counted))
        patch.setattr(type(task), "rows_of_part", lambda self, part: empty)
        assert "cannot be scored: no row has a target in the test part" in run.summary()
        with pytest.raises(RnnsimError, match="no row has a target in the test part"):
            run.evaluate()
        assert run.evaluate(data).rows  # the control


def test_data_are_called_by_their_file(tmp_path: Path) -> None:
    path = tmp_path / "two waves.csv"
    path.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in zip(*waves().values())))
    run = rnnsim.run("bptt", path, **SMALL)
    assert run.summary().startswith("bptt on two waves.csv, seed 0: ")
    assert run.as_dict()["data"]["source"] == "two waves.csv"
    assert run.plot().get_suptitle() == f"bptt on two waves.csv, {run.steps} steps"
    assert run.plot(what="forecast").get_suptitle().startswith("bptt on two waves.csv")
    assert run.plot(what="forecast", data=waves()).get_suptitle().startswith("bptt on other rows")
    many: Any = configure("bptt", f"{path}, {path}").task
    assert many.data_name() == f"{path}, {path}"


def test_other_tasks_have_no_data() -> None:
    assert rnnsim.run("bptt", "delayed-xor", hidden=2, steps=20, window=10).as_dict()["data"] is None


def test_many_columns_and_horizons_have_a_line_for_each_forecaster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = run_of(ahead="1,2").evaluate()
    assert report.brief() == report.text()
    monkeypatch.setattr(forecast_reports, "MOST_ROWS", 3)
    head, *lines = report.brief().split("\n\n")[0].splitlines()
    assert head.split() == ["forecast", "median", "nRMSE", "best", "in"]
    names = [*dict.fromkeys(row.forecaster for row in report.rows)]
    found = {line[: len(max(names, key=len))].strip(): line.split()[-2:] for line in lines}
    assert [*found] == names
    for name, (middle, best) in found.items():
        nrmse = [row.figures()["nrmse"] for row in report.rows if row.forecaster == name]
        assert float(middle) == pytest.approx(np.median(nrmse), rel=1e-3)
        assert int(best) == [*report.best.values()].count(name)
    assert "<th" in report._repr_html_()
    assert "median nRMSE" in report._repr_html_()
    assert "median nRMSE" not in report.text()


def test_the_network_is_set_beside_the_others() -> None:
    report = run_of(ahead="1,2").evaluate()
    rmse = {row[:3]: row.figures()["rmse"] for row in report.rows}
    at = [(column, horizon) for name, column, horizon in rmse if name == "persistence"]
    ratios = [rmse["bptt", *each] / rmse["persistence", *each] for each in at]
    assert report.ratios["persistence"] == pytest.approx(np.median(ratios))
    assert "bptt" not in report.ratios
    assert f"over that of others (medians): persistence {np.median(ratios):.3g}, " in report.text()
    assert "medians" not in run_of(target="a").evaluate().text()
