"""What a run reports: the step at which it solved the task, the learning curve, held-out results."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import processes
import pytest
from plain_loop import B, Script, k, m, n, script, train

from rnnsim import registry
from rnnsim.criterion import Average, HeldOut, Streak
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import installed
from rnnsim.runs.result import result_of
from rnnsim.training.evaluation import VALIDATION, evaluate, plain_forward
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

# --- solved_at -------------------------------------------------------------------------------------


def replay_streak(run: TaskTraining, tolerance: float, length: int) -> int | None:
    """The rule of ``Streak`` on the outputs that the run has left behind."""
    stream, streak = run.stream, 0
    for t in range(run.experiment.steps):
        asked = stream.mask[t] > 0
        if not asked.any():
            continue
        good = np.abs(stream.outputs[t] - stream.targets[t]).max(axis=1) <= tolerance
        streak = streak + 1 if good[asked].all() else 0
        if streak >= length:
            return t + 1
    return None


def replay_average(run: TaskTraining, threshold: float, length: int) -> int | None:
    stream, scores = run.stream, []
    for t in range(run.experiment.steps):
        asked = stream.mask[t] > 0
        errors = ((stream.outputs[t] - stream.targets[t]) ** 2).sum(axis=1)
        scores += errors[asked].tolist()
        if asked.any() and len(scores) >= length and np.mean(scores[-length:]) <= threshold:
            return t + 1
    return None


@pytest.mark.parametrize("window", [1, 6, 50])
def test_solved_at_is_the_step_of_a_replay(window: int) -> None:
    found = []
    for tolerance, length in [(0.6, 5), (0.4, 10), (0.3, 20), (0.2, 2), (0.2, 12), (0.0, 1), (9.0, 1)]:
        run = train(window=window, criterion=Streak(tolerance, length), stop=False)
        assert run.solved_at == replay_streak(run, tolerance, length)
        found.append(run.solved_at)
    assert None in found
    assert len(set(found)) >= 4


@pytest.mark.usefixtures("uncompiled")
def test_solved_at_by_an_average_is_the_step_of_a_replay() -> None:
    found = []
    for threshold, length in [(0.1, 5), (0.05, 30), (0.03, 50), (0.0, 5), (9.0, 7)]:
        run = train(window=6, criterion=Average("squared", threshold, length), stop=False)
        assert run.solved_at == replay_average(run, threshold, length)
        found.append(run.solved_at)
    assert None in found
    assert len(set(found)) >= 4


@pytest.mark.parametrize("window", [1, 6, 50])
def test_a_run_stops_at_the_very_step(window: int) -> None:
    criterion = Streak(0.3, 20 if window < 50 else 5)
    going_on = train(window=window, criterion=criterion, stop=False)
    s = going_on.solved_at
    assert s is not None
    assert going_on.step == 400
    stopped = train(window=window, criterion=criterion)
    assert (stopped.solved_at, stopped.step) == (s, s)
    assert train(window=window, criterion=criterion, steps=s).solved_at == s
    assert train(window=window, criterion=criterion, steps=s - 1).solved_at is None


@pytest.mark.parametrize("window", [1, 6])
def test_the_update_of_the_window_that_solved_is_not_applied(window: int) -> None:
    stopped = train(window=window, criterion=Streak(0.3, 10))
    assert stopped.solved_at is not None
    before = (stopped.solved_at - 1) // window * window
    assert before > 0
    theta = stopped.training.flat_params
    np.testing.assert_array_equal(theta, train(window=window, steps=before).training.flat_params)
    after = train(window=window, steps=before + window).training.flat_params
    assert not np.array_equal(theta, after)


@pytest.mark.parametrize("chunk", [1, 1024])
def test_a_held_out_criterion_is_looked_at_where_it_says(chunk: int) -> None:
    """Every 60 steps, at validation data; the window divides 60, so that it is at those very steps."""
    ends = {step: train(window=6, steps=step) for step in range(60, 401, 60)}
    scores = {step: end.evaluate("squared", VALIDATION).score for step, end in ends.items()}
    threshold = sorted(scores.values())[len(scores) // 2]
    first = next(step for step, score in scores.items() if score <= threshold)
    criterion = HeldOut("squared", threshold, every=60)
    assert train(window=6, criterion=criterion, chunk=chunk).solved_at == first
    assert train(window=6, criterion=criterion, chunk=chunk).step == first
    assert train(window=6, criterion=criterion, chunk=chunk, steps=first - 1).solved_at is None
    assert train(window=6, criterion=criterion, chunk=chunk, stop=False).step == 400


# --- the learning curve ----------------------------------------------------------------------------


def test_the_learning_curve_is_what_the_outputs_say() -> None:
    """Each point is a mean over its steps: of the losses by weight, of the scores by number."""
    run = train(learning_rate=0.0, window=6, steps=400)
    metrics, stream = result_of(run).metrics, run.stream
    deviation = np.abs(stream.outputs[:400] - stream.targets[:400])[..., 0]
    mask = stream.mask[:400]
    asked = [t for t in range(400) if (mask[t] > 0).any()]
    assert metrics["step"].tolist() == [t + 1 for t in asked]
    losses = [(mask[t] * deviation[t] ** 2 / 2).sum() / mask[t].sum() for t in asked]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(metrics["error"], [deviation[t][mask[t] > 0].mean() for t in asked])


def test_a_long_learning_curve_is_the_short_one_put_together() -> None:
    """More steps than points: neighbours become one, and no step is lost or counted twice."""
    run = train(learning_rate=0.0, steps=5000)
    metrics = result_of(run).metrics
    curve = run.curve
    every = int(curve.every[0])
    assert every == 16
    assert len(metrics["step"]) == -(-5000 // every)
    assert metrics["step"][-1] == 5000
    data = script()
    mask = np.resize(data.mask, (5000, B))
    assert curve.targets.sum() == (mask > 0).sum()
    assert curve.weight.sum() == pytest.approx(mask.sum())
    np.testing.assert_allclose(curve.weight[100], mask[1600:1616].sum())


# --- held-out data ---------------------------------------------------------------------------------


RULES = {name: entry.thing for name, entry in installed().rules.items()}


def pair(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[TaskTraining, TaskTraining]:
    """The same run twice, of a rule on a task that suits it."""
    kind = "steady" if RULES[name].settles else RULES[name].kind
    task = {"steady": "steady-state-xor", "recurrent": "delayed-xor", "fast-weight": "flip-flop"}[kind]
    one, two = (TaskTraining(configure(name, task, steps=40)) for _ in range(2))
    monkeypatch.setattr(type(one.experiment.task), "held_out_shape", lambda self: (30, 2))
    return one, two


@pytest.mark.parametrize("name", sorted(RULES))
def test_held_out_data_are_judged_as_by_the_network_alone(
    uncompiled: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The loop takes the network through them, without learning and without a trace in the run."""
    run, looked_at = pair(monkeypatch, name)
    list(run.chunks())
    for _ in looked_at.chunks(20):
        found = looked_at.evaluate()
    experiment = looked_at.experiment
    settler = experiment.rule.settler() if RULES[name].settles else None
    expected = evaluate(experiment.network, run.params, experiment.task, experiment.seed,
                        experiment.task.score, plain_forward(experiment.network, settler))  # fmt: skip
    assert found == expected
    np.testing.assert_array_equal(run.training.flat_params, looked_at.training.flat_params)
    np.testing.assert_array_equal(run.curve.loss, looked_at.curve.loss)


