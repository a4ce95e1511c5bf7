"""The learning curve of a user's own numbers: an error in their unit, or beside that of no network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.data.learnt_error import learnt_error

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = 60
STILL: dict[str, Any] = {"hidden": 2, "window": 6, "learning_rate": 0.0, "keep": "last"}


def waves() -> dict[str, np.ndarray]:
    rng, t = np.random.default_rng(0), np.arange(ROWS)
    return {"a": 500 + 40 * np.sin(t / 3) + rng.normal(size=ROWS), "b": np.cos(t / 5)}


def still(**options: Any) -> rnnsim.Run:
    """A run whose network says nothing, since it does not learn: what is left is that of a constant."""
    return rnnsim.run("bptt", waves(), **{**STILL, "steps": 35, "linear": False, **options})


def curves(run: rnnsim.Run) -> tuple[Any, dict[str, np.ndarray]]:
    pytest.importorskip("matplotlib")
    figure = run.plot()
    return figure, {line.get_label(): np.asarray(line.get_ydata(), float)
                    for line in figure.axes[0].lines}  # fmt: skip


def test_the_error_of_one_target_is_in_its_unit() -> None:
    """The 36 rows that are learnt make 35 pairs, each of which is one point of the curve."""
    run = still(target="a")
    a = waves()["a"][:36]
    expected = np.abs(a[1:] - a.mean())
    figure, lines = curves(run)
    assert figure.axes[0].get_ylabel() == "root mean squared error of a"
    np.testing.assert_allclose(lines["while it learns"], expected, rtol=1e-9)
    alone = lines["the mean of the learnt part, where it is learnt"]
    np.testing.assert_allclose(alone, np.sqrt(np.square(expected).mean()))
    assert "best constant answer" not in lines
    error = learnt_error(run.experiment.task, run.experiment.network)
    assert error is not None
    assert error.brief(run.metrics["loss"][0]) == f"RMSE {expected[0]:.4g}"
    np.testing.assert_allclose(error.loss(error.at(run.metrics["loss"])), run.metrics["loss"])
    assert not np.allclose(run.metrics["loss"], expected, rtol=0.1)  # the control: the loss is not it


def test_the_unit_is_told_where_the_data_tell_it(tmp_path: Any) -> None:
    rows = "".join(f"{value}\n" for value in waves()["a"])
    (tmp_path / "t.csv").write_text(f"t\n°C\n{rows}", encoding="utf-8")
    run = rnnsim.run("bptt", tmp_path / "t.csv", **STILL, steps=6)
    error = learnt_error(run.experiment.task, run.experiment.network)
    assert error is not None
    assert error.label == "root mean squared error of t [°C]"
    assert error.brief(1.0).endswith(" °C")


@pytest.mark.parametrize(
    "options", [{"linear": True}, {}, {"target": "a", "ahead": "1,3"}, {"missing": "mask"}]
)
def test_that_of_several_outputs_is_relative(options: dict[str, Any]) -> None:
    run = still(**options)
    figure, lines = curves(run)
    without = "the linear path alone" if options.get("linear") else "the mean of the learnt part"
    assert (
        figure.axes[0].get_ylabel().replace("\n", " ") == f"root mean squared error / that of {without}"
    )
    assert (lines[f"{without}, where it is learnt"] == 1).all()
    assert run.experiment.task.floors == {without: run.experiment.task.baseline}
    if "ahead" not in options and not options.get(
        "linear"
    ):  # a whole pass: its mean is that of a constant
        assert np.square(lines["while it learns"]).mean() == pytest.approx(1)


def test_scales_that_change_on_line_have_no_unit() -> None:
    run = rnnsim.run("rtrl", waves()["a"], hidden=2, on_line=True, steps=20)
    figure, _ = curves(run)
    assert (
        figure.axes[0].get_ylabel().replace("\n", " ")
        == "root mean squared error / that of the linear path alone"
    )


def test_classes_and_other_tasks_have_their_loss() -> None:
    data = {**waves(), "kind": np.array(["x", "y"])[np.arange(ROWS) // 7 % 2]}
    for run in (
        rnnsim.run("bptt", data, **STILL, target="kind", steps=6),
        rnnsim.run("bptt", "delayed-xor", hidden=2, steps=40, window=10),
    ):
        figure, lines = curves(run)
        assert learnt_error(run.experiment.task, run.experiment.network) is None
        assert figure.axes[0].get_ylabel() == "loss per target"
        assert "best constant answer" in lines
