"""asv's benchmarks, parametrised from the registry: a new rule or task is measured without a line here.

Everything is compiled in ``setup``; each timed call is some hundred steps, well over a millisecond.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.errors import RnnsimError
from rnnsim.experiment import configure
from rnnsim.run import Trainer
from rnnsim.task import Task

STEPS = 2_000


def stands_alone(task: type[Task]) -> bool:
    """Whether a task needs no file of the user's and no package that is absent."""
    try:
        return task().n_in > 0
    except RnnsimError:
        return False


RULES = sorted(registry.installed().rules)
TASKS = sorted(name for name, entry in registry.installed().tasks.items() if stands_alone(entry.thing))


def task_for(rule: str) -> str:
    """A small task that the rule can train."""
    settles = registry.lookup("rule", rule).settles
    return "steady-state-xor" if settles else "delayed-xor"


def trainer(rule: str, task: str, steps: int = 10**9, **choices: Any) -> Trainer:
    """A run that never stops by itself, compiled."""
    return Trainer(configure(rule, task, steps=steps, stop=False, learning_rate=1e-4, **choices))


class Loop:
    """Time of the whole loop, task generation and updates included, by rule and n."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")

    def setup(self, rule: str, n: int) -> None:
        self.trainer = trainer(rule, task_for(rule), hidden=n)
        self.chunks = self.trainer.chunks()

    def time_loop(self, rule: str, n: int) -> None:
        until = self.trainer.step + STEPS
        while self.trainer.step < until:
            next(self.chunks)


class Generation:
    """Time of a task's generator alone."""

    params = TASKS
    param_names = ("task",)

    def setup(self, task: str) -> None:
        made = registry.make_task(task, {})
        rule = "recurrent-backprop" if made.steady else "bptt"
        self.trainer = trainer(rule, task)

    def time_fill(self, task: str) -> None:
        for _ in range(20):
            self.trainer._refill()


class Memory:
    """Bytes that a rule holds: free of noise."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")
    unit = "bytes"

    def track_bytes(self, rule: str, n: int) -> int:
        experiment = configure(rule, task_for(rule), hidden=n)
        return experiment.rule.memory_bytes(experiment.network, experiment.batch, experiment.window)


class Learning:
    """Steps to the solution, over fixed seeds: free of noise."""

    params = RULES
    param_names = ("rule",)
    unit = "steps"
    timeout = 300

    def track_steps_to_solve(self, rule: str) -> float:
        solved = []
        for seed in range(5):
            run = Trainer(configure(rule, task_for(rule), seed=seed, steps=20_000))
            for _ in run.chunks():
                pass
            solved.append(run.solved_at or 20_000)
        return float(np.median(solved))
