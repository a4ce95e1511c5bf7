"""Tasks whose outputs have weights of their own: what is learnt, measured and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from same_runs import DATES, run_differences

import rnnsim
from rnnsim.criterion import SCORES, Average, Criterion, Streak, streak_met
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.task import Suggestion, Task
from rnnsim.training import task_rows
from rnnsim.training.experiment import configure

pytestmark = pytest.mark.usefixtures("uncompiled")
M, K, B, STEPS, WINDOW = 2, 3, 2, 60, 5
CHOICES: dict[str, Any] = {"window": WINDOW, "steps": STEPS, "stop": False, "batch": B}


class HolesSource(NamedTuple):
    rng: np.random.Generator


class Holes(Task, frozen=True):
    """Random numbers in and out; some outputs have no target, which is then nan, and some count less."""

    name = "holes"
    score = "squared"
    late: int = 0

    @property
    def n_in(self) -> int:
        return M

    @property
    def n_out(self) -> int:
        return K

    @property
    def baseline(self) -> float:
        return 1.0

    @property
    def criterion(self) -> Criterion:
        return Average("squared", 1e-9, 10)

    @property
    def masks_outputs(self) -> bool:
        return True

    @property
    def target_delay(self) -> int:
        return self.late

    def held_out_shape(self) -> tuple[int, int]:
        return 20, B

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(hidden=3, optimizer="sgd", learning_rate=0.05, clip=None)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> HolesSource:
        return HolesSource(rng)

    def fill(self) -> Any:
        return fill_holes


@kernel
def fill_holes(source: HolesSource, stream: Stream, rows: int) -> int:
    for t in range(rows):
        for b in range(stream.mask.shape[1]):
            for j in range(stream.inputs.shape[2]):
                stream.inputs[t, b, j] = source.rng.standard_normal()
            stream.mask[t, b] = 0
            for o in range(stream.targets.shape[2]):
                weight = 0.5 * source.rng.integers(0, 3)
                stream.output_mask[t, b, o] = weight
                stream.targets[t, b, o] = source.rng.standard_normal() if weight > 0 else np.nan
                if weight > 0:
                    stream.mask[t, b] = 1
    return rows


def drawn(rows: int, seeds: list[int]) -> Stream:
    task = Holes()
    stream = task.allocate(rows, B, np.dtype(float))
    task.fill()(task.source(np.random.default_rng(seeds), B, np.dtype(float)), stream, rows)
    return stream


def weights(stream: Stream) -> np.ndarray:
    return np.asarray(stream.mask[..., None] * stream.output_mask)


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_a_run_learns_what_a_learner_learns(rule: str, late: int) -> None:
    """Whose masks are compared with others elsewhere."""
    run = rnnsim.run(rule, Holes(late=late), **{**CHOICES, "window": 1})
    data = drawn(STEPS, [0, 1])
    learner = rnnsim.Learner(
        run.experiment.network, rule, params=run.experiment.initial_params(), optimizer="sgd",
        learning_rate=0.05, clip=None, window=1, batch=B, delay=late,
    )  # fmt: skip
    # what a learner is given at a row is the target that is known there, of an earlier row
    targets, mask = (np.roll(x, late, axis=0) for x in (data.targets, weights(data)))
    mask[:late] = 0
    learnt = learner.learn(data.inputs, targets, mask=mask)
    for own, same in zip(run.params, learner.params):
        np.testing.assert_allclose(own, same, rtol=0, atol=1e-12)
    error = np.where(weights(data) > 0, learnt.outputs - data.targets, 0)
    counted = (weights(data) * error**2).sum(axis=(1, 2)) / 2 / np.maximum(data.mask.sum(axis=1), 1)
    some = data.mask.any(axis=1)
    np.testing.assert_allclose(run.metrics["loss"], counted[some], rtol=0, atol=1e-12)
    squared = (error**2).sum(axis=(1, 2)) / np.maximum(data.mask.sum(axis=1), 1)
    np.testing.assert_allclose(run.metrics["squared"], squared[some], rtol=0, atol=1e-12)


def test_they_are_in_the_evaluation() -> None:
    run = rnnsim.run("bptt", Holes(), **CHOICES)
    data = drawn(20, [0, 2])
    loss = rnnsim.loss(run.experiment.network, run.params, data.inputs, data.targets, mask=weights(data))
    assert run.loss == pytest.approx(loss * B / data.mask.sum(), rel=1e-12)
    assert np.isfinite(run.held_out.score)


@pytest.mark.parametrize("late", [0, 2])
def test_a_run_that_goes_on_has_them(late: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.training.checkpoints.SMALL", -1)  # so that rows are kept
    monkeypatch.setattr(task_rows, "STREAM", 0)
    monkeypatch.setattr(task_rows, "CHUNK", 20)
    whole = rnnsim.run("rtrl", Holes(late=late), **CHOICES)
    at_25 = {"callback": lambda seen: seen.step >= 25, "callback_every": 25, "save": tmp_path}
    stopped = rnnsim.run("rtrl", Holes(late=late), **at_25, **CHOICES)
    loaded = rnnsim.load(tmp_path, task=Holes(late=late))
    assert run_differences(whole, loaded.resume(), (*DATES, "checkpoint")) == []
    point = stopped.checkpoint
    assert point is not None
    ones = {name: x * 0 + 1 if name == "rows.output_mask" else x for name, x in point.arrays.items()}
    ones["rows.targets"] = np.nan_to_num(point.arrays["rows.targets"])
    stopped.checkpoint = point._replace(arrays=ones)
    assert run_differences(whole, stopped.resume(), (*DATES, "checkpoint"))  # the control


@pytest.mark.parametrize("score", SCORES)
def test_scores_are_of_the_outputs_that_count(score: str) -> None:
    rng = np.random.default_rng(3)
    task, of = Holes(), SCORES[score]
    stream = task.allocate(40, 1, np.dtype(float))
    stream.outputs[:] = rng.standard_normal(stream.outputs.shape)
    stream.targets[:] = rng.choice([-1.0, 0.5, 1.0], stream.targets.shape)
    stream.output_mask[:] = rng.choice([0.0, 0.5], stream.output_mask.shape)
    stream.output_mask[:, :, 1] = 1
    before = [of(stream, t, 0) for t in range(40)]
    out = stream.output_mask == 0
    stream.outputs[out], stream.targets[out] = 7.0, np.nan
    assert [of(stream, t, 0) for t in range(40)] == before
    for t in range(40):  # as if there were no others
        kept = np.flatnonzero(stream.output_mask[t, 0])
        if len(kept) > 1 or score != "accuracy":  # of a single output it is another thing
            alone = Stream(*(part[t : t + 1] for part in stream))._replace(
                outputs=stream.outputs[t : t + 1, :, kept], targets=stream.targets[t : t + 1, :, kept],
                masks_outputs=np.zeros(1, np.bool_), legal=stream.legal,
            )  # fmt: skip
            assert of(alone, 0, 0) == pytest.approx(before[t], rel=1e-12)
    stream.masks_outputs[0] = False  # the control
    assert [of(stream, t, 0) for t in range(40)] != before


def test_a_streak_is_of_the_outputs_that_count() -> None:
    stream = Holes().allocate(1, 1, np.dtype(float))
    stream.output_mask[:] = [1, 0, 1]
    stream.targets[:] = [1, 9, 1]
    stream.outputs[:] = [1, 5, 1]
    assert streak_met(Streak(0.1, 1).memory(), stream, 0)
    assert not streak_met(Streak(0.1, 1, outputs=3).memory(), stream, 0)
    stream.output_mask[0, 0, 1] = 1
    assert not streak_met(Streak(0.1, 1).memory(), stream, 0)


def test_a_loss_that_is_no_sum_over_outputs_is_refused() -> None:
    with pytest.raises(
        RnnsimError, match="holes has a mask of each output, which needs a loss that is a"
    ):
        configure("bptt", Holes(), options={"loss": "softmax-cross-entropy"})
    assert configure("bptt", Holes(), options={"loss": "logistic-cross-entropy"}).network.sums_outputs
