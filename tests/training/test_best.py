"""The parameters that did best on validation data, which are kept beside the last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plain_loop import Script

import rnnsim
from rnnsim.training.evaluation import TEST, VALIDATION
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

FORGETS = {"steps": 400, "stop": False, "learning_rate": 0.5}  # so large that the loss goes up and down


def validation_loss(params: rnnsim.typing.Params, run: TaskTraining) -> float:
    """The loss on the same data, by ``rnnsim.loss``."""
    network, task = run.experiment.network, run.experiment.task
    rows, batch = task.validation_shape()
    rng = np.random.default_rng([run.experiment.seed, VALIDATION])
    source = task.validation_source(rng, batch, network.dtype)
    resets = source.resets[:rows].copy()
    resets[1:] |= source.ends[: rows - 1, None]
    total = rnnsim.loss(
        network, params, source.inputs[:rows], source.targets[:rows], mask=source.mask[:rows],
        resets=resets,
    )  # fmt: skip
    return total * batch / source.mask[:rows].sum()


def followed(every: int | None, keep: str = "best") -> tuple[TaskTraining, list[tuple[int, float]]]:
    """A run in pieces of so many steps, and the validation loss at each look."""
    run = TaskTraining(configure("bptt", Script(), keep=keep, **FORGETS))
    seen = [(0, validation_loss(run.params, run))]
    for _ in run.chunks(every):
        if run.step % 8 == 0:
            seen.append((run.step, validation_loss(run.params, run)))
    return run, seen


@pytest.mark.usefixtures("uncompiled")
def test_the_best_is_kept_whatever_the_pieces_are() -> None:
    run, seen = followed(1)
    step, loss = min(seen, key=lambda look: look[1])
    assert len(seen) == 51
    assert run.best is not None
    assert run.best.step == step < run.step
    assert run.best.loss == pytest.approx(loss, rel=1e-12)
    assert validation_loss(run.best.params, run) == pytest.approx(loss, rel=1e-12)
    assert loss < 0.9 * seen[-1][1]  # the last is worse, or nothing would be shown
    for every in (7, None):
        other, _ = followed(every)
        assert other.best is not None
        assert (other.best.step, other.best.loss) == (run.best.step, run.best.loss)
        for own, same in zip(other.best.params, run.best.params):
            np.testing.assert_array_equal(own, same)


@pytest.mark.usefixtures("uncompiled")
def test_a_run_learns_the_same_whether_the_best_is_kept_or_not() -> None:
    kept, plain = followed(None)[0], followed(None, "last")[0]
    assert plain.best is None
    for own, same in zip(kept.params, plain.params):
        np.testing.assert_array_equal(own, same)


def test_it_is_in_the_result_the_summary_and_the_folder(tmp_path: Path) -> None:
    run = rnnsim.run("bptt", Script(), keep="best", save=tmp_path, **FORGETS)
    best = run.best
    assert best is not None
    assert f"best on validation data: loss {best.loss:.4g} after {best.step:,} steps" in run.summary()
    saved = rnnsim.load(tmp_path, task=Script())
    assert saved.best is not None
    assert (saved.best.step, saved.best.loss) == (best.step, best.loss)
    for params, own in ((saved.params, run.params), (saved.best.params, best.params)):
        for array, other in zip(params, own):
            np.testing.assert_array_equal(array, other)
    again = rnnsim.run("bptt", Script(), params=best.params, steps=10, learning_rate=0.0)
    assert again.loss < run.loss  # they can be gone on with


def test_steady_states_are_validated_too() -> None:
    run = rnnsim.run("recurrent-backprop", "steady-state-xor", steps=1500, keep="best")
    assert run.best is not None
    assert 0 < run.best.loss < run.experiment.task.baseline


def test_the_data_are_not_those_of_the_final_evaluation() -> None:
    assert VALIDATION not in (1, TEST, 3)  # what a run learns from, its evaluation, its rule