def test_learning_from_held_out_data_would_be_noticed(
    uncompiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    run, looked_at = pair(monkeypatch, "bptt")
    list(run.chunks())
    plan = type(run.training.plan)

    def replaced_but_learning(self: Any, learns: bool, **parts: Any) -> Any:
        return plan(**{**self._asdict(), **parts})

    monkeypatch.setattr(plan, "_replace", replaced_but_learning)
    for _ in looked_at.chunks(20):
        looked_at.evaluate()
    assert not np.array_equal(run.training.flat_params, looked_at.training.flat_params)


def test_held_out_data_may_diverge_without_a_word() -> None:
    """The weights are finite, but not what they make of 40 steps: that is a result, not an error."""
    network = RecurrentNetwork(m, n, k, activation="identity")
    trainer = TaskTraining(configure("bptt", Script(resets=False), network=network, steps=1))
    trainer.training.params.W[...] = 1e30 * np.eye(n)
    assert not np.isfinite(trainer.evaluate().loss)
    assert not np.isfinite(trainer.evaluate("squared").score)


def test_no_targets_held_out_are_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.make_task("delayed-xor", {"d": 20})
    monkeypatch.setattr(type(task), "held_out_shape", lambda self: (10, 4))  # targets come later
    trainer = TaskTraining(configure("bptt", task, hidden=n, optimizer="sgd", steps=1))
    assert np.isnan(trainer.evaluate().loss)


RUNS_APART = """
import sys
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining
training = TaskTraining(configure({rule!r}, {task!r}, steps=200, stop=False))
before = set(sys.modules)
for _ in training.chunks():
    pass
print(*set(sys.modules) - before)
"""


def test_the_loop_imports_nothing_while_it_is_timed() -> None:
    # the first product by BLAS would import SciPy, which seconds counted
    done = processes.run(
        sys.executable, "-c", RUNS_APART.format(rule="truncated-bptt", task="delayed-xor")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
