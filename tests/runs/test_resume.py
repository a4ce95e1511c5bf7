"""A run that goes on is the same, to the last bit, as one that never stopped.

Rules, networks, optimizers and tasks in pairs, uncompiled: what is kept is the same as compiled. Runs
that are killed are compiled, and other processes.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rnnsim
from benchmarks import resuming
from benchmarks.resuming import AROUND, STEPS, combinations, differences, stopped
from rnnsim.registry import installed
from rnnsim.task import Task
from rnnsim.training import task_rows
from rnnsim.training.optimizers import OPTIMIZERS

TASKS = ("steady-state-xor", "delayed-xor", "flip-flop", "reber")
FEW = 25  # steps: no multiple of a window

# a file to read; and what takes a minute to settle where nothing is compiled
LEFT_OUT = (*TASKS, "table", "pattern-completion")

Choices = dict[str, Any]


def pairs(choices: Choices) -> set[tuple[tuple[str, Any], ...]]:
    return set(itertools.combinations(sorted(choices.items()), 2))


def pairwise(combinations: Iterable[Choices]) -> list[Choices]:
    """Some of the combinations that have every pair of values that one of them has."""
    left = list(combinations)
    wanted = set().union(*map(pairs, left))
    found = []
    while wanted:
        best = max(left, key=lambda choices: len(pairs(choices) & wanted))
        wanted -= pairs(best)
        found.append(best)
    return found


@pytest.fixture
def few_data(monkeypatch: pytest.MonkeyPatch, uncompiled: None) -> None:
    """Little data at a time and to evaluate on: they take most of the time where nothing is compiled."""
    monkeypatch.setattr(task_rows, "CHUNK", 16)
    monkeypatch.setattr(task_rows, "STREAM", 0)
    monkeypatch.setattr(Task, "held_out_shape", lambda self: (self.episode_length or 8, 2))


CASES = pairwise(combinations(TASKS))


def test_the_cases_have_every_rule_network_and_optimizer() -> None:
    known = installed()
    ours = {name for name, entry in known.rules.items() if entry.distribution == "rnnsim"}
    assert ours <= {case["rule"] for case in CASES}
    assert {case["network"] for case in CASES} == {*known.networks}
    assert {case["optimizer"] for case in CASES} == {*OPTIMIZERS}
    assert {case["task"] for case in CASES} == {*TASKS}


@pytest.mark.usefixtures("few_data")
@pytest.mark.parametrize(
    ("case", "way"), list(zip(CASES, itertools.cycle(("callback", "steps")))),
    ids=lambda case: " ".join(case.values()) if isinstance(case, dict) else case,
)  # fmt: skip
def test_it_is_the_same_as_one_that_never_stopped(case: Choices, way: str, tmp_path: Path) -> None:
    assert stopped(case, tmp_path, FEW, [way]) == []


@pytest.mark.usefixtures("few_data")
@pytest.mark.parametrize("task", [name for name in installed().tasks if name not in LEFT_OUT])
def test_every_task_goes_on(task: str, tmp_path: Path) -> None:
    rule = "recurrent-backprop" if installed().tasks[task].thing.steady else "truncated-bptt"
    choices = {"rule": rule, "task": task, "window": 4}
    assert stopped(choices, tmp_path, 23, ["callback"]) == []


@pytest.mark.usefixtures("few_data")
def test_what_is_not_kept_would_be_noticed(tmp_path: Path) -> None:
    """The controls: each part of a checkpoint by itself, lost or changed."""
    case = {"rule": "uoro", "task": "delayed-xor", "optimizer": "adam", **AROUND}
    whole = rnnsim.run(**case, steps=STEPS)
    run = rnnsim.run(**case, steps=STEPS, callback=lambda seen: seen.step >= 61)
    assert differences(whole, run.resume()) == []
    point = run.checkpoint
    assert point is not None
    groups = {name.partition(".")[0] for name in point.arrays}
    assert groups == {
        "params",
        "state",
        "optimizer",
        "clock",
        "observed",
        "memory",
        "generator",
        "source",
        "validation",
    }
    for group in groups - {"clock", "generator", "source"}:  # rows that are learnt read the last
        lost = {
            name: array * 0 if name.startswith(f"{group}.") and array.dtype.kind in "fi" else array
            for name, array in point.arrays.items()
            if name != "observed.curve.every"
        }
        lost["observed.curve.every"] = point.arrays["observed.curve.every"]
        other = replace(run, checkpoint=point._replace(arrays=lost)).resume()
        assert differences(whole, other), group
    fresh = rnnsim.run(**{**case, "seed": 5}, steps=STEPS, callback=lambda seen: seen.step >= 61)
    assert fresh.checkpoint is not None
    for name in ("generator.0", "source.generator.0"):
        arrays = {**point.arrays, name: fresh.checkpoint.arrays[name]}
        other = replace(run, checkpoint=point._replace(arrays=arrays)).resume()
        assert differences(whole, other), name
    assert differences(whole, replace(run, checkpoint=point._replace(records=0)).resume())
    assert differences(whole, rnnsim.run(**{**case, "seed": 5}, steps=STEPS))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_runs_that_are_killed_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "KILLED", resuming.KILLED[:2])
    found = dict(enumerate(resuming.kills(10, seconds=0.3)))
    assert len(found) == 10
    assert {i: kill.differs for i, (_, kill) in found.items() if kill.differs} == {}
    assert any(kill.step for _, kill in found.values())
