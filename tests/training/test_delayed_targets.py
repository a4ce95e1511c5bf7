"""Targets that are known some rows later (theory.md 7): by a loop of NumPy, and on a random walk.

Nothing here is compiled but the last test: what is asked is what is learnt, and when.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from delayed_cases import LateEpisodes, LateScript, Walk, plain_delayed
from plain_loop import Script, assert_same, script
from same_runs import DATES, run_differences

import rnnsim
from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError
from rnnsim.registry import installed
from rnnsim.training import task_rows
from rnnsim.training.advancing import Advance
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

uncompiled = pytest.mark.usefixtures("uncompiled")
STEPS = 120


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few at a time that others are drawn while a network learns."""
    monkeypatch.setattr(task_rows, "CHUNK", 16)
    monkeypatch.setattr(task_rows, "STREAM", 0)


# --- to the letter -------------------------------------------------------------------------------------


@uncompiled
@pytest.mark.parametrize("late", [1, 3, 40])
@pytest.mark.parametrize(("window", "ends"), [(1, False), (5, False), (5, True)])
def test_it_is_what_the_theory_says(
    window: int, ends: bool, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With resets and masks; where no window ends early, with more rows than are drawn at a time."""
    monkeypatch.setattr(task_rows, "CHUNK", 1024 if ends else 50)
    monkeypatch.setattr(task_rows, "STREAM", 0)
    task = LateScript(ends=ends, late=late)
    run = rnnsim.run("bptt", task, steps=STEPS, window=window, stop=False)
    plain, losses = plain_delayed(script(ends=ends), STEPS, window, 0.1, late)
    assert_same(run.params, plain)
    assert all(np.allclose(getattr(run.params, name), value, atol=1e-12, rtol=0)
               for name, value in plain.params.items())  # fmt: skip
    has_target = ~np.isnan(losses)
    np.testing.assert_allclose(run.metrics["loss"], losses[has_target], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(run.metrics["step"], np.flatnonzero(has_target) + 1)
    assert_same(run.params, plain_delayed(script(ends=ends), STEPS, window, 0.1, late + 1)[0],
                equal=False)  # fmt: skip


@uncompiled
def test_the_criterion_is_asked_before_the_update() -> None:
    """Of what the acting state says: the step that solves the task is not learnt."""
    late, criterion = 3, Streak(0.3, 4)
    run = rnnsim.run("bptt", LateScript(late=late, resets=False), steps=STEPS, criterion=criterion)
    assert run.solved_at is not None
    assert run.solved_at > late + 4
    data = script(resets=False)
    plain, _ = plain_delayed(data, run.solved_at - 1, 1, 0.1, late)
    assert_same(run.params, plain)
    steps = run.solved_at
    whole, losses = plain_delayed(data, steps, 1, 0.1, late)
    assert losses[steps - 1] == pytest.approx(run.metrics["loss"][-1], abs=1e-12)
    assert_same(run.params, whole, equal=False)


@uncompiled
@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_episodes_are_learnt_whole_and_late(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights that stand still, each window is that of the run without a delay, some rows later."""
    seen: dict[int, list[Any]] = {}
    for late in (0, 4, 30):
        trainer = TaskTraining(configure(rule, LateEpisodes(late=late), steps=200, learning_rate=0.0))
        grads = []
        for _ in trainer.chunks(1):
            window = np.array(trainer.training.flat_grad)
            grads += [window] if window.any() else []
        seen[late] = grads
    for late in (4, 30):
        count = len(seen[late]) - 1  # the end of the run may cut the last
        assert len(seen[0]) >= count > 10
        np.testing.assert_allclose(seen[late][:count], seen[0][:count], rtol=1e-10, atol=1e-14)


@uncompiled
@pytest.mark.parametrize("make", [LateScript, LateEpisodes])
def test_how_many_rows_are_drawn_at_a_time_changes_nothing(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for chunk in (1, 37, 1024):
        monkeypatch.setattr(task_rows, "CHUNK", chunk)
        monkeypatch.setattr(task_rows, "STREAM", 0)
        found.append(rnnsim.run("rtrl", make(late=5), steps=STEPS, learning_rate=0.05, stop=False))
    for other in found[1:]:
        assert run_differences(found[0], other, (*DATES, "checkpoint")) == []


# --- a random walk -------------------------------------------------------------------------------------

WALK = {"steps": 400, "hidden": 2, "batch": 1, "window": 1, "optimizer": "sgd", "learning_rate": 0.1,
        "clip": 2.0}  # fmt: skip
ON_LINE = sorted(
    name for name, entry in installed().rules.items()
    if entry.thing.online and not entry.thing.settles and entry.thing.kind == "recurrent"
)  # fmt: skip


def beside_persistence(rule: str, task: Walk, **choices: Any) -> float:
    """The loss on the curve over that of the last value, on the same rows."""
    given = {**WALK, **choices}
    run = rnnsim.run(rule, task, **given)
    source = task.source(np.random.default_rng([0, 1]), given["batch"], np.dtype(float))
    stream = task.allocate(run.steps, given["batch"], np.dtype(float))
    task.fill()(source, stream, run.steps)
    assert len(run.metrics["loss"]) == run.steps
    return float(run.metrics["loss"].mean() / (stream.targets**2).mean() * 2)


def least_by_chance(ahead: int) -> float:
    """Three standard deviations below what is possible.

    With a correlation r between forecasts and truth the ratio is at least 1 - r^2. Targets of h steps
    overlap, so that there are but T / h independent ones, and the variance of r is at most h / T.
    """
    return 1 - 9 * ahead / WALK["steps"]


@uncompiled
@pytest.mark.parametrize(
    ("rule", "ahead"),
    [("rtrl", 1), ("bptt", 1), *((rule, ahead) for ahead in (5, 20) for rule in ON_LINE)],
)
def test_no_rule_forecasts_a_random_walk(rule: str, ahead: int) -> None:
    assert beside_persistence(rule, Walk(ahead=ahead)) > least_by_chance(ahead)


@uncompiled
@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_one_that_learns_what_is_not_known_yet_would_be_noticed(rule: str) -> None:
    for ahead in (5, 20):
        assert beside_persistence(rule, Walk(ahead=ahead, honest=False)) < least_by_chance(ahead)


@uncompiled
def test_windows_are_as_honest() -> None:
    assert beside_persistence("bptt", Walk(ahead=20), window=7) > least_by_chance(20)


# --- gone on with --------------------------------------------------------------------------------------

AROUND: dict[str, Any] = {"steps": 71, "keep": "best", "keep_every": 8, "monitor": "state",
                          "monitor_every": 9, "optimizer": "adam", "stop": False}  # fmt: skip


@uncompiled
@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("make", [LateScript, LateEpisodes, Walk])
def test_a_run_that_goes_on_is_the_same(make: Any, tmp_path: Path) -> None:
    task = make(ahead=6) if make is Walk else make(late=5)
    rule = "uoro" if make is Walk else "rtrl"
    whole = rnnsim.run(rule, task, **AROUND)
    for stop in (lambda seen: seen.step >= 3, lambda seen: seen.step >= 50):
        stopped = rnnsim.run(rule, task, callback=stop, save=tmp_path, **AROUND)
        assert stopped.outcome == "stopped"
        for run in (stopped, rnnsim.load(tmp_path, task=task)):
            assert run_differences(whole, run.resume()) == []
    fewer = rnnsim.run(rule, task, **{**AROUND, "steps": 60})
    assert run_differences(whole, fewer.resume(steps=71), (*DATES, "checkpoint")) == []
    point = stopped.checkpoint
    assert point is not None
    for name in ("acting", "observed.curve.loss", "rows.targets", "state") if make is LateScript else ():
        lost = {each: x * 0 if each.startswith(name) else x for each, x in point.arrays.items()}
        stopped.checkpoint = point._replace(arrays=lost)
        differs = run_differences(whole, stopped.resume(), (*DATES, "checkpoint"))
        assert differs, name  # the control


# --- what cannot be ------------------------------------------------------------------------------------


def test_what_cannot_learn_late_is_refused() -> None:
    with pytest.raises(RnnsimError, match="tailored is not offered where targets are known later"):
        configure("bptt", LateScript(), tailored=True)

    class Late(type(rnnsim.registry.make_task("steady-state-xor", {})), frozen=True):  # type: ignore[misc]
        target_delay = 2

    with pytest.raises(RnnsimError, match="has targets that are known later, and recurrent-backprop"):
        configure("recurrent-backprop", Late())


@uncompiled
def test_rules_are_compared_late_as_well() -> None:
    found = rnnsim.compare(["rtrl", "bptt"], LateScript(), steps=40, window=4)
    assert np.isfinite(found.alignment).any()


def test_compiled_it_is_the_same() -> None:
    run = rnnsim.run("bptt", LateScript(late=3), steps=STEPS, stop=False, keep="best", keep_every=10)
    plain, losses = plain_delayed(script(), STEPS, 1, 0.1, 3)
    assert_same(run.params, plain)
    np.testing.assert_allclose(run.metrics["loss"], losses[~np.isnan(losses)], rtol=0, atol=1e-12)
    assert run.best is not None
    assert run.metrics["validation_loss"].min() == run.best.loss


@uncompiled
def test_without_a_delay_the_loop_is_the_one_that_it_was() -> None:
    assert type(TaskTraining(configure("bptt", LateScript(late=0))).advance) is Advance
    none, plain = (
        rnnsim.run("bptt", task, steps=STEPS, stop=False) for task in (LateScript(late=0), Script())
    )
    assert run_differences(none, plain, (*DATES, "checkpoint")) == ["task"]
