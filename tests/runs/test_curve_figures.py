"""Figures over the steps of learning, read back: curves of one run and of several, gradients."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_runs import legend, lines, train

import rnnsim
from rnnsim.data.learnt_error import learnt_error
from rnnsim.errors import RnnsimError
from rnnsim.runs import curve_figures, figures
from rnnsim.runs.spreads import POINTS

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled", "few_held_out")


# --- curves of several runs ----------------------------------------------------------------------------


def test_the_curve_of_one_run_is_that_of_its_metrics() -> None:
    run = train(keep="best", keep_every=20)
    figure = run.plot()
    upper, lower = figure.axes
    drawn = lines(upper)
    np.testing.assert_array_equal(drawn["while it learns"].get_xydata().T,
                                  [run.metrics["step"], run.metrics["loss"]])  # fmt: skip
    np.testing.assert_array_equal(drawn["validation data"].get_ydata(), run.metrics["validation_loss"])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), run.metrics["error"])
    assert (upper.get_ylabel(), lower.get_ylabel(), lower.get_xlabel()) == (
        "loss per target", "error", "time step")  # fmt: skip
    assert figure.get_suptitle() == "rtrl on delayed-xor, 60 steps"
    assert len({line.get_color() for line in upper.lines}) == len(upper.lines) == 3
    assert len({str(line._dash_pattern) for line in upper.lines}) == 3


def test_several_runs_have_their_curves_in_one_figure() -> None:
    one, other = train(), train("truncated-bptt", keep="best", keep_every=20)
    figure = one.plot(beside=other)
    loss, validation, score = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "loss per target", "loss on validation data", "error"]  # fmt: skip
    for run in (one, other):
        name = run.experiment.rule.name
        line = lines(loss)[name]
        np.testing.assert_array_equal(line.get_xydata().T, [run.metrics["step"], run.metrics["loss"]])
        np.testing.assert_array_equal(lines(score)[name].get_ydata(), run.metrics["error"])
    np.testing.assert_array_equal(lines(validation)["truncated-bptt"].get_ydata(),
                                  other.metrics["validation_loss"])  # fmt: skip
    assert "rtrl" not in lines(validation)
    assert legend(figure) == ["rtrl", "truncated-bptt", "best constant answer"]
    assert figure.get_suptitle() == "delayed-xor, 2 runs of up to 60 steps"


def test_several_runs_on_the_user_s_numbers_are_drawn_in_their_unit() -> None:
    data = {"a": np.sin(np.arange(60) / 3)}
    runs = [rnnsim.run("bptt", data, hidden=2, steps=40, seed=seed) for seed in (0, 1)]
    other = rnnsim.run("bptt", {"a": 3 * data["a"]}, hidden=2, steps=40, window=8)
    figure = runs[0].plot(beside=[runs[1], other])
    errors, validation = figure.axes
    assert errors.get_ylabel() == "root mean squared\nerror of a"
    assert validation.get_ylabel() == "error on validation data"
    for run, line in zip((runs[0], other), errors.lines):
        error = learnt_error(run.experiment.task, run.experiment.network)
        assert error is not None
        np.testing.assert_array_equal(line.get_ydata(), error.at(run.metrics["loss"]))
    xor = train()
    figure = runs[0].plot(beside=xor)
    assert figure.axes[0].get_ylabel() == "loss per target"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), runs[0].metrics["loss"])


def outline(axes: Any, number: int = 0) -> dict[float, set[float]]:
    """The lower and upper ends of a band by the step."""
    ends = dict[float, set[float]]()
    for x, y in axes.collections[number].get_paths()[0].vertices:
        ends.setdefault(x, set()).add(y)
    return ends


def test_seeds_are_one_line_their_median_in_a_band_between_the_quartiles() -> None:
    runs = [train(seed=seed) for seed in range(4)]
    figure = runs[0].plot(beside=runs[1:])
    median, baseline = figure.axes[0].lines
    values = np.array([run.metrics["loss"] for run in runs])
    assert values.shape[1] <= POINTS
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(median.get_ydata(), middle, rtol=1e-13)
    assert not np.allclose(middle, values.mean(axis=0))  # the control
    found = outline(figure.axes[0])
    for step, *ends in zip(runs[0].metrics["step"], low, high):
        assert {round(end, 12) for end in ends} <= {round(end, 12) for end in found[step]}
    assert legend(figure) == ["4 seeds", "best constant answer"]
    assert "median and quartiles over seeds" in figure.get_suptitle()
    assert baseline.get_ydata()[0] == runs[0].experiment.task.baseline
    different = runs[0].plot(beside=train("bptt"))
    assert "quartiles" not in different.get_suptitle()
    assert not different.axes[0].collections


def test_names_that_begin_with_an_underscore_are_in_the_legend(tmp_path: Path) -> None:
    """Matplotlib leaves such labels out."""
    runs = [train(save=tmp_path / name) for name in ("one", "other")]
    named = [dataclasses.replace(run, folder=Path(f"_{i}")) for i, run in enumerate(runs)]
    found = legend(named[0].plot(beside=named[1]))
    assert [name.strip("\u200a") for name in found] == ["_0", "_1", "best constant answer"]


def test_each_monitor_of_single_numbers_has_a_panel() -> None:
    monitor = {"radius": "spectral-radius", "norms": "grad-norm", "weights": "params.W"}
    run, other = train(monitor=monitor, monitor_every=1), train("truncated-bptt")
    for figure in (run.plot(), run.plot(beside=other)):
        labels = [axes.get_ylabel() for axes in figure.axes]
        assert labels == ["loss per target", "error", "norm of the gradient", "radius"]
        norms, radius = (axes.lines[0] for axes in figure.axes[2:])
        np.testing.assert_array_equal(radius.get_ydata(), run.metrics["radius"])
        np.testing.assert_array_equal(radius.get_xdata(), run.metrics["monitor_step"])
        whole = run.metrics["norms"][:, 0]
        np.testing.assert_array_equal(norms.get_ydata(), whole[whole > 0])
        assert len(whole) > len(norms.get_ydata()) > 0


def test_of_many_monitors_the_first_are_drawn_and_the_title_says_so() -> None:
    monitor: dict[str, Any] = {f"m{i}": lambda seen: 1.0 for i in range(9)}
    figure = train(monitor=monitor).plot()
    assert len(figure.axes) == 1 + curve_figures.MOST_PANELS
    assert figure.get_suptitle().endswith("\n2 more are not drawn")


def test_a_star_marks_where_a_run_solved_its_task() -> None:
    run, other = train(), train(seed=1)
    at = int(run.metrics["step"][-3])
    solved = dataclasses.replace(run, solved_at=at)
    for figure, index in ((solved.plot(beside=train("bptt")), -3), (solved.plot(beside=other), -3)):
        line = figure.axes[0].lines[0]
        stars = [star for star in figure.axes[0].lines if star.get_marker() == "*"]
        assert stars[0].get_xydata().tolist() == [[at, line.get_ydata()[index]]]
        assert legend(figure)[-1] == "solved"
    assert "solved" not in legend(run.plot(beside=other))


def test_the_scale_is_logarithmic_where_positive_values_differ_by_much() -> None:
    figure = figures.figure_type()()
    for values, scale in [
        ([0.01, 1.0], "log"), ([0.5, 1.0], "linear"), ([0.0, 1.0], "linear"),
        ([-1.0, 100.0], "linear"), ([np.nan, 0.01, 1.0], "log"), ([], "linear"),
    ]:  # fmt: skip
        axes = figure.add_subplot()
        figures.scale_by(axes, [np.array(values)])
        assert axes.get_yscale() == scale, values


# --- gradients -----------------------------------------------------------------------------------------


def test_the_norms_of_gradients_are_those_that_monitors_recorded(tmp_path: Path) -> None:
    choices = {"monitor_every": 10, "window": 10, "clip": 2.0}
    run = train("bptt", monitor="grad-norm", save=tmp_path / "run", **choices)
    norms = run.metrics["grad-norm"]
    for each in (run, rnnsim.load(tmp_path / "run")):
        figure = each.plot(what="gradients")
        drawn = lines(figure.axes[0])
        assert [*drawn] == ["all", "W", "U", "b", "V", "c", "clipped at 2"]
        for i, name in enumerate(["all", "W", "U", "b", "V", "c"]):
            np.testing.assert_array_equal(drawn[name].get_xdata(), run.metrics["monitor_step"])
            np.testing.assert_array_equal(drawn[name].get_ydata(), norms[:, i])
        assert figure.axes[0].get_ylabel() == "norm of a window's gradient"
    whole = train("bptt", monitor=["grad", "params"], **choices)
    drawn = lines(whole.plot(what="gradients").axes[0])
    np.testing.assert_allclose(drawn["all"].get_ydata(), np.linalg.norm(whole.metrics["grad"], axis=1))
    np.testing.assert_allclose(
        drawn["W"].get_ydata(), np.linalg.norm(whole.metrics["grad"][:, :16], axis=1)
    )
    single = train("bptt", monitor={"mine": "grad.b"}, **choices)
    drawn = lines(single.plot(what="gradients").axes[0])
    assert [*drawn] == ["b", "clipped at 2"]
    np.testing.assert_allclose(drawn["b"].get_ydata(), np.linalg.norm(single.metrics["mine"], axis=1))


def test_gradients_of_0_are_left_out_and_the_figure_says_so() -> None:
    run = train(monitor="grad-norm", monitor_every=1, clip=math.inf)
    norms = run.metrics["grad-norm"][:, 0]
    assert 0 < (norms == 0).sum() < len(norms)  # steps without targets
    (axes,) = run.plot(what="gradients").axes
    np.testing.assert_array_equal(lines(axes)["all"].get_ydata(), norms[norms > 0])
    assert axes.get_ylabel().endswith("(where it is not 0)")
    assert "clipped" not in " ".join(lines(axes))


@pytest.mark.parametrize("monitor", [None, "params", {"own": lambda seen: 1.0}])
def test_a_run_without_such_a_monitor_is_told_which_there_is(monitor: Any) -> None:
    with pytest.raises(RnnsimError, match="did not record gradients; one with --monitor grad-norm"):
        train(monitor=monitor).plot(what="gradients")


def test_gradients_of_several_runs_have_a_panel_for_each_array() -> None:
    choices = {"monitor": "grad-norm", "monitor_every": 10, "window": 10}
    runs = [train("bptt", seed=seed, **choices) for seed in (0, 1)]
    other = train("rtrl", **choices)
    figure = runs[0].plot(what="gradients", beside=[runs[1], other])
    names = ["all", "W", "U", "b", "V", "c"]
    assert [axes.get_ylabel() for axes in figure.axes] == [
        f"norm of the gradient\n({name})" for name in names]  # fmt: skip
    for i, axes in enumerate(figure.axes):
        drawn = lines(axes)
        norms = [run.metrics["grad-norm"][:, i] for run in (*runs, other)]
        np.testing.assert_allclose(drawn["bptt, 2 seeds"].get_ydata(), (norms[0] + norms[1]) / 2)
        np.testing.assert_array_equal(drawn["rtrl, seed 0"].get_ydata(), norms[2])
    assert legend(figure) == ["bptt, 2 seeds", "rtrl, seed 0", "clipped at 1"]
    with pytest.raises(RnnsimError, match="did not record gradients"):
        other.plot(what="gradients", beside=train())
