"""That networks learn: over 20 seeds each, with the spread, printed at the end of the test report."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import rnnsim

SEEDS = 20


class Case(NamedTuple):
    rule: str
    task: str
    choices: dict[str, Any]
    within: int  # the step before which nine seeds of ten have solved it, twice what was measured
    criterion: Any = None


CASES = [
    Case("rtrl", "delayed-xor", {"d": 1}, 3_600),
    Case("rtrl", "delayed-xor", {"d": 2}, 5_000),
    Case("rtrl", "delayed-xor", {"d": 3}, 5_200),
    Case("bptt", "delayed-xor", {"d": 1}, 9_500),
    Case("bptt", "delayed-xor", {"d": 2}, 12_000),
    Case("bptt", "delayed-xor", {"d": 3}, 16_000),
    Case("recurrent-backprop", "steady-state-xor", {}, 3_000),
    Case("bptt", "adding", {"length": 50}, 56_000),
    Case("bptt", "reber", {}, 7_600),
    Case("bptt", "digits", {"hidden": 64}, 6_500),
]


of_each_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.rule}-{case.task}-{case.choices}"
)


@of_each_case
def test_it_learns(case: Case, record_property: Any) -> None:
    runs = [rnnsim.run(case.rule, case.task, seed=seed, **case.choices) for seed in range(SEEDS)]
    steps = np.array([run.solved_at or np.inf for run in runs])
    tenth, median, ninetieth = np.quantile(steps, (0.1, 0.5, 0.9), method="nearest")
    solved = int(np.isfinite(steps).sum())
    scores = [run.held_out.score for run in runs]
    record_property("learning", (
        f"{case.rule} on {case.task} {case.choices or ''}: {solved} of {SEEDS} seeds solved, at step "
        f"{median:,.0f} in the median ({tenth:,.0f} to {ninetieth:,.0f}: 10% to 90%); held-out "
        f"{runs[0].experiment.task.score} {min(scores):.4g} to {max(scores):.4g}"
    ))  # fmt: skip
    assert solved >= SEEDS - 1
    assert ninetieth <= case.within
    if case.task == "digits":
        assert np.sort(scores)[1] >= 0.95


@of_each_case
def test_without_learning_it_is_not_solved(case: Case) -> None:
    # the control: the same run, with a learning rate of 0
    run = rnnsim.run(case.rule, case.task, learning_rate=0.0, steps=case.within, **case.choices)
    assert run.solved_at is None
