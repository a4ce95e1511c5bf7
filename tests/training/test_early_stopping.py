"""Runs that look at validation data: when they end, what is kept of the looks, and on which data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_loop import B, Script, ScriptSource
from same_runs import DATES, run_differences

import rnnsim
from rnnsim.criterion import HeldOut
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.runs.reports import summary
from rnnsim.runs.result import Run
from rnnsim.task import Suggestion
from rnnsim.training import best
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

pytestmark = pytest.mark.usefixtures("uncompiled")

# so large a rate that the loss goes up and down
WORSE: dict[str, Any] = {"steps": 400, "learning_rate": 0.5, "keep_every": 8, "stop": False}


class Parts(Script, frozen=True):
    """The script in three parts, whose targets say which it is."""

    name = "parts"
    keeps: str = "last"

    def validation_shape(self) -> tuple[int, int]:
        return 30, B

    def validation_source(self, rng: np.random.Generator, batch: int, dtype: Any) -> ScriptSource:
        return self._marked(rng, batch, dtype, 2.0)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ScriptSource:
        return self._marked(rng, batch, dtype, 5.0 if held_out else 0.0)

    def _marked(self, rng: np.random.Generator, batch: int, dtype: Any, mark: float) -> ScriptSource:
        source = Script().source(rng, batch, dtype)
        return source._replace(targets=source.targets * 0 + mark)

    def suggestion(self, rule: str) -> Suggestion:
        base = Script().suggestion(rule)
        return base._replace(keep=self.keeps, keep_every=5, patience=3)

    def check_network(self, network: Network) -> None:
        if getattr(network, "loss", None) != "squared-error":
            raise RnnsimError("the targets of parts are numbers; use loss=squared-error")


def run(**choices: Any) -> Run:
    return rnnsim.run("bptt", Script(), **{**WORSE, "keep": "best", **choices})


@pytest.mark.parametrize("rule", ["bptt", "rtrl", "truncated-bptt"])
def test_validation_data_may_be_run_over_in_pieces(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rnnsim.run(rule, Parts(), **WORSE, keep="best")
    monkeypatch.setattr(best, "ROWS", 7)  # of 30
    pieces = rnnsim.run(rule, Parts(), **WORSE, keep="best")
    assert len(set(whole.metrics["validation_loss"])) > 5  # or nothing is compared
    for name, recorded in whole.metrics.items():
        np.testing.assert_allclose(recorded, pieces.metrics[name], rtol=1e-13)  # products are rounded


# --- when it ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [1, 3, 6])
def test_it_ends_after_so_many_looks_without_an_improvement(patience: int) -> None:
    whole, early = run(), run(patience=patience)
    steps, losses = whole.metrics["validation_step"], whole.metrics["validation_loss"]
    np.testing.assert_array_equal(steps, np.arange(0, 401, 8))
    least = np.minimum.accumulate(losses)
    since = [i - int(np.argmin(losses[: i + 1])) for i in range(len(losses))]
    last = since.index(patience)
    assert 0 < last < len(losses) - 1  # or nothing is shown
    assert (early.steps, early.outcome) == (steps[last], "stopped early")
    assert early.best is not None
    assert (early.best.step, early.best.loss) == (steps[last - patience], least[last])
    for name in ("validation_step", "validation_loss"):
        np.testing.assert_array_equal(early.metrics[name], whole.metrics[name][: last + 1])
    looks = f"{patience} looks" if patience > 1 else "1 look"
    assert (f"({early.steps} of 400 steps, stopped early: {looks} at validation data without an "
            "improvement;") in summary(early)  # fmt: skip


def test_the_parameters_before_the_first_step_may_be_the_best() -> None:
    found = run(learning_rate=50.0, clip=1.0, patience=2)
    assert found.best is not None
    assert (found.best.step, found.steps) == (0, 16)
    begun = found.experiment.initial_params()
    for own, same in zip(found.best.params, begun):
        np.testing.assert_array_equal(own, same)


def test_without_patience_or_with_too_much_it_goes_on() -> None:
    for patience in (0, 51):
        found = run(patience=patience)
        assert (found.outcome, found.steps) == ("complete", 400)


@pytest.mark.parametrize("at", [1, 8, 30])
def test_one_that_goes_on_ends_there_too(at: int, tmp_path: Path) -> None:
    whole = run(patience=3)
    assert whole.steps > 32
    stopped = run(patience=3, callback=lambda seen: seen.step >= at, callback_every=1, save=tmp_path)
    assert stopped.outcome == "stopped"
    for one in (stopped, rnnsim.load(tmp_path, task=Script())):
        assert run_differences(whole, one.resume(), (*DATES, "checkpoint")) == []
    point = stopped.checkpoint
    assert point is not None
    fewer = {name: x[:1] if name.startswith("validation") else x for name, x in point.arrays.items()}
    stopped.checkpoint = point._replace(arrays=fewer)
    if at == 30:  # the control
        assert run_differences(whole, stopped.resume(), (*DATES, "checkpoint"))


def test_one_that_ended_so_is_loaded_as_it_was_and_goes_on_no_more(tmp_path: Path) -> None:
    early = run(patience=3, save=tmp_path)
    loaded = rnnsim.load(tmp_path, task=Script())
    assert run_differences(early, loaded) == []
    assert "validation_loss" not in loaded.monitored
    assert run_differences(early, rnnsim.repeat(tmp_path, task=Script())) == []
    with pytest.raises(RnnsimError, match="ended after 3 looks at validation data without an improve"):
        loaded.resume(steps=800)
    last = rnnsim.repeat(tmp_path, task=Script(), keep="last")
    assert (last.outcome, last.experiment.patience, last.best) == ("complete", 0, None)


def test_patience_needs_looks() -> None:
    with pytest.raises(RnnsimError, match="patience is for looks at validation data, which are made"):
        run(keep="last", patience=3)


def test_a_task_may_suggest_it() -> None:
    assert configure("bptt", Parts()).patience == 0
    found = configure("bptt", Parts(keeps="best"))
    assert (found.keep, found.keep_every, found.patience) == ("best", 5, 3)
    found = configure("bptt", Parts(keeps="best"), keep="last")
    assert (found.keep, found.patience) == ("last", 0)
    assert configure("bptt", Parts(keeps="best"), patience=0, keep_every=7).patience == 0


def test_comparisons_do_not_look() -> None:
    found = rnnsim.compare(["bptt", "rtrl"], Parts(keeps="best"), steps=30)
    assert found.experiment.keep == "last"


def test_the_learning_curve_shows_the_looks() -> None:
    figure = run(steps=80).plot()
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert "validation data" in labels
    drawn = figure.axes[0].get_lines()[labels.index("validation data")]
    np.testing.assert_array_equal(drawn.get_xdata(), np.arange(0, 81, 8))
    figure = run(steps=80, keep="last").plot()
    assert "validation data" not in [line.get_label() for line in figure.axes[0].get_lines()]


# --- on which data -------------------------------------------------------------------------------------

STILL: dict[str, Any] = {"learning_rate": 0.0, "steps": 40, "readout_scale": 0.0}


def test_what_is_kept_is_chosen_on_validation_data_and_judged_on_test_data() -> None:
    """Outputs are 0, so that the loss says which part it is of."""
    found = rnnsim.run("bptt", Parts(), keep="best", stop=False, **STILL)
    assert found.best is not None
    assert found.best.loss == pytest.approx(2.0**2 / 2)
    assert found.loss == pytest.approx(5.0**2 / 2)
    assert found.metrics["loss"] == pytest.approx(0.0)


def test_a_criterion_is_asked_on_validation_data() -> None:
    for threshold, solved in ((4.1, True), (3.9, False)):
        criterion = HeldOut("squared", threshold, every=10)
        found = rnnsim.run("bptt", Parts(), criterion=criterion, **STILL)
        assert (found.solved_at == 10) is solved


def test_validation_data_are_by_default_held_out_with_other_draws() -> None:
    trainer = TaskTraining(configure("bptt", Script(), keep="best"))
    assert trainer._validation is not None
    stream = trainer._validation._stream
    shape = Script().validation_shape()
    assert stream.mask.shape == shape == Script().held_out_shape()
    for part in (1, 2):
        source = Script().source(np.random.default_rng([0, part]), B, np.dtype(float), held_out=True)
        assert not np.array_equal(source.inputs[: shape[0]], stream.inputs)


# --- what a task says of the network -------------------------------------------------------------------


def test_a_task_may_refuse_a_network() -> None:
    with pytest.raises(RnnsimError, match="the targets of parts are numbers; use loss=squared-error"):
        configure("bptt", Parts(), options={"loss": "logistic-cross-entropy"})
    made = rnnsim.RecurrentNetwork(2, 3, 1, loss="logistic-cross-entropy")
    with pytest.raises(RnnsimError, match="the targets of parts are numbers"):
        configure("bptt", Parts(), network=made)
    assert configure("bptt", Parts()).network is not None


@pytest.mark.parametrize("kind", ["recurrent", "gru"])
def test_a_readout_may_begin_at_0(kind: str) -> None:
    experiment = configure("bptt", Script(), network=kind, options={"readout_scale": "0"})
    params = experiment.initial_params()
    assert not params.V.any()
    as_ever = configure("bptt", Script(), network=kind).initial_params()
    for name, own in params._asdict().items():
        if name != "V":
            np.testing.assert_array_equal(own, getattr(as_ever, name))
    assert as_ever.V.any()
    half = configure("bptt", Script(), network=kind, options={"readout_scale": 0.5}).initial_params()
    np.testing.assert_array_equal(half.V, as_ever.V / 2)
    found = rnnsim.run("bptt", Script(), network=kind, readout_scale=0.0, steps=40, stop=False)
    assert found.params.V.any()  # it learns from there


class FromNothing(Script, frozen=True):
    def suggestion(self, rule: str) -> Suggestion:
        return super().suggestion(rule)._replace(init={"readout_scale": 0.0, "gain": 3.0})


def test_a_suggestion_of_it_is_for_all_kinds_that_have_one() -> None:
    assert configure("bptt", FromNothing()).init == {"readout_scale": 0.0, "gain": 3.0}
    assert configure("bptt", FromNothing(), network="gru").init == {"readout_scale": 0.0}


def test_units_that_are_read_have_no_scale() -> None:
    network = rnnsim.RecurrentNetwork(2, 3, 1, readout=[0])
    with pytest.raises(RnnsimError, match="readout_scale is that of a linear readout"):
        network.init(0, readout_scale=0.0)
    with pytest.raises(RnnsimError, match="too large"):
        rnnsim.RecurrentNetwork(2, 3, 1, dtype="float32").init(0, readout_scale=1e300)
